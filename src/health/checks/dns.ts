/** `dns`: a name server answers a question. */
import { Resolver } from 'node:dns/promises';
import { isIPv6 } from 'node:net';
import { invalidOption } from '../../errors.ts';
import { choice } from '../../services/settings.ts';
import type { DnsCheck } from '../config.ts';
import { type CheckKind, TARGET_OPTIONS, target, text } from './check.ts';

const RECORDS = { A: 'A', AAAA: 'AAAA', NS: 'NS', TXT: 'TXT', CNAME: 'CNAME', PTR: 'PTR' } as const;

/** Longer than any check: the check's own time is what ends it. */
const TIMEOUT_MS = 3_600_000;

export const dns: CheckKind<DnsCheck> = {
  options: [...TARGET_OPTIONS, 'name', 'record', 'expect'],
  prepare(options, at) {
    const to = target(options, at);
    const { name } = options;
    if (typeof name !== 'string' || !/^[!-~]{1,253}$/.test(name)) throw invalidOption(`${at}.name`, name, 'a name');
    const record = choice<keyof typeof RECORDS>(`${at}.record`, options.record, RECORDS, 'A');
    const expect = text(`${at}.expect`, options.expect, undefined);
    return async (server, signal) => {
      const { address, port, localAddress } = to(server);
      const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: 1 });
      signal.addEventListener('abort', () => resolver.cancel(), { once: true });
      resolver.setServers([isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`]);
      if (localAddress !== undefined) {
        if (isIPv6(localAddress)) resolver.setLocalAddress('0.0.0.0', localAddress);
        else resolver.setLocalAddress(localAddress);
      }
      const records = (await resolver.resolve(name, record)) as (string | string[])[];
      const texts = records.map((one) => (typeof one === 'string' ? one : one.join('')));
      if (texts.length === 0) throw new Error('no record');
      if (expect !== undefined && !texts.includes(expect)) throw new Error(`another answer: ${texts.join(', ')}`);
    };
  },
};
