/**
 * What is counted of the TCP handshakes with a server: indices of `Destination.handshakes`. All of it is seen at changes of a
 * connection's state, at SYNs and when its time is over, never at other packets.
 *
 * Under NAT both directions come by; with DR and tunnels only the client's, so that there nothing is known of what
 * the server sends.
 */
import { RST, SYN } from '../packet/tcp.ts';
import { EXPIRES, FLAGS, IN_PKTS, SYN_ANSWERED, TIMEOUT } from './layout.ts';
import { INPUT, isOpening, TCP_CLOSE, TCP_ESTABLISHED } from './tcp-state.ts';

/** Connections that a client's SYN has begun. */
export const STARTED = 0;
/** Those whose client has completed the handshake. */
export const COMPLETED = 1;
/** NAT: those whose SYN the server has answered by SYN and ACK. */
export const ANSWERED = 2;
/** NAT: of these those that were answered before the SYN came again, so that it is known which was answered... */
export const TIMED = 3;
/** ... and the ticks that it took all of them together. */
export const TIMED_TICKS = 4;
/** Those whose SYN came again, because nothing had answered it (NAT), or the client had not completed the handshake. */
export const REPEATED = 5;
/** NAT: those whose SYN the server has answered by a reset. */
export const REFUSED = 6;
/** NAT: established ones that the server has reset. */
export const RESET = 7;
/** Those whose time was over with the SYN unanswered (NAT), or without the handshake's being completed. */
export const EXPIRED = 8;

export const HANDSHAKE_COUNTS = 9;

/**
 * Counts what a segment tells of its connection's handshake. Called for SYNs and changes of state alone.
 * @param counts those of the connection's server.
 * @param direction INPUT or OUTPUT.
 * @param state the connection's state before the segment, and `next` the one after it.
 * @param tick the time.
 */
export function countSegment(
  counts: Float64Array,
  rows: Int32Array,
  row: number,
  direction: number,
  state: number,
  next: number,
  tcpFlags: number,
  tick: number,
): void {
  const wasOpening = isOpening(state);
  if (direction === INPUT) {
    const isAnswered = (rows[row + FLAGS] & SYN_ANSWERED) !== 0;
    if (isOpening(next) && !wasOpening) {
      rows[row + FLAGS] &= ~SYN_ANSWERED;
      counts[STARTED]++;
      // The client's packets are counted after this.
    } else if (wasOpening && (tcpFlags & SYN) !== 0 && rows[row + IN_PKTS] === 1 && !isAnswered) {
      counts[REPEATED]++;
    }
  } else if (wasOpening && (tcpFlags & RST) !== 0) {
    counts[REFUSED]++;
  } else if (wasOpening && (tcpFlags & SYN) !== 0 && (rows[row + FLAGS] & SYN_ANSWERED) === 0) {
    rows[row + FLAGS] |= SYN_ANSWERED;
    counts[ANSWERED]++;
    if (rows[row + IN_PKTS] === 1) {
      counts[TIMED]++;
      counts[TIMED_TICKS] += (tick - (rows[row + EXPIRES] - rows[row + TIMEOUT])) | 0;
    }
  } else if (state === TCP_ESTABLISHED && next === TCP_CLOSE && (tcpFlags & RST) !== 0) {
    counts[RESET]++;
  }
  if (wasOpening && next === TCP_ESTABLISHED) counts[COMPLETED]++;
}
