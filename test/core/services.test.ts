/** Services and their servers over their life: edited, swapped, removed, brought back, counted. */
import test from 'ava';
import fc from 'fast-check';
import type { ForwardMethod } from '../../src/conntrack/forward-method.ts';
import { TEMPLATE } from '../../src/conntrack/layout.ts';
import { isActive, TCP_STATE_NAMES } from '../../src/conntrack/tcp-state.ts';
import type { ConnectionEntry, DestinationEntry, SchedulerFactory, ServiceEntry } from '../../src/index.ts';
import { Lab, rs, tcp, udp, VIP } from './lab.ts';

function destinations(lab: Lab, key = tcp()): readonly DestinationEntry[] {
  return lab.director.service(key).destinations;
}

function serverOf(sent: readonly { readonly text: string }[]): string {
  return / > (\d+\.\d+\.\d+\.\d+):\d+ /.exec(sent[0]?.text ?? '')?.[1] ?? '';
}

// ---- Defaults and edits -----------------------------------------------------------------------------------------

test('a service and a server without options are as ipvsadm makes them', (t) => {
  const { director } = new Lab();
  director.addService(tcp());
  director.addDestination(tcp(), { address: rs(11) });
  t.like(director.service(tcp()), {
    scheduler: 'wlc',
    flags: 0,
    persistent: 0,
    netmask: '255.255.255.255',
    engine: '',
  });
  t.like(director.service(tcp()).destinations[0], {
    address: rs(11),
    port: 80,
    method: 3,
    weight: 1,
    upperThreshold: 0,
    lowerThreshold: 0,
    tunnelType: 0,
  });
});

test('an edit gives exactly what it says: the rest returns to its default', (t) => {
  const { director } = new Lab();
  director.addService(tcp(), { scheduler: 'sh', schedulerFlags: ['sh-port'], persistent: 60, netmask: 24 });
  director.addDestination(
    tcp(),
    { address: rs(11) },
    { method: 'masq', weight: 9, upperThreshold: 5, lowerThreshold: 4 },
  );
  director.editService(tcp(), { persistent: 30 });
  t.like(director.service(tcp()), { scheduler: 'wlc', flags: 1, persistent: 30, netmask: '255.255.255.255' });
  director.editDestination(tcp(), { address: rs(11) }, { weight: 3 });
  t.like(director.service(tcp()).destinations[0], { method: 3, weight: 3, upperThreshold: 0, lowerThreshold: 0 });
});

test('for DR and tunnels the port is the service’s; NAT and firewall marks choose', (t) => {
  const { director } = new Lab();
  const fwm = { fwmark: 5 };
  director.addService(tcp());
  director.addService(fwm);
  const ports = (key: typeof fwm | ReturnType<typeof tcp>, method: ForwardMethod) => {
    director.addDestination(key, { address: rs(11), port: 8080 }, { method });
    const [{ port }] = director.service(key).destinations as [DestinationEntry];
    director.deleteDestination(key, { address: rs(11), port });
    return port;
  };
  t.deepEqual(
    (['masq', 'route', 'tunnel'] as const).map((method) => ports(tcp(), method)),
    [8080, 80, 80],
  );
  t.deepEqual(
    (['masq', 'route', 'tunnel'] as const).map((method) => ports(fwm, method)),
    [8080, 8080, 8080],
  );
});

test('connections keep the method that they were made with', (t) => {
  const lab = new Lab();
  lab.director.addService(tcp(), { scheduler: 'rr' });
  lab.director.addDestination(tcp(), { address: rs(11) }, { method: 'masq' });
  lab.client('S', { port: 1 });
  lab.director.editDestination(tcp(), { address: rs(11) }, { method: 'route' });
  lab.client('S', { port: 2 });
  t.true(lab.client('A', { port: 1 })[0]!.text.includes(`> ${rs(11)}:80 `));
  t.true(lab.client('A', { port: 2 })[0]!.text.includes(`> ${VIP}:80 `));
  t.true(lab.server(11, 'SA', { toPort: 1 })[0]!.text.includes(`${VIP}:80 > `));
});

test('weight 0 takes nothing new and keeps what it has', (t) => {
  const lab = new Lab();
  lab.director.addService(tcp(), { scheduler: 'rr' });
  for (const n of [11, 12]) lab.director.addDestination(tcp(), { address: rs(n) }, { method: 'masq' });
  t.is(serverOf(lab.client('S', { port: 1 })), rs(12));
  lab.director.editDestination(tcp(), { address: rs(12) }, { method: 'masq', weight: 0 });
  t.is(serverOf(lab.client('A', { port: 1 })), rs(12));
  for (let port = 2; port < 6; port++) t.is(serverOf(lab.client('S', { port })), rs(11));
});

