import { type Clock, SystemClock } from '../clock.ts';
import { invalidOption } from '../errors.ts';
import { MemoryView } from '../packet/memory-view.ts';
import type { Device, FrameBatch } from './device.ts';
import { FrameQueue } from './frame-queue.ts';
import { checkInteger, checkKeys } from './options.ts';
import { WrappedDevice } from './wrapped.ts';

/** How likely each fault is, as a probability from 0 to 1. Default 0. */
export interface FaultRates {
  /** The frame vanishes. */
  readonly loss?: number;
  /** The frame comes twice. */
  readonly duplication?: number;
  /** The frame comes after the one that follows it, or, when none does in time, late. */
  readonly reordering?: number;
  /**
   * One bit of the frame is wrong. Of a frame whose checksum is not complete yet it is one of the checksum: a bit elsewhere
   * would be summed up as if it were right.
   */
  readonly corruption?: number;
}

export interface FaultOptions {
  /** What the device does is the same for the same seed and the same frames. 0 .. 4294967295, default 1. */
  readonly seed?: number;
  /** Faults on the way to the director. Default: none. */
  readonly receive?: FaultRates;
  /** Faults on the way from the director. Default: none. */
  readonly transmit?: FaultRates;
  /** How long a reordered frame waits for the next one, in milliseconds. Default 10. */
  readonly holdMs?: number;
  /** Default: the machine's clock. */
  readonly clock?: Clock;
}

/** How many frames met which fault. */
export interface FaultCounts {
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly corrupted: number;
}

const KNOWN_RATES = ['loss', 'duplication', 'reordering', 'corruption'];
const KNOWN = ['seed', 'receive', 'transmit', 'holdMs', 'clock'];
const BURST = 64;
/** Bursts taken from the device for one that is asked for. */
const ROUNDS = 16;
/** Ethernet header, two tags, and room to tell that a frame is too long. */
const FRAME_EXTRA = 32;

/** A pseudo-random generator with 32 bits of state (mulberry32): numbers from 0 to 1, 1 excluded. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** One direction of the wire: frames go in, and what is left of them waits in `queue`. */
class FaultyLine {
  /** Room for a burst of which every frame comes twice, and the one held back from the burst before. */
  readonly queue: FrameQueue;
  readonly counts = { lost: 0, duplicated: 0, reordered: 0, corrupted: 0 };
  readonly #held: FrameQueue;
  readonly #rates: Required<FaultRates>;
  readonly #random: () => number;

  constructor(rates: Required<FaultRates>, frameBytes: number, random: () => number) {
    this.queue = new FrameQueue(2 * BURST + 1, frameBytes);
    this.#held = new FrameQueue(1, frameBytes);
    this.#rates = rates;
    this.#random = random;
  }

  pass(view: DataView, batch: FrameBatch, i: number): void {
    const length = batch.lengths[i];
    // The same draws for every frame, whatever comes of it: a change of one rate changes nothing of the others' faults.
    const lost = this.#random() < this.#rates.loss;
    const copies = this.#random() < this.#rates.duplication ? 2 : 1;
    const late = this.#random() < this.#rates.reordering;
    const corrupted = this.#random() < this.#rates.corruption;
    const anywhere = Math.floor(this.#random() * length * 8);
    if (lost || length > this.queue.frameBytes) {
      this.counts.lost++;
      return;
    }
    const field = batch.partial[i] & 0xffff;
    const wrongBit = !corrupted ? -1 : field === 0 ? anywhere : field * 8 + (anywhere & 15);
    if (copies === 2) this.counts.duplicated++;
    if (corrupted) this.counts.corrupted++;
    if (late && this.#held.count === 0) {
      this.counts.reordered++;
      this.#push(this.#held, view, batch, i, wrongBit);
      // Of a doubled frame one copy comes in time.
      if (copies === 2) this.#push(this.queue, view, batch, i, wrongBit);
      return;
    }
    for (let copy = 0; copy < copies; copy++) this.#push(this.queue, view, batch, i, wrongBit);
    this.release();
  }

  /** Lets the frame go that is held back, if there is one. */
  release(): void {
    if (this.#held.count > 0) this.#held.moveTo(this.queue);
  }

  #push(queue: FrameQueue, view: DataView, batch: FrameBatch, i: number, wrongBit: number): void {
    const start = queue.push(view, batch.offsets[i], batch.lengths[i], batch.partial[i], batch.segments[i]);
    if (wrongBit < 0 || start < 0) return;
    const wrong = start + (wrongBit >>> 3);
    queue.view.setUint8(wrong, queue.view.getUint8(wrong) ^ (1 << (wrongBit & 7)));
  }
}

/** Wraps a device and loses, doubles, reorders and corrupts frames on it, the same way every time: for tests. */
export class FaultDevice extends WrappedDevice {
  readonly #in: FaultyLine;
  readonly #out: FaultyLine;
  readonly #burst: FrameBatch;
  readonly #burstView: DataView;
  readonly #view = new MemoryView();
  readonly #clock: Clock;
  readonly #holdMs: number;
  #wake: (() => void) | undefined;
  #wakePending = false;
  #stopTimer: (() => void) | undefined;

