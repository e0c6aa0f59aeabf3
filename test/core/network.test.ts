/** The director among others: routes, VLANs, several devices, several directors, whose packets it takes and whose not. */
import test from 'ava';
import { Director, type DirectorOptions, ManualClock, MemoryDevice } from '../../src/index.ts';
import { buildFrame } from '../../src/packet/build.ts';
import type { FrameFields, VlanFields } from '../../src/packet/build-fields.ts';
import { FakeDevice } from '../devices/support/fake-device.ts';
import { BROADCAST_MAC, CLIENT, DIP, GATEWAY, GATEWAY_MAC, Lab, MACS, rs, rsMac, tcp, textOf, VIP } from './lab.ts';

const HOST_MAC = '02:00:00:00:00:77';

/** Directors on devices whose frames are written down, and may be passed on. */
class Net {
  readonly clock = new ManualClock();
  readonly devices = new Map<string, MemoryDevice>();
  readonly #sent: string[] = [];

  device(name: string, mac = MACS.eth0!): MemoryDevice {
    const device = new MemoryDevice({ name, mac });
    device.onTransmit = (frame) => this.#sent.push(`${name}: ${textOf(frame)}`);
    this.devices.set(name, device);
    return device;
  }

  director(options: Omit<DirectorOptions, 'clock'>): Director {
    return new Director({ forwarding: true, clock: this.clock, ...options }).start();
  }

  inject(name: string, ...frames: readonly Uint8Array[]): this {
    for (const frame of frames) this.devices.get(name)!.inject(frame);
    return this;
  }

  /** What was sent since this was last called: device, and the frame as text from `from` on. */
  sent(): string[] {
    return this.#sent.splice(0);
  }
}

interface Udp {
  readonly source?: string;
  readonly destination: string;
  readonly ttl?: number;
  readonly vlans?: readonly (number | VlanFields)[];
  readonly to?: string;
}

function udpFrame({ source = CLIENT, destination, ttl = 64, vlans = [], to = MACS.eth0! }: Udp): Uint8Array {
  return buildFrame({
    ethernet: { source: HOST_MAC, destination: to, vlans },
    ip: { source, destination, ttl },
    udp: { sourcePort: 1, destinationPort: 2 },
  });
}

const packet = (from: string, to: string, ttl = 63) => `IPv4 ${from}:1 > ${to}:2 ttl ${ttl} UDP len 5`;

// ---- Routes -----------------------------------------------------------------------------------------------------

test('the longest prefix wins: through a gateway, on the link, or by default', (t) => {
  const net = new Net();
  const known = { 1: '10.0.0.254', 2: '10.0.0.253', 3: '10.0.0.252', 4: '198.51.100.77', 5: '203.0.113.9' };
  const director = net.director({
    interfaces: [
      { device: net.device('eth0'), addresses: ['10.0.0.1/24'] },
      { device: net.device('eth1', MACS.eth1), addresses: ['172.16.0.1/24'] },
    ],
    routes: [
      { to: 'default', via: '10.0.0.254' },
      { to: '198.51.0.0/16', via: '10.0.0.253' },
      { to: '198.51.100.0/24', via: '10.0.0.252' },
      { to: '198.51.100.64/26', dev: 'eth1' },
      { to: '203.0.113.9/32', dev: 'eth1' },
    ],
    neighbours: [
      ...[1, 2, 3].map((n) => ({ ip: known[n as 1], mac: rsMac(n), dev: 'eth0' })),
      ...[4, 5].map((n) => ({ ip: known[n as 4], mac: rsMac(n), dev: 'eth1' })),
    ],
  });
  const through = (destination: string) => {
    net.inject('eth0', udpFrame({ destination }));
    director.poll();
    return net.sent().map((line) => line.split(' IPv4')[0]);
  };
  t.deepEqual(through('192.0.2.200'), [`eth0: ${MACS.eth0} > ${rsMac(1)}`]);
  t.deepEqual(through('198.51.7.1'), [`eth0: ${MACS.eth0} > ${rsMac(2)}`]);
  t.deepEqual(through('198.51.100.1'), [`eth0: ${MACS.eth0} > ${rsMac(3)}`]);
  t.deepEqual(through('198.51.100.77'), [`eth1: ${MACS.eth1} > ${rsMac(4)}`]);
  t.deepEqual(through('203.0.113.9'), [`eth1: ${MACS.eth1} > ${rsMac(5)}`]);
  t.deepEqual(through('203.0.113.8'), [`eth0: ${MACS.eth0} > ${rsMac(1)}`]);
});

