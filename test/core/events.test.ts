/** What the director tells its user, and what the user's code cannot break. */
import test from 'ava';
import type { ConnectionEntry, Destination, DestinationEntry, SchedulerFactory } from '../../src/index.ts';
import { buildFrame } from '../../src/packet/build.ts';
import { CLIENT, DIP, GATEWAY_MAC, Lab, MACS, rs, seededRandom, tcp, udp, VIP } from './lab.ts';

function natLab(): Lab {
  const lab = new Lab();
  lab.director.addService(tcp(), { scheduler: 'rr' });
  lab.director.addDestination(tcp(), { address: rs(11), port: 8080 }, { method: 'masq' });
  return lab;
}

const verdictSum = (lab: Lab) => Object.values(lab.director.counters().verdicts).reduce((sum, count) => sum + count, 0);

// ---- Connections ------------------------------------------------------------------------------------------------

test('a connection’s beginning and end are told, each once, with what it was', (t) => {
  const lab = natLab();
  const events: [string, ConnectionEntry][] = [];
  lab.director.on('connectionCreated', (connection) => events.push(['created', connection]));
  lab.director.on('connectionExpired', (connection) => events.push(['expired', connection]));
  lab.client('S');
  lab.client('A');
  lab.client('FA');
  const ends = {
    protocol: 6,
    clientAddress: CLIENT,
    clientPort: 40000,
    virtualAddress: VIP,
    virtualPort: 80,
    destinationAddress: rs(11),
    destinationPort: 8080,
  };
  t.is(events.length, 1);
  t.is(events[0]![0], 'created');
  t.like(events[0]![1], { ...ends, state: 'NONE' });
  lab.sleep(59);
  t.is(events.length, 1);
  lab.sleep(2);
  t.is(events.length, 2);
  t.is(events[1]![0], 'expired');
  t.like(events[1]![1], { ...ends, state: 'CLOSE_WAIT', expiresInSeconds: 0 });
});

test('templates and one-packet connections are told of too', (t) => {
  const lab = new Lab();
  lab.director.addService(tcp(), { persistent: 30 });
  lab.director.addDestination(tcp(), { address: rs(11) });
  lab.director.addService(udp(), { onePacket: true });
  lab.director.addDestination(udp(), { address: rs(11) });
  const events: string[] = [];
  const note = (what: string) => (connection: ConnectionEntry) =>
    events.push(`${what} ${connection.protocol} ${connection.clientPort}`);
  lab.director.on('connectionCreated', note('+'));
  lab.director.on('connectionExpired', note('-'));
  lab.client('S');
  lab.datagram();
  t.deepEqual(events, ['+ 6 0', '+ 6 40000', '+ 17 40000', '- 17 40000']);
  events.length = 0;
  lab.sleep(61);
  t.deepEqual(events, ['- 6 40000']);
  lab.sleep(60);
  t.deepEqual(events, ['- 6 40000', '- 6 0']);
});

test('as many connections are told of as there are', (t) => {
  const lab = new Lab({ maxConnections: 50 });
  lab.director.addService(tcp(), { scheduler: 'rr' });
  for (const n of [11, 12, 13]) lab.director.addDestination(tcp(), { address: rs(n) }, { method: 'masq' });
  let alive = 0;
  lab.director.on('connectionCreated', () => alive++);
  lab.director.on('connectionExpired', () => alive--);
  const random = seededRandom(7);
  for (let i = 0; i < 2000; i++) {
    lab.client(['S', 'A', 'FA', 'R'][Math.floor(random() * 4)]!, { port: 1000 + Math.floor(random() * 100) });
    if (random() < 0.02) lab.sleep(random() * 30);
    t.is(alive, lab.director.connections().length);
  }
  t.true(lab.director.counters().verdicts.TABLE_FULL > 0);
  lab.sleep(2000);
  t.is(alive, 0);
});

// ---- Destinations -----------------------------------------------------------------------------------------------

test('a destination that reaches its upper threshold, and leaves it again, is told of', (t) => {
  const lab = natLab();
  const key = { address: rs(11), port: 8080 };
  lab.director.editDestination(tcp(), key, { method: 'masq', upperThreshold: 4, lowerThreshold: 2 });
  const events: Pick<DestinationEntry, 'overloaded' | 'activeConns' | 'inactConns'>[] = [];
  lab.director.on('destinationOverload', (service, { overloaded, activeConns, inactConns }) => {
    t.is(service.port, 80);
    events.push({ overloaded, activeConns, inactConns });
  });
  for (let port = 1; port <= 3; port++) lab.client('S', { port });
  t.deepEqual(events, []);
  lab.client('S', { port: 4 });
  t.is(events.length, 1);
  t.true(events[0]!.overloaded);
  t.is(lab.client('S', { port: 5 })[0]?.text.includes('port unreachable'), true);
  for (let port = 1; port <= 4; port++) lab.server(11, 'R', { port: 8080, toPort: port }); // CLOSE, 10 s
  lab.client('S', { port: 6 });
  lab.sleep(11);
  t.is(events.length, 2);
  t.false(events[1]!.overloaded);
  t.is(events[1]!.activeConns + events[1]!.inactConns, 1);
});

