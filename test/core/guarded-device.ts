/**
 * Devices for hostile traffic: frames are written straight into the director's pool, everything around them is filled
 * with canary bytes, and after every burst what nobody had a right to touch is looked at again.
 */
import { type Mac, parseMac } from '../../src/address.ts';
import type { Device, FrameBatch } from '../../src/devices/device.ts';
import { HEADROOM } from '../../src/packet/pool.ts';

const CANARY = 0xa5;
const LINK = 14;
const TAG = 4;
/**
 * Bytes at a slot's beginning that no header in front of a frame reaches: what is left of the headroom by the longest
 * one (IPv6, UDP and GUE with its options, and a VLAN tag).
 */
const UNREACHED = HEADROOM - (40 + 8 + 12) - TAG;
const LONGEST = 65535;
const MTU = 1500;

/** Writes a frame of at most `room` bytes at `at`; returns its length. */
export type FrameWriter = (memory: Uint8Array, view: DataView, at: number, room: number) => number;

/** Says what of the frame of `length` bytes at `at` is left to do: the words of a batch. */
export type OffloadWriter = (
  view: DataView,
  at: number,
  length: number,
) => readonly [partial: number, segments: number];

/** The pool of a director, as its devices see it. */
export class PoolGuard {
  readonly view: DataView;
  readonly #memory: Buffer;
  readonly #canaries: Buffer;
  readonly #offsets: Int32Array;
  readonly #lengths: Int32Array;
  readonly #stride: number;
  readonly #jumboSlot: number;
  readonly #end: number;
  readonly #uncut: number;
  readonly #room: number;
  readonly #growing: boolean;
  readonly #slotFront: number;
  #filled = 0;