test('where no route leads, the sender is told', (t) => {
  const lab = new Lab({ routes: [] });
  const told = lab.frame({
    ip: { source: rs(11), destination: '198.51.100.1' },
    udp: { sourcePort: 1, destinationPort: 2 },
  });
  t.is(told.length, 1);
  t.true(told[0]!.text.startsWith(`${MACS.eth0} > ${rsMac(11)} IPv4 ${DIP} > ${rs(11)} `), told[0]!.text);
  t.deepEqual([...told[0]!.frame.slice(34, 36)], [3, 0]);
  // Where the sender cannot be told either, it is not.
  t.deepEqual(
    lab.frame({ ip: { source: CLIENT, destination: '198.51.100.1' }, udp: { sourcePort: 1, destinationPort: 2 } }),
    [],
  );
  t.deepEqual(lab.verdicts(), { NO_ROUTE: 2 });
});

test('packets for others are dropped where it is no router', (t) => {
  const lab = new Lab({ forwarding: false });
  t.deepEqual(lab.receive(udpFrame({ destination: '172.16.0.11' })), []);
  t.deepEqual(lab.verdicts(), { NOT_FORWARDING: 1 });
});

test('routing takes one from the time to live, and tells when it is over', (t) => {
  const lab = new Lab();
  t.deepEqual(
    lab.receive(udpFrame({ destination: '172.16.0.11', ttl: 2 })).map(({ dev, text }) => `${dev} ${text.slice(38)}`),
    [`eth1 ${packet(CLIENT, '172.16.0.11', 1)}`],
  );
  for (const ttl of [0, 1]) {
    const [told] = lab.receive(udpFrame({ destination: '172.16.0.11', ttl }));
    t.true(told!.text.includes(`IPv4 ${DIP} > ${CLIENT} `), told!.text);
    t.deepEqual([...told!.frame.slice(34, 36)], [11, 0]);
  }
  t.deepEqual(lab.verdicts(), { FORWARDED: 1, TTL_EXCEEDED: 2 });
});

// ---- VLANs ------------------------------------------------------------------------------------------------------

function vlanDirector(net: Net): Director {
  const device = net.device('eth0');
  return net.director({
    interfaces: [
      { device, addresses: ['10.0.0.1/24'] },
      { device, vlan: 7, addresses: ['10.7.0.1/24'] },
      { device, vlan: 8, name: 'eight', addresses: ['10.8.0.1/24'] },
    ],
    neighbours: [
      { ip: '10.0.0.9', mac: rsMac(1), dev: 'eth0' },
      { ip: '10.7.0.9', mac: rsMac(7), dev: 'eth0.7' },
      { ip: '10.8.0.9', mac: rsMac(8), dev: 'eight' },
    ],
  });
}