  /** @throws DirectorError ERR_INVALID_OPTION */
  constructor(device: Device, options: FaultOptions = {}) {
    super(device);
    checkKeys(options, KNOWN);
    const { seed = 1, receive = {}, transmit = {}, holdMs = 10, clock = new SystemClock() } = options;
    checkInteger('seed', seed, 0, 0xffffffff);
    this.#holdMs = checkInteger('holdMs', holdMs, 1, 60_000);
    this.#clock = clock;
    const frameBytes = Math.max(device.mtu + FRAME_EXTRA, device.largestFrame ?? 0);
    this.#in = new FaultyLine(checkRates('receive', receive), frameBytes, generator(seed));
    this.#out = new FaultyLine(checkRates('transmit', transmit), frameBytes, generator(~seed));
    const memory = new Uint8Array(BURST * frameBytes);
    this.#burst = {
      memory,
      offsets: Int32Array.from({ length: BURST }, (_, i) => i * frameBytes),
      lengths: new Int32Array(BURST),
      partial: new Int32Array(BURST),
      segments: new Int32Array(BURST),
      room: frameBytes,
      count: BURST,
    };
    this.#burstView = new DataView(memory.buffer);
  }

  /** What happened to frames on the way to the director. */
  get received(): FaultCounts {
    return { ...this.#in.counts };
  }

  /** What happened to frames on the way from the director. */
  get transmitted(): FaultCounts {
    return { ...this.#out.counts };
  }

  override open(wake: () => void, fail: (error: Error) => void): void {
    super.open(wake, fail);
    this.#wake = wake;
    this.#stopTimer = this.#clock.every(this.#holdMs, () => {
      this.#out.release();
      this.#send();
      this.#in.release();
      if (this.#in.queue.count > 0) wake();
    });
  }

  receive(batch: FrameBatch): number {
    let filled = this.#in.queue.drain(batch);
    let more = true;
    // A bounded number of rounds: all frames of a flood may be lost here, and the flood need not end.
    for (let round = 0; more && filled < batch.count && round < ROUNDS; round++) {
      more = this.#pull();
      filled = this.#in.queue.drain(batch, filled);
    }
    if (this.#in.queue.count > 0 || (more && filled < batch.count)) this.#callWake();
    return filled;
  }

  transmit(batch: FrameBatch): number {
    const view = this.#view.of(batch.memory);
    for (let i = 0; i < batch.count; i++) {
      this.#out.pass(view, batch, i);
      if (this.#out.queue.count >= BURST) this.#send();
    }
    this.#send();
    return batch.count;
  }

  override close(): void {
    this.#stopTimer?.();
    this.#wake = undefined;
    this.#in.queue.clear();
    super.close();
  }

  /** Takes one burst from the device. Returns whether there may be more. */
  #pull(): boolean {
    this.#burst.count = BURST;
    const filled = this.device.receive(this.#burst);
    for (let i = 0; i < filled; i++) this.#in.pass(this.#burstView, this.#burst, i);
    return filled === BURST;
  }

  #send(): void {
    while (this.#out.queue.count > 0) {
      this.#burst.count = BURST;
      this.#burst.count = this.#out.queue.drain(this.#burst);
      this.device.transmit(this.#burst);
    }
  }

  /** For what waits here the device below will not call. */
  #callWake(): void {
    if (this.#wakePending) return;
    this.#wakePending = true;
    setImmediate(() => {
      this.#wakePending = false;
      this.#wake?.();
    });
  }
}

function checkRates(direction: string, rates: FaultRates): Required<FaultRates> {
  checkKeys(rates, KNOWN_RATES);
  for (const [key, rate] of Object.entries(rates)) {
    if (!(rate >= 0 && rate <= 1)) throw invalidOption(`${direction}.${key}`, rate, 'a probability from 0 to 1');
  }
  return { loss: 0, duplication: 0, reordering: 0, corruption: 0, ...rates };
}
