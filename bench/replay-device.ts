import type { Device, FrameBatch } from '../src/index.ts';

/** A device that hands in the same frames again and again and lets all that it gets go: no system in between. */
export class ReplayDevice implements Device {
  readonly name = 'replay0';
  readonly mac = '02:00:00:00:00:01';
  readonly mtu = 1500;
  readonly #frames: readonly Uint8Array[];
  #next = 0;
  /** How many more frames there are to read. */
  waiting = 0;
  sent = 0;

  constructor(frames: readonly Uint8Array[]) {
    this.#frames = frames;
  }

  open(): void {}
  close(): void {}

  receive(batch: FrameBatch): number {
    const count = Math.min(batch.count, this.waiting);
    for (let i = 0; i < count; i++) {
      const frame = this.#frames[this.#next];
      this.#next = (this.#next + 1) % this.#frames.length;
      batch.memory.set(frame, batch.offsets[i]);
      batch.lengths[i] = frame.length;
    }
    this.waiting -= count;
    return count;
  }

  transmit(batch: FrameBatch): number {
    this.sent += batch.count;
    return batch.count;
  }
}