test('a packet comes in with one tag and goes out with another, or without', (t) => {
  const net = new Net();
  const director = vlanDirector(net);
  const through = (destination: string, vlans: readonly (number | VlanFields)[]) => {
    net.inject('eth0', udpFrame({ source: '10.7.0.5', destination, vlans }));
    director.poll();
    return net.sent();
  };
  const out = (n: number, tag: string, destination: string) => [
    `eth0: ${MACS.eth0} > ${rsMac(n)} ${tag}${packet('10.7.0.5', destination)}`,
  ];
  for (const vlans of [[], [7], [8], [{ id: 7, priority: 5 }]]) {
    t.deepEqual(through('10.0.0.9', vlans), out(1, '', '10.0.0.9'));
    t.deepEqual(through('10.7.0.9', vlans), out(7, 'vlan 7 ', '10.7.0.9'));
    t.deepEqual(through('10.8.0.9', vlans), out(8, 'vlan 8 ', '10.8.0.9'));
  }
});

test('VLAN 0 is a priority and no VLAN; VLANs that it is not on are not its business', (t) => {
  const net = new Net();
  const director = vlanDirector(net);
  net.inject('eth0', udpFrame({ destination: '10.0.0.9', vlans: [{ id: 0, priority: 6 }] }));
  director.poll();
  t.deepEqual(net.sent(), [`eth0: ${MACS.eth0} > ${rsMac(1)} ${packet(CLIENT, '10.0.0.9')}`]);
  net.inject('eth0', udpFrame({ destination: '10.0.0.9', vlans: [9] }));
  net.inject('eth0', udpFrame({ destination: '10.0.0.9', vlans: [4095] }));
  net.inject('eth0', udpFrame({ destination: '10.0.0.9', vlans: [7, 7] }));
  net.inject('eth0', udpFrame({ destination: '10.0.0.9', vlans: [{ id: 7, type: 0x88a8 }] }));
  net.inject('eth0', udpFrame({ destination: '10.0.0.9', vlans: [7] }).slice(0, 17));
  director.poll();
  t.deepEqual(net.sent(), []);
  t.like(director.counters().verdicts, { UNKNOWN_VLAN: 2, UNKNOWN_ETHERTYPE: 2, SHORT_FRAME: 1 });
});

test('a neighbour that asks with a priority is answered by its MAC address', (t) => {
  const net = new Net();
  const director = net.director({ interfaces: [{ device: net.device('eth0'), addresses: ['2001:db8::1/64'] }] });
  const data = Uint8Array.from([0x20, 1, 0x0d, 0xb8, ...new Array(11).fill(0), 1]); // who has 2001:db8::1?
  for (const vlans of [[], [{ id: 0, priority: 6 }]]) {
    net.inject(
      'eth0',
      buildFrame({
        ethernet: { source: HOST_MAC, destination: MACS.eth0!, vlans },
        ip: { source: '2001:db8::9', destination: '2001:db8::1', ttl: 255 },
        icmpv6: { type: 135, data },
      }),
    );
    director.poll();
    const [answer, ...others] = net.sent();
    t.regex(answer ?? '', new RegExp(`^eth0: ${MACS.eth0} > ${HOST_MAC} IPv6 2001:db8::1 > 2001:db8::9`));
    t.deepEqual(others, []);
  }
});

test('ARP is asked and answered in the VLAN it belongs to', (t) => {
  const net = new Net();
  const director = vlanDirector(net);
  const question = { senderMac: HOST_MAC, senderIp: '10.7.0.5', targetIp: '10.7.0.1' };
  net.inject('eth0', buildFrame({ ethernet: { vlans: [7] }, arp: question } as FrameFields));
  net.inject('eth0', udpFrame({ destination: '10.8.0.33' }));
  director.poll();
  t.deepEqual(net.sent(), [
    `eth0: ${MACS.eth0} > ${HOST_MAC} vlan 7 ARP 10.7.0.1 is at ${MACS.eth0}`,
    `eth0: ${MACS.eth0} > ${BROADCAST_MAC} vlan 8 ARP who has 10.8.0.33? tell 10.8.0.1`,
  ]);
});

