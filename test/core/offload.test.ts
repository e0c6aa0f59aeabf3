/**
 * Checksums and segmentation that are left to devices. What a director sends for a frame that is not finished must be, once
 * it is, what it sends for the finished frames: so each is given to a director of its own, and the wires are compared.
 */
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import {
  CUTS_ECN,
  CUTS_TCP4,
  CUTS_TCP6,
  CUTS_UDP4,
  CUTS_UDP6,
  type Device,
  Director,
  FaultDevice,
  type FrameOffload,
  ManualClock,
  MemoryDevice,
  type MemoryDeviceOptions,
  SEGMENT_ECN,
  SEGMENT_TCP4,
  SEGMENT_TCP6,
  SEGMENT_UDP,
  TracerDevice,
} from '../../src/index.ts';
import { buildFrame } from '../../src/packet/build.ts';
import type { IpFields, TcpFields, UdpFields } from '../../src/packet/build-fields.ts';
import type { DestinationOptions } from '../../src/services/config.ts';
import {
  CLIENT,
  CLIENT6,
  GATEWAY_MAC,
  inner6,
  Lab,
  MACS,
  rsMac,
  type Sent,
  seededRandom,
  tcp,
  udp,
  VIP,
  VIP6,
} from './lab.ts';
import { checkSums, finished, left } from './offloads.ts';

const ALL = CUTS_TCP4 | CUTS_TCP6 | CUTS_UDP4 | CUTS_UDP6 | CUTS_ECN;
/** A device that leaves everything to others and does everything for them; one that takes but does not do; a plain one. */
const FULL: Partial<MemoryDeviceOptions> = { checksumOffload: true, segmentation: ALL };
const SUMS: Partial<MemoryDeviceOptions> = { checksumOffload: true };
const TCP_ONLY: Partial<MemoryDeviceOptions> = { checksumOffload: true, segmentation: CUTS_TCP4 | CUTS_TCP6 };
const PLAIN: Partial<MemoryDeviceOptions> = {};

const METHODS: Readonly<Record<string, DestinationOptions>> = {
  masq: { method: 'masq' },
  route: { method: 'route' },
  ipip: { method: 'tunnel' },
  gre: { method: 'tunnel', tunnel: { type: 'gre', checksum: 'none' } },
  'gre csum': { method: 'tunnel', tunnel: { type: 'gre', checksum: 'csum' } },
  gue: { method: 'tunnel', tunnel: { type: 'gue', port: 6080, checksum: 'none' } },
  'gue csum': { method: 'tunnel', tunnel: { type: 'gue', port: 6080, checksum: 'csum' } },
};

function bytes(length: number, seed = length): Uint8Array {
  const random = seededRandom(seed);
  return Uint8Array.from({ length }, () => 256 * random());
}

const IN: Readonly<Record<4 | 6, string>> = { 4: '172.16.0.11', 6: inner6(11) };
const VIPS = { 4: VIP, 6: VIP6 } as const;
const CLIENTS = { 4: CLIENT, 6: CLIENT6 } as const;

/**
 * A director with services on TCP 80 and UDP 53 of both families. Clients are behind eth0, the one server is on eth1.
 * @param outer the family of the server's address: another than the service's with tunnels only.
 */
function labOf(
  method: DestinationOptions,
  family: 4 | 6,
  outer: 4 | 6,
  eth0: Partial<MemoryDeviceOptions>,
  eth1: Partial<MemoryDeviceOptions> = eth0,
): Lab {
  const lab = new Lab({ icmpErrorsPerSecond: Number.POSITIVE_INFINITY }, true, { eth0, eth1 });
  for (const [key, port] of [
    [tcp(80, VIPS[family]), 8080],
    [udp(53, VIPS[family]), 5353],
  ] as const) {
    lab.director.addService(key, { scheduler: 'rr' });
    const there = { address: IN[outer], port: method.method === 'masq' ? port : key.port };
    lab.director.addDestination(key, there, method);
  }
  return lab;
}

type Contents = { tcp: Partial<TcpFields> } | { udp: Partial<UdpFields> };

