/**
 * The short way does what the long way does. Packets with a VLAN tag never go the short way, so two directors get the same
 * packets, one of them with tags: what they send, count and keep must be the same.
 */
import test, { type ExecutionContext } from 'ava';
import { type DestinationOptions, Director, ManualClock, MemoryDevice } from '../../src/index.ts';
import { checksum } from '../../src/packet/checksum.ts';
import { buildFrame } from '../../src/packet/index.ts';

const BURSTS = 1500;
const LONGEST_BURST = 64;
const VIP = '10.0.0.100';
const GATEWAY_MAC = '02:00:00:00:fe:fe';
const MAC = '02:00:00:00:00:01';
const VLAN = 5;
/** A client that becomes the director's own address now and then, and is none again. */
const FICKLE = '10.0.0.50';
const CLIENT_PORTS = [1000, 1001, 1002];

/** A small generator, so that a failure repeats. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return Math.floor(((state >>> 0) / 2 ** 32) * below);
  };
}

interface Side {
  readonly director: Director;
  readonly clock: ManualClock;
  /** The frames that were sent for it last, without tags. */
  readonly frames: Uint8Array[];
  /** Lets these come in one burst; what comes of them. */
  send(burst: readonly Uint8Array[]): string[];
}

function withTag(frame: Uint8Array): Uint8Array {
  const tagged = new Uint8Array(frame.length + 4);
  tagged.set(frame.subarray(0, 12));
  tagged.set([0x81, 0, 0, VLAN], 12);
  tagged.set(frame.subarray(12), 16);
  return tagged;
}

function withoutTag(frame: Uint8Array): Uint8Array {
  return Uint8Array.of(...frame.subarray(0, 12), ...frame.subarray(16));
}

/**
 * A frame as text, but for the identification, which both directors count together: instead of the checksum over it, whether
 * that is right.
 */
function text(frame: Uint8Array): string {
  const copy = frame.slice();
  const isRight = checksum(new DataView(copy.buffer), 14, 20) === 0;
  copy.fill(0, 18, 20);
  copy.fill(isRight ? 1 : 0, 24, 26);
  return Buffer.from(copy).toString('hex');
}

/** @param known the last bytes of servers' addresses whose MAC addresses are known; the others have to be asked for. */
function side(vlan: number, known: readonly number[]): Side {
  const device = new MemoryDevice({ name: 'eth0', mac: MAC });
  const clock = new ManualClock();
  const frames: Uint8Array[] = [];
  device.onTransmit = (frame) => frames.push(vlan === 0 ? frame : withoutTag(frame));
  const director = new Director({
    interfaces: [{ name: 'lan', device, ...(vlan === 0 ? {} : { vlan }), addresses: ['10.0.0.1/24'] }],
    neighbours: [
      { ip: '10.0.0.254', mac: GATEWAY_MAC, dev: 'lan' },
      { ip: FICKLE, mac: '02:00:00:00:01:50', dev: 'lan' },
      ...known.map((n) => ({ ip: `10.0.0.${n}`, mac: `02:00:00:00:01:${n}`, dev: 'lan' })),
    ],
    routes: [{ to: '0.0.0.0/0', via: '10.0.0.254', dev: 'lan' }],
    forwarding: true,
    claimVips: true,
    clock,
    random: () => 0.5,
    maxConnections: 1000,
  });
  director.start();
  return {
    director,
    clock,
    frames,
    send: (burst) => {
      frames.length = 0;
      for (const frame of burst) device.inject(vlan === 0 ? frame : withTag(frame));
      director.poll();
      return frames.map(text);
    },
  };
}

const METHODS: Readonly<Record<string, DestinationOptions>> = {
  masq: { method: 'masq' },
  route: { method: 'route' },
  ipip: { method: 'tunnel' },
  gue: { method: 'tunnel', tunnel: { type: 'gue', port: 6080 } },
};

/** How many frames come at once: mostly few. */
function burstLength(random: (below: number) => number): number {
  if (random(20) === 0) return random(2) === 0 ? LONGEST_BURST : 1 + random(LONGEST_BURST);
  return random(2) === 0 ? 1 : 1 + random(8);
}

