/** Reloading: the steps from one configuration to another lead there, whatever was done by hand, and touch nothing else. */
import test from 'ava';
import fc from 'fast-check';
import { buildDirector } from '../../src/daemon/build.ts';
import type { Configuration, ServiceConfiguration } from '../../src/daemon/configuration.ts';
import { silentLog } from '../../src/daemon/log.ts';
import { checkSchema, emptyConfiguration } from '../../src/daemon/schema.ts';
import type { Running } from '../../src/daemon/section.ts';
import { plan, SECTIONS } from '../../src/daemon/sections.ts';
import { type Director, MemoryDevice, type ServiceEntry } from '../../src/index.ts';
import { keyOfEntry } from '../../src/listing.ts';
import { buildFrame } from '../../src/packet/index.ts';

const CLIENT = { mac: '02:00:00:00:00:17', ip: '192.0.2.17' };
const DIRECTOR_MAC = '02:00:00:00:00:01';
const triable = (section: { readonly triable?: boolean }) => section.triable === true;

function configuration(services: readonly unknown[], more: object = {}): Configuration {
  const value = {
    devices: [{ type: 'tap', name: 'eth0' }],
    interfaces: [{ device: 'eth0', addresses: ['192.0.2.1/24'] }],
    neighbours: [11, 12, 13].map((n) => ({ ip: `192.0.2.${n}`, mac: `02:00:00:00:00:${n}`, dev: 'eth0' })),
    services,
    ...more,
  };
  const problems = checkSchema(value);
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  return value as unknown as Configuration;
}

interface Bench {
  readonly running: Running;
  readonly director: Director;
  readonly device: MemoryDevice;
}

function build(): Bench {
  const device = new MemoryDevice({ name: 'eth0', mac: DIRECTOR_MAC });
  const director = buildDirector(configuration([]), () => device, { maxConnections: 1000 });
  const running = {
    director,
    control: director,
    remote: director,
    logger: silentLog(),
    account: null,
    opened: new Map(),
  };
  return { running, director, device };
}

function go({ running }: Bench, before: Configuration, after: Configuration): void {
  for (const { apply } of plan(before, after, triable)) void apply(running);
}

