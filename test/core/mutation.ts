/** Frames as an enemy would send them: recorded and built ones, changed in every way that has ever hurt a receiver. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Director, ManualClock, MemoryDevice } from '../../src/index.ts';
import { buildFrame, buildPacket } from '../../src/packet/build.ts';
import { CLIENT, DIP, GATEWAY_MAC, MACS, rs, VIP } from './lab.ts';

const ethernet = { source: GATEWAY_MAC, destination: MACS.eth0! };
export const VIP6 = '2001:db8::100';
export const CLIENT6 = '2001:db8:c::1';

/** Every different frame that the recordings sent to Linux. */
function recorded(): Uint8Array[] {
  const directory = fileURLToPath(new URL('../../../test/golden/', import.meta.url));
  const frames = new Set<string>();
  for (const file of readdirSync(directory)) {
    const { steps } = JSON.parse(readFileSync(directory + file, 'utf8'));
    for (const step of steps) if (step.tx !== undefined) frames.add(step.tx.frame);
  }
  return Array.from(frames, (frame) => new Uint8Array(Buffer.from(frame, 'hex')));
}

/** What the recordings have few of: fragments, options, tunnels, errors about everything, IPv6 with extensions. */
function built(): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (const [from, to] of [
    [CLIENT, VIP],
    [CLIENT6, VIP6],
    [rs(11), CLIENT],
    ['2001:db8::b', CLIENT6],
    [CLIENT, DIP],
    [CLIENT, '172.16.0.11'],
  ] as const) {
    const ip = { source: from, destination: to };
    const v6 = from.includes(':');
    for (const port of [80, 81, 82, 83, 84]) {
      const ends =
        from === rs(11) ? { sourcePort: port, destinationPort: 40000 } : { sourcePort: 40000, destinationPort: port };
      for (const flags of ['S', 'A', 'SA', 'FA', 'R'])
        frames.push(buildFrame({ ethernet, ip, tcp: { ...ends, flags, data: 'x'.repeat(50) } }));
      frames.push(buildFrame({ ethernet, ip, udp: { ...ends, data: 'y'.repeat(300) } }));
      frames.push(buildFrame({ ethernet, ip, udp: { ...ends, zeroChecksum: true } }));
      // As much as fits, but perhaps not in a tunnel.
      const most = { ...ends, flags: 'A', data: 'm'.repeat(1500 - (v6 ? 60 : 40)) };
      frames.push(buildFrame({ ethernet, ip: v6 ? ip : { ...ip, df: true }, tcp: most }));
      frames.push(buildFrame({ ethernet, ip, sctp: ends }));
      frames.push(buildFrame({ ethernet, ip, sctp: { ...ends, chunks: [{ type: 0, data: 'z'.repeat(99) }] } }));
      // An error about a packet that went the other way.
      const about = buildPacket({
        ip: { source: to, destination: from },
        tcp: { sourcePort: ends.destinationPort, destinationPort: ends.sourcePort, flags: 'A' },
      });
      const type = v6 ? 1 : 3;
      if (v6)
        for (const kind of [type, 2, 3, 128])
          frames.push(buildFrame({ ethernet, ip, icmpv6: { type: kind, data: about } }));
      else
        for (const kind of [type, 4, 5, 8, 11])
          frames.push(buildFrame({ ethernet, ip, icmp: { type: kind, code: 4, rest: 1400, data: about } }));
      // All fragments of one datagram, in both orders.
      const data = 'f'.repeat(1480);
      const whole = buildPacket({ ip, udp: { ...ends, data } }).subarray(v6 ? 40 : 20);
      for (let id = 1; id <= 4; id++) {
        const parts = [0, 496, 992].map((at) =>
          buildFrame({
            ethernet,
            ip: { ...ip, id, fragmentOffset: at, mf: at < 992, protocol: 17 },
            payload: whole.slice(at, Math.min(whole.length, at + 496)),
          }),
        );
        frames.push(...(id % 2 === 0 ? parts : parts.reverse()));
      }
    }
    if (v6) {
      const extensions = [{ type: 0, data: 'abc' }, { type: 60 }, { type: 43, data: 'abcdef' }];
      frames.push(buildFrame({ ethernet, ip: { ...ip, extensions }, tcp: { sourcePort: 1, destinationPort: 80 } }));
    } else {
      const options = new Uint8Array([1, 1, 7, 7, 4, 1, 2, 3, 4, 148, 4, 0, 0]);
      frames.push(buildFrame({ ethernet, ip: { ...ip, options }, tcp: { sourcePort: 1, destinationPort: 80 } }));
      frames.push(
        buildFrame({
          ethernet,
          ip,
          payload: buildPacket({ ip: { source: to, destination: from }, udp: { sourcePort: 1, destinationPort: 2 } }),
        }),
      );
    }
  }
  for (const [senderIp, targetIp] of [
    [rs(11), DIP],
    [DIP, rs(11)],
    ['0.0.0.0', VIP],
  ] as const) {
    for (const operation of [1, 2])
      frames.push(buildFrame({ arp: { operation, senderMac: GATEWAY_MAC, senderIp, targetIp } }));
  }
  for (const type of [133, 134, 135, 136, 137]) {
    const data = new Uint8Array(24);
    data.set([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 2, 0, 0, 0, 0xfe, 0xfe]);
    frames.push(
      buildFrame({
        ethernet,
        ip: { source: '2001:db8::fe', destination: '2001:db8::1', ttl: 255 },
        icmpv6: { type, data },
      }),
    );
  }
  return frames;
}