/** A packet of one of a few flows, mostly an ordinary one. */
function randomFrame(random: (below: number) => number): Uint8Array {
  const odd = random(8) === 0;
  const isTcp = random(3) > 0;
  const client = random(5) === 0 ? FICKLE : `192.0.2.${random(4) + 1}`;
  const clientPort = CLIENT_PORTS[random(CLIENT_PORTS.length)]!;
  const reply = random(3) === 0;
  const toFickle = !reply && random(8) === 0;
  const server = `10.0.0.${11 + random(3)}`;
  const length = [0, 1, 10, 1432, 1460, 1480][odd ? random(6) : random(3)]!;
  const ports = reply
    ? { sourcePort: 8080, destinationPort: clientPort }
    : { sourcePort: clientPort, destinationPort: toFickle ? 1000 : isTcp || random(2) === 0 ? 80 : 53 };
  const ends = { ...ports, data: 'x'.repeat(length) };
  const frame = buildFrame({
    ethernet: { source: GATEWAY_MAC, destination: odd && random(6) === 0 ? 'ff:ff:ff:ff:ff:ff' : MAC },
    ip: {
      source: reply ? server : client,
      destination: reply ? client : toFickle ? FICKLE : VIP,
      df: random(2) === 0,
      id: random(65536),
      tos: random(256),
      ttl: odd ? random(3) : 64,
      mf: odd && random(8) === 0,
    },
    ...(isTcp
      ? { tcp: { ...ends, flags: random(4) === 0 ? random(64) : random(3) === 0 ? 'S' : 'A' } }
      : { udp: ends }),
  });
  if (odd && random(4) === 0) frame[random(frame.length)]! ^= 1 << random(8);
  if (!isTcp && random(8) === 0) frame.set([0, 0], 14 + 20 + 6);
  return frame;
}

/** A server's answer to a question for its MAC address, or a word of its own. */
function arpOf(random: (below: number) => number): Uint8Array {
  const n = 11 + random(3);
  const senderMac = `02:00:00:00:0${1 + random(2)}:${n}`;
  return buildFrame({
    ethernet: { source: senderMac, destination: MAC },
    arp: { operation: 1 + random(2), senderMac, senderIp: `10.0.0.${n}`, targetMac: MAC, targetIp: '10.0.0.1' },
  });
}

/** A router's or server's error about a frame that the director has sent. */
function errorAbout(sent: Uint8Array, random: (below: number) => number): Uint8Array {
  const quoted = sent.subarray(14, 14 + 56);
  const [type, code, rest] = [
    [3, 4, 600 + random(900)],
    [3, 3, 0],
    [11, 0, 0],
  ][random(3)]!;
  return buildFrame({
    ethernet: { source: GATEWAY_MAC, destination: MAC },
    ip: { source: `10.0.0.${[11, 254][random(2)]}`, destination: quoted.subarray(12, 16).join('.') },
    icmp: { type: type!, code: code!, rest: rest!, data: quoted },
  });
}

/** Makes the fickle client the director's own address, by a service, or the reverse. */
function claimOrDisclaim(director: Director, method: string): void {
  for (const port of CLIENT_PORTS) {
    const key = { protocol: 'tcp', address: FICKLE, port } as const;
    if (director.services().some((one) => one.address === FICKLE && one.port === port)) {
      director.deleteService(key);
    } else {
      director.addService(key, { scheduler: 'rr' });
      director.addDestination(key, { address: '10.0.0.12', port: method === 'masq' ? 8080 : port }, METHODS[method]);
    }
  }
}

/** Something that the short way has to heed, or to leave alone. */
function disturb(random: (below: number) => number, both: Both, method: string): void {
  const key = { protocol: random(2) === 0 ? 'tcp' : 'udp', address: VIP, port: 80 } as const;
  const server = { address: `10.0.0.${11 + random(2)}`, port: method === 'masq' ? 8080 : 80 };
  const [coin, weight, threshold] = [random(2), random(3), random(6)];
  const set = (name: string, value: number) => both(({ sysctl }) => sysctl.set(name, value));
  const changes = [
    () => set('nat_icmp_send', coin),
    () => set('pmtu_disc', coin),
    () => set('expire_nodest_conn', coin),
    () => set('expire_quiescent_template', coin),
    () => set('secure_tcp', 3 * coin),
    () => set('drop_entry', 3 * coin),
    () => set('sloppy_tcp', coin),
    () => both(({ marks }) => (coin === 0 ? marks.clear() : marks.add({ source: '10.0.0.11', mark: 0, local: true }))),
    () => both((director) => director.editService(key, { scheduler: 'wlc', persistent: 60 * coin })),
    () =>
      both((director) =>
        director.editDestination(key, server, { ...METHODS[method], weight, upperThreshold: threshold }),
      ),
    () =>
      both((director) => {
        if (director.daemons().length > 0) director.stopDaemon('master');
        else director.startDaemon({ role: 'master' });
      }),
  ];
  changes[random(changes.length)]!();
}

type Both = (change: (director: Director) => void) => void;