test('services are balanced from VLAN to VLAN, by every method', (t) => {
  const net = new Net();
  const director = vlanDirector(net);
  for (const [port, method] of [
    [80, 'masq'],
    [81, 'route'],
    [82, 'tunnel'],
  ] as const) {
    director.addService(tcp(port), { scheduler: 'rr' });
    director.addDestination(tcp(port), { address: '10.8.0.9', port }, { method });
    net.inject(
      'eth0',
      buildFrame({
        ethernet: { source: HOST_MAC, destination: MACS.eth0!, vlans: [7] },
        ip: { source: '10.7.0.5', destination: VIP },
        tcp: { sourcePort: 40000, destinationPort: port },
      }),
    );
  }
  director.poll();
  const syn = (to: string) => `IPv4 10.7.0.5:40000 > ${to} ttl 63 TCP [S] seq 1000 win 64240 len 0`;
  t.deepEqual(
    net.sent().map((line) => line.replace(`eth0: ${MACS.eth0} > ${rsMac(8)} vlan 8 `, '')),
    [syn('10.8.0.9:80'), syn(`${VIP}:81`), `IPv4 10.8.0.1 > 10.8.0.9 ttl 63 IPIP: ${syn(`${VIP}:82`)}`],
  );
});

// ---- Several devices, several directors -------------------------------------------------------------------------

test('every device gets its turn, however much waits on another', (t) => {
  const lab = new Lab();
  const flood = Array.from({ length: 200 }, () => udpFrame({ destination: '10.0.0.11' }));
  for (const frame of flood) lab.devices.eth1!.inject(frame);
  for (const frame of flood) lab.devices.eth0!.inject(frame);
  const order = lab.receive([]).map(({ dev }) => dev);
  t.is(order.length, 200); // eth1's are addressed to eth0's MAC address
  t.like(lab.verdicts(), { FORWARDED: 200, OTHER_HOST: 200 });
});

test('what a device has waiting is read in bounded rounds, and gone on with later', async (t) => {
  const device = new MemoryDevice({ name: 'eth0', capacity: 4096 });
  const director = new Director({ interfaces: [{ device, addresses: ['10.0.0.1/24'] }], clock: new ManualClock() });
  director.start();
  for (let i = 0; i < 2000; i++) device.inject(udpFrame({ destination: DIP, to: device.mac }));
  t.is(director.poll(), 512);
  for (let turns = 0; device.waiting > 0 && turns < 100; turns++) await new Promise(setImmediate);
  t.is(director.counters().received, 2000);
  director.stop();
});

test('a device that dies is told of and left alone; the others go on', (t) => {
  const net = new Net();
  const dying = new FakeDevice();
  const director = net.director({
    interfaces: [
      { device: net.device('eth0'), addresses: ['10.0.0.1/24'] },
      { device: dying, addresses: ['172.16.0.1/24'] },
    ],
    neighbours: [{ ip: '10.0.0.9', mac: rsMac(1), dev: 'eth0' }],
  });
  const events: unknown[] = [];
  director.on('deviceError', (name, error) => events.push([name, error.message]));
  dying.fail(new Error('unplugged'));
  t.deepEqual(events, [['fake0', 'unplugged']]);
  t.is(dying.closed, 1);
  dying.incoming.push(udpFrame({ destination: '10.0.0.9' }));
  net.inject('eth0', udpFrame({ destination: '10.0.0.9' }));
  t.is(director.poll(), 1);
  t.is(net.sent().length, 1);
});