/** A frame from a client to the VIP. */
function request(family: 4 | 6, contents: Contents, ip: Partial<IpFields> = {}): Uint8Array {
  const ethernet = { source: GATEWAY_MAC, destination: MACS.eth0! };
  const ends = { source: CLIENTS[family], destination: VIPS[family], ttl: 64, ...ip };
  if ('tcp' in contents) {
    return buildFrame({ ethernet, ip: ends, tcp: { sourcePort: 40000, destinationPort: 80, ...contents.tcp } });
  }
  return buildFrame({ ethernet, ip: ends, udp: { sourcePort: 40000, destinationPort: 53, ...contents.udp } });
}

/** A frame from the server to a client. */
function reply(family: 4 | 6, contents: Contents): Uint8Array {
  const ethernet = { source: rsMac(11), destination: MACS.eth1! };
  const ends = { source: IN[family], destination: CLIENTS[family] };
  if ('tcp' in contents) {
    return buildFrame({ ethernet, ip: ends, tcp: { sourcePort: 8080, destinationPort: 40000, ...contents.tcp } });
  }
  return buildFrame({ ethernet, ip: ends, udp: { sourcePort: 5353, destinationPort: 40000, ...contents.udp } });
}

/** What is on the wire in the end; throws where a checksum is wrong. */
function wire(sent: readonly Sent[]): Uint8Array[] {
  const frames = sent.flatMap(({ frame, left: offload }) => finished(frame, offload));
  for (const frame of frames) checkSums(frame);
  return frames;
}

/** Without identification and checksum of the director's own IPv4 headers: those are its choice, packet by packet. */
function comparable(frame: Uint8Array): string {
  const copy = frame.slice();
  const isOwn = copy[12] === 8 && copy[13] === 0 && copy.subarray(26, 30).join('.') === '172.16.0.1';
  if (isOwn) for (const at of [18, 19, 24, 25]) copy[at] = 0;
  return Buffer.from(copy).toString('hex');
}

/** Gives the whole to one director and what is on the wire of it to another, and compares what is on the wire of both. */
function compare(t: ExecutionContext, whole: Left, lab: Lab, plain: Lab, dev: string, what: string): Sent[] {
  const sent = lab.receiveLeft(whole, dev);
  const expected = plain.receive(finished(...whole), dev);
  t.deepEqual(wire(sent).map(comparable), wire(expected).map(comparable), what);
  t.true(expected.length > 0, what);
  return sent;
}

type Left = readonly [Uint8Array, FrameOffload];

const SIZE = 1200;
const data = bytes(20_000);
const COUNT = Math.ceil(data.length / SIZE);
const kindOf = (family: 4 | 6) => (family === 4 ? SEGMENT_TCP4 : SEGMENT_TCP6);
/** Flags of which each has its own rule. */
const segment = { flags: 'APFC', sequence: 0xffffff00, data };

for (const [name, method] of Object.entries(METHODS)) {
  const isTunnel = method.method === 'tunnel';
  for (const family of [4, 6] as const) {
    for (const outer of isTunnel ? ([4, 6] as const) : [family]) {
      test(`requests by ${name}, IPv${family}${isTunnel ? ` in IPv${outer}` : ''}`, (t) => {
        for (const [out, eth1] of Object.entries({ FULL, SUMS, TCP_ONLY, PLAIN })) {
          const lab = labOf(method, family, outer, FULL, eth1);
          const plain = labOf(method, family, outer, PLAIN);
          const syn = request(family, { tcp: {} });
          compare(t, left(syn), lab, plain, 'eth0', `SYN to ${out}`);
          const many = left(request(family, { tcp: segment }), kindOf(family) | SEGMENT_ECN, SIZE);
          const sent = compare(t, many, lab, plain, 'eth0', `TCP to ${out}`);
          t.is(sent.length, !isTunnel && out === 'FULL' ? 1 : COUNT); // TCP_ONLY lacks marks of congestion
          t.is(sent[0]!.left === undefined, out === 'PLAIN', out);
          const datagrams = left(request(family, { udp: { data } }), SEGMENT_UDP, SIZE);
          const sentUdp = compare(t, datagrams, lab, plain, 'eth0', `UDP to ${out}`);
          t.is(sentUdp.length, !isTunnel && out === 'FULL' ? 1 : COUNT);
          // As in Linux a frame counts as it is: one packet, with all its bytes.
          const { stats } = lab.director.service(tcp(80, VIPS[family]));
          t.is(stats.inPkts, 2);
          t.is(stats.inBytes, syn.length + many[0].length - 2 * 14);
        }
      });
    }
  }
}

