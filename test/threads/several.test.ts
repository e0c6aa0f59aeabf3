/** A director in two worker threads: its connections are where their packets come to, and its counts are those of one. */
import test from 'ava';
import { type Director, DirectorError } from '../../src/index.ts';
import { buildFrame } from '../../src/packet/build.ts';
import { DIP, GATEWAY_MAC, Lab, MACS, rs, rsMac, tcp, udp, VIP } from '../core/lab.ts';

const THREADS = 2;

function labOf(options: ConstructorParameters<typeof Lab>[0] = {}): Lab {
  return new Lab({ threads: THREADS, ...options });
}

/** The address of client `n`, 1 .. 250. */
const client = (n: number) => `192.0.2.${n}`;

/** How many connections each server of a service has, oldest server first. */
function loads(director: Director, key = tcp()): number[] {
  return director
    .service(key)
    .destinations.map(({ activeConns, inactConns }) => activeConns + inactConns)
    .reverse();
}

function refusal(code: () => unknown): DirectorError {
  try {
    code();
  } catch (error) {
    if (error instanceof DirectorError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

test('a conversation with many clients is counted as by one thread, and frames do cross', (t) => {
  const [alone, several] = [0, THREADS].map((threads) => {
    const lab = new Lab({ threads });
    const { director } = lab;
    for (const n of [11, 12, 13]) {
      if (n === 11) director.addService(tcp(), { scheduler: 'sh' });
      director.addDestination(tcp(), { address: rs(n), port: 8080 }, { method: 'masq' });
    }
    director.addService(udp(), { scheduler: 'sh' });
    director.addDestination(udp(), { address: rs(14) }, { method: 'tunnel' });
    const frames: string[] = [];
    const note = (sent: readonly { readonly text: string }[]) => frames.push(...sent.map(({ text }) => text));
    for (let n = 1; n <= 60; n++) {
      const from = client(n);
      const server = /10\.0\.0\.(1\d):8080/.exec(lab.client('S', { from, port: 1000 + n })[0]!.text)![1];
      note(lab.server(Number(server), 'SA', { port: 8080, to: from, toPort: 1000 + n }));
      note(lab.client('A', { from, port: 1000 + n }));
      note(lab.datagram({ from, port: 1000 + n }));
      if (n % 3 === 0) note(lab.client('FA', { from, port: 1000 + n }));
      if (n % 10 === 0) lab.sleep(1);
    }
    const { handedOn, handOnLost, ...counters } = director.counters();
    const connections = director.ipvsadm('-L -n -c').out.split('\n').sort();
    const result = {
      frames: frames.sort(),
      counters,
      connections,
      listed: director.ipvsadm('-L -n').out + director.ipvsadm('-L -n --stats').out,
      statistics: director.statistics(),
    };
    t.is(handOnLost, 0);
    t.is(handedOn > 0, threads > 0);
    director.stop();
    return result;
  });
  t.deepEqual(several, alone);
});

test('least connection goes by the connections of all threads', (t) => {
  for (const scheduler of ['lc', 'wlc', 'sed', 'nq']) {
    const lab = labOf();
    lab.director.addService(tcp(), { scheduler });
    for (const n of [11, 12, 13, 14]) lab.director.addDestination(tcp(), { address: rs(n) }, { method: 'masq' });
    for (let n = 1; n <= 200; n++) lab.client('S', { from: client(n), port: 1000 + n });
    t.deepEqual(loads(lab.director), [50, 50, 50, 50], scheduler);
    lab.sleep(61);
    t.deepEqual(loads(lab.director), [0, 0, 0, 0], scheduler);
    lab.director.stop();
  }
});

test('a round of each thread is even: two rounds are, within one connection each', (t) => {
  const lab = labOf();
  lab.director.addService(tcp(), { scheduler: 'rr' });
  for (const n of [11, 12, 13]) lab.director.addDestination(tcp(), { address: rs(n) }, { method: 'masq' });
  for (let n = 1; n <= 100; n++) lab.client('S', { from: client(n), port: 1000 + n });
  const counts = loads(lab.director);
  t.is(counts[0]! + counts[1]! + counts[2]!, 100);
  t.true(Math.max(...counts) - Math.min(...counts) <= THREADS);
});

test('thresholds count all threads, and one of them tells when they are reached', (t) => {
  const lab = labOf();
  const { director } = lab;
  director.addService(tcp(), { scheduler: 'rr' });
  director.addDestination(tcp(), { address: rs(11) }, { method: 'masq', upperThreshold: 20, lowerThreshold: 5 });
  const told: boolean[] = [];
  director.on('destinationOverload', (_service, { overloaded }) => told.push(overloaded));
  for (let n = 1; n <= 50; n++) lab.client('S', { from: client(n), port: 1000 + n });
  t.deepEqual(loads(director), [20]);
  t.deepEqual(told, [true]);
  lab.sleep(61);
  t.deepEqual(told, [true, false]);
  lab.client('S', { from: client(99) });
  t.deepEqual(loads(director), [1]);
});

test('the table is full when all threads together have as many connections as there may be', (t) => {
  const lab = labOf({ maxConnections: 30 });
  lab.director.addService(tcp(), { scheduler: 'rr' });
  lab.director.addDestination(tcp(), { address: rs(11) }, { method: 'masq' });
  for (let n = 1; n <= 50; n++) lab.client('S', { from: client(n), port: 1000 + n });
  t.is(lab.director.connections().length, 30);
  t.is(lab.director.counters().verdicts.TABLE_FULL, 20);
  lab.sleep(61);
  for (let n = 1; n <= 30; n++) lab.client('S', { from: client(n), port: 1000 + n });
  t.is(lab.director.connections().length, 30);
});

test('a persistent client keeps its server, and templates are counted', (t) => {
  const lab = labOf();
  lab.director.addService(tcp(), { scheduler: 'rr', persistent: 60 });
  for (const n of [11, 12]) lab.director.addDestination(tcp(), { address: rs(n) }, { method: 'masq' });
  for (let n = 1; n <= 20; n++) {
    const servers = [1, 2, 3].map((port) => lab.client('S', { from: client(n), port })[0]!.text.split(' ')[5]);
    t.is(new Set(servers).size, 1);
  }
  const { destinations } = lab.director.service(tcp());
  t.is(
    destinations.reduce((sum, { persistConns }) => sum + persistConns, 0),
    20,
  );
});

test('a server that is removed and comes back is counted on, whatever was given its place meanwhile', (t) => {
  const lab = labOf();
  const { director } = lab;
  director.addService(tcp(), { scheduler: 'rr' });
  const add = (n: number) => director.addDestination(tcp(), { address: rs(n) }, { method: 'masq' });
  const connect = (from: number, to: number) => {
    for (let n = from; n <= to; n++) lab.client('S', { from: client(n), port: 1000 + n });
  };
  add(11);
  connect(1, 20);
  director.deleteDestination(tcp(), { address: rs(11) });
  add(12);
  connect(21, 30);
  t.deepEqual(loads(director), [10]);
  add(11);
  t.deepEqual(loads(director), [10, 20]);
  director.deleteService(tcp());
  director.addService(tcp(), { scheduler: 'rr' });
  add(12);
  t.deepEqual(loads(director), [10]);
  lab.sleep(61);
  t.deepEqual(loads(director), [0]);
});

test('a neighbour is answered once, and known to all', (t) => {
  const lab = labOf();
  const { director } = lab;
  director.addService(tcp(), { scheduler: 'rr' });
  director.addDestination(tcp(), { address: '10.0.0.77' }, { method: 'route' });
  const asked = [];
  for (let n = 1; n <= 10; n++) asked.push(...lab.client('S', { from: client(n), port: 1000 + n }));
  t.is(asked.length, THREADS, 'each thread asks for itself');
  const arp = (fields: { operation: number; targetIp: string }) =>
    lab.receive(
      buildFrame({
        ethernet: { source: rsMac(17), destination: MACS.eth0! },
        arp: { senderMac: rsMac(17), senderIp: '10.0.0.77', targetMac: MACS.eth0!, ...fields },
      }),
    );
  t.is(arp({ operation: 2, targetIp: DIP }).length, 10, 'what waited goes out');
  t.is(arp({ operation: 1, targetIp: DIP }).length, 1, 'the answer');
  t.is(director.counters().verdicts.ARP, 2);
  t.is(director.counters().received, 12);
});

test('errors about connections find them', (t) => {
  const lab = labOf();
  lab.director.addService(udp(), { scheduler: 'rr' });
  lab.director.addDestination(udp(), { address: rs(11) }, { method: 'masq' });
  const error = (
    from: string,
    to: string,
    [source, sourcePort]: [string, number],
    [destination, destinationPort]: [string, number],
  ) => {
    const ethernet = { source: from === rs(11) ? rsMac(11) : GATEWAY_MAC, destination: MACS.eth0! };
    const about = buildFrame({ ethernet, ip: { source, destination }, udp: { sourcePort, destinationPort } }).slice(14);
    return lab.frame({ ethernet, ip: { source: from, destination: to }, icmp: { type: 3, code: 3, data: about } });
  };
  for (let n = 1; n <= 8; n++) {
    const from = client(n);
    lab.datagram({ from, port: 1000 });
    const toClient = error(rs(11), from, [from, 1000], [rs(11), 53]);
    t.regex(toClient[0]?.text ?? '', new RegExp(`IPv4 ${VIP} > ${from.replaceAll('.', '\\.')} `), `client ${n}`);
    const toServer = error('192.0.2.254', VIP, [VIP, 53], [from, 1000]);
    t.regex(toServer[0]?.text ?? '', /> 10\.0\.0\.11 /, `about the reply to client ${n}`);
  }
});

test('a packet is explained by the thread that would get it', (t) => {
  const lab = labOf();
  lab.director.addService(tcp(), { scheduler: 'rr' });
  lab.director.addDestination(tcp(), { address: rs(11) }, { method: 'masq' });
  for (let n = 1; n <= 8; n++) {
    lab.client('S', { from: client(n) });
    const { text } = lab.director.explain(`tcp ${client(n)}:40000 > ${VIP}:80 A`);
    t.regex(text, /SYN_RECV/, text);
  }
});

test('what threads cannot share is refused by name, and nothing is changed', (t) => {
  const { director } = labOf();
  director.addService(tcp(), { persistent: 60, netmask: '255.255.255.255' });
  t.is(refusal(() => director.addService(udp(), { persistent: 60, netmask: '255.255.255.0' })).option, 'netmask');
  t.is(refusal(() => director.addService(tcp(80, '2001:db8::1'), { persistent: 60, netmask: 32 })).option, 'netmask');
  t.is(refusal(() => director.editService(tcp(), { persistent: 60, engine: 'sip' })).option, 'engine');
  t.is(refusal(() => director.startDaemon({ role: 'master' })).option, 'role');
  t.is(refusal(() => director.marks.add({ mark: 1, local: true })).option, 'local');
  director.marks.add({ mark: 1 });
  t.is(director.services().length, 1);
  t.is(director.daemons().length, 0);
});

test('what a listener changes during a change comes after it, in all threads', (t) => {
  const lab = labOf();
  const { director } = lab;
  const server = { address: rs(11) };
  director.addService(tcp(), { scheduler: 'rr' });
  director.addDestination(tcp(), server, { method: 'masq', upperThreshold: 1 });
  lab.client('S');
  director.once('destinationOverload', () => director.deleteService(tcp()));
  director.editDestination(tcp(), server, { method: 'masq' });
  t.deepEqual(director.services(), []);
});

test('no frame is lost uncounted in bursts, and none comes twice', (t) => {
  const lab = labOf();
  const { director } = lab;
  director.addService(udp(), { scheduler: 'sh' });
  director.addDestination(udp(), { address: rs(11) }, { method: 'masq' });
  let injected = 0;
  let sent = 0;
  for (let round = 0; round < 40; round++) {
    const frames = Array.from({ length: 200 }, (_, n) =>
      buildFrame({
        ethernet: { source: GATEWAY_MAC, destination: MACS.eth0! },
        ip: { source: client(n + 1), destination: VIP },
        udp: { sourcePort: round + 1000, destinationPort: 53, data: 'x'.repeat(1000) },
      }),
    );
    injected += frames.length;
    sent += lab.receive(frames).length;
  }
  const { received, handedOn, handOnLost, verdicts } = director.counters();
  t.true(handedOn > 0);
  t.is(received + handOnLost + lab.devices.eth0!.lost, injected);
  t.is(verdicts.MASQ + verdicts.TABLE_FULL, received);
  t.is(sent, verdicts.MASQ);
  t.is(director.statistics().inPkts, verdicts.MASQ);
});
