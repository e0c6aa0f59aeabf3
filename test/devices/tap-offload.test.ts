/** Checksums and segmentation left to the other end: the kernel's TAP on one side, what a batch says on the other. */
import type { ExecutionContext } from 'ava';
import type { FrameBatch } from '../../src/devices/device.ts';
import { TapDevice } from '../../src/devices/tap.ts';
import { buildFrame } from '../../src/packet/build.ts';
import { fold, pseudoSum4, pseudoSum6, sumBytes } from '../../src/packet/checksum.ts';
import {
  CUTS_ECN,
  CUTS_TCP4,
  CUTS_TCP6,
  CUTS_UDP4,
  CUTS_UDP6,
  SEGMENT_ECN,
  SEGMENT_TCP4,
  SEGMENT_TCP6,
  SEGMENT_UDP,
} from '../../src/packet/offload.ts';
import { batchOf, experimentalFrame, framesOf, isExperimental, makeBatch, receiveAll } from './support/batch.ts';
import { Namespace, testWithTaps as test } from './support/namespace.ts';

const ETHERNET = { source: '02:00:00:00:00:77', destination: '02:00:00:00:00:78' };
const V4 = { source: '198.51.100.1', destination: '198.51.100.2' };
const V6 = { source: '2001:db8::1', destination: '2001:db8::2' };
const TCP = 6;
const UDP = 17;

interface Marked {
  readonly frame: Uint8Array;
  readonly partial: number;
  /** Where TCP's or UDP's header and the payload begin. */
  readonly transport: number;
  readonly payload: number;
}

/** A frame as a host sends it that leaves the checksum to its card: the field holds the pseudo header's sum. */
function marked(ip: typeof V4, protocol: typeof TCP | typeof UDP, payload: Uint8Array): Marked {
  const ports = { sourcePort: 40000, destinationPort: 80, data: payload };
  const fields = { ethernet: ETHERNET, ip };
  const frame = buildFrame(protocol === TCP ? { ...fields, tcp: { ...ports, flags: 'A' } } : { ...fields, udp: ports });
  const transport = 14 + (ip === V4 ? 20 : 40);
  const field = transport + (protocol === TCP ? 16 : 6);
  const view = new DataView(frame.buffer, frame.byteOffset);
  view.setUint16(field, pseudoSum(view, frame.length, protocol));
  const header = protocol === TCP ? (view.getUint8(transport + 12) >>> 4) * 4 : 8;
  return { frame, partial: (transport << 16) | field, transport, payload: transport + header };
}

function pseudoSum(view: DataView, length: number, protocol: number): number {
  const four = view.getUint16(12) === 0x0800;
  return fold((four ? pseudoSum4 : pseudoSum6)(view, 14, protocol, length - 14 - (four ? 20 : 40)));
}

/** Whether the transport checksum of a received frame is right: everything sums up to all ones. */
function isComplete(frame: Uint8Array, protocol: number): boolean {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const transport = 14 + (view.getUint16(12) === 0x0800 ? 20 : 40);
  const sum = sumBytes(view, transport, frame.length - transport, pseudoSum(view, frame.length, protocol));
  return fold(sum) === 0xffff;
}

const pattern = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7) % 251);

/** Three TAPs on a bridge: two that leave work to each other, and one that wants everything done. */
function openThree(t: ExecutionContext): { from: TapDevice; to: TapDevice; plain: TapDevice } {
  const namespace = new Namespace(t);
  const [from, to, plain] = [true, true, false].map((offload) => {
    const device = TapDevice.open({ namespace: namespace.name, offload });
    t.teardown(() => device.close());
    return device;
  }) as [TapDevice, TapDevice, TapDevice];
  namespace.bridge(from.name, to.name, plain.name);
  receiveAll(to);
  receiveAll(plain);
  return { from, to, plain };
}

/** Sends one frame with what is said of it. */
function send(from: TapDevice, frame: Uint8Array, partial: number, segments: number): number {
  const batch = batchOf([frame]);
  batch.partial[0] = partial;
  batch.segments[0] = segments;
  return from.transmit(batch);
}