test('two directors on one wire: what one sends through a tunnel or by DR, the other balances again', (t) => {
  const net = new Net();
  const [left, right] = [net.device('left', '02:00:00:00:00:0a'), net.device('right', '02:00:00:00:00:0b')];
  const log: string[] = [];
  left.onTransmit = (frame) => {
    log.push(`left ${textOf(frame)}`);
    right.inject(frame);
  };
  right.onTransmit = (frame) => {
    log.push(`right ${textOf(frame)}`);
    left.inject(frame);
  };
  const make = (device: MemoryDevice, address: string) =>
    net.director({ interfaces: [{ device, addresses: [address] }], routes: [{ to: 'default', via: GATEWAY }] });
  const first = make(left, '10.0.0.2/24');
  const second = make(right, '10.0.0.3/24');
  first.addService(tcp());
  first.addDestination(tcp(), { address: '10.0.0.3' });
  second.addService(tcp());
  second.addDestination(tcp(), { address: '10.0.0.99' });
  left.inject(
    buildFrame({
      ethernet: { source: GATEWAY_MAC, destination: left.mac },
      ip: { source: CLIENT, destination: VIP },
      tcp: { sourcePort: 40000, destinationPort: 80 },
    }),
  );
  while (first.poll() + second.poll() > 0);
  t.deepEqual(
    log.map((line) => line.replace(/ (ttl \d+) .*/, ' $1')),
    [
      `left ${left.mac} > ${BROADCAST_MAC} ARP who has 10.0.0.3? tell 10.0.0.2`,
      `right ${right.mac} > ${left.mac} ARP 10.0.0.3 is at ${right.mac}`,
      `left ${left.mac} > ${right.mac} IPv4 ${CLIENT}:40000 > ${VIP}:80 ttl 63`,
      `right ${right.mac} > ${BROADCAST_MAC} ARP who has 10.0.0.99? tell 10.0.0.3`,
    ],
  );
  t.is(first.connections().length + second.connections().length, 2);
});

// ---- Whose packets ----------------------------------------------------------------------------------------------

test('addresses that cannot be on a wire are martians, or their packets impossible', (t) => {
  const lab = new Lab();
  lab.director.addService(tcp());
  for (const [source, destination] of [
    [DIP, VIP],
    [VIP, DIP],
    [DIP, '172.16.0.11'],
    ['127.0.0.1', DIP],
    ['224.0.0.1', DIP],
    ['255.255.255.255', DIP],
    ['0.0.0.0', DIP],
    ['127.0.0.1', '172.16.0.11'],
    [CLIENT, '127.0.0.1'],
    [CLIENT, '0.0.0.0'],
  ] as const) {
    t.deepEqual(lab.receive(udpFrame({ source, destination })), [], `${source} > ${destination}`);
    t.deepEqual(lab.verdicts(), { MARTIAN: 1 }, `${source} > ${destination}`);
  }
});

test('what is said to everybody or to a group is not routed, not refused, and balanced to nobody', (t) => {
  const lab = new Lab();
  lab.director.addService(tcp());
  lab.director.addDestination(tcp(), { address: rs(11) });
  for (const [to, destination] of [
    [BROADCAST_MAC, '255.255.255.255'],
    [BROADCAST_MAC, '10.0.0.255'],
    [MACS.eth0!, '10.0.0.255'],
    ['01:00:5e:00:00:05', '224.0.0.5'],
    [MACS.eth0!, '239.1.2.3'],
    [BROADCAST_MAC, '172.16.0.11'],
    [BROADCAST_MAC, DIP],
  ] as const) {
    t.deepEqual(lab.receive(udpFrame({ destination, to })), [], `${to} ${destination}`);
  }
  const syn = { ip: { source: CLIENT, destination: VIP }, tcp: { sourcePort: 1, destinationPort: 80 } };
  t.deepEqual(lab.frame({ ...syn, ethernet: { destination: BROADCAST_MAC } }), []);
  t.deepEqual(lab.director.connections(), []);
});

test('frames for other MAC addresses are not looked at', (t) => {
  const lab = new Lab();
  t.deepEqual(lab.receive(udpFrame({ destination: DIP, to: HOST_MAC })), []);
  t.deepEqual(lab.verdicts(), { OTHER_HOST: 1 });
});

// ---- The user's handler -----------------------------------------------------------------------------------------

