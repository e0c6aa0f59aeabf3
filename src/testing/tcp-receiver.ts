import { ByteQueue } from './byte-queue.ts';
import { Reassembly } from './reassembly.ts';

/** How many bytes may wait for the reader; the largest window without scaling. */
export const RECEIVE_BUFFER = 65535;

/**
 * The receiving half of a connection: puts segments in order, keeps what the reader has not taken, says how much more
 * may come. Sequence numbers here are unwrapped, as in TcpSender.
 */
export class TcpReceiver {
  /** The sequence number that is expected next (RCV.NXT). */
  next: number;
  /** What came in order and was not read yet. */
  readonly unread: ByteQueue = new ByteQueue();
  readonly #mss: number;
  readonly #early = new Reassembly();
  /** The end of the window that the peer has been told. */
  #edge: number;
  #finSeq: number | undefined;

  constructor(next: number, mss: number) {
    this.next = next;
    this.#edge = next;
    this.#mss = mss;
  }

  /** Whether the peer's FIN, and so all its bytes, have come. */
  get finished(): boolean {
    return this.#finSeq !== undefined && this.next > this.#finSeq;
  }

  /** Whether the peer should be told that the window has opened since it last heard of it. */
  get windowHasOpened(): boolean {
    // Not for every byte that is read (RFC 9293 section 3.8.6.2.2).
    return this.#room - this.#edge >= Math.min(this.#mss, RECEIVE_BUFFER / 2);
  }

  /** The window to put in the next segment. What was once offered is never taken back. */
  advertise(): number {
    if (this.windowHasOpened) this.#edge = this.#room;
    return Math.max(0, this.#edge - this.next);
  }

  /** Whether a segment of `length` at `seq` lies at least partly in the window (RFC 9293 section 3.4). */
  accepts(seq: number, length: number): boolean {
    const window = this.#edge - this.next;
    if (length === 0) return seq === this.next || (seq > this.next && seq < this.#edge);
    return window > 0 && seq < this.#edge && seq + length > this.next;
  }

  /** Takes the bytes of an acceptable segment, and the FIN after them if `fin`. */
  take(seq: number, payload: Uint8Array, fin: boolean): void {
    const end = Math.min(seq + payload.length, this.#edge);
    if (fin && end === seq + payload.length) this.#finSeq ??= end;
    const from = Math.max(seq, this.next);
    // A copy: the reader may write into what it gets, and the frame may have other readers.
    if (from < end) this.#early.add(from, payload.slice(from - seq, end - seq));
    for (let bytes = this.#early.take(this.next); bytes !== undefined; bytes = this.#early.take(this.next)) {
      this.unread.push(bytes);
      this.next += bytes.length;
    }
    if (this.next === this.#finSeq) this.next++;
  }

  get #room(): number {
    return this.next + RECEIVE_BUFFER - this.unread.length;
  }
}