test('a destination that is given a higher threshold is told to be free', (t) => {
  const lab = natLab();
  const key = { address: rs(11), port: 8080 };
  const edit = (upperThreshold: number) => lab.director.editDestination(tcp(), key, { method: 'masq', upperThreshold });
  edit(2);
  const events: boolean[] = [];
  lab.director.on('destinationOverload', (_service, { overloaded }) => events.push(overloaded));
  lab.client('S', { port: 1 });
  lab.client('S', { port: 2 });
  edit(1); // a lower one changes nothing
  t.deepEqual(events, [true]);
  edit(5);
  t.deepEqual(events, [true, false]);
  t.is(lab.client('S', { port: 3 })[0]?.text.includes(rs(11)), true);
  edit(0);
  t.deepEqual(events, [true, false]);
});

test('without a lower threshold a destination is free below three quarters of the upper one', (t) => {
  const lab = natLab();
  lab.director.editDestination(tcp(), { address: rs(11), port: 8080 }, { method: 'masq', upperThreshold: 4 });
  const overloaded = () => lab.director.service(tcp()).destinations[0]!.overloaded;
  for (let port = 1; port <= 4; port++) {
    lab.client('S', { port });
    lab.sleep(10);
  }
  t.true(overloaded());
  lab.sleep(21); // the first is gone: three are left, which is three quarters
  t.is(lab.director.connections().length, 3);
  t.true(overloaded());
  lab.sleep(10);
  t.is(lab.director.connections().length, 2);
  t.false(overloaded());
});

// ---- The user's code --------------------------------------------------------------------------------------------

const datagram = buildFrame({
  ethernet: { source: GATEWAY_MAC, destination: MACS.eth0! },
  ip: { source: CLIENT, destination: DIP },
  udp: { sourcePort: 1, destinationPort: 2 },
});
const syn = (port: number) =>
  buildFrame({
    ethernet: { source: GATEWAY_MAC, destination: MACS.eth0! },
    ip: { source: CLIENT, destination: VIP },
    tcp: { sourcePort: port, destinationPort: 80 },
  });

test('what a handler throws comes out of poll once the whole burst is done', (t) => {
  const lab = natLab();
  const taken: string[] = [];
  lab.devices.eth0!.onTransmit = (frame) => taken.push(Buffer.from(frame.slice(30, 34)).join('.'));
  lab.director.onPassed = () => {
    throw new Error('my own mistake');
  };
  for (const frame of [syn(1), datagram, syn(2), datagram, syn(3)]) lab.devices.eth0!.inject(frame);
  t.throws(() => lab.director.poll(), { message: 'my own mistake' });
  t.deepEqual(taken, [rs(11), rs(11), rs(11)]);
  t.deepEqual(lab.verdicts(), { MASQ: 3, HANDED_OVER: 2 });
  t.is(lab.director.counters().received, 5);
  t.is(lab.director.poll(), 0, 'it is thrown once');
});

test('what a listener throws breaks no connection', (t) => {
  const lab = natLab();
  const { director } = lab;
  for (const event of ['connectionCreated', 'connectionExpired', 'destinationOverload', 'noDestination'] as const) {
    director.on(event, () => {
      throw new Error(event);
    });
  }
  director.editDestination(tcp(), { address: rs(11), port: 8080 }, { method: 'masq', upperThreshold: 1 });
  t.throws(() => lab.client('S', { port: 1 }), { message: 'destinationOverload' });
  t.throws(() => lab.client('S', { port: 2 }), { message: 'noDestination' });
  t.like(director.service(tcp()).destinations[0], { activeConns: 1, overloaded: true });
  t.is(director.connections()[0]?.state, 'SYN_RECV');
  t.throws(() => lab.sleep(61), { message: /destinationOverload|connectionExpired/ });
  t.like(director.service(tcp()).destinations[0], { activeConns: 0, inactConns: 0, overloaded: false });
  t.deepEqual(director.connections(), []);
  t.is(verdictSum(lab), 2);
});