// ---- Schedulers -------------------------------------------------------------------------------------------------

test('a scheduler is swapped under a service that works: servers and connections stay', (t) => {
  const lab = new Lab();
  lab.director.addService(tcp(), { scheduler: 'rr' });
  for (const n of [11, 12, 13])
    lab.director.addDestination(tcp(), { address: rs(n) }, { method: 'masq', weight: n - 10 });
  for (let port = 1; port <= 3; port++) lab.client('S', { port });
  const before = destinations(lab);
  const seen: number[] = [];
  const own: SchedulerFactory = {
    name: 'last',
    create: (service) => {
      seen.push(service.destinations.length);
      return { schedule: () => service.destinations.at(-1) ?? null };
    },
  };
  lab.director.editService(tcp(), { scheduler: own });
  t.deepEqual(seen, [3]);
  t.is(lab.director.service(tcp()).scheduler, 'last');
  t.deepEqual(destinations(lab), before);
  t.is(serverOf(lab.client('S', { port: 4 })), rs(11));
  lab.director.editService(tcp(), { scheduler: own, persistent: 60 });
  t.deepEqual(seen, [3], 'the same scheduler goes on');
  lab.director.editService(tcp(), { scheduler: 'fo' });
  t.is(serverOf(lab.client('S', { port: 5 })), rs(13));
  t.is(lab.director.connections().filter(({ flags }) => (flags & TEMPLATE) === 0).length, 5);
});

test('rr goes on where it was when something else is edited', (t) => {
  const lab = new Lab();
  lab.director.addService(tcp(), { scheduler: 'rr' });
  for (const n of [11, 12, 13]) lab.director.addDestination(tcp(), { address: rs(n) }, { method: 'masq' });
  const next = (port: number) => serverOf(lab.client('S', { port }));
  t.deepEqual([next(1), next(2)], [rs(13), rs(12)]);
  lab.director.editService(tcp(), { scheduler: 'rr', persistent: 0 });
  t.deepEqual([next(3), next(4)], [rs(11), rs(13)]);
});

test('a scheduler of the user’s own is used by its name, and told of its servers', (t) => {
  const told: string[] = [];
  const own: SchedulerFactory = {
    name: 'own',
    create: ({ destinations }, { sysctl, now, random }) => {
      t.is(sysctl('lblc_expiration'), 86400);
      t.is(typeof now() + typeof random(), 'numbernumber');
      return {
        schedule: (packet) => destinations.find(({ port }) => port === packet.sourcePort) ?? null,
        added: ({ port }) => told.push(`+${port}`),
        updated: ({ port }) => told.push(`*${port}`),
        removed: ({ port }, index) => told.push(`-${port} at ${index}`),
      };
    },
  };
  const lab = new Lab({ schedulers: [own] });
  t.is(lab.director.ipvsadm(`-A -t ${VIP}:80 -s own`).status, 0);
  for (const port of [1, 2, 3]) lab.director.addDestination(tcp(), { address: rs(11), port }, { method: 'masq' });
  lab.director.editDestination(tcp(), { address: rs(11), port: 2 }, { method: 'masq', weight: 5 });
  lab.director.deleteDestination(tcp(), { address: rs(11), port: 2 });
  t.deepEqual(told, ['+1', '+2', '+3', '*2', '-2 at 1']);
  t.true(lab.client('S', { port: 3 })[0]!.text.includes(`> ${rs(11)}:3 `));
  t.true(lab.client('S', { port: 9 })[0]!.text.includes('port unreachable'));
});

// ---- Servers that go and come back ------------------------------------------------------------------------------

test('the packets of a server that was removed are dropped until it is back', (t) => {
  const lab = new Lab();
  lab.director.addService(tcp(), { scheduler: 'rr' });
  lab.director.addDestination(tcp(), { address: rs(11) }, { method: 'masq' });
  lab.client('S');
  lab.client('A');
  lab.verdicts();
  lab.director.deleteDestination(tcp(), { address: rs(11) });
  t.deepEqual(lab.client('A'), []);
  t.deepEqual(lab.verdicts(), { SERVER_GONE: 1 });
  lab.director.addDestination(tcp(), { address: rs(11) }, { method: 'masq', weight: 0 });
  t.like(destinations(lab)[0], {
    activeConns: 1,
    weight: 0,
    stats: { conns: 1, inPkts: 2, outPkts: 0, inBytes: 80, outBytes: 0 },
  });
  t.is(serverOf(lab.client('A')), rs(11));
  lab.director.deleteDestination(tcp(), { address: rs(11) });
  lab.director.addDestination(tcp(), { address: rs(11), port: 8080 }, { method: 'masq' });
  t.like(destinations(lab)[0], { activeConns: 0 }, 'another port is another server');
  t.deepEqual(lab.client('A'), []);
});