function receive(device: TapDevice, room = device.largestFrame): { batch: FrameBatch; frames: Uint8Array[] } {
  const batch = makeBatch(64, room);
  batch.partial.fill(-1);
  batch.segments.fill(-1);
  return { batch, frames: framesOf(batch, device.receive(batch)) };
}

test('says what the kernel granted', (t) => {
  const { from, plain } = openThree(t);
  t.true(from.checksumOffload);
  t.is(from.segmentation & (CUTS_TCP4 | CUTS_TCP6 | CUTS_ECN), CUTS_TCP4 | CUTS_TCP6 | CUTS_ECN);
  t.is(from.largestFrame, 65535 + 22);
  t.false(plain.checksumOffload);
  t.is(plain.segmentation, 0);
  t.is(plain.largestFrame, 1500 + 22);
});

test('a checksum that is not complete stays so between TAPs that leave it, and is completed for one that does not', (t) => {
  const { from, to, plain } = openThree(t);
  for (const ip of [V4, V6]) {
    for (const protocol of [TCP, UDP] as const) {
      const { frame, partial } = marked(ip, protocol, pattern(501));
      t.is(send(from, frame, partial, 0), 1);
      const uncut = receive(to);
      t.deepEqual(uncut.frames, [frame]);
      t.deepEqual([uncut.batch.partial[0], uncut.batch.segments[0]], [partial, 0]);
      const [complete] = receive(plain).frames;
      t.is(complete!.length, frame.length);
      t.true(isComplete(complete!, protocol));
    }
  }
  const other = experimentalFrame(60);
  t.is(send(from, other, 0, 0), 1);
  const { batch, frames } = receive(to);
  t.deepEqual(frames, [other]);
  t.deepEqual([batch.partial[0], batch.segments[0]], [0, 0]);
});

test('frames of several segments, up to 64 KiB, pass whole, or are cut by the kernel', (t) => {
  const { from, to, plain } = openThree(t);
  const udp = (from.segmentation & (CUTS_UDP4 | CUTS_UDP6)) !== 0;
  const cases: [typeof V4, typeof TCP | typeof UDP, number, number, number][] = [
    [V4, TCP, SEGMENT_TCP4, 3001, 1000],
    [V6, TCP, SEGMENT_TCP6, 3001, 1000],
    [V4, TCP, SEGMENT_TCP4, 65535 - 54, 1460],
    [V6, TCP, SEGMENT_TCP6, 65535 - 74, 1440],
    [V4, UDP, SEGMENT_UDP, 3001, 1000],
    [V6, UDP, SEGMENT_UDP, 3001, 1000],
  ];
  for (const [ip, protocol, kind, length, size] of cases) {
    if (protocol === UDP && !udp) continue;
    const data = pattern(length);
    const { frame, partial, payload } = marked(ip, protocol, data);
    const segments = (kind << 16) | size;
    t.is(send(from, frame, partial, segments), 1);
    const uncut = receive(to);
    t.deepEqual(uncut.frames, [frame]);
    t.deepEqual([uncut.batch.partial[0], uncut.batch.segments[0]], [partial, segments]);

    const cut = receive(plain).frames;
    t.is(cut.length, Math.ceil(length / size));
    t.true(cut.every((segment) => isComplete(segment, protocol)));
    t.deepEqual(Buffer.concat(cut.map((segment) => segment.subarray(payload))), Buffer.from(data));
  }
  t.deepEqual(from.drops, { oversize: 0, noBuffer: 0, linkDown: 0, invalid: 0, offload: 0 });
});

test('frames of several segments with congestion marks arrive, cut or not', (t) => {
  // Since Linux 6.16 the mark stands for accurate ECN, which the kernel does not hand to a TAP: it cuts such frames.
  const { from, to } = openThree(t);
  const data = pattern(2500);
  const { frame, partial, payload } = marked(V4, TCP, data);
  t.is(send(from, frame, partial, ((SEGMENT_TCP4 | SEGMENT_ECN) << 16) | 1250), 1);
  const { batch, frames } = receive(to);
  const whole = frames.length === 1;
  t.is(batch.segments[0], whole ? ((SEGMENT_TCP4 | SEGMENT_ECN) << 16) | 1250 : 0);
  t.deepEqual(Buffer.concat(frames.map((segment) => segment.subarray(payload))), Buffer.from(data));
});