for (const family of [4, 6] as const) {
  test(`replies by NAT, IPv${family}`, (t) => {
    for (const [out, eth0] of Object.entries({ FULL, SUMS, PLAIN })) {
      const lab = labOf({ method: 'masq' }, family, family, eth0, FULL);
      const plain = labOf({ method: 'masq' }, family, family, PLAIN);
      for (const one of [lab, plain]) one.receive([request(family, { tcp: {} }), request(family, { udp: {} })]);
      compare(t, left(reply(family, { tcp: { flags: 'SA' } })), lab, plain, 'eth1', `SYN to ${out}`);
      const many = left(reply(family, { tcp: segment }), kindOf(family) | SEGMENT_ECN, SIZE);
      const sent = compare(t, many, lab, plain, 'eth1', `TCP to ${out}`);
      t.is(sent.length, out === 'FULL' ? 1 : COUNT);
      compare(t, left(reply(family, { udp: { data } }), SEGMENT_UDP, SIZE), lab, plain, 'eth1', `UDP to ${out}`);
      compare(t, left(reply(family, { udp: {} })), lab, plain, 'eth1', `a datagram to ${out}`);
      t.is(lab.director.service(tcp(80, VIPS[family])).stats.outPkts, 2);
    }
  });
}

test('NAT of a checksum that is only begun is what NAT of the whole one is, whatever the numbers', (t) => {
  const word = fc.oneof(fc.constantFrom(0, 1, 0xfffe, 0xffff), fc.nat(0xffff));
  const client = fc.tuple(word, fc.integer({ min: 1, max: 65535 })).filter(([, port]) => port !== 20);
  const lab = labOf({ method: 'masq' }, 4, 4, FULL);
  const plain = labOf({ method: 'masq' }, 4, 4, PLAIN);
  fc.assert(
    fc.property(client, fc.uint8Array({ maxLength: 50 }), fc.boolean(), ([host, port], payload, isTcp) => {
      const ip = { source: `198.51.${host >>> 8}.${host & 255}` };
      const fields = { sourcePort: port, data: payload };
      const frame = request(4, isTcp ? { tcp: fields } : { udp: fields }, ip);
      compare(t, left(frame), lab, plain, 'eth0', '');
    }),
    { numRuns: 1000 },
  );
});

// ---- What does not fit -------------------------------------------------------------------------------------------

/** What an ICMP error of either family says: type, code, its own four bytes, and the packet that it quotes. */
function errorIn({ frame }: Sent): string {
  const message = frame[12] === 8 ? 34 : 54;
  return (
    Buffer.from(frame.subarray(message, message + 2)).toString('hex') +
    Buffer.from(frame.subarray(message + 4)).toString('hex')
  );
}

for (const family of [4, 6] as const) {
  for (const [name, mtu] of [
    ['masq', 1300],
    ['route', 1300],
    ['ipip', 1400],
    ['gue csum', 1400],
  ] as const) {
    test(`segments too large for the way are told of once, as the first of them is: ${name}, IPv${family}`, (t) => {
      const small = { ...FULL, mtu };
      const lab = labOf(METHODS[name]!, family, family, FULL, small);
      const plain = labOf(METHODS[name]!, family, family, PLAIN, { mtu });
      for (const one of [lab, plain]) one.receive(request(family, { tcp: {} }));
      const df = family === 4 ? { df: true } : {};
      const many = left(request(family, { tcp: { ...segment, flags: 'AP' } }, df), kindOf(family), 1400);
      const [told, ...others] = lab.receiveLeft(many);
      t.deepEqual(others, []);
      checkSums(told!.frame);
      t.is(errorIn(told!), errorIn(plain.receive(finished(...many))[0]!));
      t.like(lab.verdicts(), { TOO_BIG: 1 });
      // One that is no longer on the wire than it may be passes, however long the frame is.
      t.true(wire(lab.receiveLeft(left(request(family, { tcp: segment }, df), kindOf(family), 1000))).length > 1);
    });
  }
}

