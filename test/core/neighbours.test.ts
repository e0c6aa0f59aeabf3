/** The director's neighbours: who is answered, who is asked and how often, what waits, what is believed and for how long. */
import test from 'ava';
import { Director, type DirectorOptions, ManualClock, MemoryDevice } from '../../src/index.ts';
import { buildFrame } from '../../src/packet/build.ts';
import { BROADCAST_MAC, CLIENT, DIP, GATEWAY, GATEWAY_MAC, Lab, MACS, rs, rsMac, type Sent, tcp, VIP } from './lab.ts';

const MAC = MACS.eth0!;
/** A server whose MAC address nobody has told. */
const SERVER = '10.0.0.99';
const SERVER_MAC = '02:00:00:00:01:99';

interface Question {
  readonly operation?: number;
  readonly mac?: string;
  readonly from?: string;
  readonly for?: string;
  readonly to?: string;
}

function arp(
  lab: Lab,
  { operation = 1, mac = SERVER_MAC, from = SERVER, to = BROADCAST_MAC, ...rest }: Question,
  dev = 'eth0',
): Sent[] {
  const fields = { operation, senderMac: mac, senderIp: from, targetIp: rest.for ?? DIP };
  return lab.receive(buildFrame({ ethernet: { source: mac, destination: to }, arp: fields }), dev);
}

function texts(sent: readonly Sent[]): string[] {
  return sent.map(({ text }) => text);
}

const ASKS = `${MAC} > ${BROADCAST_MAC} ARP who has ${SERVER}? tell ${DIP}`;
const ASKS_AGAIN = `${MAC} > ${SERVER_MAC} ARP who has ${SERVER}? tell ${DIP}`;
const answer = (lab: Lab, mac = SERVER_MAC) => arp(lab, { operation: 2, mac, to: MAC });

/** A director with a DR service whose only server is {@link SERVER}. */
function silentLab(options: Partial<DirectorOptions> = {}): Lab {
  const lab = new Lab({ icmpErrorsPerSecond: Number.POSITIVE_INFINITY, ...options });
  lab.director.addService(tcp(), { scheduler: 'rr' });
  lab.director.addDestination(tcp(), { address: SERVER });
  return lab;
}

/** Every packet for the server that was sent, by the MAC address that it went to and the client's port. */
function forwarded(sent: readonly Sent[]): string[] {
  return sent
    .filter(({ text }) => !text.includes(' ARP '))
    .map(({ text }) => text.replace(/^.* > (\S+) IPv4 \S+:(\d+) > .*/, '$1 $2'));
}

// ---- Answers ----------------------------------------------------------------------------------------------------

test('answers for its own addresses, on whatever interface it is asked', (t) => {
  const lab = new Lab();
  t.deepEqual(texts(arp(lab, {})), [`${MAC} > ${SERVER_MAC} ARP ${DIP} is at ${MAC}`]);
  t.deepEqual(texts(arp(lab, { to: MAC })), [`${MAC} > ${SERVER_MAC} ARP ${DIP} is at ${MAC}`]);
  t.deepEqual(texts(arp(lab, { for: '172.16.0.1' })), [`${MAC} > ${SERVER_MAC} ARP 172.16.0.1 is at ${MAC}`]);
  t.deepEqual(texts(arp(lab, {}, 'eth1')), [`${MACS.eth1} > ${SERVER_MAC} ARP ${DIP} is at ${MACS.eth1}`]);
  t.deepEqual(arp(lab, { for: '10.0.0.2' }), []);
  t.deepEqual(arp(lab, { to: '02:00:00:00:00:77' }), []);
  t.deepEqual(lab.verdicts(), { ARP: 5, OTHER_HOST: 1 });
});

test('answers for the address of a service as long as there is one', (t) => {
  const lab = new Lab();
  const asked = () => arp(lab, { for: VIP }).length;
  t.is(asked(), 0);
  lab.director.addService(tcp(80));
  lab.director.addService(tcp(443));
  t.is(asked(), 1);
  lab.director.deleteService(tcp(80));
  t.is(asked(), 1);
  lab.director.deleteService(tcp(443));
  t.is(asked(), 0);
  lab.director.addService(tcp(80, DIP));
  lab.director.flush();
  t.is(arp(lab, { for: DIP }).length, 1, 'an address of an interface stays');
});

