import test from 'ava';
import { hash32 } from '../../src/schedulers/hash32.ts';
import { dh, mh, type SchedulerFactory, sh, wrr } from '../../src/schedulers/index.ts';
import { SipHash13 } from '../../src/schedulers/siphash.ts';
import { SVC_SCHED2 } from '../../src/services/service.ts';
import { Bench, packet } from './fixture.ts';

const A = '10.0.0.11';
const B = '10.0.0.12';
const C = '10.0.0.13';
const NAMES = new Map([
  [A, 'A'],
  [B, 'B'],
  [C, 'C'],
]);

/** Adds destinations in the order given. */
function bench(factory: SchedulerFactory, ...servers: [string, number][]): Bench {
  const made = new Bench(factory);
  for (const [address, weight] of servers) made.add(address, weight);
  return made;
}

function nameOf(destination: { address: string } | null): string {
  return destination === null ? '-' : NAMES.get(destination.address)!;
}

function picks(from: Bench, count: number): string {
  return Array.from({ length: count }, () => nameOf(from.pick())).join('');
}

/** Client, mh, mh-port, sh and dh, sh-port (source port 40000); sh with the weights A 3, B 2, C 1 where it is known. */
const CLIENTS: [client: string, mh: string, mhPort: string, sh: string, shPort: string, shWeights?: string][] = [
  ['192.168.1.1', 'A', 'B', 'B', 'A', 'A'],
  ['192.168.1.2', 'C', 'C', 'C', 'B', 'C'],
  ['192.168.1.3', 'C', 'A', 'B', 'C'],
  ['192.168.1.4', 'A', 'A', 'C', 'B'],
  ['192.168.1.5', 'A', 'C', 'B', 'A'],
  ['192.168.1.6', 'A', 'A', 'A', 'C'],
  ['203.0.113.7', 'B', 'A', 'B', 'A', 'A'],
  ['198.51.100.9', 'A', 'A', 'A', 'C', 'B'],
];

const EQUAL: [string, number][] = [
  [A, 1],
  [B, 1],
  [C, 1],
];
const WEIGHTED: [string, number][] = [
  [A, 3],
  [B, 2],
  [C, 1],
];

test('mh: where eight clients go', (t) => {
  const servers = bench(mh, ...EQUAL);
  t.deepEqual(
    CLIENTS.map(([source]) => nameOf(servers.pick(packet({ source })))),
    CLIENTS.map((row) => row[1]),
  );
  servers.service.flags = SVC_SCHED2;
  t.deepEqual(
    CLIENTS.map(([source]) => nameOf(servers.pick(packet({ source, sourcePort: 40000 })))),
    CLIENTS.map((row) => row[2]),
  );
});

test('sh: where eight clients go', (t) => {
  const servers = bench(sh, ...EQUAL);
  t.deepEqual(
    CLIENTS.map(([source]) => nameOf(servers.pick(packet({ source })))),
    CLIENTS.map((row) => row[3]),
  );
  servers.service.flags = SVC_SCHED2;
  t.deepEqual(
    CLIENTS.map(([source]) => nameOf(servers.pick(packet({ source, sourcePort: 40000 })))),
    CLIENTS.map((row) => row[4]),
  );
});

test('sh: where clients go by weight', (t) => {
  const servers = bench(sh, ...WEIGHTED);
  for (const [source, , , , , expected] of CLIENTS) {
    if (expected !== undefined) t.is(nameOf(servers.pick(packet({ source }))), expected, source);
  }
});

test('sh: weights 3, 2, 1 fill 127, 86 and 43 buckets', (t) => {
  const servers = bench(sh, ...WEIGHTED);
  const buckets = new Map<number, string>();
  for (let n = 0; n < 4096; n++) {
    const from = packet({ source: `10.1.${n >> 8}.${n & 255}` });
    buckets.set(hash32(from.source[0], 8), nameOf(servers.pick(from)));
  }
  const count = (name: string) => [...buckets.values()].filter((value) => value === name).length;
  t.deepEqual([count('A'), count('B'), count('C')], [127, 86, 43]);
});