test('with expire_nodest_conn the connections of a removed server end with it', (t) => {
  const lab = new Lab();
  lab.director.sysctl.set('expire_nodest_conn', 1);
  lab.director.addService(tcp(), { scheduler: 'rr' });
  lab.director.addDestination(tcp(), { address: rs(11) }, { method: 'masq' });
  lab.client('S');
  lab.client('A');
  lab.director.deleteDestination(tcp(), { address: rs(11) });
  lab.director.addDestination(tcp(), { address: rs(12) }, { method: 'masq' });
  t.is(serverOf(lab.client('S')), rs(12));
  lab.sleep(1);
  t.deepEqual(
    lab.director.connections().map(({ destinationAddress }) => destinationAddress),
    [rs(12)],
  );
});

test('a removed server is kept for two minutes after its last connection, with its counters, and then forgotten', (t) => {
  for (const [idle, conns] of [
    [100, 1],
    [300, 0],
  ] as const) {
    const lab = new Lab();
    lab.director.addService(tcp(), { scheduler: 'rr' });
    lab.director.addDestination(tcp(), { address: rs(11) }, { method: 'masq' });
    lab.client('S');
    lab.director.deleteDestination(tcp(), { address: rs(11) });
    lab.sleep(60.5); // the connection's time
    t.deepEqual(lab.director.connections(), []);
    lab.sleep(idle);
    lab.director.addDestination(tcp(), { address: rs(11) }, { method: 'masq' });
    t.is(destinations(lab)[0]!.stats.conns, conns, `after ${idle} s`);
  }
});

test('many servers come and go without a trace', (t) => {
  const lab = new Lab();
  lab.director.addService(tcp(), { scheduler: 'rr' });
  for (let round = 0; round < 30; round++) {
    for (let i = 1; i <= 200; i++) {
      lab.director.addDestination(tcp(), { address: `10.9.${round}.${i}` }, { method: 'route' });
    }
    lab.client('S', { port: 1000 + round });
    for (let i = 1; i <= 200; i++) lab.director.deleteDestination(tcp(), { address: `10.9.${round}.${i}` });
    lab.sleep(20);
  }
  lab.sleep(600);
  t.deepEqual(lab.director.connections(), []);
  lab.director.addDestination(tcp(), { address: rs(11) }, { method: 'masq' });
  t.like(destinations(lab)[0], { activeConns: 0, inactConns: 0, stats: { conns: 0 } });
  t.is(serverOf(lab.client('S', { port: 1 })), rs(11));
});

// ---- Counts -----------------------------------------------------------------------------------------------------

/** Counts of connections by server, as the listing of connections tells them. */
function recount(connections: readonly ConnectionEntry[], service: ServiceEntry, server: DestinationEntry): object {
  const own = connections.filter(
    (one) =>
      one.virtualAddress === service.address &&
      one.virtualPort === service.port &&
      one.destinationAddress === server.address &&
      one.destinationPort === server.port,
  );
  const real = own.filter(({ flags }) => (flags & TEMPLATE) === 0);
  const active = real.filter(({ state, protocol }) => protocol === 6 && isActive(TCP_STATE_NAMES.indexOf(state)));
  return {
    activeConns: active.length,
    inactConns: real.length - active.length,
    persistConns: own.length - real.length,
  };
}

type Step =
  | { readonly segment: string; readonly port: number; readonly to: number; readonly reply: boolean }
  | { readonly datagram: number }
  | { readonly server: number; readonly to: number; readonly what: 'add' | 'edit' | 'delete'; readonly weight: number }
  | { readonly service: number; readonly persistent: number }
  | { readonly remove: number }
  | { readonly sleep: number };