function sorted<T>(values: Iterable<T>): T[] {
  return [...values].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

/** A service without what packets have counted. */
function settingsOf({ stats: _, rates: __, destinations, ...service }: ServiceEntry) {
  const servers = destinations.map((one) => {
    const { stats, rates, handshakes, activeConns, inactConns, persistConns, overloaded, ...server } = one;
    return server;
  });
  return { ...service, destinations: sorted(servers) };
}

/** All that can be set on a director, in an order of its own. */
function stateOf(director: Director) {
  return {
    services: sorted(director.services().map(settingsOf)),
    timeouts: director.getTimeouts(),
    tunables: director.sysctl.names().map((name) => director.sysctl.text(name)),
    daemons: sorted(director.daemons()),
    health: sorted(director.health().map((one) => ({ ...one, servers: sorted(one.servers) }))),
  };
}

const weight = fc.nat({ max: 3 });
const server = fc.record(
  {
    address: fc.constantFrom('192.0.2.11', '192.0.2.12', '192.0.2.13'),
    method: fc.constantFrom('route', 'masq', 'tunnel'),
    port: fc.constantFrom(80, 8080),
    weight,
    upperThreshold: fc.constantFrom(0, 5),
    tunnel: fc.constant({ type: 'gre' }),
    check: fc.constantFrom(null, { type: 'tcp', port: 81 }),
  },
  { requiredKeys: ['address'] },
);
const portOf = (one: { method?: string; port?: number }) => (one.method === 'masq' ? (one.port ?? 80) : 80);
const options = fc.record(
  {
    scheduler: fc.constantFrom('rr', 'wrr', 'wlc', 'sh', 'mh'),
    persistent: fc.constantFrom(0, 300),
    health: fc.record(
      {
        check: fc.constantFrom({ type: 'tcp' }, { type: 'http', path: '/health', status: [200, 204] }),
        onFailure: fc.constantFrom('quiesce', 'remove'),
        quorum: fc.integer({ min: 1, max: 3 }),
        sorryServer: fc.constantFrom({ address: '192.0.2.18' }, { address: '192.0.2.19', weight: 5 }),
        slowStart: fc.constant({ duration: 5 }),
        passive: fc.constant({ eject: 20 }),
      },
      { requiredKeys: [] },
    ),
    servers: fc.uniqueArray(server, { maxLength: 4, selector: (one) => `${one.address} ${portOf(one)}` }),
  },
  { requiredKeys: [] },
);
const key = fc.oneof(
  fc.record({
    protocol: fc.constant('tcp'),
    address: fc.constantFrom('192.0.2.100', '192.0.2.101'),
    port: fc.constant(80),
  }),
  fc.constant({ protocol: 'udp', address: '192.0.2.100', port: 80 }),
);
const service = fc.tuple(key, options).map(([name, rest]) => ({ ...name, ...rest }));
const services = fc.uniqueArray(service, { maxLength: 4, selector: (one) => `${one.protocol} ${one.address}` });
const shared = fc.record(
  {
    tunables: fc.record(
      { conn_reuse_mode: fc.nat({ max: 3 }), sync_threshold: fc.constantFrom('3 50', '1 10') },
      { requiredKeys: [] },
    ),
    timeouts: fc.record(
      { tcp: fc.integer({ min: 1, max: 1000 }), udp: fc.integer({ min: 1, max: 1000 }) },
      { requiredKeys: [] },
    ),
    sync: fc.uniqueArray(fc.record({ role: fc.constantFrom('master', 'backup'), syncId: fc.nat({ max: 9 }) }), {
      selector: ({ role }) => role,
      maxLength: 2,
    }),
    marks: fc.array(fc.record({ mark: fc.nat({ max: 3 }) }), { maxLength: 2 }),
  },
  { requiredKeys: [] },
);
const file = fc.tuple(services, shared).map(([some, more]) => configuration(some, more));

test('a director follows from one file to the next, and is then as if it had begun with it', (t) => {
  fc.assert(
    fc.property(fc.array(file, { minLength: 1, maxLength: 3 }), (files) => {
      const followed = build();
      const fresh = build();
      let before = emptyConfiguration();
      for (const after of files) {
        go(followed, before, after);
        before = after;
      }
      go(fresh, emptyConfiguration(), before);
      t.deepEqual(stateOf(followed.director), stateOf(fresh.director));
    }),
  );
});

test('the same file asks for nothing; the way back leads back', (t) => {
  fc.assert(
    fc.property(file, file, (one, other) => {
      t.deepEqual(plan(one, one), []);
      const bench = build();
      go(bench, emptyConfiguration(), one);
      const state = stateOf(bench.director);
      go(bench, one, other);
      go(bench, one, other);
      go(bench, other, one);
      t.deepEqual(stateOf(bench.director), state);
    }),
  );
});

function openConnections({ device, director }: Bench, count: number): void {
  director.start();
  const ethernet = { source: CLIENT.mac, destination: DIRECTOR_MAC };
  for (const destination of ['192.0.2.100', '192.0.2.101']) {
    for (let i = 0; i < count; i++) {
      const ip = { source: CLIENT.ip, destination };
      device.inject(buildFrame({ ethernet, ip, tcp: { sourcePort: 40_000 + i, destinationPort: 80, flags: 'S' } }));
    }
  }
  director.poll();
}

const named = (one: ServiceConfiguration) => `${one.protocol} ${one.address}`;

test('connections and counters of what stays are left alone', (t) => {
  fc.assert(
    fc.property(file, file, (before, after) => {
      const bench = build();
      const { director } = bench;
      go(bench, emptyConfiguration(), before);
      openConnections(bench, 6);
      const connections = () => sorted(director.connections().map(({ expiresInSeconds: _, ...rest }) => rest));
      const open = connections();
      const counted = new Map(director.services().map((one) => [`${one.protocol} ${one.address}`, one]));
      go(bench, before, after);
      director.poll();
      t.deepEqual(connections(), open, 'no connection ends by a reload');
      const kept = new Set(
        before.services.map(named).filter((name) => after.services.some((one) => named(one) === name)),
      );
      for (const now of director.services()) {
        const name = `${now.protocol} ${now.address}`;
        if (!kept.has(name)) continue;
        const was = counted.get(name)!;
        t.deepEqual(now.stats, was.stats);
        for (const each of now.destinations) {
          const same = was.destinations.find((one) => one.address === each.address && one.port === each.port);
          if (same === undefined) continue;
          t.deepEqual(each.stats, same.stats);
          t.deepEqual([each.activeConns, each.inactConns], [same.activeConns, same.inactConns]);
        }
      }
      director.stop();
    }),
    { numRuns: 60 },
  );
});

const HANDS = [
  '-C',
  '-D -t 192.0.2.100:80',
  '-A -t 192.0.2.101:80 -s sh',
  '-A -t 192.0.2.102:80',
  '-a -t 192.0.2.102:80 -r 192.0.2.11 -w 7',
  '-e -t 192.0.2.100:80 -r 192.0.2.11 -w 0',
  '-d -t 192.0.2.100:80 -r 192.0.2.12',
  '-a -t 192.0.2.100:80 -r 192.0.2.13 -m',
  '-E -t 192.0.2.100:80 -s dh',
  '--stop-daemon master',
  '--set 5 5 5',
];

test('what was changed by hand is no obstacle; what no file names is left alone', (t) => {
  fc.assert(
    fc.property(file, file, fc.array(fc.constantFrom(...HANDS), { maxLength: 6 }), (before, after, hands) => {
      const bench = build();
      go(bench, emptyConfiguration(), before);
      for (const line of hands) bench.director.ipvsadm(line);
      const byHand = () => bench.director.services().filter(({ address }) => address === '192.0.2.102');
      const own = byHand();
      const untouched = new Map(bench.director.services().map((one) => [JSON.stringify(keyOfEntry(one)), one]));
      t.notThrows(() => go(bench, before, after));
      t.deepEqual(byHand().map(settingsOf), own.map(settingsOf));
      for (const now of bench.director.services()) {
        const in1 = before.services.find((one) => named(one) === `${now.protocol} ${now.address}`);
        const in2 = after.services.find((one) => named(one) === `${now.protocol} ${now.address}`);
        if (in1 === undefined || JSON.stringify(in1) !== JSON.stringify(in2)) continue;
        t.deepEqual(settingsOf(now), settingsOf(untouched.get(JSON.stringify(keyOfEntry(now)))!));
      }
    }),
  );
});

test('every section that is in the file is of use: it is built with, or it can be planned', (t) => {
  const built = ['devices', 'interfaces', 'routes', 'neighbours', 'director', 'privileges', 'handover'];
  t.deepEqual(
    SECTIONS.filter((section) => section.plan === undefined).map(({ name }) => name),
    built as never,
  );
});