test('segments too large for the way are sent in fragments where the sender allows it', (t) => {
  for (const [name, mtu] of [
    ['masq', 700],
    ['route', 700],
    ['ipip', 700],
    ['gre csum', 700],
    ['gue csum', 1300],
  ] as const) {
    const lab = labOf(METHODS[name]!, 4, 4, FULL, { ...FULL, mtu });
    const plain = labOf(METHODS[name]!, 4, 4, PLAIN, { mtu });
    for (const one of [lab, plain]) {
      one.director.sysctl.set('pmtu_disc', 0);
      one.receive(request(4, { tcp: {} }));
    }
    for (const size of [SIZE, 1400]) {
      compare(
        t,
        left(request(4, { tcp: segment }), SEGMENT_TCP4 | SEGMENT_ECN, size),
        lab,
        plain,
        'eth0',
        `${name} TCP`,
      );
      compare(t, left(request(4, { udp: { data } }), SEGMENT_UDP, size), lab, plain, 'eth0', `${name} UDP`);
    }
    compare(t, left(request(4, { udp: { data: data.subarray(0, 1400) } })), lab, plain, 'eth0', `${name} one`);
  }
});

test('what is quoted to the sender is complete', (t) => {
  const lab = labOf({ method: 'masq' }, 4, 4, FULL);
  const plain = labOf({ method: 'masq' }, 4, 4, PLAIN);
  for (const frame of [
    left(request(4, { tcp: {} }, { ttl: 1 })),
    left(request(4, { udp: { data } }, { ttl: 1 }), SEGMENT_UDP, SIZE),
    left(request(4, { udp: {} }, { destination: '203.0.113.1', ttl: 1 })),
  ]) {
    const [told, ...others] = lab.receiveLeft(frame);
    t.deepEqual(others, []);
    t.is(errorIn(told!), errorIn(plain.receive(finished(...frame))[0]!));
  }
});

// ---- Waiting -----------------------------------------------------------------------------------------------------

function arpReply(mac: string): Uint8Array {
  const arp = { operation: 2, senderMac: mac, senderIp: '172.16.0.99', targetMac: MACS.eth1!, targetIp: '172.16.0.1' };
  return buildFrame({ ethernet: { source: mac, destination: MACS.eth1! }, arp });
}

test('a frame that waits for a neighbour goes on as it came, or is cut then', (t) => {
  for (const [eth1, frames] of [
    [FULL, 1],
    [PLAIN, COUNT],
  ] as const) {
    const labs = [labOf({ method: 'masq' }, 4, 4, FULL, eth1), labOf({ method: 'masq' }, 4, 4, PLAIN)] as const;
    for (const { director } of labs) {
      director.addService(udp(99), { scheduler: 'rr' });
      director.addDestination(udp(99), { address: '172.16.0.99', port: 9 }, { method: 'masq' });
    }
    const whole = left(request(4, { udp: { destinationPort: 99, data } }), SEGMENT_UDP, SIZE);
    const one = left(request(4, { udp: { destinationPort: 99 } }));
    const asked = labs[0].receiveLeft(whole);
    t.is(asked.length, 1);
    t.regex(asked[0]!.text, /ARP who has 172.16.0.99/);
    labs[0].receiveLeft(one);
    labs[1].receive([...finished(...whole), ...finished(...one)]);
    const sent = labs[0].receive(arpReply('02:00:00:00:01:99'), 'eth1');
    t.is(sent.length, frames + 1);
    t.deepEqual(wire(sent), wire(labs[1].receive(arpReply('02:00:00:00:01:99'), 'eth1')));
  }
});

test('the sender of a frame that waited in vain is told, and what is quoted is its first segment', (t) => {
  const lab = new Lab({}, false, { eth0: FULL, eth1: FULL });
  const whole = left(
    request(4, { udp: { destinationPort: 99, data } }, { destination: '172.16.0.99' }),
    SEGMENT_UDP,
    SIZE,
  );
  lab.receiveLeft(whole);
  const told = lab.sleep(5).filter(({ text }) => text.includes('ICMP'));
  t.is(told.length, 1);
  checkSums(told[0]!.frame);
  const quoted = told[0]!.frame.subarray(42);
  const first = finished(...whole)[0]!.subarray(14);
  t.deepEqual(quoted.subarray(20, 400), first.subarray(20, 400));
  t.is(quoted[2]! * 256 + quoted[3]!, first.length);
});

