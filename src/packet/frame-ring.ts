/**
 * Frames from one thread to another, through shared memory: one thread writes, one reads, nobody waits for a lock. The ring
 * is bounded; what finds no room in it is lost and counted.
 *
 * A frame lies in one piece behind its own header, so that large and small ones share the memory without slots.
 */
import { copyBytes } from './memory-view.ts';

/** Words in front of the frames. WRITTEN and READ count bytes, and wrap; each is written by one side only. */
const WRITTEN = 0;
const PUSHED = 1;
const LOST = 2;
const READ = 16; // on a cache line of its own: the other side writes it
const TAKEN = 17;
const NOTIFIED = 32;
const HEADER_WORDS = 48;
/** Words in front of each frame: how many bytes it takes here (0: the next one is at the beginning), length, and the rest. */
const RECORD_WORDS = 5;

export class FrameRing {
  /** What the other thread makes its end of. */
  readonly memory: SharedArrayBuffer;
  /** The frame that {@link next} has found: where it begins in {@link view}, its length, and what was said of it. */
  at = 0;
  length = 0;
  partial = 0;
  segments = 0;
  note = 0;
  readonly view: DataView;
  readonly #words: Int32Array;
  readonly #bytes: number;
  #size = 0;

  private constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
    this.view = new DataView(memory);
    this.#bytes = memory.byteLength - HEADER_WORDS * 4;
  }

  /** @param bytes room for frames and their headers of 20 bytes; rounded up to a power of two. */
  static of(bytes: number): FrameRing {
    return new FrameRing(new SharedArrayBuffer(HEADER_WORDS * 4 + 2 ** Math.ceil(Math.log2(bytes))));
  }

  /** The other end of a ring. */
  static at(memory: SharedArrayBuffer): FrameRing {
    return new FrameRing(memory);
  }

  /** How many bytes of a ring a frame of this length takes. */
  static room(length: number): number {
    return (RECORD_WORDS * 4 + length + 3) & ~3;
  }

  /** How many frames wait. */
  get waiting(): number {
    return (Atomics.load(this.#words, PUSHED) - Atomics.load(this.#words, TAKEN)) | 0;
  }

  /** How many frames were ever pushed; wraps. */
  get pushed(): number {
    return Atomics.load(this.#words, PUSHED);
  }

  /** Frames that found no room, or that {@link lose} was told of. */
  get lost(): number {
    return Atomics.load(this.#words, LOST) >>> 0;
  }

  /** Counts a frame as lost. */
  lose(): void {
    Atomics.add(this.#words, LOST, 1);
  }

  /**
   * The writer's: appends a copy of a frame.
   * @param note a number that goes with it.
   * @returns whether there was room.
   */
  push(from: DataView, at: number, length: number, partial = 0, segments = 0, note = 0): boolean {
    const words = this.#words;
    const size = FrameRing.room(length);
    let written = words[WRITTEN];
    const free = this.#bytes - ((written - Atomics.load(words, READ)) | 0);
    let place = written & (this.#bytes - 1);
    const toEnd = this.#bytes - place;
    const skipped = size > toEnd ? toEnd : 0;
    if (size + skipped > free) {
      this.lose();
      return false;
    }
    if (skipped > 0) {
      words[HEADER_WORDS + place / 4] = 0;
      written = (written + skipped) | 0;
      place = 0;
    }
    const record = HEADER_WORDS + place / 4;
    words[record] = size;
    words[record + 1] = length;
    words[record + 2] = partial;
    words[record + 3] = segments;
    words[record + 4] = note;
    copyBytes(from, at, this.view, (record + RECORD_WORDS) * 4, length);
    Atomics.add(words, PUSHED, 1);
    Atomics.store(words, WRITTEN, (written + size) | 0);
    return true;
  }

  /** The writer's, after pushing: whether the reader has to be woken. It is not while it has not {@link attend}ed. */
  announce(): boolean {
    return Atomics.exchange(this.#words, NOTIFIED, 1) === 0;
  }

  /** The reader's, before reading: from now on it must be woken again for what comes. */
  attend(): void {
    Atomics.store(this.#words, NOTIFIED, 0);
  }

  /** The reader's: looks at the oldest frame, which stays until {@link take}. Returns false when there is none. */
  next(): boolean {
    const words = this.#words;
    let read = words[READ];
    if (read === Atomics.load(words, WRITTEN)) return false;
    let record = HEADER_WORDS + (read & (this.#bytes - 1)) / 4;
    if (words[record] === 0) {
      read = (read + this.#bytes - (read & (this.#bytes - 1))) | 0;
      Atomics.store(words, READ, read);
      record = HEADER_WORDS;
    }
    this.#size = words[record];
    this.length = words[record + 1];
    this.partial = words[record + 2];
    this.segments = words[record + 3];
    this.note = words[record + 4];
    this.at = (record + RECORD_WORDS) * 4;
    return true;
  }

  /** The reader's: lets go of the frame that {@link next} has found. */
  take(): void {
    const words = this.#words;
    words[TAKEN] = (words[TAKEN] + 1) | 0;
    Atomics.store(words, READ, (words[READ] + this.#size) | 0);
  }

  /** The reader's: moves the oldest frame to `to[at]`. */
  moveTo(to: DataView, at: number): void {
    copyBytes(this.view, this.at, to, at, this.length);
    this.take();
  }
}