/** @param isUnruly whether servers are not known yet, change their MAC addresses, and settings change as packets go by. */
function compare(t: ExecutionContext, method: string, seed: number, isUnruly: boolean): void {
  const random = generator(seed);
  const known = isUnruly ? [11] : [11, 12, 13, 14];
  const [short, long] = [side(0, known), side(VLAN, known)];
  const both: Both = (change: (director: Director) => void) => {
    for (const { director } of [short, long]) change(director);
  };
  for (const [protocol, port] of [
    ['tcp', 80],
    ['udp', 80],
    ['udp', 53],
  ] as const) {
    const service = { protocol, address: VIP, port };
    both((director) => {
      director.addService(service, { scheduler: 'rr', ...(port === 53 ? { onePacket: true } : {}) });
      for (const n of [11, 12, 13]) {
        const server = { address: `10.0.0.${n}`, port: method === 'masq' ? 8080 : port };
        director.addDestination(service, server, METHODS[method]);
      }
    });
  }
  if (isUnruly) {
    for (const { director } of [short, long]) {
      // In the middle of a burst.
      let created = 0;
      director.on('connectionCreated', () => {
        created++;
        if (created % 13 === 0) claimOrDisclaim(director, method);
        if (created % 17 === 0) director.sysctl.set('nat_icmp_send', (created / 17) % 2);
      });
    }
  }
  const frameOf = () => {
    const oddity = isUnruly ? random(20) : -1;
    if (oddity === 0) return arpOf(random);
    if (oddity === 1 && short.frames.length > 0) return errorAbout(short.frames[0]!, random);
    return randomFrame(random);
  };
  for (let i = 0; i < BURSTS; i++) {
    const burst = Array.from({ length: burstLength(random) }, frameOf);
    const [mine, theirs] = [short.send(burst), long.send(burst)].map((frames) => frames.join());
    if (mine !== theirs) t.is(mine, theirs, `burst ${i}: ${burst.map((frame) => Buffer.from(frame).toString('hex'))}`);
    const ms = random(50) === 0 ? random(400_000) : random(30);
    for (const { clock } of [short, long]) clock.advance(ms);
    if (isUnruly && random(30) === 0) disturb(random, both, method);
    if (random(300) === 0) both((director) => director.setTimeouts({ tcp: 1 + (i % 900), udp: 1 + (i % 300) }));
    if (random(300) === 0) {
      const key = { protocol: 'tcp', address: VIP, port: 80 } as const;
      const server = { address: '10.0.0.13', port: method === 'masq' ? 8080 : 80 };
      both((director) => director.deleteDestination(key, server));
      both((director) => director.addDestination(key, server, METHODS[method]));
    }
  }
  t.deepEqual(short.director.counters(), long.director.counters());
  t.deepEqual(short.director.services(), long.director.services());
  t.deepEqual(short.director.connections(), long.director.connections());
  both((director) => director.stop());
}

for (const method of Object.keys(METHODS)) {
  for (const seed of [1, 2]) test(`${method}, seed ${seed}`, (t) => compare(t, method, seed, false));
  for (const seed of [3, 4]) test(`${method}, unruly, seed ${seed}`, (t) => compare(t, method, seed, true));
}

test('a packet to an address that was a client’s and is the director’s now is a reply before it is a request', (t) => {
  const sides = [side(0, [11, 12]), side(VLAN, [11, 12])];
  const both: Both = (change) => {
    for (const { director } of sides) change(director);
  };
  const packet = (from: string, fromPort: number, to: string, toPort: number, flags: string) => {
    const frame = buildFrame({
      ethernet: { source: GATEWAY_MAC, destination: MAC },
      ip: { source: from, destination: to },
      tcp: { sourcePort: fromPort, destinationPort: toPort, flags },
    });
    const [mine, theirs] = sides.map((one) => one.send([frame]));
    t.deepEqual(mine, theirs, `${from}:${fromPort} > ${to}:${toPort} ${flags}`);
  };
  const service = { protocol: 'tcp', address: VIP, port: 80 } as const;
  both((director) => director.addService(service, { scheduler: 'rr' }));
  both((director) => director.addDestination(service, { address: '10.0.0.11', port: 8080 }, { method: 'masq' }));
  // The server is a client of the fickle address,
  both((director) => claimOrDisclaim(director, 'masq'));
  for (const flags of ['S', 'A', 'A']) packet('10.0.0.11', 8080, FICKLE, 1000, flags);
  // and a moment later, from the same port, that one's server. (A SYN goes the long way: what is remembered stays.)
  both((director) => claimOrDisclaim(director, 'masq'));
  packet(FICKLE, 1000, VIP, 80, 'S');
  both((director) => claimOrDisclaim(director, 'masq'));
  for (const flags of ['A', 'A']) packet('10.0.0.11', 8080, FICKLE, 1000, flags);
  t.deepEqual(sides[0]!.director.counters(), sides[1]!.director.counters());
  t.deepEqual(sides[0]!.director.connections(), sides[1]!.director.connections());
  both((director) => director.stop());
});
