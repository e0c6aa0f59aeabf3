/**
 * The memory that all frames live in. A frame is an offset and a length; only integers cross layers.
 *
 * Every slot has headroom in front of the frame, so that an outer header or a VLAN tag is written in front of a packet
 * by moving its start back instead of copying it. Slots are not a power of two apart: at 2048 bytes all frames of a
 * burst fall into the same cache sets, which costs up to 1.5 times the work on them. Slots of 64 KiB, for devices that hand
 * over uncut frames, cost small packets nothing, since of each only the pages that frames reach are touched: 441 ns a packet through
 * a whole director against 439 (DR), 486 against 484 (NAT).
 */

/** Bytes in front of a received frame: IPv6 + UDP + GUE with its options + 802.1Q fit, and IP headers are 16-byte aligned. */
export const HEADROOM = 66;
/** Frames received at once. Bursts of 16 to 256 perform alike; 64 keeps a burst in the second-level cache. */
export const BURST = 64;
/** Slots for frames that the director makes itself: replies, errors, fragments, segments. Running out only means sending early. */
const SPARE = 64;
/** The largest IP packet there can be, which is what a reassembled one may need. */
const JUMBO = 65535;
const CACHE_LINE = 64;
/** Beside the IP packet: link headers, and room to tell that a frame is too long. */
const FRAME_EXTRA = 32;

export class FramePool {
  readonly memory: Uint8Array;
  readonly view: DataView;
  /** Offsets at which received frames begin. */
  readonly receiveOffsets: Int32Array = new Int32Array(BURST);
  /** Bytes that a received frame may have. */
  readonly room: number;
  /** Bytes that an IP packet in a spare slot may have. */
  readonly spareRoom: number;
  readonly #spareOffsets = new Int32Array(SPARE);
  readonly #receiveStride: number;
  #sparesUsed = 0;
  /** Where the frame begins in the one slot that holds a datagram of any size. */
  readonly jumbo: number;
  /** The same of the slot for segments that are to be sent in fragments. */
  readonly uncut: number;
  /** Where those slots begin: no frame at or behind it can wait, since there is only one of each. */
  readonly jumboSlot: number;

  /**
   * @param largestMtu the largest MTU of the devices, in bytes.
   * @param largestFrame the longest frame that a device may hand over, in bytes, where that is more.
   */
  constructor(largestMtu: number, largestFrame = 0) {
    this.spareRoom = largestMtu;
    this.room = Math.max(largestMtu + FRAME_EXTRA, largestFrame);
    this.#receiveStride = strideFor(this.room);
    const spareStride = strideFor(largestMtu + FRAME_EXTRA);
    const jumboStride = strideFor(JUMBO + FRAME_EXTRA);
    const spares = BURST * this.#receiveStride;
    this.jumboSlot = spares + SPARE * spareStride;
    this.jumbo = this.jumboSlot + HEADROOM;
    this.uncut = this.jumbo + jumboStride;
    this.memory = new Uint8Array(this.jumboSlot + 2 * jumboStride);
    this.view = new DataView(this.memory.buffer);
    for (let i = 0; i < BURST; i++) this.receiveOffsets[i] = i * this.#receiveStride + HEADROOM;
    for (let i = 0; i < SPARE; i++) this.#spareOffsets[i] = spares + i * spareStride + HEADROOM;
  }

  /** The start of a slot for a frame of the director's own, or -1 when all are waiting to be sent. */
  takeSpare(): number {
    return this.#sparesUsed === SPARE ? -1 : this.#spareOffsets[this.#sparesUsed++];
  }

  /** Where the slot ends that the offset `at` lies in: one of a received frame, or of a datagram that was put together. */
  slotEnd(at: number): number {
    if (at >= this.jumboSlot) return this.uncut - HEADROOM;
    return (Math.floor(at / this.#receiveStride) + 1) * this.#receiveStride;
  }

  /** Everything has been sent: all spare slots are free again. */
  releaseSpares(): void {
    this.#sparesUsed = 0;
  }
}

/** Bytes from one slot to the next, for frames of at most `room` bytes. */
function strideFor(room: number): number {
  const lines = Math.ceil((HEADROOM + room) / CACHE_LINE);
  return (lines % 2 === 0 ? lines + 1 : lines) * CACHE_LINE; // an odd number of cache lines visits every cache set
}