test('what does not fit the frame is dropped and counted, and the frames after it are sent', (t) => {
  const { from, to } = openThree(t);
  const { frame, partial, transport } = marked(V4, TCP, pattern(3000));
  const tcp = (SEGMENT_TCP4 << 16) | 1000;
  const short = frame.slice(0, transport + 19);
  const headerless = frame.slice();
  headerless[transport + 12] = 0x40;
  const endless = frame.slice(0, transport + 30);
  endless[transport + 12] = 0xf0;
  const words: [Uint8Array, number, number, string][] = [
    [frame, (transport << 16) | (frame.length - 1), 0, 'a checksum field that ends behind the frame'],
    [frame, (60000 << 16) | 60016, 0, 'a checksum that begins behind the frame'],
    [frame, (transport << 16) | (transport - 2), 0, 'a checksum field in front of what is summed'],
    [frame, (4 << 16) | 20, 0, 'a checksum that begins in the Ethernet header'],
    [frame, 0, tcp, 'segments with a complete checksum'],
    [frame, partial, (SEGMENT_TCP4 << 16) | 0, 'segments of no bytes'],
    [frame, partial, (3 << 16) | 1000, 'an unknown kind'],
    [frame, partial, (0x7f04 << 16) | 1000, 'a kind that no header can hold'],
    [frame, partial, ((SEGMENT_UDP | SEGMENT_ECN) << 16) | 1000, 'UDP with marks of TCP'],
    [short, partial, tcp, 'a TCP header that is cut off'],
    [headerless, partial, tcp, 'a TCP header that is too short'],
    [endless, partial, tcp, 'a TCP header that is longer than the frame'],
  ];
  const good = experimentalFrame(60);
  for (const [i, [bytes, itsPartial, itsSegments, what]] of words.entries()) {
    const batch = batchOf([bytes, good]);
    batch.partial[0] = itsPartial;
    batch.segments[0] = itsSegments;
    t.is(from.transmit(batch), 1, what);
    t.is(from.drops.offload, i + 1, what);
    t.deepEqual(receive(to).frames, [good], what);
  }
});

test('without room for its header in front a batch is refused', (t) => {
  const { from, to } = openThree(t);
  const batch = batchOf([experimentalFrame(60)]);
  for (const at of [0, 9]) {
    batch.offsets[0] = at;
    t.throws(() => from.transmit(batch), { code: 'ERR_DEVICE', message: /outside of the memory/ });
    t.throws(() => to.receive(batch), { code: 'ERR_DEVICE', message: /outside of the memory/ });
  }
  batch.offsets[0] = 10;
  batch.memory.set(experimentalFrame(60), 10);
  t.is(from.transmit(batch), 1);
  batch.memory.fill(0);
  t.is(to.receive(batch), 1);
  t.true(isExperimental(batch.memory.subarray(10)));
});

test('frames too long for the room are dropped and counted, whatever the room', (t) => {
  const { from, to } = openThree(t);
  from.transmit(batchOf([100, 101, 99, 1000].map((length) => experimentalFrame(length))));
  const batch = makeBatch(8, 100);
  const lengths = [];
  for (let calls = 0; calls < 4; calls++) {
    const count = to.receive(batch);
    lengths.push(...batch.lengths.subarray(0, count));
  }
  t.deepEqual(lengths, [100, 99]);
  t.is(to.drops.oversize, 2);
});

test('an interface that stays does not remember what its last reader could do', (t) => {
  const namespace = new Namespace(t);
  namespace.ip('tuntap', 'add', 'dev', 'kept0', 'mode', 'tap');
  const there = { name: 'kept0', namespace: namespace.name, existing: true };
  TapDevice.open({ ...there, offload: true }).close();
  const plain = TapDevice.open(there);
  t.teardown(() => plain.close());
  const from = TapDevice.open({ namespace: namespace.name, offload: true });
  t.teardown(() => from.close());
  namespace.bridge('kept0', from.name);
  receiveAll(plain);
  const { frame, partial } = marked(V4, UDP, pattern(501));
  send(from, frame, partial, 0);
  const [complete] = receive(plain).frames;
  t.true(isComplete(complete!, UDP));
});