/** FTP control connections, whose texts the director reads and rewrites. */
export function ftpFrames(): Uint8Array[] {
  const frames: Uint8Array[] = [];
  const says = [
    'PASV\r\n',
    'EPSV\r\n',
    'EPSV 1\r\n',
    'EPSV 2\r\n',
    'PORT 192,0,2,1,195,80\r\n',
    'EPRT |1|192.0.2.1|50000|\r\n',
    'EPRT |2|2001:db8:c::1|50000|\r\n',
    'PORT 1,2,3,4,5\r\n',
    'PORT 256,0,2,1,195,800\r\n',
    '227 Entering Passive Mode (10,0,0,11,195,80).\r\n',
    '227 Entering Passive Mode (10,0,0,11,195,80',
    '227 (255,255,255,255,255,255)\r\n',
    '229 Entering Extended Passive Mode (|||50000|)\r\n',
    '229 Entering Extended Passive Mode (|||99999|)\r\n',
    `220 ${'long '.repeat(280)}\r\n`,
    `227 ${' '.repeat(1385)}(10,0,0,11,1,2)\r\n`,
    '\r\n',
  ];
  for (const [client, server, vip] of [
    [CLIENT, rs(11), VIP],
    [CLIENT6, '2001:db8::b', VIP6],
  ] as const) {
    for (let port = 40000; port < 40004; port++) {
      const request = { source: client, destination: vip };
      const reply = { source: server, destination: client };
      const there = { sourcePort: port, destinationPort: 21 };
      const back = { sourcePort: 21, destinationPort: port };
      for (const flags of ['S', 'A', 'FA'])
        frames.push(buildFrame({ ethernet, ip: request, tcp: { ...there, flags } }));
      for (const flags of ['SA', 'A', 'FA']) frames.push(buildFrame({ ethernet, ip: reply, tcp: { ...back, flags } }));
      for (const data of says) {
        const segment = { flags: 'PA', sequence: 1000 + port, acknowledgement: 2000, data };
        frames.push(buildFrame({ ethernet, ip: request, tcp: { ...there, ...segment } }));
        frames.push(buildFrame({ ethernet, ip: reply, tcp: { ...back, ...segment } }));
      }
      for (const dataPort of [20, 50000]) {
        frames.push(buildFrame({ ethernet, ip: request, tcp: { sourcePort: 50001, destinationPort: dataPort } }));
        frames.push(buildFrame({ ethernet, ip: reply, tcp: { sourcePort: dataPort, destinationPort: 50000 } }));
      }
    }
  }
  return frames;
}

/** What a sync master says to its backups, of connections that the recordings' clients might have; without checksums. */
export function syncFrames(): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (const version of [0, 1]) {
    const clock = new ManualClock();
    const device = new MemoryDevice({ name: 'eth0', mac: '02:00:00:00:00:0a' });
    device.onTransmit = (frame) => {
      if (frame[0] !== 1) return; // not to a group
      frame.fill(0, 40, 42);
      frames.push(frame);
    };
    const director = new Director({ interfaces: [{ device, addresses: ['10.0.0.2/24'] }], clock });
    director.addService({ protocol: 'tcp', address: VIP, port: 80 }, { persistent: 60 });
    director.addDestination({ protocol: 'tcp', address: VIP, port: 80 }, { address: rs(11) }, { method: 'masq' });
    director.addService({ protocol: 'udp', address: VIP, port: 81 });
    director.addDestination({ protocol: 'udp', address: VIP, port: 81 }, { address: rs(13) });
    director.sysctl.set('sync_version', version);
    director.sysctl.set('sync_threshold', '0 1');
    director.start();
    director.startDaemon({ role: 'master', syncId: version });
    const to = { source: GATEWAY_MAC, destination: device.mac };
    for (let port = 40000; port < 40040; port++) {
      const ip = { source: CLIENT, destination: VIP };
      for (const flags of ['S', 'A', 'FA']) {
        device.inject(buildFrame({ ethernet: to, ip, tcp: { sourcePort: port, destinationPort: 80, flags } }));
      }
      device.inject(buildFrame({ ethernet: to, ip, udp: { sourcePort: port, destinationPort: 81 } }));
      director.poll();
      if (port % 8 === 0) clock.advance(3000);
    }
    clock.advance(5000);
    director.stop();
  }
  return frames;
}

