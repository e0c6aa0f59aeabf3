/** Cutting segments: against frames built from nothing, and put together again. */
import test from 'ava';
import fc from 'fast-check';
import { SEGMENT_ECN, SEGMENT_TCP4, SEGMENT_TCP6, SEGMENT_UDP } from '../../src/index.ts';
import { buildFrame } from '../../src/packet/build.ts';
import type { FrameFields, IpFields } from '../../src/packet/build-fields.ts';
import { dissectIpv4, dissectIpv6, Packet } from '../../src/packet/dissect.ts';
import { Segments } from '../../src/packet/segment.ts';
import { Unfinished } from '../../src/packet/unfinished.ts';
import { finished, left } from '../core/offloads.ts';

const FIN = 0x01;
const PSH = 0x08;
const CWR = 0x80;
const ETHERNET = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };

interface Whole {
  readonly kind: number;
  readonly size: number;
  readonly data: Uint8Array;
  /** The frame that carries `data`, as segment `i` of it that begins at byte `done`. */
  readonly build: (data: Uint8Array, i: number, done: number, isLast: boolean) => Uint8Array;
}

const octets = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const ipv4 = fc.record({
  source: octets(4).map((bytes) => bytes.join('.')),
  destination: octets(4).map((bytes) => bytes.join('.')),
  ttl: fc.nat(255),
  tos: fc.nat(255),
  id: fc.nat(65535),
  df: fc.boolean(),
  options: fc.uint8Array({ maxLength: 40 }),
});
const groups = (bytes: Uint8Array) =>
  Array.from({ length: 8 }, (_, i) => (bytes[2 * i]! * 256 + bytes[2 * i + 1]!).toString(16)).join(':');
const ipv6 = fc.record({
  source: octets(16).map(groups),
  destination: octets(16).map(groups),
  ttl: fc.nat(255),
  tos: fc.nat(255),
  flowLabel: fc.nat(0xfffff),
  extensions: fc.constantFrom([], [{ type: 60, data: Uint8Array.of(1, 0) }]),
});
const tcp = fc.record({
  sourcePort: fc.nat(65535),
  destinationPort: fc.nat(65535),
  flags: fc.nat(255),
  sequence: fc.integer({ min: 0, max: 0xffffffff }),
  acknowledgement: fc.integer({ min: 0, max: 0xffffffff }),
  window: fc.nat(65535),
  urgentPointer: fc.nat(65535),
  options: fc.uint8Array({ maxLength: 40 }),
});
const udp = fc.record({ sourcePort: fc.nat(65535), destinationPort: fc.nat(65535) });

/** Payload and segment size: mostly a few small segments, now and then as much as a packet can be. */
const cut = fc
  .oneof(
    fc.tuple(fc.integer({ min: 2, max: 400 }), fc.integer({ min: 1, max: 100 })),
    fc.tuple(fc.integer({ min: 2, max: 65000 }), fc.integer({ min: 500, max: 9000 })),
  )
  .filter(([length, size]) => length > size)
  .chain(([length, size]) => fc.record({ size: fc.constant(size), data: octets(length) }));

const whole: fc.Arbitrary<Whole> = fc
  .tuple(fc.oneof(ipv4, ipv6), fc.option(tcp), udp, cut, fc.boolean())
  .map(([ip, tcpFields, udpFields, { size, data }, ecn]): Whole => {
    const isIpv4 = ip.source.includes('.');
    if (tcpFields === null) {
      const build = (part: Uint8Array, i: number) =>
        buildFrame({ ethernet: ETHERNET, ip: advanced(ip, i), udp: { ...udpFields, data: part } });
      return { kind: SEGMENT_UDP, size, data, build };
    }
    const kind = (isIpv4 ? SEGMENT_TCP4 : SEGMENT_TCP6) | (ecn ? SEGMENT_ECN : 0);
    const build = (part: Uint8Array, i: number, done: number, isLast: boolean) => {
      const flags = tcpFields.flags & ~(isLast ? 0 : FIN | PSH) & ~(i > 0 ? CWR : 0);
      const sequence = (tcpFields.sequence + done) >>> 0;
      return buildFrame({
        ethernet: ETHERNET,
        ip: advanced(ip, i),
        tcp: { ...tcpFields, flags, sequence, data: part },
      });
    };
    return { kind, size, data, build };
  });

function advanced(ip: IpFields, i: number): IpFields {
  return ip.id === undefined ? ip : { ...ip, id: (ip.id + i) & 0xffff };
}

