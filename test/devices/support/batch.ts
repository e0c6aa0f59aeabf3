import type { Device, FrameBatch } from '../../../src/devices/device.ts';

/** What memory holds that nobody has written to. */
export const UNTOUCHED = 0xa5;
const GAP = 16;

/** A batch of `count` slots of `room` bytes, with a gap in front of, between and behind them, all {@link UNTOUCHED}. */
export function makeBatch(count: number, room = 1600): FrameBatch {
  const stride = room + GAP;
  return {
    memory: new Uint8Array(GAP + count * stride).fill(UNTOUCHED),
    offsets: Int32Array.from({ length: count }, (_, i) => GAP + i * stride),
    lengths: new Int32Array(count),
    partial: new Int32Array(count),
    segments: new Int32Array(count),
    room,
    count,
  };
}

/** A batch that holds the frames. */
export function batchOf(frames: readonly Uint8Array[]): FrameBatch {
  const batch = makeBatch(frames.length, Math.max(0, ...frames.map((frame) => frame.length)));
  frames.forEach((frame, i) => {
    batch.memory.set(frame, batch.offsets[i]);
    batch.lengths[i] = frame.length;
  });
  return batch;
}

/** Copies of the first `count` frames of a batch. */
export function framesOf(batch: FrameBatch, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => {
    const at = batch.offsets[i]!;
    return batch.memory.slice(at, at + batch.lengths[i]!);
  });
}

/** Receives everything that waits, in bursts of `burst`. */
export function receiveAll(device: Device, burst = 64, room = 1600): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (;;) {
    const batch = makeBatch(burst, room);
    const count = device.receive(batch);
    frames.push(...framesOf(batch, count));
    if (count < burst) return frames;
  }
}

/** An ethertype that is nobody's, for local experiments (IEEE 802). */
export const EXPERIMENTAL = 0x88b5;

/** A broadcast frame of `length` bytes that the rest of a network takes no interest in. */
export function experimentalFrame(length: number, fill = 0): Uint8Array {
  const frame = new Uint8Array(length).fill(fill);
  frame.fill(0xff, 0, 6);
  frame.set([0x02, 0, 0, 0, 0, 0x77, EXPERIMENTAL >>> 8, EXPERIMENTAL & 0xff], 6);
  return frame;
}

/** Whether a frame is one of {@link experimentalFrame}. */
export function isExperimental(frame: Uint8Array): boolean {
  return ((frame[12]! << 8) | frame[13]!) === EXPERIMENTAL;
}