// ---- For the director itself, and what is no plain TCP or UDP --------------------------------------------------------

test('frames for the director itself: the handler gets each as it is on the wire', (t) => {
  for (const family of [4, 6] as const) {
    const lab = labOf({ method: 'route' }, family, family, FULL);
    const got: Uint8Array[] = [];
    lab.director.onPassed = (frame) => got.push(frame);
    for (const frame of [
      left(request(family, { tcp: { ...segment, destinationPort: 9999 } }), kindOf(family) | SEGMENT_ECN, SIZE),
      left(request(family, { udp: { destinationPort: 9999, data } }), SEGMENT_UDP, SIZE),
      left(request(family, { udp: { destinationPort: 9999 } })),
      left(request(family, { tcp: { destinationPort: 9999 } })),
    ]) {
      lab.receiveLeft(frame);
      t.deepEqual(got.splice(0), finished(...frame));
    }
    t.deepEqual(lab.verdicts(), { HANDED_OVER: 4 });
  }
});

test('frames for nobody are refused as the first segment would be', (t) => {
  for (const family of [4, 6] as const) {
    const lab = labOf({ method: 'route' }, family, family, FULL);
    const plain = labOf({ method: 'route' }, family, family, PLAIN);
    for (const frame of [
      left(request(family, { tcp: { flags: 'A', destinationPort: 9, data } }), kindOf(family), SIZE),
      left(request(family, { tcp: { destinationPort: 9 } })),
    ]) {
      const [reset, ...others] = lab.receiveLeft(frame);
      t.deepEqual(others, []);
      t.deepEqual(reset!.frame, plain.receive(finished(...frame))[0]!.frame);
    }
    const datagrams = left(request(family, { udp: { destinationPort: 9, data } }), SEGMENT_UDP, SIZE);
    t.is(errorIn(lab.receiveLeft(datagrams)[0]!), errorIn(plain.receive(finished(...datagrams))[0]!));
    t.deepEqual(lab.verdicts(), { REJECTED: 3 });
  }
});

/** A frame with one part of it summed up later, whatever that part is; `seed` is what its field holds until then. */
function leftAt(frame: Uint8Array, start: number, field: number, seed: number): Left {
  const copy = frame.slice();
  copy.set([seed >>> 8, seed & 255], field);
  return [copy, { checksumStart: start, checksumField: field }];
}

test('ICMP, SCTP, fragments and packets in tunnels are finished before they are looked into', (t) => {
  const lab = labOf({ method: 'masq' }, 4, 4, FULL);
  const plain = labOf({ method: 'masq' }, 4, 4, PLAIN);
  const sctp = { protocol: 'sctp', address: VIP, port: 36412 } as const;
  for (const { director } of [lab, plain]) {
    director.addService(sctp, { scheduler: 'rr' });
    director.addDestination(sctp, { address: IN[4], port: 9 }, { method: 'masq' });
  }
  const ethernet = { source: GATEWAY_MAC, destination: MACS.eth0! };
  const ends = { source: CLIENT, destination: VIP };
  const same = (frame: Uint8Array, whole: Left, what: string) => {
    const sent = lab.receiveLeft(whole);
    const expected = plain.receive(frame);
    t.true(expected.length > 0, what);
    // An echo's reply is numbered by the director.
    t.deepEqual(
      wire(sent).map((each) => each.subarray(34)),
      wire(expected).map((each) => each.subarray(34)),
      what,
    );
  };
  const echo = buildFrame({ ethernet, ip: ends, icmp: { type: 8, data: 'echo' } });
  same(echo, leftAt(echo, 34, 36, 0), 'echo');
  const init = buildFrame({ ethernet, ip: ends, sctp: { sourcePort: 1000, destinationPort: 36412 } });
  same(init, leftAt(init, 34, 42, 0), 'SCTP');
  const routed = { source: CLIENT, destination: IN[4] };
  const inner = buildFrame({ ethernet, ip: ends, tcp: { sourcePort: 1, destinationPort: 2, data: 'inner' } });
  const tunnel = buildFrame({ ethernet, ip: routed, payload: inner.subarray(14) });
  const [innerLeft, { checksumField }] = left(inner);
  const seed = innerLeft[checksumField]! * 256 + innerLeft[checksumField + 1]!;
  same(tunnel, leftAt(tunnel, 54, 54 + 16, seed), 'a packet in a tunnel');
  const datagram = { sourcePort: 1, destinationPort: 2, data: bytes(24) };
  const fragment = buildFrame({ ethernet, ip: { ...routed, mf: true }, udp: datagram });
  const whole = leftAt(fragment, 34, 40, 0x1234);
  t.deepEqual([...lab.receiveLeft(whole), ...plain.receive(finished(...whole))], []);
  const rest = buildFrame({ ethernet, ip: { ...routed, fragmentOffset: 32, protocol: 17 }, payload: bytes(8) });
  const [put, expected] = [lab.receive(rest), plain.receive(rest)];
  t.is(expected.length, 2);
  t.deepEqual(
    put.map(({ frame }) => frame),
    expected.map(({ frame }) => frame),
  );
});

