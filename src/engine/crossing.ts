/**
 * One queue of a device, for a director in several threads: frames that are another thread's go to it through a ring in
 * shared memory, and those that others have got for this one come in here. The kernel spreads flows over the queues by
 * rules of its own. Of a TAP's it learns from what is sent where a flow belongs, and few frames have to cross; over n packet
 * sockets it spreads them by their hash alone, and of n frames all but one cross. Those that do are handled where their
 * connection is.
 */
import type { Device, FrameBatch } from '../devices/device.ts';
import type { FrameRing } from '../packet/frame-ring.ts';
import { MemoryView } from '../packet/memory-view.ts';
import { ANYBODY, EVERYBODY, type Steering } from './steering.ts';

/** Notes on frames in rings. */
const HANDED = 0;
const OVERHEARD = 1;

/** The rings of one device, by the other thread's number; null for the own one. */
export interface CrossingRings {
  readonly to: readonly (FrameRing | null)[];
  readonly from: readonly (FrameRing | null)[];
}

export class CrossingDevice implements Device {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly checksumOffload: boolean;
  readonly segmentation: number;
  readonly largestFrame: number;
  /** Frames that went to other threads. */
  handedOn = 0;
  /** Decides whose a frame is. */
  steering!: Steering;
  /** Learns from a frame that lies in the batch's memory, and that another thread answers. */
  overhear!: (frame: number, length: number) => void;

  readonly #device: Device;
  readonly #self: number;
  readonly #rings: CrossingRings;
  readonly #notify: (thread: number) => void;
  readonly #memory = new MemoryView();
  #wake: () => void = () => {};
  #wakePending = false;

  /** @param notify lets another thread look into its rings. */
  constructor(device: Device, self: number, rings: CrossingRings, notify: (thread: number) => void) {
    this.name = device.name;
    this.mac = device.mac;
    this.mtu = device.mtu;
    this.checksumOffload = device.checksumOffload ?? false;
    this.segmentation = device.segmentation ?? 0;
    this.largestFrame = device.largestFrame ?? 0;
    this.#device = device;
    this.#self = self;
    this.#rings = rings;
    this.#notify = notify;
  }

  /** Frames that were for another thread, and found no room on the way. */
  get handOnLost(): number {
    return this.#rings.to.reduce((sum, ring) => sum + (ring?.lost ?? 0), 0);
  }

  open(wake: () => void, fail: (error: Error) => void): void {
    this.#device.open(wake, fail);
    this.#wake = wake;
  }

  /** Another thread has put something into a ring: of this device or, when this one has died, of another. */
  wake(): void {
    this.#wake();
  }

  receive(batch: FrameBatch): number {
    const read = this.#device.receive(batch);
    const kept = this.#sort(batch, read);
    const filled = this.#takeIn(batch, kept);
    // Fewer than asked for means that there is no more: here it may only mean that others got the rest.
    if (read === batch.count && filled < batch.count) this.#again();
    return filled;
  }

  /** Keeps what is this thread's of the frames read, and hands on the rest. Returns how many it keeps. */
  #sort(batch: FrameBatch, read: number): number {
    const { offsets, lengths, partial, segments } = batch;
    let kept = 0;
    let crossed = false;
    for (let i = 0; i < read; i++) {
      const owner = this.steering.ownerOf(offsets[i], lengths[i]);
      if (owner !== this.#self && owner !== ANYBODY) {
        crossed = true;
        if (owner !== EVERYBODY) {
          if (this.#push(batch, i, owner, HANDED)) this.handedOn++;
          continue;
        }
        for (let thread = 0; thread < this.#rings.to.length; thread++) this.#push(batch, i, thread, OVERHEARD);
      }
      if (i !== kept) {
        const offset = offsets[kept];
        offsets[kept] = offsets[i];
        offsets[i] = offset;
        lengths[kept] = lengths[i];
        partial[kept] = partial[i];
        segments[kept] = segments[i];
      }
      kept++;
    }
    if (crossed) this.#announce();
    return kept;
  }

  #push({ memory, offsets, lengths, partial, segments }: FrameBatch, i: number, thread: number, note: number): boolean {
    const ring = this.#rings.to[thread];
    if (ring === null) return false;
    return ring.push(this.#memory.of(memory), offsets[i], lengths[i], partial[i], segments[i], note);
  }

  #announce(): void {
    for (let thread = 0; thread < this.#rings.to.length; thread++) {
      const ring = this.#rings.to[thread];
      if (ring !== null && ring.waiting > 0 && ring.announce()) this.#notify(thread);
    }
  }

  /** Fills the batch up with what others have handed over. */
  #takeIn(batch: FrameBatch, kept: number): number {
    const target = this.#memory.of(batch.memory);
    let filled = kept;
    for (const ring of this.#rings.from) {
      if (ring === null) continue;
      ring.attend();
      while (filled < batch.count && ring.next()) {
        const { length, note } = ring;
        batch.lengths[filled] = length;
        batch.partial[filled] = ring.partial;
        batch.segments[filled] = ring.segments;
        ring.moveTo(target, batch.offsets[filled]);
        if (note === OVERHEARD) this.overhear(batch.offsets[filled], length);
        else filled++;
      }
    }
    return filled;
  }

  /** Lets the director look again, when timers and calls had their turn. */
  #again(): void {
    if (this.#wakePending) return;
    this.#wakePending = true;
    setImmediate(() => {
      this.#wakePending = false;
      this.wake();
    });
  }

  transmit(batch: FrameBatch): number {
    return this.#device.transmit(batch);
  }

  close(): void {
    this.#device.close();
  }
}