test('the handler is given what nobody here takes, with the name of its interface, and nothing else', (t) => {
  const net = new Net();
  const device = net.device('eth0');
  const director = net.director({
    interfaces: [
      { device, addresses: ['10.0.0.1/24'] },
      { device, vlan: 7, addresses: ['10.7.0.1/24'] },
      { device: net.device('eth1', MACS.eth1), addresses: ['172.16.0.1/24'] },
    ],
    forwarding: false,
    neighbours: [{ ip: rs(11), mac: rsMac(11), dev: 'eth0' }],
  });
  director.addService(tcp());
  director.addDestination(tcp(), { address: rs(11) });
  const taken: [string, string][] = [];
  director.onPassed = (frame, name) => {
    taken.push([name, textOf(frame).replace(/^\S+ > \S+ /, '')]);
    frame.fill(0); // it is a copy
  };
  const ethernet = { source: HOST_MAC, destination: MACS.eth0! };
  const lldp = (vlans: readonly number[], to = MACS.eth0!) =>
    buildFrame({ ethernet: { ...ethernet, destination: to, vlans, type: 0x88cc }, payload: 'lldp' });
  net.inject(
    'eth0',
    udpFrame({ destination: DIP }),
    udpFrame({ destination: '10.7.0.1', vlans: [7] }),
    lldp([]),
    lldp([7]),
  );
  net.inject('eth0', udpFrame({ destination: '198.51.100.1' }), udpFrame({ destination: '224.0.0.5' }));
  net.inject('eth1', lldp([], MACS.eth1), udpFrame({ destination: DIP, to: MACS.eth1! }));
  // These have their place: a service, ARP, an echo, a broken header, somebody else's MAC address.
  net.inject(
    'eth0',
    buildFrame({ ethernet, ip: { source: CLIENT, destination: VIP }, tcp: { sourcePort: 1, destinationPort: 80 } }),
  );
  net.inject('eth0', buildFrame({ arp: { senderMac: HOST_MAC, senderIp: rs(9), targetIp: DIP } }));
  net.inject('eth0', buildFrame({ ethernet, ip: { source: rs(11), destination: DIP }, icmp: { type: 8 } }));
  net.inject('eth0', udpFrame({ destination: DIP }).fill(0x55, 14, 20), udpFrame({ destination: DIP, to: HOST_MAC }));
  director.poll();
  const udp = (to: string) => packet(CLIENT, to, 64);
  t.deepEqual(taken, [
    ['eth0', udp(DIP)],
    ['eth0.7', `vlan 7 ${udp('10.7.0.1')}`],
    ['eth0', 'type 0x88cc len 4'],
    ['eth0.7', 'vlan 7 type 0x88cc len 4'],
    ['eth0', udp('198.51.100.1')],
    ['eth0', udp('224.0.0.5')],
    ['eth1', 'type 0x88cc len 4'],
    ['eth1', udp(DIP)],
  ]);
  t.like(director.counters().verdicts, { HANDED_OVER: 8, ROUTE: 1, ARP: 1, ECHO: 1, BAD_HEADER: 1, OTHER_HOST: 1 });
  t.is(net.sent().length, 3);

  director.onPassed = null;
  net.inject('eth0', udpFrame({ source: rs(11), destination: DIP }));
  director.poll();
  t.is(net.sent().length, 1, 'refused again');
});

test('a handler may configure, send and stop, but not start another burst', (t) => {
  const lab = new Lab();
  const { director } = lab;
  const polled: number[] = [];
  director.onPassed = () => {
    polled.push(director.poll());
    director.addService(tcp(8000 + polled.length));
    lab.devices.eth1!.inject(udpFrame({ destination: DIP, to: MACS.eth1! }));
    if (polled.length === 4) director.stop();
  };
  lab.receive([udpFrame({ destination: DIP }), udpFrame({ destination: DIP })]);
  t.deepEqual(polled, [0, 0, 0, 0]);
  t.is(director.services().length, 4);
  t.is(director.poll(), 0);
});