const METHODS = ['masq', 'route', 'tunnel'] as const;
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      segment: fc.constantFrom('S', 'S', 'A', 'FA', 'R', 'SA'),
      port: fc.integer({ min: 101, max: 106 }),
      to: fc.nat(1),
      reply: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ datagram: fc.integer({ min: 101, max: 103 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      server: fc.nat(2),
      to: fc.nat(1),
      what: fc.constantFrom<('add' | 'edit' | 'delete')[]>('add', 'add', 'edit', 'delete'),
      weight: fc.nat(2),
    }),
  },
  { weight: 1, arbitrary: fc.record({ service: fc.nat(1), persistent: fc.constantFrom(0, 0, 20, 200) }) },
  { weight: 1, arbitrary: fc.record({ remove: fc.nat(1) }) },
  { weight: 2, arbitrary: fc.record({ sleep: fc.constantFrom(1, 11, 61, 130) }) },
);

test('whatever happens, a server’s counts are those of its connections', (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: 'max' }), fc.boolean(), (steps, expire) => {
      const lab = new Lab({ maxConnections: 12 });
      const { director } = lab;
      director.sysctl.set('expire_nodest_conn', expire ? 1 : 0);
      const keys = [tcp(80), tcp(443)];
      const exists = (i: number) => director.services().some(({ port }) => port === keys[i]!.port);
      director.addService(udp(), { scheduler: 'rr' });
      director.addDestination(udp(), { address: rs(11) }, { method: 'masq' });
      for (const one of steps) {
        if ('segment' in one) {
          const { segment, port, to, reply } = one;
          const virtual = keys[to]!.port;
          if (reply) for (const n of [11, 12]) lab.server(n, segment, { port: virtual, toPort: port });
          else lab.client(segment, { port, toPort: virtual });
        } else if ('datagram' in one) lab.datagram({ port: one.datagram });
        else if ('sleep' in one) lab.sleep(one.sleep);
        else if ('service' in one) {
          const options = { scheduler: 'rr', persistent: one.persistent };
          if (exists(one.service)) director.editService(keys[one.service]!, options);
          else director.addService(keys[one.service]!, options);
        } else if ('remove' in one) {
          if (exists(one.remove)) director.deleteService(keys[one.remove]!);
        } else if (exists(one.to)) {
          const key = keys[one.to]!;
          const server = { address: rs(11 + one.server) };
          const options = {
            method: METHODS[one.server]!,
            weight: one.weight,
            upperThreshold: one.weight === 2 ? 3 : 0,
          };
          const there = director.service(key).destinations.some(({ address }) => address === server.address);
          if (one.what === 'add' && !there) director.addDestination(key, server, options);
          if (one.what === 'edit' && there) director.editDestination(key, server, options);
          if (one.what === 'delete' && there) director.deleteDestination(key, server);
        }
        const connections = director.connections();
        for (const service of director.services()) {
          for (const server of service.destinations) {
            const { activeConns, inactConns, persistConns } = server;
            const wanted = JSON.stringify(recount(connections, service, server));
            const got = JSON.stringify({ activeConns, inactConns, persistConns });
            if (got !== wanted) throw new Error(`${service.port} ${server.address}: ${got}, not ${wanted}`);
          }
        }
      }
    }),
    { numRuns: 300 },
  );
  t.pass();
});

test('what is counted for servers adds up to their service and to all, in and out, until it is zeroed', (t) => {
  const lab = new Lab();
  const { director } = lab;
  for (const key of [tcp(80), tcp(443)]) {
    director.addService(key, { scheduler: 'rr' });
    for (const n of [11, 12]) director.addDestination(key, { address: rs(n) }, { method: 'masq' });
  }
  for (let port = 1; port <= 6; port++) {
    lab.client('S', { port, toPort: port % 2 === 0 ? 80 : 443 }, { data: 'x'.repeat(port) });
    for (const n of [11, 12]) lab.server(n, 'SA', { port: port % 2 === 0 ? 80 : 443, toPort: port });
  }
  const FIELDS = ['conns', 'inPkts', 'outPkts', 'inBytes', 'outBytes'] as const;
  const sum = (parts: readonly { readonly stats: ServiceEntry['stats'] }[]) =>
    Object.fromEntries(FIELDS.map((name) => [name, parts.reduce((total, { stats }) => total + stats[name], 0)]));
  const services = director.services();
  for (const service of services) t.deepEqual(sum(service.destinations), { ...service.stats });
  t.deepEqual(sum(services), { ...director.statistics() });
  t.deepEqual({ ...director.statistics() }, { conns: 6, inPkts: 6, outPkts: 6, inBytes: 6 * 40 + 21, outBytes: 240 });

  director.zero(tcp(80));
  t.is(director.service(tcp(80)).stats.conns + director.service(tcp(80)).destinations[0]!.stats.conns, 0);
  t.is(director.service(tcp(443)).stats.conns, 3);
  director.zero();
  t.deepEqual({ ...director.statistics() }, { conns: 0, inPkts: 0, outPkts: 0, inBytes: 0, outBytes: 0 });
  t.is(director.service(tcp(443)).destinations[0]!.activeConns > 0, true, 'connections are no counters');
});

