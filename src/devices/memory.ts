import { parseMac } from '../address.ts';
import { DirectorError, invalidOption } from '../errors.ts';
import type { Device, FrameBatch } from './device.ts';

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
}

/** Room for a header with one 802.1Q tag beside the packet, and then some, so that oversized frames can be told apart. */
const FRAME_EXTRA = 32;
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
  /** Called with a copy of every frame that the director sends. */
  onTransmit: ((frame: Uint8Array) => void) | null = null;
  /** Frames that found no room: the queue was full, or the frame longer than an interface of this MTU carries. */
  lost = 0;

  readonly #slots: Uint8Array[];
  readonly #lengths: Int32Array;
  #first = 0;
  #waiting = 0;
  #wake: (() => void) | null = null;
  #wakePending = false;
  #closed = false;

  constructor(options: MemoryDeviceOptions) {
    if (typeof options !== 'object' || options === null) throw invalidOption('options', options, 'an object');
    const { name, mac = '02:00:00:00:00:01', mtu = 1500, capacity = 1024, checksumOffload = false } = options;
    if (typeof name !== 'string' || name === '') throw invalidOption('name', name, 'a non-empty string');
    parseMac(mac, 'mac');
    if (!Number.isInteger(mtu) || mtu < 68 || mtu > 65535)
      throw invalidOption('mtu', mtu, 'an integer from 68 to 65535');
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > MAX_CAPACITY)
      throw invalidOption('capacity', capacity, `an integer from 1 to ${MAX_CAPACITY}`);
    if (typeof checksumOffload !== 'boolean') throw invalidOption('checksumOffload', checksumOffload, 'a boolean');
    this.name = name;
    this.mac = mac;
    this.mtu = mtu;
    this.checksumOffload = checksumOffload;
    const size = mtu + FRAME_EXTRA;
    const memory = new Uint8Array(size * capacity);
    this.#slots = Array.from({ length: capacity }, (_, i) => memory.subarray(i * size, (i + 1) * size));
    this.#lengths = new Int32Array(capacity);
  }

  /** How many frames wait to be received. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Puts a copy of `frame` on the wire towards the director. */
  inject(frame: Uint8Array): void {
    const capacity = this.#slots.length;
    if (this.#closed || this.#waiting === capacity || frame.length > this.mtu + FRAME_EXTRA) {
      this.lost++;
      return;
    }
    const slot = (this.#first + this.#waiting) % capacity;
    this.#slots[slot].set(frame);
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
    if (this.#closed) throw new DirectorError('ERR_DEVICE', `device ${this.name} is closed`);
    if (this.#wake !== null) throw new DirectorError('ERR_DEVICE', `device ${this.name} is in use`);
    this.#wake = wake;
    if (this.#waiting > 0) queueMicrotask(wake);
  }

  receive(batch: FrameBatch): number {
    let filled = 0;
    while (filled < batch.count && this.#waiting > 0) {
      const slot = this.#first;
      const length = this.#lengths[slot];
      this.#first = (slot + 1) % this.#slots.length;
      this.#waiting--;
      if (length > batch.room) {
        this.lost++;
        continue;
      }
      batch.memory.set(
        length === this.#slots[slot].length ? this.#slots[slot] : this.#slots[slot].subarray(0, length),
        batch.offsets[filled],
      );
      batch.lengths[filled++] = length;
    }
    return filled;
  }

  transmit(batch: FrameBatch): number {
    const sink = this.onTransmit;
    if (sink !== null) {
      for (let i = 0; i < batch.count; i++) {
        const at = batch.offsets[i];
        sink(batch.memory.slice(at, at + batch.lengths[i]));
      }
    }
    return batch.count;
  }

  close(): void {
    this.#closed = true;
    this.#wake = null;
    this.#waiting = 0;
  }
}