test('words that do not go with their frame lose it, and nothing else', (t) => {
  const lab = labOf({ method: 'masq' }, 4, 4, FULL);
  const [frame, words] = left(request(4, { tcp: { data } }), SEGMENT_TCP4, SIZE);
  for (const change of [
    { segmentKind: SEGMENT_TCP6 },
    { segmentKind: 77 },
    { segmentSize: 0 },
    { checksumStart: 60_000, checksumField: 60_016 },
    { checksumField: 65_535 },
    { checksumStart: 0, checksumField: 0 },
  ]) {
    t.deepEqual(lab.receiveLeft([frame, { ...words, ...change }]), []);
  }
  t.deepEqual(lab.verdicts(), { BAD_OFFLOAD: 6 });
  t.is(lab.receiveLeft(left(request(4, { tcp: {} }))).length, 1);
});

// ---- FTP ---------------------------------------------------------------------------------------------------------

/** The bytes of a stream, from segments in any order. */
function streamOf(frames: readonly Uint8Array[]): string {
  const parts = frames.map((frame) => {
    const view = new DataView(frame.buffer, frame.byteOffset);
    return {
      at: view.getUint32(38),
      text: Buffer.from(frame.subarray(34 + (frame[46]! >>> 4) * 4)).toString('latin1'),
    };
  });
  parts.sort((a, b) => a.at - b.at);
  parts.forEach(({ at, text }, i) => {
    if (i + 1 < parts.length && at + text.length !== parts[i + 1]!.at) throw new Error('a gap in the stream');
  });
  return `${parts[0]!.at}: ${parts.map(({ text }) => text).join('')}`;
}

test('FTP behind NAT: replies are changed as those whose checksum is there, uncut ones as a whole', (t) => {
  const labs = [labOf({ method: 'masq' }, 4, 4, FULL), labOf({ method: 'masq' }, 4, 4, PLAIN)] as const;
  const [lab, plain] = labs;
  const control = { sourcePort: 21, destinationPort: 40000 };
  for (const { director } of labs) {
    director.addService(tcp(21), { scheduler: 'rr' });
    director.addDestination(tcp(21), { address: IN[4], port: 21 }, { method: 'masq' });
  }
  const both = (dev: string, whole: Left) => {
    const sent = wire(lab.receiveLeft(whole, dev));
    t.is(streamOf(sent), streamOf(wire(plain.receive(finished(...whole), dev))));
    return sent;
  };
  const to = { destinationPort: 21 };
  both('eth0', left(request(4, { tcp: { ...to, flags: 'S', sequence: 99 } })));
  both('eth1', left(reply(4, { tcp: { ...control, flags: 'SA', sequence: 499, acknowledgement: 100 } })));
  both('eth0', left(request(4, { tcp: { ...to, flags: 'A', sequence: 100, acknowledgement: 500 } })));
  const pasv = { ...to, flags: 'AP', sequence: 100, acknowledgement: 500, data: 'PASV\r\n' };
  both('eth0', left(request(4, { tcp: pasv })));
  const text = '227 Entering Passive Mode (172,16,0,11,200,1).\r\n';
  const first = both(
    'eth1',
    left(reply(4, { tcp: { ...control, flags: 'AP', sequence: 500, acknowledgement: 106, data: text } })),
  );
  t.regex(streamOf(first), /227 Entering Passive Mode \(10,0,0,100,200,1\)/);
  const shift = streamOf(first).length - `500: ${text}`.length;
  // A long one, uncut: what comes behind the text goes with it.
  both('eth0', left(request(4, { tcp: { ...pasv, sequence: 106, acknowledgement: 548 + shift } })));
  const long = { ...control, flags: 'AP', sequence: 548, acknowledgement: 112, data: text + 'x'.repeat(3000) };
  const second = both('eth1', left(reply(4, { tcp: long }), SEGMENT_TCP4, SIZE));
  t.true(second.length > 1);
  t.regex(streamOf(second), /10,0,0,100,200,1/);
});

