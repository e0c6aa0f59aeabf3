/**
 * The memory that all frames live in. A frame is an offset and a length; only integers cross layers.
 *
 * Every slot has headroom in front of the frame, so that an outer header or a VLAN tag is written in front of a packet
 * by moving its start back instead of copying it. Slots are not a power of two apart: at 2048 bytes all frames of a
 * burst fall into the same cache sets, which costs up to 1.5 times the work on them.
 */

/** Bytes in front of a received frame: IPv6 + UDP + GUE with its options + 802.1Q fit, and IP headers are 16-byte aligned. */
export const HEADROOM = 66;
/** Frames received at once. Bursts of 16 to 256 perform alike; 64 keeps a burst in the second-level cache. */
export const BURST = 64;
/** Slots for frames that the director makes itself: replies, errors, fragments. Running out only means sending early. */
const SPARE = 64;
/** The largest IP packet there can be, which is what a reassembled one may need. */
const JUMBO = 65535;
const CACHE_LINE = 64;

export class FramePool {
  readonly memory: Uint8Array;
  readonly view: DataView;
  /** Offsets at which received frames begin. */
  readonly receiveOffsets: Int32Array = new Int32Array(BURST);
  /** Bytes that a received frame may have. */
  readonly room: number;
  readonly #spareOffsets = new Int32Array(SPARE);
  readonly #stride: number;
  #sparesUsed = 0;
  /** Where the frame begins in the one slot that holds a datagram of any size. */
  readonly jumbo: number;
  /** Where that slot begins: no frame at or behind it can wait, since there is only the one. */
  readonly jumboSlot: number;

  /** @param largestMtu the largest MTU of the devices, in bytes. */
  constructor(largestMtu: number) {
    this.room = largestMtu + 32;
    let stride = Math.ceil((HEADROOM + this.room) / CACHE_LINE);
    if (stride % 2 === 0) stride++; // an odd number of cache lines visits every cache set
    stride *= CACHE_LINE;
    this.#stride = stride;
    const slots = BURST + SPARE;
    this.memory = new Uint8Array(slots * stride + HEADROOM + JUMBO + CACHE_LINE);
    this.view = new DataView(this.memory.buffer);
    for (let i = 0; i < BURST; i++) this.receiveOffsets[i] = i * stride + HEADROOM;
    for (let i = 0; i < SPARE; i++) this.#spareOffsets[i] = (BURST + i) * stride + HEADROOM;
    this.jumboSlot = slots * stride;
    this.jumbo = this.jumboSlot + HEADROOM;
  }

  /** The start of a slot for a frame of the director's own, or -1 when all are waiting to be sent. */
  takeSpare(): number {
    return this.#sparesUsed === SPARE ? -1 : this.#spareOffsets[this.#sparesUsed++];
  }

  /** Where the slot ends that the offset `at` lies in. */
  slotEnd(at: number): number {
    if (at >= this.jumboSlot) return this.memory.length;
    return (Math.floor(at / this.#stride) + 1) * this.#stride;
  }

  /** Everything has been sent: all spare slots are free again. */
  releaseSpares(): void {
    this.#sparesUsed = 0;
  }
}
