/** Balancing what is for others, by firewall marks that take packets as the director's own. */
import test from 'ava';
import { CLIENT, Lab, rs, rs6, rsMac } from './lab.ts';

const ELSEWHERE = '198.51.100.80';
const ELSEWHERE6 = '2001:db8:e::80';

function webThroughCaches(lab: Lab, family: 4 | 6): void {
  lab.director.marks.add({ protocol: 'tcp', destinationPort: 80, mark: 7, local: true });
  lab.director.addService({ fwmark: 7, family }, { scheduler: 'rr' });
}

test('requests to anywhere go to the caches, and so do the packets that follow', (t) => {
  const lab = new Lab();
  webThroughCaches(lab, 4);
  lab.director.addDestination({ fwmark: 7 }, { address: rs(11), port: 0 });
  lab.director.addDestination({ fwmark: 7 }, { address: rs(12), port: 0 });
  const macs = ['S', 'A', 'A'].map((flags) => lab.client(flags, { to: ELSEWHERE })[0]?.text.split(' ')[2]);
  t.deepEqual(macs, [rsMac(12), rsMac(12), rsMac(12)]);
  t.is(lab.client('S', { to: ELSEWHERE, port: 40001 })[0]?.text.split(' ')[2], rsMac(11));
  t.is(lab.director.connections()[0]?.virtualAddress, ELSEWHERE);
});

test('what carries no such mark is routed as before', (t) => {
  const lab = new Lab();
  webThroughCaches(lab, 4);
  lab.director.addDestination({ fwmark: 7 }, { address: rs(11), port: 0 });
  const [sent] = lab.client('S', { to: ELSEWHERE, toPort: 81 });
  t.true(sent?.text.includes(`${CLIENT}:40000 > ${ELSEWHERE}:81`));
  t.is(lab.director.counters().verdicts.FORWARDED, 1);
});

for (const [family, client, to, server] of [
  [4, CLIENT, ELSEWHERE, rs(11)],
  [6, '2001:db8:c::1', ELSEWHERE6, rs6(11)],
] as const) {
  test(`IPv${family}: with cache_bypass they go where they were going when no cache is left`, (t) => {
    const lab = new Lab({}, true);
    webThroughCaches(lab, family);
    const service = { fwmark: 7, family } as const;
    lab.director.addDestination(service, { address: server, port: 0 }, { weight: 0 });
    lab.client('S', { from: client, to });
    t.is(lab.director.counters().verdicts.NO_SERVER, 1);

    lab.director.sysctl.set('cache_bypass', 1);
    const [sent] = lab.client('S', { from: client, to, port: 40001 });
    t.regex(sent?.text ?? '', /^02:00:00:00:00:01 > 02:00:00:00:fe:fe /);
    t.is(lab.director.counters().verdicts.BYPASS, 1);
    lab.client('A', { from: client, to, port: 40001 });
    t.is(lab.director.counters().verdicts.BYPASS, 2);
  });
}