const VALUES = [0, 1, 4, 5, 6, 7, 8, 15, 17, 20, 40, 60, 0x45, 0x46, 0x4f, 0x60, 0x7f, 0x80, 0xfe, 0xff];
const LENGTHS = [
  0, 1, 7, 8, 19, 20, 21, 27, 28, 39, 40, 41, 48, 60, 576, 1280, 1499, 1500, 1501, 0x7fff, 0x8000, 0xffff,
];
const PROTOCOLS = [0, 1, 2, 4, 6, 17, 41, 43, 44, 47, 51, 58, 60, 132, 255];
const TYPES = [0x0800, 0x0806, 0x86dd, 0x8100, 0x88a8, 0x0000, 0xffff];

export class Mutator {
  readonly #corpora: readonly (readonly Uint8Array[])[];
  #state: number;

  /** @param corpora the frames to begin with: each corpus is taken from as often as any other. */
  constructor(seed: number, corpora: readonly (readonly Uint8Array[])[] = [recorded(), built()]) {
    this.#state = 2 * seed + 1;
    this.#corpora = corpora;
  }

  /** A number from 0 to `below` - 1 (xorshift32; the bias does not matter here). */
  random(below: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return (x >>> 0) % below;
  }

  /** What is left to do of the frame at `at`, as a batch says it: mostly what goes with it, sometimes anything. */
  leave(view: DataView, at: number, length: number): readonly [partial: number, segments: number] {
    const anything = this.random(8);
    if (anything === 0 || length < 54)
      return [this.random(4) === 0 ? this.random(2 ** 31) : 0, this.random(2) * 0x10040];
    const link = view.getUint16(at + 12) === 0x8100 ? 18 : 14;
    const isIpv6 = view.getUint8(at + link) >>> 4 === 6;
    const start = link + (isIpv6 ? 40 : (view.getUint8(at + link) & 15) * 4);
    const protocol = view.getUint8(at + link + (isIpv6 ? 6 : 9));
    const isTcp = protocol === 6;
    const field = start + (isTcp ? 16 : protocol === 17 ? 6 : protocol === 132 ? 8 : 2);
    const kind = isTcp ? (isIpv6 ? 4 : 1) | (this.random(2) << 7) : 5;
    const isCut = (isTcp || protocol === 17) && this.random(2) === 0;
    const wrong = anything === 1 ? this.random(4) : 0;
    return [(start << 16) | (field + wrong), isCut ? ((kind ^ wrong) << 16) | (1 + this.random(60)) : 0];
  }