/** Cuts with what the director cuts with, and finishes the checksums. */
function segmentsOf([frame, offload]: ReturnType<typeof left>): Uint8Array[] | null {
  const { checksumStart, checksumField, segmentKind = 0, segmentSize = 0 } = offload;
  const memory = new Uint8Array(2 * 65536);
  const view = new DataView(memory.buffer);
  const at = 65536;
  memory.set(frame, at);
  const unfinished = new Unfinished();
  const partial = (checksumStart << 16) | checksumField;
  const packet = new Packet();
  const dissect = memory[at + 14]! >>> 4 === 4 ? dissectIpv4 : dissectIpv6;
  if (
    !unfinished.accept(at, frame.length, partial, (segmentKind << 16) | segmentSize) ||
    !dissect(packet, view, at + 14, frame.length - 14) ||
    !unfinished.settle(view, packet)
  ) {
    return null;
  }
  const segments = new Segments();
  segments.begin(packet.ip, packet.length, unfinished);
  return Array.from({ length: segments.count }, (_, i) => {
    const length = segments.write(memory, view, i, 100, unfinished);
    unfinished.complete(view, 100 + length);
    return Uint8Array.from([...frame.subarray(0, 14), ...memory.subarray(100, 100 + length)]);
  });
}

test('segments are what one would have sent instead of the whole', (t) => {
  fc.assert(
    fc.property(whole, ({ kind, size, data, build }) => {
      const frame = build(data, 0, 0, true);
      fc.pre(frame.length <= 65535 && data.length > size);
      const expected: Uint8Array[] = [];
      for (let done = 0; done < data.length; done += size) {
        const part = data.subarray(done, done + size);
        const segment = build(part, expected.length, done, done + size >= data.length);
        const [, { checksumField }] = left(segment);
        // The other way to write 0, which UDP needs and cards use for TCP too.
        if (segment[checksumField] === 0 && segment[checksumField + 1] === 0)
          segment.fill(0xff, checksumField, checksumField + 2);
        expected.push(segment);
      }
      const [copy, offload] = left(frame, kind, size);
      t.deepEqual(segmentsOf([copy, offload]), expected);
      // The plain restatement that other tests go by says the same.
      t.deepEqual(finished(copy, offload), expected);
    }),
    { numRuns: 300 },
  );
});

test('the first segment may be written where the whole is', (t) => {
  const build = (data: Uint8Array, flags: string) =>
    buildFrame({
      ethernet: ETHERNET,
      ip: { source: '10.0.0.1', destination: '10.0.0.2' },
      tcp: { sourcePort: 1, destinationPort: 2, flags, data },
    } as FrameFields);
  const data = new Uint8Array(1000).fill(7);
  const [frame, { checksumStart, checksumField }] = left(build(data, 'AP'));
  const view = new DataView(frame.buffer);
  const packet = new Packet();
  const unfinished = new Unfinished();
  t.true(unfinished.accept(0, frame.length, (checksumStart << 16) | checksumField, (SEGMENT_TCP4 << 16) | 300));
  t.true(dissectIpv4(packet, view, 14, frame.length - 14) && unfinished.settle(view, packet));
  t.is(unfinished.longest, 340);
  const segments = new Segments();
  segments.begin(packet.ip, packet.length, unfinished);
  t.is(segments.count, 4);
  t.is(segments.write(frame, view, 0, 14, unfinished), 340);
  unfinished.complete(view, 14 + 340);
  t.deepEqual(frame.slice(0, 14 + 340), build(data.slice(0, 300), 'A'));
});

test('words that do not go with the frame are refused', (t) => {
  const ip = { source: '10.0.0.1', destination: '10.0.0.2' };
  const data = new Uint8Array(100);
  const tcpFrame = buildFrame({ ethernet: ETHERNET, ip, tcp: { sourcePort: 1, destinationPort: 2, data } });
  const udpFrame = buildFrame({ ethernet: ETHERNET, ip, udp: { sourcePort: 1, destinationPort: 2, data } });
  const [tcpLeft, tcpWords] = left(tcpFrame, SEGMENT_TCP4, 50);
  const [udpLeft, udpWords] = left(udpFrame, SEGMENT_UDP, 50);
  t.is(segmentsOf([tcpLeft, tcpWords])!.length, 2);
  t.is(segmentsOf([udpLeft, udpWords])!.length, 2);
  for (const change of [
    { segmentKind: SEGMENT_TCP6 },
    { segmentKind: SEGMENT_UDP },
    { segmentKind: SEGMENT_ECN },
    { segmentKind: 3 },
    { segmentKind: 0 },
    { segmentSize: 0 },
    { checksumStart: 13 },
    { checksumStart: 30 },
    { checksumStart: 36 },
    { checksumField: 33 },
    { checksumField: 52 },
    { checksumStart: 1000, checksumField: 1016 },
    { checksumField: tcpLeft.length - 1 },
    { checksumStart: 0, checksumField: 0 },
  ]) {
    t.is(segmentsOf([tcpLeft, { ...tcpWords, ...change }]), null, JSON.stringify(change));
  }
  t.is(segmentsOf([udpLeft, { ...udpWords, segmentKind: SEGMENT_TCP4 }]), null);
});