  /**
   * @param batch the first that a device was given to fill.
   * @param shared whether frames may grow within their slots, and whether the director may have to cut them.
   */
  constructor({ memory, offsets, room }: FrameBatch, { growing, cuts }: Guarded) {
    this.#room = room;
    this.#slotFront = cuts ? UNREACHED : HEADROOM - TAG;
    this.#growing = growing;
    this.view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
    this.#memory = Buffer.from(memory.buffer, memory.byteOffset, memory.byteLength);
    this.#canaries = Buffer.alloc(memory.byteLength, CANARY);
    this.#offsets = offsets.slice();
    this.#lengths = new Int32Array(offsets.length);
    this.#stride = offsets[1]! - offsets[0]!;
    // Behind the slots of received frames and as many spare ones are two for the longest packet there is: what is put
    // together lies in the first, behind a link header without a tag; what is cut lies in the second.
    this.#jumboSlot = 2 * offsets.length * this.#stride;
    this.#end = this.#jumboSlot + HEADROOM + LINK + LONGEST;
    this.#uncut = this.#jumboSlot + (memory.byteLength - this.#jumboSlot) / 2;
    if (memory.byteLength - this.#end < 16 || UNREACHED < 1) throw new Error('the pool leaves no room for canaries');
  }

  /** Fills a batch with frames among canaries. */
  fill(
    { memory, offsets, lengths, partial, segments, room }: FrameBatch,
    count: number,
    write: FrameWriter,
    leave: OffloadWriter | null,
  ): void {
    this.#memory.fill(CANARY, 0, this.#jumboSlot);
    this.#memory.fill(CANARY, this.#end);
    for (let i = 0; i < count; i++) {
      const at = offsets[i]!;
      const length = write(memory, this.view, at, room);
      this.#lengths[i] = lengths[i] = length;
      this.#memory.fill(CANARY, at + length, at + room);
      if (leave !== null) [partial[i], segments[i]] = leave(this.view, at, length);
    }
    this.#filled = count;
  }

  /** Looks at the burst before: throws when bytes were changed that belong to no frame. */
  check(): void {
    if (this.#filled === 0) return;
    for (let i = 0; i < this.#offsets.length; i++) {
      const at = this.#offsets[i]!;
      const length = this.#growing ? this.#room : this.#lengths[i]!;
      const from = at + (i < this.#filled ? length : 0);
      this.#untouched(from, at - HEADROOM + this.#stride + UNREACHED, `behind received frame ${i}`);
    }
    // Slots for the director's own frames: a whole packet behind a link header with a tag, and no more; but segments may
    // get outer headers.
    for (let slot = this.#offsets.length * this.#stride; slot < this.#jumboSlot; slot += this.#stride) {
      this.#untouched(slot, slot + this.#slotFront, `in front of the frame in slot ${slot / this.#stride}`);
      this.#untouched(slot + HEADROOM + LINK + MTU, slot + this.#stride, `behind slot ${slot / this.#stride}`);
    }
    this.#untouched(this.#end, this.#uncut, 'behind the largest slot');
    this.#untouched(this.#uncut + HEADROOM + LINK + LONGEST, this.#memory.length, 'behind the slot for what is cut');
    this.#filled = 0;
  }

  #untouched(from: number, to: number, where: string): void {
    if (from >= to || this.#memory.compare(this.#canaries, from, to, from, to) === 0) return;
    const at = this.#memory.subarray(from, to).findIndex((byte) => byte !== CANARY);
    throw new Error(`${where}: byte ${at} was written to`);
  }

  /** Every frame that is sent is whole, in one slot: link header, lengths, IPv4 header checksum. */
  inspect(at: number, length: number, mac: Mac): void {
    const { view } = this;
    const end = at < this.#uncut ? this.#end : this.#uncut + HEADROOM + LINK + LONGEST;
    if (at < 0 || at + length > end) throw new Error(`sent ${length} bytes at ${at}`);
    if (at < this.#jumboSlot && Math.floor(at / this.#stride) !== Math.floor((at + length - 1) / this.#stride)) {
      throw new Error(`sent ${length} bytes at ${at}: over the end of a slot`);
    }
    if (view.getUint16(at + 6) !== mac.high || view.getInt32(at + 8) !== mac.low)
      throw new Error('sent from a foreign MAC');
    let header = LINK;
    let type = view.getUint16(at + 12);
    if (type === 0x8100) {
      header += TAG;
      type = view.getUint16(at + 16);
    }
    const packet = at + header;
    const packetLength = length - header;
    if (packetLength > MTU) throw new Error(`sent a packet of ${packetLength} bytes`);
    switch (type) {
      case 0x0806:
        if (packetLength !== 28) throw new Error(`sent ARP of ${packetLength} bytes`);
        return;
      case 0x0800:
        inspectIpv4(view, packet, packetLength);
        return;
      case 0x86dd:
        if (view.getUint8(packet) >>> 4 !== 6 || view.getUint16(packet + 4) + 40 !== packetLength) {
          throw new Error('sent an IPv6 packet of another length than it says');
        }
        return;
      default:
        throw new Error(`sent EtherType ${type}`);
    }
  }
}

/** What is left to the device lies within the frame, and is left only to one that does it. */
function inspectWords(partial: number, segments: number, length: number, mayBeLeft: boolean): void {
  const start = partial >>> 16;
  const field = partial & 0xffff;
  if (partial === 0 ? segments !== 0 : !mayBeLeft || start < LINK || field < start || field + 2 > length) {
    throw new Error(`left to do: ${start} ${field} ${segments} of ${length} bytes`);
  }
}

function inspectIpv4(view: DataView, at: number, length: number): void {
  const headerLength = (view.getUint8(at) & 15) * 4;
  if (view.getUint8(at) >>> 4 !== 4 || headerLength < 20) throw new Error('sent no IPv4 header');
  if (view.getUint16(at + 2) !== length) throw new Error(`sent ${length} bytes that say ${view.getUint16(at + 2)}`);
  let sum = 0;
  for (let i = 0; i < headerLength; i += 2) sum += view.getUint16(at + i);
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  if (sum !== 0xffff) throw new Error('sent a wrong IPv4 header checksum');
}

/** What the devices of one director share. */
export interface Guarded {
  readonly growing: boolean;
  /** Whether frames stand for several segments. */
  readonly cuts: boolean;
  /** Made when the first device receives. */
  guard: PoolGuard | null;
}

export class GuardedDevice implements Device {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number = MTU;
  /** How many frames are to be received yet. */
  left = 0;
  /** Frames sent. */
  sent = 0;
  readonly #mac: Mac;
  readonly #shared: Guarded;
  readonly #write: FrameWriter;
  readonly #leave: OffloadWriter | null;
  readonly checksumOffload: boolean;
  readonly segmentation: number;

  /** @param leave for a device that leaves checksums and segmentation undone, and does them for others. */
  constructor(name: string, mac: string, shared: Guarded, write: FrameWriter, leave: OffloadWriter | null = null) {
    this.name = name;
    this.mac = mac;
    this.#mac = parseMac(mac, 'mac');
    this.#shared = shared;
    this.#write = write;
    this.#leave = leave;
    this.checksumOffload = leave !== null;
    this.segmentation = leave === null ? 0 : 31;
  }

  open(): void {}
  close(): void {}

  receive(batch: FrameBatch): number {
    const guard = (this.#shared.guard ??= new PoolGuard(batch, this.#shared));
    if (this.left === 0) return 0;
    guard.check();
    const count = Math.min(this.left, batch.count);
    guard.fill(batch, count, this.#write, this.#leave);
    this.left -= count;
    return count;
  }

  transmit({ offsets, lengths, partial, segments, count }: FrameBatch): number {
    for (let i = 0; i < count; i++) {
      this.#shared.guard!.inspect(offsets[i]!, lengths[i]!, this.#mac);
      inspectWords(partial[i]!, segments[i]!, lengths[i]!, this.checksumOffload);
    }
    this.sent += count;
    return count;
  }
}