// ---- Devices around devices --------------------------------------------------------------------------------------

test('wrappers say what the device below can do, and hand on what is left', (t) => {
  const clock = new ManualClock();
  const device = () => new MemoryDevice({ name: 'eth0', ...FULL });
  for (const wrap of [
    (inner: MemoryDevice) => new TracerDevice(inner, () => {}),
    (inner: MemoryDevice) => new FaultDevice(inner, { clock }),
  ]) {
    const inner = device();
    const outer = wrap(inner);
    t.like(outer, { checksumOffload: true, segmentation: ALL, largestFrame: inner.largestFrame });
    const sent: [Uint8Array, FrameOffload | undefined][] = [];
    inner.onTransmit = (frame, words) => sent.push([frame, words]);
    const { director, whole, expected } = forwarderOn(outer, inner, clock);
    director.poll();
    t.deepEqual(
      sent.flatMap((one) => finished(...one)),
      expected,
    );
    t.is(sent.length, 1);
    t.is(whole[0].length, sent[0]![0].length);
    director.stop();
  }
});

test('a frame that is not finished is damaged so that the damage shows', (t) => {
  const clock = new ManualClock();
  const inner = new MemoryDevice({ name: 'eth0', ...FULL });
  const sent: Uint8Array[] = [];
  const { director } = forwarderOn(new FaultDevice(inner, { clock, transmit: { corruption: 1 } }), inner, clock);
  inner.onTransmit = (frame, words) => {
    const [[copy, offload]] = [[frame, words!]] as const;
    const fieldAt = offload.checksumField;
    // What the card adds up from a wrong beginning is wrong: with the right one the frame would be as it was.
    sent.push(copy.slice(fieldAt, fieldAt + 2));
    t.throws(() => finished(copy, offload), { message: 'a wrong pseudo header sum' });
  };
  director.poll();
  t.is(sent.length, 1);
  director.stop();
});

test('segments need the device to finish checksums', (t) => {
  for (const options of [{ segmentation: ALL }, { ...FULL, segmentation: 32 }, { ...FULL, segmentation: 1.5 }]) {
    t.throws(() => new MemoryDevice({ name: 'eth0', ...options }), { message: /^segmentation: / });
  }
});

/** A director that routes one frame of many segments back out of the device that it came from. */
function forwarderOn(device: Device, below: MemoryDevice, clock: ManualClock) {
  const director = new Director({
    interfaces: [{ device, addresses: ['10.0.0.1/24'] }],
    neighbours: [{ ip: '10.0.0.2', mac: rsMac(2), dev: 'eth0' }],
    forwarding: true,
    clock,
  }).start();
  const build = (ttl: number, source: string, destination: string) =>
    buildFrame({
      ethernet: { source, destination },
      ip: { source: CLIENT, destination: '10.0.0.2', ttl },
      tcp: { sourcePort: 1, destinationPort: 2, flags: 'A', data },
    });
  const whole = left(build(64, GATEWAY_MAC, below.mac), SEGMENT_TCP4, SIZE);
  below.inject(...whole);
  return { director, whole, expected: finished(...left(build(63, below.mac, rsMac(2)), SEGMENT_TCP4, SIZE)) };
}
