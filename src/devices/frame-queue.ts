import { copyBytes, MemoryView } from '../packet/memory-view.ts';
import type { FrameBatch } from './device.ts';

/** Frames that wait, copied into memory of a fixed size; first in, first out. */
export class FrameQueue {
  /** Frames that {@link drain} found longer than the batch's room, and lost. */
  oversize = 0;
  /** The memory that waiting frames lie in. */
  readonly view: DataView;
  /** The largest frame that fits, in bytes. */
  readonly frameBytes: number;
  readonly #lengths: Int32Array;
  readonly #partial: Int32Array;
  readonly #segments: Int32Array;
  readonly #target = new MemoryView();
  #first = 0;
  #count = 0;

  /** @param capacity how many frames may wait. */
  constructor(capacity: number, frameBytes: number) {
    this.frameBytes = frameBytes;
    this.view = new DataView(new ArrayBuffer(capacity * frameBytes));
    this.#lengths = new Int32Array(capacity);
    this.#partial = new Int32Array(capacity);
    this.#segments = new Int32Array(capacity);
  }

  /** How many frames wait. */
  get count(): number {
    return this.#count;
  }

  /** Appends a copy of a frame, with the words of its batch. Returns where it lies in {@link view}, or -1 when there is no room for it. */
  push(from: DataView, at: number, length: number, partial = 0, segments = 0): number {
    if (this.#count === this.#lengths.length || length > this.frameBytes) return -1;
    const index = (this.#first + this.#count) % this.#lengths.length;
    this.#lengths[index] = length;
    this.#partial[index] = partial;
    this.#segments[index] = segments;
    this.#count++;
    copyBytes(from, at, this.view, index * this.frameBytes, length);
    return index * this.frameBytes;
  }

  /** Moves the oldest frame to the end of another queue; a full one loses it. */
  moveTo(queue: FrameQueue): void {
    const index = this.#shift();
    const at = index * this.frameBytes;
    queue.push(this.view, at, this.#lengths[index], this.#partial[index], this.#segments[index]);
  }

  /**
   * Moves the oldest frames into a batch that is being received, of which `filled` entries are filled already, until it
   * is full or none waits. Returns how many are filled then.
   */
  drain(batch: FrameBatch, filled = 0): number {
    const target = this.#target.of(batch.memory);
    let next = filled;
    while (next < batch.count && this.#count > 0) {
      const index = this.#shift();
      const length = this.#lengths[index];
      if (length > batch.room) {
        this.oversize++;
        continue;
      }
      copyBytes(this.view, index * this.frameBytes, target, batch.offsets[next], length);
      batch.partial[next] = this.#partial[index];
      batch.segments[next] = this.#segments[index];
      batch.lengths[next++] = length;
    }
    return next;
  }

  /** Forgets all frames. */
  clear(): void {
    this.#count = 0;
  }

  #shift(): number {
    const index = this.#first;
    this.#first = (index + 1) % this.#lengths.length;
    this.#count--;
    return index;
  }
}
