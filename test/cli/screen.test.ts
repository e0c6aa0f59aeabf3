/** What `tapvs top` shows: everything fits, and the numbers are those of the director. */
import test from 'ava';
import fc from 'fast-check';
import { layOut, MIN_WIDTH, short } from '../../src/cli/top/screen.ts';
import type { StatusAnswer } from '../../src/control/verbs/status.ts';
import { VERBS } from '../../src/control/verbs.ts';
import type { Director } from '../../src/index.ts';
import { Lab, rs, tcp } from '../core/lab.ts';

/** As it comes out of the control socket, at a time of the lab's clock. */
async function look(director: Director, timeMs: number): Promise<StatusAnswer> {
  const client = { send: async () => {}, signal: new AbortController().signal };
  const answer = await VERBS.get('status')!.run({}, { director, control: director }, client);
  return { ...JSON.parse(JSON.stringify(answer)), timeMs };
}

const six = { protocol: 'tcp', address: '2001:db8:1111:2222:3333:4444:5555:6666', port: 65535 } as const;

test('rates are those between two looks, and ill servers stand out', async (t) => {
  const lab = new Lab({}, true);
  const { director, clock } = lab;
  director.addService(tcp(), { scheduler: 'rr' });
  for (const n of [11, 12]) director.addDestination(tcp(), { address: rs(n) }, { method: 'masq', weight: n });
  director.addDestination(tcp(), { address: rs(13) }, { weight: 0 });
  director.addService(six, {});
  director.addDestination(six, { address: '2001:db8::b' }, { upperThreshold: 1 });
  director.addService({ fwmark: 7, family: 6 }, {});
  director.watch(tcp(), {
    check: ({ address }) => {
      if (address !== rs(11)) throw new Error('not well');
    },
    fall: 1,
    onFailure: 'remove',
  });
  for (let i = 0; i < 4; i++) {
    clock.advance(250);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const before = await look(director, 1000);
  for (let n = 1; n <= 100; n++) lab.client('S', { from: `192.0.2.${n}` });
  lab.client('S', { from: '2001:db8:c::1', to: six.address, toPort: six.port });
  lab.client('S', { toPort: 81 });
  const now = await look(director, 3000);
  const { head, body } = layOut(now, before, 'every 1 s', MIN_WIDTH);
  const lines = [...head, ...body];
  for (const { text } of lines) t.true(text.length <= MIN_WIDTH, text);
  const shown = lines.map(({ text }) => text.trimEnd()).join('\n');
  t.regex(shown, /^tapvs {2}3 services, 2 servers +every 1 s$/m, shown);
  t.regex(shown, /^51 conn\/s {3}in 51 pkt\/s /m, shown);
  t.regex(shown, /^table IPv4 100 of 4\.1k, IPv6 1 of 4\.1k {3}dropped /m, shown);
  t.regex(shown, /^service, servers +method +weight +active +inact +conn\/s +in b\/s +out b\/s +health$/m);
  t.regex(shown, /^tcp 10\.0\.0\.100:80 +rr +100 +0 +50 +16k +0 +served$/m, shown);
  t.regex(shown, /^ {2}10\.0\.0\.11:80 +Masq +11 +100 +0 +50 +16k +0 +up$/m, shown);
  t.regex(shown, /^ {2}10\.0\.0\.12:80 +- +down$/m, shown);
  t.regex(shown, /^fwmark 7 IPv6 +wlc /m, shown);
  t.regex(shown, /^tcp \[2001:d~6666\]:65535 +wlc /m, shown);
  t.regex(shown, /full$/m, shown);
  const ill = lines.filter(({ style }) => style === 'ill').map(({ text }) => text.trim().split(/\s+/)[0]);
  t.deepEqual(ill.sort(), ['10.0.0.12:80', '10.0.0.13:80', '[2001:db8::b]:65535'].sort());
  const wide = layOut(now, before, '', 160);
  t.true(wide.body.some(({ text }) => text.includes(`[${six.address}]:65535`)));
  for (const { text } of [...wide.head, ...wide.body]) t.true(text.length <= 160);
});

test('without a look before there are no rates; zeroed counters and gone services make none', async (t) => {
  const lab = new Lab();
  const { director } = lab;
  director.addService(tcp(), { scheduler: 'rr' });
  director.addDestination(tcp(), { address: rs(11) });
  for (let n = 1; n <= 9; n++) lab.client('S', { from: `192.0.2.${n}` });
  const first = await look(director, 0);
  t.regex(layOut(first, null, '', 80).body[0]!.text, / - +- +- *$/);
  director.zero();
  const second = await look(director, 1000);
  t.regex(layOut(second, first, '', 80).body[0]!.text, / 0 +0 +0 *$/);
  director.flush();
  const third = await look(director, 2000);
  t.deepEqual(layOut(third, second, '', 80).body, [{ text: 'There are no services.', style: 'plain' }]);
  t.regex(layOut(second, third, '', 80).body[0]!.text, / - +- +- *$/);
});

test('numbers are short, however large', (t) => {
  const examples: Readonly<Record<string, number>> = {
    '0': 0,
    '1': 0.6,
    '999': 999.4,
    '1.0k': 1000,
    '9.9k': 9940,
    '10k': 9960,
    '999k': 999_400,
    '1.0M': 999_600,
    '12G': 12e9,
    '2.1G': 2147483647,
  };
  for (const [text, value] of Object.entries(examples)) t.is(short(value), text);
  fc.assert(
    fc.property(fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }), (value) => short(value).length <= 5),
  );
});
