import { ByteQueue } from './byte-queue.ts';
import { RoundTripTimer } from './round-trip-timer.ts';

/** Three duplicates of an acknowledgement mean that a segment was lost (RFC 5681 section 3.2). */
const DUPLICATES = 3;

/** Sends one segment: `payload` at the sequence number `seq`, and the FIN after it if `fin`. */
export type Emit = (seq: number, payload: Uint8Array, fin: boolean) => void;

/**
 * The sending half of a connection: what was written and not yet acknowledged, the peer's window, what to send and
 * what to send again. Sequence numbers here are unwrapped: they go on counting where those on the wire start over.
 *
 * There is no congestion control: the peer's window of at most 64 KiB bounds what is under way.
 */
export class TcpSender {
  /** The oldest sequence number that is not acknowledged (SND.UNA). */
  una: number;
  /** The next one to send (SND.NXT); goes back to `una` when a timeout starts over. */
  next: number;
  /** One beyond the last that was ever sent. */
  max: number;
  /** The largest payload of one segment, in bytes. */
  mss: number;
  readonly roundTrip: RoundTripTimer = new RoundTripTimer();
  readonly #emit: Emit;
  /** Where the written bytes begin: after the SYN. */
  readonly #dataStart: number;
  readonly #queue = new ByteQueue();
  #finSeq: number | undefined;
  #window = 0;
  #largestWindow = 0;
  /** The segment that the window was last taken from (SND.WL1, SND.WL2). */
  #windowSeq = -1;
  #windowAck = -1;
  #duplicates = 0;
  /** No fast retransmission before this is acknowledged (RFC 6582). */
  #recover: number;
  #recovering = false;

  constructor(initialSequence: number, mss: number, emit: Emit) {
    this.una = initialSequence;
    this.next = initialSequence + 1;
    this.max = initialSequence + 1;
    this.#dataStart = initialSequence + 1;
    this.#recover = initialSequence;
    this.mss = mss;
    this.#emit = emit;
  }

  /** How many written bytes are not acknowledged. */
  get buffered(): number {
    return this.#queue.length;
  }
  get window(): number {
    return this.#window;
  }
  /** Whether a FIN follows what was written. */
  get ended(): boolean {
    return this.#finSeq !== undefined;
  }
  /** Whether the SYN has been acknowledged. */
  get synAcknowledged(): boolean {
    return this.una >= this.#dataStart;
  }
  /** Whether our FIN, and so everything, has been acknowledged. */
  get finAcknowledged(): boolean {
    return this.#finSeq !== undefined && this.una > this.#finSeq;
  }
  /** Whether anything is still to be sent or acknowledged. */
  get pending(): boolean {
    return !this.synAcknowledged || this.#queue.length > 0 || (this.#finSeq !== undefined && !this.finAcknowledged);
  }

  /** Where the unacknowledged bytes begin and end. */
  get #start(): number {
    return Math.max(this.una, this.#dataStart);
  }
  get #end(): number {
    return this.#finSeq ?? this.#start + this.#queue.length;
  }

  /** Takes bytes to send; keeps the chunk itself. */
  write(bytes: Uint8Array): void {
    this.#queue.push(bytes);
  }

  /** There will be nothing more to send: a FIN follows the last byte. */
  end(): void {
    this.#finSeq ??= this.#end;
  }

  /** The peer's window, if the segment at `seq` with `ack` is not older than the one it was last taken from. */
  updateWindow(seq: number, ack: number, window: number): void {
    if (seq < this.#windowSeq || (seq === this.#windowSeq && ack < this.#windowAck)) return;
    this.#windowSeq = seq;
    this.#windowAck = ack;
    this.#window = window;
    this.#largestWindow = Math.max(this.#largestWindow, window);
  }

  /** Takes an acknowledgement of something new, `una < ack <= max`. */
  acknowledge(ack: number, nowMs: number): void {
    this.#queue.drop(ack - this.#start);
    this.una = ack;
    this.next = Math.max(this.next, ack);
    this.#duplicates = 0;
    this.roundTrip.acknowledged(ack, nowMs);
    if (!this.#recovering) return;
    if (ack >= this.#recover) this.#recovering = false;
    else this.#resendFirst();
  }

  /** Takes an acknowledgement that says nothing new although something is under way. */
  duplicateAcknowledgement(): void {
    if (++this.#duplicates !== DUPLICATES || this.#recovering || this.una < this.#recover) return;
    this.#recover = this.max;
    this.#recovering = true;
    this.#resendFirst();
  }

  /** Sends what the window allows. */
  flush(nowMs: number): void {
    while (this.#sendNext(nowMs, false));
  }

  /** Nothing came back in time: starts over at the oldest byte, with at least one even into a closed window. */
  startOver(nowMs: number): void {
    this.roundTrip.expired();
    this.#recover = this.max;
    this.#recovering = false;
    this.next = this.una;
    this.#sendNext(nowMs, true);
    this.flush(nowMs);
  }

  /** The path carries only segments of `mss` bytes: sends what is under way again in that size. */
  shrinkTo(mss: number, nowMs: number): void {
    if (mss >= this.mss) return;
    this.mss = mss;
    if (!this.synAcknowledged) return;
    this.roundTrip.resent();
    this.next = this.una;
    this.flush(nowMs);
  }

  #sendNext(nowMs: number, force: boolean): boolean {
    const unsent = this.#end - this.next;
    const usable = this.una + this.#window - this.next;
    let size = Math.max(0, Math.min(unsent, this.mss, force ? Math.max(1, usable) : usable));
    // No small segment only because the window is small (RFC 9293 section 3.8.6.2.1).
    if (!force && size < unsent && size < this.mss && size * 2 < this.#largestWindow) size = 0;
    const fin = this.next + size === this.#finSeq;
    if (size === 0 && !fin) return false;
    const seq = this.next;
    this.next += size + (fin ? 1 : 0);
    if (seq >= this.max) this.roundTrip.sent(this.next, nowMs);
    this.max = Math.max(this.max, this.next);
    this.#emit(seq, this.#queue.copy(seq - this.#start, size), fin);
    return true;
  }

  #resendFirst(): void {
    this.roundTrip.resent();
    const size = Math.min(this.mss, this.#end - this.una);
    this.#emit(this.una, this.#queue.copy(0, size), this.una + size === this.#finSeq);
  }
}