test('claims no address where claimVips is false', (t) => {
  const lab = new Lab({ claimVips: false });
  lab.director.addService(tcp());
  lab.director.addDestination(tcp(), { address: rs(11) });
  t.deepEqual(arp(lab, { for: VIP }), []);
  t.deepEqual(
    lab.client('S').filter(({ text }) => text.includes(rsMac(11))),
    [],
  );
});

test('answers who has no address yet (RFC 5227), and remembers nothing of it', (t) => {
  const lab = silentLab();
  t.deepEqual(texts(arp(lab, { from: '0.0.0.0' })), [`${MAC} > ${SERVER_MAC} ARP ${DIP} is at ${MAC}`]);
  t.deepEqual(texts(lab.client('S')), [ASKS]);
});

test('takes no ARP that is not for IPv4 over Ethernet, or cut off', (t) => {
  const lab = new Lab();
  const frame = buildFrame({ arp: { senderMac: SERVER_MAC, senderIp: SERVER, targetIp: DIP } });
  for (const [at, value] of [
    [14, 9],
    [16, 9],
    [18, 7],
    [19, 5],
  ] as const) {
    const wrong = frame.slice();
    wrong[at] = value;
    t.deepEqual(lab.receive(wrong), []);
  }
  t.deepEqual(lab.receive(frame.slice(0, 41)), []);
  t.deepEqual(lab.verdicts(), { BAD_ARP: 4, SHORT_FRAME: 1 });
});

// ---- Learning ---------------------------------------------------------------------------------------------------

test('remembers who asks it', (t) => {
  const lab = silentLab();
  arp(lab, {});
  t.deepEqual(forwarded(lab.client('S')), [`${SERVER_MAC} 40000`]);
});

test('remembers nobody for what is said to others, but takes it to heart of those it knows', (t) => {
  const lab = silentLab();
  arp(lab, { for: '10.0.0.2' });
  t.deepEqual(texts(lab.client('S')), [ASKS]);
  answer(lab);
  const moved = '02:00:00:00:01:98';
  arp(lab, { mac: moved, for: SERVER }); // an announcement
  t.deepEqual(forwarded(lab.client('A')), [`${moved} 40000`]);
});

test('a neighbour that the user has set is never asked, nor changed', (t) => {
  const lab = new Lab();
  lab.director.addService(tcp());
  lab.director.addDestination(tcp(), { address: rs(11) });
  arp(lab, { from: rs(11), mac: SERVER_MAC });
  arp(lab, { operation: 2, from: rs(11), mac: SERVER_MAC });
  lab.sleep(600);
  t.deepEqual(forwarded(lab.client('S')), [`${rsMac(11)} 40000`]);
  t.deepEqual(lab.sleep(600), []);
});

// ---- Questions --------------------------------------------------------------------------------------------------

test('packets wait for the answer and go out in their order; the question is asked once', (t) => {
  const lab = silentLab();
  t.deepEqual(texts(lab.client('S', { port: 1 })), [ASKS]);
  t.deepEqual(lab.client('S', { port: 2 }), []);
  t.deepEqual(lab.client('S', { port: 3 }), []);
  t.deepEqual(forwarded(answer(lab)), [`${SERVER_MAC} 1`, `${SERVER_MAC} 2`, `${SERVER_MAC} 3`]);
  t.deepEqual(lab.sleep(3), []);
  t.deepEqual(forwarded(lab.client('S', { port: 4 })), [`${SERVER_MAC} 4`]);
  t.deepEqual(lab.verdicts(), { ARP: 1, ROUTE: 4 });
});

test('no more than 64 packets wait for one neighbour; the oldest give way', (t) => {
  const lab = silentLab();
  for (let port = 101; port <= 170; port++) lab.client('S', { port });
  t.is(lab.director.counters().neighbourDrops, 6);
  const ports = forwarded(answer(lab)).map((one) => Number(one.split(' ')[1]));
  t.deepEqual(
    ports,
    Array.from({ length: 64 }, (_, i) => i + 107),
  );
});

