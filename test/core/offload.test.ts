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
  type FrameOffload,
  type MemoryDeviceOptions,
  SEGMENT_ECN,
  SEGMENT_TCP4,
  SEGMENT_TCP6,
  SEGMENT_UDP,
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

/** Without identification and checksum of an outer header: they are the director's own choice, packet by packet. */
function comparable(frame: Uint8Array): string {
  const copy = frame.slice();
  const isTunnel = copy[12] === 8 && copy[13] === 0 && ((copy[23] !== 6 && copy[23] !== 17) || copy[37] === 6080 % 256);
  if (isTunnel) for (const at of [18, 19, 24, 25]) copy[at] = 0;
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