test('rates come from an average that moves a quarter of the way every two seconds', (t) => {
  const lab = new Lab();
  lab.director.addService(tcp(), { scheduler: 'rr' });
  lab.director.addDestination(tcp(), { address: rs(11) });
  const rates: number[] = [];
  let port = 0;
  for (let second = 0; second < 10; second++) {
    for (let i = 0; i < 100; i++) lab.client('S', { port: 1000 + port++ });
    lab.sleep(1);
    if (second % 2 === 1) rates.push(lab.director.rates().cps);
  }
  t.deepEqual(rates, [25, 44, 58, 68, 76]);
  lab.director.sysctl.set('run_estimation', 0);
  lab.sleep(10);
  t.is(lab.director.rates().cps, 76);
  lab.director.zero();
  t.is(lab.director.rates().cps, 0);
});

// ---- Persistence ------------------------------------------------------------------------------------------------

test('a client keeps its server while its template lives, and a network’s clients share one', (t) => {
  const lab = new Lab();
  lab.director.addService(tcp(), { scheduler: 'rr', persistent: 30, netmask: '255.255.255.0' });
  for (const n of [11, 12]) lab.director.addDestination(tcp(), { address: rs(n) }, { method: 'masq' });
  const first = serverOf(lab.client('S', { from: '192.0.2.1' }));
  t.is(serverOf(lab.client('S', { from: '192.0.2.200' })), first);
  t.not(serverOf(lab.client('S', { from: '198.51.100.1' })), first);
  const templates = () => lab.director.connections().filter(({ flags }) => (flags & TEMPLATE) !== 0);
  t.deepEqual(
    templates()
      .map(({ clientAddress, clientPort }) => `${clientAddress}:${clientPort}`)
      .sort(),
    ['192.0.2.0:0', '198.51.100.0:0'],
  );
  t.is(
    destinations(lab).reduce((sum, { persistConns }) => sum + persistConns, 0),
    2,
  );
  // Held by its connections (60 s in SYN_RECV) it lives on, a minute at a time.
  lab.sleep(59);
  t.is(templates().length, 2);
  lab.sleep(61);
  t.is(templates().length, 0);
  t.is(
    destinations(lab).reduce((sum, { persistConns }) => sum + persistConns, 0),
    0,
  );
});

test('a template is assured once one of its connections was established, or a datagram answered', (t) => {
  const lab = new Lab();
  for (const key of [tcp(), udp()]) {
    lab.director.addService(key, { scheduler: 'rr', persistent: 300 });
    lab.director.addDestination(key, { address: rs(11) }, { method: 'masq' });
  }
  const states = () =>
    lab.director
      .connections()
      .flatMap(({ protocol, state, flags }) => ((flags & TEMPLATE) === 0 ? [] : [`${protocol} ${state}`]))
      .sort();
  lab.client('S');
  lab.datagram();
  t.deepEqual(states(), ['17 NONE', '6 NONE']);
  lab.server(11, 'SA');
  t.deepEqual(states(), ['17 NONE', '6 NONE']);
  lab.client('A');
  lab.frame({
    ip: { source: rs(11), destination: '192.0.2.1' },
    udp: { sourcePort: 53, destinationPort: 40000 },
  });
  t.deepEqual(states(), ['17 ASSURED', '6 ASSURED']);
});

test('where there is room for the template alone, the packet is dropped and nothing stays behind', (t) => {
  const lab = new Lab({ maxConnections: 1 });
  lab.director.addService(tcp(), { scheduler: 'rr', persistent: 30 });
  lab.director.addDestination(tcp(), { address: rs(11) }, { method: 'masq' });
  t.deepEqual(lab.client('S'), []);
  t.deepEqual(lab.verdicts(), { TABLE_FULL: 1 });
  lab.sleep(31);
  t.deepEqual(lab.director.connections(), []);
  t.like(destinations(lab)[0], { activeConns: 0, inactConns: 0, persistConns: 0 });
  t.is(lab.director.service(tcp()).stats.conns, 0);
});
