import { parseMac } from '../address.ts';
import { DirectorError, invalidOption } from '../errors.ts';
import { FrameRing } from '../packet/frame-ring.ts';
import { CUTS_ECN, CUTS_TCP4, CUTS_TCP6, CUTS_UDP4, CUTS_UDP6 } from '../packet/offload.ts';
import type { Device, DeviceTransfer, FrameBatch } from './device.ts';
import { MemoryQueueEnd } from './memory-queue.ts';

/** What of a frame is left to whoever gets it, as a virtio-net header says it (virtio 1.2, 5.1.6). */
export interface FrameOffload {
  /** Where the bytes to be summed begin, counted from the frame's first. */
  readonly checksumStart: number;
  /** Where the checksum goes; the field holds the pseudo header's sum, not complemented. */
  readonly checksumField: number;
  /** `SEGMENT_TCP4` and so on for a frame that stands for several segments. Default 0: it is a single packet. */
  readonly segmentKind?: number;
  /** Bytes of payload in each segment. Default 0. */
  readonly segmentSize?: number;
}

export interface MemoryDeviceOptions {
  readonly name: string;
  /** Default `02:00:00:00:00:01`. */
  readonly mac?: string;
  /** Largest IP packet, in bytes. Default 1500. */
  readonly mtu?: number;
  /** How many frames may wait to be received, 1 .. 65536; one more is lost. Default 1024. */
  readonly capacity?: number;
  /**
   * Whether the other side completes checksums, as a network card does: the frames that it gets are then those that
   * Linux hands to such a card. Default false: every frame is complete.
   */
  readonly checksumOffload?: boolean;
  /**
   * What the other side cuts into segments, as a card does, and may hand over uncut: `CUTS_TCP4` and so on, added up. Needs
   * `checksumOffload`. Default 0: no frame is longer than the MTU allows.
   */
  readonly segmentation?: number;
}

/** Room for a header with one 802.1Q tag beside the packet, and then some, so that oversized frames can be told apart. */
const FRAME_EXTRA = 32;
const LARGEST_PACKET = 65535;
const CUTS_ALL = CUTS_TCP4 | CUTS_TCP6 | CUTS_UDP4 | CUTS_UDP6 | CUTS_ECN;
/** As many frames as may wait at most: their memory is taken at once. */
const MAX_CAPACITY = 65536;

/**
 * A network interface without a network: frames go in by {@link inject} and come out at {@link onTransmit}. Works on
 * any operating system and needs no privileges.
 */
export class MemoryDevice implements Device {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly checksumOffload: boolean;
  readonly segmentation: number;
  readonly largestFrame: number;
  /** Called with a copy of every frame that the director sends, and what of it is left to do, if anything is. */
  onTransmit: ((frame: Uint8Array, left?: FrameOffload) => void) | null = null;

  readonly #slots: Uint8Array[];
  readonly #lengths: Int32Array;
  readonly #partial: Int32Array;
  readonly #segments: Int32Array;
  #first = 0;
  #waiting = 0;
  #wake: (() => void) | null = null;
  #wakePending = false;
  #closed = false;
  #lost = 0;
  /** The queues' ends in this thread, when the director is in others. */
  #ends: readonly MemoryQueueEnd[] = [];