  #pick(): Uint8Array {
    const corpus = this.#corpora[this.random(this.#corpora.length)]!;
    return corpus[this.random(corpus.length)]!;
  }

  /** Writes a frame of at most `room` bytes at `at` and returns its length. */
  write(memory: Uint8Array, view: DataView, at: number, room: number): number {
    const frame = this.#pick();
    memory.set(frame, at);
    let length = frame.length;
    if (this.random(4) === 0) this.#otherEnds(view, at, length);
    if (this.random(8) === 0) length = this.#tag(memory, view, at, length, room);
    if (this.random(10) === 0) length = this.#quote(memory, view, at, length, room);
    for (let changes = this.random(4); changes > 0; changes--) length = this.#change(memory, view, at, length, room);
    // A header checksum that is right lets the rest be looked at.
    if (this.random(4) !== 0) mendIpv4(view, at, length);
    if (this.random(2) !== 0) mendIcmp(view, at, length);
    return length;
  }

  /** Another client, so that there are many connections; but few enough ports that they meet again. */
  #otherEnds(view: DataView, at: number, length: number): void {
    if (length < 48) return;
    const v6 = view.getUint16(at + 12) === 0x86dd;
    const transport = at + 14 + (v6 ? 40 : 20);
    if (this.random(2) === 0) view.setUint8(at + (v6 ? 37 : 29), this.random(256));
    if (transport + 4 <= at + length) view.setUint16(transport, 40000 + this.random(256));
  }

  #tag(memory: Uint8Array, view: DataView, at: number, length: number, room: number): number {
    if (length < 14 || length + 4 > room) return length;
    memory.copyWithin(at + 16, at + 12, at + length);
    view.setUint16(at + 12, 0x8100);
    view.setUint16(at + 14, [0, 7, 7, 7, 0x2000, 0x6007, 8, 4095][this.random(8)]!);
    return length + 4;
  }

  /** Lets the packet become the one that an ICMP error is about. */
  #quote(memory: Uint8Array, view: DataView, at: number, length: number, room: number): number {
    if (length < 34 || length + 28 > room || view.getUint16(at + 12) !== 0x0800) return length;
    memory.copyWithin(at + 42, at + 14, at + length);
    memory.copyWithin(at + 14, at + 42, at + 62);
    view.setUint8(at + 14, 0x45);
    view.setUint16(at + 16, length + 28 - 14);
    view.setUint16(at + 20, 0);
    view.setUint8(at + 23, 1);
    // The error goes where the packet came from: it is about what was sent there.
    view.setUint32(at + 26, view.getUint32(at + 58));
    view.setUint32(at + 30, view.getUint32(at + 54));
    view.setUint32(at + 34, 0);
    view.setUint8(at + 34, [3, 3, 4, 5, 11, 12][this.random(6)]!);
    view.setUint8(at + 35, this.random(6));
    view.setUint32(at + 38, LENGTHS[this.random(LENGTHS.length)]!);
    return length + 28;
  }

  #change(memory: Uint8Array, view: DataView, at: number, length: number, room: number): number {
    const random = (below: number) => this.random(below);
    if (length === 0) return random(room);
    const ip = at + 14 + (length > 18 && view.getUint16(at + 12) === 0x8100 ? 4 : 0);
    const whole = ip + 40 <= at + length;
    switch (random(16)) {
      case 0:
      case 1:
        memory[at + random(length)]! ^= 1 << random(8);
        return length;
      case 2:
        memory[at + random(length)] = VALUES[random(VALUES.length)]!;
        return length;
      case 3:
        memory[at + random(length)] = random(256);
        return length;
      case 4: // cut off
        return random(length + 1);
      case 5: {
        // made longer
        const longer = Math.min(room, length + random(1 + random(room)));
        memory.fill(random(256), at + length, at + longer);
        return longer;
      }
      case 6: // a length that lies
        if (whole) view.setUint16(ip + 2 + 2 * random(2), LENGTHS[random(LENGTHS.length)]!);
        return length;
      case 7:
        if (whole) view.setUint8(ip, (view.getUint8(ip) & 0xf0) | random(16));
        return length;
      case 8: // a fragment, of few datagrams
        if (!whole) return length;
        view.setUint16(ip + 6, random(2) * 0x2000 + (random(3) === 0 ? random(8192) : random(8)));
        view.setUint16(ip + 4, random(4));
        return length;
      case 9:
        if (whole) view.setUint8(ip + (random(2) === 0 ? 9 : 6), PROTOCOLS[random(PROTOCOLS.length)]!);
        return length;
      case 10:
        if (length >= 14) view.setUint16(at + 12, TYPES[random(TYPES.length)]!);
        return length;
      case 11: // to everybody, to a group, to somebody else
        view.setUint8(at, [0xff, 0x01, 0x33, 0x04][random(4)]!);
        if (random(2) === 0) memory.fill(0xff, at, at + Math.min(6, length));
        return length;
      case 12: // a time to live
        if (whole) view.setUint8(ip + 7 + random(2), random(4));
        return length;
      case 13: // addresses changed round, or the same twice
        if (whole) memory.copyWithin(ip + 12, ip + 16, ip + 20);
        return length;
      case 14: {
        // a piece of another frame
        const other = this.#pick();
        const from = random(other.length);
        const to = random(length);
        const size = Math.min(other.length - from, length - to);
        memory.set(other.subarray(from, from + size), at + to);
        return length;
      }
      default: {
        // a piece of itself elsewhere
        const from = random(length);
        const to = random(length);
        memory.copyWithin(at + to, at + from, at + Math.min(length, from + length - to));
        return length;
      }
    }
  }
}

function mendIpv4(view: DataView, at: number, length: number): void {
  let ip = at + 14;
  if (length > 18 && view.getUint16(at + 12) === 0x8100) ip += 4;
  const headerLength = (view.getUint8(ip) & 15) * 4;
  if (headerLength < 20 || ip + headerLength > at + length || view.getUint8(ip) >>> 4 !== 4) return;
  view.setUint16(ip + 10, 0);
  view.setUint16(ip + 10, sum(view, ip, headerLength));
}

function mendIcmp(view: DataView, at: number, length: number): void {
  if (length < 42 || view.getUint16(at + 12) !== 0x0800 || view.getUint8(at + 23) !== 1) return;
  const message = at + 14 + (view.getUint8(at + 14) & 15) * 4;
  const end = at + 14 + view.getUint16(at + 16);
  if (message + 8 > end || end > at + length) return;
  view.setUint16(message + 2, 0);
  view.setUint16(message + 2, sum(view, message, end - message));
}

function sum(view: DataView, at: number, length: number): number {
  let total = 0;
  let i = 0;
  for (; i + 2 <= length; i += 2) total += view.getUint16(at + i);
  if (i < length) total += view.getUint8(at + i) << 8;
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return ~total & 0xffff;
}
