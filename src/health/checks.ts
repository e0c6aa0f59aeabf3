/** The kinds of check that there are. */
import { invalidOption } from '../errors.ts';
import { object, optionsOf } from '../services/settings.ts';
import type { CheckKind, Probe } from './checks/check.ts';
import { command } from './checks/command.ts';
import { dns } from './checks/dns.ts';
import { http } from './checks/http.ts';
import { tcp } from './checks/tcp.ts';
import { udp } from './checks/udp.ts';
import type { Check } from './config.ts';

const KINDS: Readonly<Record<string, CheckKind<never>>> = { tcp, http, https: http, dns, udp, command };

/** The names of the kinds. */
export const CHECK_TYPES: readonly string[] = Object.keys(KINDS);

/**
 * Checks a check, and makes the probe.
 * @param at the option that it is.
 * @throws DirectorError ERR_INVALID_OPTION
 */
export function prepareCheck(check: Check, at: string): Probe {
  if (typeof check === 'function') return async (server, signal) => check(server, signal);
  object(at, check);
  const { type } = check;
  if (!Object.hasOwn(KINDS, type)) throw invalidOption(`${at}.type`, type, `one of ${CHECK_TYPES.join(', ')}`);
  const kind = KINDS[type];
  optionsOf(at, check, ['type', ...kind.options], `${at}.`);
  return kind.prepare(check as never, at);
}