test('a scheduler that throws loses its packet, not the frames of others', (t) => {
  const bad: SchedulerFactory = {
    name: 'bad',
    create: () => ({
      schedule: () => {
        throw new Error('bad scheduler');
      },
    }),
  };
  const lab = natLab();
  lab.director.addService(tcp(81), { scheduler: bad });
  const sent: string[] = [];
  lab.devices.eth0!.onTransmit = (frame) => sent.push(Buffer.from(frame.slice(34, 36)).toString('hex'));
  lab.devices.eth0!.inject(syn(1));
  lab.devices.eth0!.inject(
    buildFrame({
      ethernet: { source: GATEWAY_MAC, destination: MACS.eth0! },
      ip: { source: CLIENT, destination: VIP },
      tcp: { sourcePort: 9, destinationPort: 81 },
    }),
  );
  lab.devices.eth0!.inject(syn(2));
  t.throws(() => lab.director.poll(), { message: 'bad scheduler' });
  lab.devices.eth0!.inject(syn(3));
  lab.director.poll();
  t.deepEqual(sent, ['0001', '0002', '0003']);
  t.deepEqual(lab.verdicts(), { MASQ: 3, FAILED: 1 });
  t.is(verdictSum(lab), lab.director.counters().received);
});

test('a scheduler that answers nothing, or with a server that was removed, has no server', (t) => {
  const lab = new Lab();
  let kept: Destination | undefined;
  const stubborn: SchedulerFactory = {
    name: 'stubborn',
    create: ({ destinations }) => ({
      schedule: () => {
        kept ??= destinations[0];
        return kept as Destination;
      },
    }),
  };
  lab.director.addService(tcp(), { scheduler: stubborn });
  t.regex(lab.client('S', { port: 1 })[0]!.text, /port unreachable/);
  lab.director.addDestination(tcp(), { address: rs(11) });
  lab.client('S', { port: 2 });
  lab.director.deleteDestination(tcp(), { address: rs(11) });
  t.regex(lab.client('S', { port: 3 })[0]!.text, /port unreachable/);
  lab.sleep(600); // and now its number is free
  t.regex(lab.client('S', { port: 4 })[0]!.text, /port unreachable/);
  t.deepEqual(lab.director.connections(), []);
});

test('a device that throws loses its own frames, and sends none of them later', (t) => {
  const lab = natLab();
  lab.director.addDestination(tcp(), { address: '172.16.0.11', port: 8080 }, { method: 'masq' });
  lab.devices.eth0!.onTransmit = () => {
    throw new Error('unplugged');
  };
  const other: number[] = [];
  lab.devices.eth1!.onTransmit = (frame) => other.push(frame[35]!);
  for (const port of [1, 2]) lab.devices.eth0!.inject(syn(port));
  t.throws(() => lab.director.poll(), { message: 'unplugged' });
  t.is(other.length, 1);
  t.like(lab.director.counters(), { sent: 1, lost: 1 });
  const late: number[] = [];
  lab.devices.eth0!.onTransmit = (frame) => late.push(frame[35]!);
  for (const port of [3, 4]) lab.devices.eth0!.inject(syn(port));
  lab.director.poll();
  t.is(late.length, 1);
  t.true(late[0]! > 2);
});

test('a listener may list while connections end', (t) => {
  const lab = natLab();
  const { director } = lab;
  const left: number[] = [];
  director.on('connectionExpired', ({ clientPort }) => {
    director.services();
    left.push(clientPort, director.connections().length);
  });
  for (const port of [1, 2]) {
    lab.client('S', { port });
    lab.server(11, 'SA', { port: 8080, toPort: port });
    lab.client('A', { port });
    lab.client('R', { port });
  }
  for (const port of [1, 2]) lab.client('S', { port }); // from the same ports again: the old ones are over
  t.is(director.connections().length, 4);
  lab.sleep(1);
  t.deepEqual(left, [1, 3, 2, 2]);
  t.like(director.service(tcp()).destinations[0], { activeConns: 2, inactConns: 0 });
  for (const port of [3, 4, 5]) lab.client('S', { port });
  t.deepEqual(
    director
      .connections()
      .map(({ clientPort }) => clientPort)
      .sort(),
    [1, 2, 3, 4, 5],
  );
});

test('a listener may configure while a connection is being made', (t) => {
  const lab = natLab();
  const { director } = lab;
  director.once('connectionCreated', () => {
    director.deleteService(tcp());
    director.addService(tcp(), { scheduler: 'wlc' });
    director.addDestination(tcp(), { address: rs(12) }, { method: 'route' });
    director.sysctl.set('secure_tcp', 3);
  });
  lab.client('S', { port: 1 });
  t.is(director.services().length, 1);
  t.deepEqual(lab.client('A', { port: 1 }), [], 'its server was removed');
  t.is(lab.client('S', { port: 2 })[0]?.text.includes(VIP), true);
  lab.sleep(1000);
  t.deepEqual(director.connections(), []);
});