test('what waits is a copy: the packet’s place in the pool is used by others meanwhile', (t) => {
  const lab = silentLab();
  lab.client('S', { port: 1 }, { data: 'first' });
  const noise = buildFrame({
    ethernet: { source: GATEWAY_MAC, destination: MAC },
    ip: { source: CLIENT, destination: DIP },
    udp: { sourcePort: 1, destinationPort: 1, data: 'x'.repeat(1000) },
  });
  for (let i = 0; i < 5; i++) lab.receive(Array.from({ length: 64 }, () => noise));
  const [frame] = answer(lab).map((sent) => Buffer.from(sent.frame).toString('latin1'));
  t.true(frame!.endsWith('first'));
});

test('asks three times, a second apart, then tells the senders, and starts anew with the next packet', (t) => {
  const lab = silentLab();
  lab.client('S', { port: 1 });
  lab.client('S', { port: 2 });
  t.deepEqual(texts(lab.sleep(0.9)), []);
  t.deepEqual(texts(lab.sleep(1)), [ASKS]);
  t.deepEqual(texts(lab.sleep(1)), [ASKS]);
  const told = texts(lab.sleep(1.1));
  t.is(told.length, 2);
  for (const [i, text] of told.entries()) {
    t.true(text.startsWith(`${MAC} > ${GATEWAY_MAC} IPv4 ${DIP} > ${CLIENT} `), text);
    t.true(text.includes(`ICMP host unreachable [IPv4 ${CLIENT}:${i + 1} > ${VIP}:80 `), text);
  }
  t.deepEqual(lab.sleep(10), []);
  t.deepEqual(texts(lab.client('S', { port: 3 })), [ASKS]);
  t.deepEqual(forwarded(answer(lab)), [`${SERVER_MAC} 3`]);
});

test('who is told that a neighbour is silent is told within the limit of errors', (t) => {
  const lab = silentLab({ icmpErrorsPerSecond: 40 });
  for (let port = 1; port <= 10; port++) lab.client('S', { port });
  t.is(lab.sleep(5).filter(({ text }) => text.includes('host unreachable')).length, 2);
});

test('a packet of the director’s own that finds no neighbour is told to nobody', (t) => {
  const lab = new Lab();
  const ping = { ip: { source: SERVER, destination: DIP }, icmp: { type: 8, data: 'ping' } };
  t.deepEqual(texts(lab.frame(ping)), [ASKS]);
  t.deepEqual(texts(lab.sleep(10)), [ASKS, ASKS]);
});

test('asks from the address that is on the neighbour’s link, or that the packet is from', (t) => {
  const clock = new ManualClock();
  const device = new MemoryDevice({ name: 'eth0' });
  const sent: string[] = [];
  device.onTransmit = (frame) => sent.push(Buffer.from(frame.slice(28, 32)).join('.'));
  const director = new Director({
    interfaces: [{ device, addresses: ['10.1.0.1/24', '10.2.0.1/24'] }],
    forwarding: true,
    clock,
  }).start();
  const through = (source: string, destination: string) => {
    const ethernet = { source: GATEWAY_MAC, destination: device.mac };
    device.inject(buildFrame({ ethernet, ip: { source, destination }, udp: { sourcePort: 1, destinationPort: 2 } }));
    director.poll();
  };
  through('10.1.0.9', '10.2.0.9');
  through('10.2.0.8', '10.1.0.8');
  t.deepEqual(sent, ['10.2.0.1', '10.1.0.1']);
});

// ---- Ageing -----------------------------------------------------------------------------------------------------

test('what was confirmed is used for 30 seconds, then doubted once it is used, and asked directly 5 seconds later', (t) => {
  const lab = silentLab();
  lab.client('S');
  answer(lab); // REACHABLE
  t.deepEqual(forwarded(lab.client('A')), [`${SERVER_MAC} 40000`]);
  t.deepEqual(lab.sleep(29), []);
  t.deepEqual(forwarded(lab.client('A')), [`${SERVER_MAC} 40000`]);
  t.deepEqual(lab.sleep(10), []); // STALE
  t.deepEqual(forwarded(lab.client('A')), [`${SERVER_MAC} 40000`]); // DELAY
  t.deepEqual(lab.sleep(4), []);
  t.deepEqual(texts(lab.sleep(1.5)), [ASKS_AGAIN]); // PROBE
  t.deepEqual(forwarded(lab.client('A')), [`${SERVER_MAC} 40000`]);
  answer(lab); // REACHABLE
  t.deepEqual(lab.sleep(20), []);
});