  constructor(options: MemoryDeviceOptions) {
    if (typeof options !== 'object' || options === null) throw invalidOption('options', options, 'an object');
    const { name, mac = '02:00:00:00:00:01', mtu = 1500, capacity = 1024 } = options;
    const { checksumOffload = false, segmentation = 0 } = options;
    if (typeof name !== 'string' || name === '') throw invalidOption('name', name, 'a non-empty string');
    parseMac(mac, 'mac');
    if (!Number.isInteger(mtu) || mtu < 68 || mtu > 65535)
      throw invalidOption('mtu', mtu, 'an integer from 68 to 65535');
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > MAX_CAPACITY)
      throw invalidOption('capacity', capacity, `an integer from 1 to ${MAX_CAPACITY}`);
    if (typeof checksumOffload !== 'boolean') throw invalidOption('checksumOffload', checksumOffload, 'a boolean');
    if (!Number.isInteger(segmentation) || (segmentation & ~CUTS_ALL) !== 0 || (segmentation !== 0 && !checksumOffload))
      throw invalidOption('segmentation', segmentation, `bits of ${CUTS_ALL}, and 0 without checksumOffload`);
    this.name = name;
    this.mac = mac;
    this.mtu = mtu;
    this.checksumOffload = checksumOffload;
    this.segmentation = segmentation;
    this.largestFrame = segmentation === 0 ? mtu + FRAME_EXTRA : LARGEST_PACKET + FRAME_EXTRA;
    const size = mtu + FRAME_EXTRA;
    const memory = new Uint8Array(size * capacity);
    this.#slots = Array.from({ length: capacity }, (_, i) => memory.subarray(i * size, (i + 1) * size));
    this.#lengths = new Int32Array(capacity);
    this.#partial = new Int32Array(capacity);
    this.#segments = new Int32Array(capacity);
  }

  /** How many frames wait to be received. */
  get waiting(): number {
    return this.#ends.reduce((sum, end) => sum + end.waiting, this.#waiting);
  }

  /** Frames that found no room: the queue was full, or the frame longer than an interface of this MTU carries. */
  get lost(): number {
    return this.#ends.reduce((sum, end) => sum + end.lost, this.#lost);
  }

  /**
   * Puts a copy of `frame` on the wire towards the director.
   * @param left what of it is left to do, on a device with `checksumOffload` and, for segments, `segmentation`.
   */
  inject(frame: Uint8Array, left?: FrameOffload): void {
    const capacity = this.#slots.length;
    const end = this.#ends.length === 0 ? null : this.#ends[queueOf(frame, this.#ends.length)];
    if (this.#closed || (end?.waiting ?? this.#waiting) >= capacity || frame.length > this.largestFrame) {
      this.#lost++;
      return;
    }
    const partial = left === undefined ? 0 : (left.checksumStart << 16) | left.checksumField;
    const segments = left === undefined ? 0 : ((left.segmentKind ?? 0) << 16) | (left.segmentSize ?? 0);
    if (end !== null) {
      end.push(frame, partial, segments);
      return;
    }
    const slot = (this.#first + this.#waiting) % capacity;
    // Most frames are no longer than the MTU allows: only where longer ones come slots take the memory for them.
    if (this.#slots[slot].length < frame.length) this.#slots[slot] = new Uint8Array(frame.length);
    this.#slots[slot].set(frame);
    this.#partial[slot] = partial;
    this.#segments[slot] = segments;
    this.#lengths[slot] = frame.length;
    this.#waiting++;
    if (this.#wake !== null && !this.#wakePending) {
      this.#wakePending = true;
      // Never from inside inject: the caller may itself be inside a director's transmit.
      queueMicrotask(() => {
        this.#wakePending = false;
        this.#wake?.();
      });
    }
  }

  open(wake: () => void): void {
    this.#refuseUsed();
    this.#wake = wake;
    if (this.#waiting > 0) queueMicrotask(wake);
  }

  #refuseUsed(): void {
    if (this.#closed) throw new DirectorError('ERR_DEVICE', `device ${this.name} is closed`);
    if (this.#wake !== null || this.#ends.length > 0)
      throw new DirectorError('ERR_DEVICE', `device ${this.name} is in use`);
  }

  receive(batch: FrameBatch): number {
    let filled = 0;
    while (filled < batch.count && this.#waiting > 0) {
      const slot = this.#first;
      const length = this.#lengths[slot];
      this.#first = (slot + 1) % this.#slots.length;
      this.#waiting--;
      if (length > batch.room) {
        this.#lost++;
        continue;
      }
      batch.memory.set(
        length === this.#slots[slot].length ? this.#slots[slot] : this.#slots[slot].subarray(0, length),
        batch.offsets[filled],
      );
      batch.partial[filled] = this.#partial[slot];
      batch.segments[filled] = this.#segments[slot];
      batch.lengths[filled++] = length;
    }
    return filled;
  }

  transmit(batch: FrameBatch): number {
    const sink = this.onTransmit;
    if (sink !== null) {
      for (let i = 0; i < batch.count; i++) {
        const at = batch.offsets[i];
        sink(batch.memory.slice(at, at + batch.lengths[i]), offloadOf(batch.partial[i], batch.segments[i]));
      }
    }
    return batch.count;
  }

  /**
   * For a director in other threads. Frames go on through {@link inject} and {@link onTransmit} here; with several queues
   * those of one flow go by the same.
   */
  transfer(count: number): DeviceTransfer[] {
    this.#refuseUsed();
    const { name, mac, mtu, checksumOffload, segmentation, largestFrame } = this;
    const traits = { name, mac, mtu, checksumOffload, segmentation, largestFrame };
    const bytes = Math.max(this.#slots.length * FrameRing.room(mtu + FRAME_EXTRA), 4 * FrameRing.room(largestFrame));
    this.#ends = Array.from({ length: count }, () => new MemoryQueueEnd(traits, bytes, () => this.collect()));
    for (; this.#waiting > 0; this.#waiting--) {
      const slot = this.#first;
      const frame = this.#slots[slot].subarray(0, this.#lengths[slot]);
      this.#ends[queueOf(frame, count)].push(frame, this.#partial[slot], this.#segments[slot]);
      this.#first = (slot + 1) % this.#slots.length;
    }
    return this.#ends.map((end) => end.transfer);
  }

  collect(): void {
    for (const end of this.#ends) {
      end.collect((frame, partial, segments) => this.onTransmit?.(frame, offloadOf(partial, segments)));
    }
  }

  close(): void {
    for (const end of this.#ends) end.close();
    this.#closed = true;
    this.#wake = null;
    this.#waiting = 0;
  }
}

function offloadOf(partial: number, segments: number): FrameOffload | undefined {
  if (partial === 0) return undefined;
  return {
    checksumStart: partial >>> 16,
    checksumField: partial & 0xffff,
    segmentKind: segments >>> 16,
    segmentSize: segments & 0xffff,
  };
}

/** Where the addresses of IPv4 lie in an untagged frame. */
const FLOW_AT = 26;
const FLOW_END = 34;

/** The queue by which a frame comes when there are several: those between two hosts come by one, as by a network card. */
function queueOf(frame: Uint8Array, queues: number): number {
  let hash = 0;
  for (let i = FLOW_AT; i < FLOW_END && i < frame.length; i++) hash = (Math.imul(hash, 31) + frame[i]) | 0;
  return (hash >>> 0) % queues;
}