test('dh: where eight destination addresses go, whatever the weights', (t) => {
  const equal = bench(dh, ...EQUAL);
  const weighted = bench(dh, ...WEIGHTED);
  for (const [destination, , , expected] of CLIENTS) {
    t.is(nameOf(equal.pick(packet({ destination }))), expected, destination);
    t.is(nameOf(weighted.pick(packet({ destination }))), expected, destination);
  }
});

/** Asks for clients until every slot of the table has been seen. */
function slotCounts(servers: Bench): Record<string, number> {
  const hash = new SipHash13(0, 2654435761, 0, 2654435761);
  const slots = new Map<number, string>();
  for (let n = 0; slots.size < 4093; n++) {
    const from = packet({ source: `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}` });
    slots.set(hash.hash(from.source[0], 4) % 4093, nameOf(servers.pick(from)));
  }
  const counts: Record<string, number> = {};
  for (const name of slots.values()) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

test('mh: how many of its 4093 slots each gets', (t) => {
  t.deepEqual(slotCounts(bench(mh, ...EQUAL)), { C: 1365, B: 1364, A: 1364 });
  t.deepEqual(slotCounts(bench(mh, ...WEIGHTED)), { A: 2046, B: 1364, C: 683 });
});

test('mh: weights beyond six bits are shifted, yet none loses its place', (t) => {
  const counts = slotCounts(bench(mh, [A, 1_000_000], [B, 500_000], [C, 1]));
  // 1000000 takes 20 bits, so 14 go: turns of 61, 30 and (0, but at least) 1.
  t.deepEqual(Object.keys(counts).sort(), ['A', 'B', 'C']);
  t.true(Math.abs(counts.A! / counts.C! - 61) < 2);
  t.true(Math.abs(counts.B! / counts.C! - 30) < 2);
});

test('mh: taking one out of service moves no client of the others', (t) => {
  const servers = bench(mh, ...WEIGHTED);
  const clients = Array.from({ length: 500 }, (_, n) => packet({ source: `10.2.${n >> 8}.${n & 255}` }));
  const before = clients.map((from) => nameOf(servers.pick(from)));
  servers.edit(servers.service.destinations[1], 0);
  t.deepEqual(
    clients.map((from) => nameOf(servers.pick(from))),
    before.map((name) => (name === 'B' ? '-' : name)),
  );
});

test('wrr: the order of adding decides the phase', (t) => {
  t.is(picks(bench(wrr, [A, 3], [B, 2], [C, 1]), 12), 'CBAABA' + 'CBAABA');
  t.is(picks(bench(wrr, [C, 1], [B, 2], [A, 3]), 12), 'ABCAAB' + 'ABCAAB');
  t.is(picks(bench(wrr, [A, 6], [B, 4], [C, 2]), 12), 'CBAABA' + 'CBAABA');
});

test('wrr: put in front of servers that are there already, it starts at the top', (t) => {
  const servers = bench(sh, [A, 3], [B, 2], [C, 1]);
  servers.use(wrr);
  t.is(picks(servers, 12), 'ABACBA' + 'ABACBA');
});

test('wrr: in one round everyone gets its weight, without bursts', (t) => {
  const servers = bench(wrr, [A, 5], [B, 1], [C, 1]);
  const round = picks(servers, 7);
  t.is([...round].filter((name) => name === 'A').length, 5);
  t.is(picks(servers, 7), round);
});

test('wrr: the highest weights there are take no time', (t) => {
  const servers = bench(wrr, [A, 2_147_483_647], [B, 1], [C, 2_147_483_646]);
  servers.service.destinations[2].overloaded = true;
  servers.service.destinations[0].overloaded = true;
  t.is(picks(servers, 5), 'BBBBB');
  servers.service.destinations[1].overloaded = true;
  t.is(picks(servers, 5), '-----');
  servers.service.destinations[0].overloaded = false;
  t.is(picks(servers, 3), 'CCC');
});