test('who does not answer when asked directly three times is forgotten', (t) => {
  const lab = silentLab();
  arp(lab, {}); // STALE
  lab.client('S'); // DELAY
  t.deepEqual(texts(lab.sleep(8.5)), [ASKS_AGAIN, ASKS_AGAIN, ASKS_AGAIN]);
  t.deepEqual(lab.sleep(2), []);
  t.deepEqual(texts(lab.client('A')), [ASKS]);
});

test('who is not needed for a minute is forgotten without a question', (t) => {
  const lab = silentLab();
  arp(lab, {});
  t.deepEqual(lab.sleep(59), []);
  arp(lab, {}); // no news
  t.deepEqual(lab.sleep(3), []);
  t.deepEqual(texts(lab.client('S')), [ASKS]);
});

test('the gateway of a route is a neighbour like any other', (t) => {
  const device = new MemoryDevice({ name: 'eth0' });
  const sent: string[] = [];
  device.onTransmit = (frame) => sent.push(Buffer.from(frame).toString('hex', 0, 6));
  const clock = new ManualClock();
  const director = new Director({
    interfaces: [{ device, addresses: ['10.0.0.1/24'] }],
    routes: [{ to: 'default', via: GATEWAY }],
    forwarding: true,
    clock,
  }).start();
  const through = () => {
    const ethernet = { source: SERVER_MAC, destination: device.mac };
    const ip = { source: '10.0.0.9', destination: '198.51.100.1' };
    device.inject(buildFrame({ ethernet, ip, udp: { sourcePort: 1, destinationPort: 2 } }));
    director.poll();
    return sent.splice(0);
  };
  const answered = (mac: string) => {
    const fields = { operation: 2, senderMac: mac, senderIp: GATEWAY, targetIp: DIP };
    device.inject(buildFrame({ ethernet: { source: mac, destination: device.mac }, arp: fields }));
    director.poll();
    return sent.splice(0);
  };
  t.deepEqual(through(), ['ffffffffffff']);
  t.deepEqual(answered(GATEWAY_MAC), ['02000000fefe']);
  clock.advance(100_000); // forgotten
  sent.splice(0);
  t.deepEqual(through(), ['ffffffffffff']);
  t.deepEqual(answered('02:00:00:00:fe:ff'), ['02000000feff']);
  t.deepEqual(through(), ['02000000feff']);
});

// ---- Bounds -----------------------------------------------------------------------------------------------------

test('no more than 1024 neighbours are kept; those that are only remembered give way to those that are needed', (t) => {
  const device = new MemoryDevice({ name: 'eth0', capacity: 4096 });
  let asked = 0;
  let answered = 0;
  device.onTransmit = (frame) => {
    if (frame[13] !== 6) return;
    if (frame[21] === 1) asked++;
    else answered++;
  };
  const clock = new ManualClock();
  const director = new Director({
    interfaces: [{ device, addresses: ['10.0.0.1/8'] }],
    forwarding: true,
    clock,
  }).start();
  const address = (net: number, i: number) => `10.${net}.${i >> 8}.${i & 255}`;
  const ethernet = { source: GATEWAY_MAC, destination: device.mac };

  // A flood of questions: all are answered, 1024 askers are remembered.
  for (let i = 0; i < 1500; i++) {
    device.inject(buildFrame({ arp: { senderMac: GATEWAY_MAC, senderIp: address(1, i), targetIp: DIP } }));
  }
  while (director.poll() > 0);
  t.is(answered, 1500);

  // A flood to unknown addresses: 1024 are asked for, and the others of the flood find no place.
  for (let i = 0; i < 1500; i++) {
    const ip = { source: '10.1.0.1', destination: address(2, i) };
    device.inject(buildFrame({ ethernet, ip, udp: { sourcePort: 1, destinationPort: 2 } }));
  }
  while (director.poll() > 0);
  t.is(asked, 1024);
  t.is(director.counters().verdicts.NO_NEIGHBOUR, 1500 - 1024);
  clock.advance(10_000);
  device.inject(
    buildFrame({
      ethernet,
      ip: { source: '10.1.0.1', destination: '10.9.9.9' },
      udp: { sourcePort: 1, destinationPort: 2 },
    }),
  );
  director.poll();
  t.is(director.counters().verdicts.NO_NEIGHBOUR, 1500 - 1024, 'room again');
});
