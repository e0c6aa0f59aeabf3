/**
 * Sequence numbers of a TCP connection in which a helper has put longer or shorter text: what each end counts is brought
 * to what the other end has seen, acknowledgements and selective ones (RFC 2018) with it (kernel behaviour:
 * nf_conntrack_seqadj.c, which adjusts what ip_vs_ftp changed).
 */
import type { ApplicationState, SequenceShift } from '../conntrack/application.ts';
import { update32 } from '../packet/checksum.ts';
import type { Packet } from '../packet/dissect.ts';
import * as tcp from '../packet/tcp.ts';

const OPTION_END = 0;
const OPTION_NOTHING = 1;
const OPTION_SACK = 5;
/** Bytes of one block in a SACK option: its two edges. */
const SACK_BLOCK = 8;

/** Whether sequence number `a` lies behind `b` (RFC 9293 3.4). */
function isAfter(a: number, b: number): boolean {
  return ((a - b) | 0) > 0;
}

/**
 * Takes note that the segment with this sequence number was made longer by `difference` bytes. One that was noted before,
 * or is older, changes nothing: it is sent again.
 */
export function noteChange(shift: SequenceShift, sequence: number, difference: number): void {
  if (shift.delta !== shift.previousDelta && !isAfter(sequence, shift.changedAt)) return;
  shift.changedAt = sequence;
  shift.previousDelta = shift.delta;
  shift.delta += difference;
}

/** What a sequence number that the sender used is for the other end. */
function forward(shift: SequenceShift, sequence: number): number {
  return (sequence + (isAfter(sequence, shift.changedAt) ? shift.delta : shift.previousDelta)) >>> 0;
}

/** What a sequence number that the other end acknowledges was for the sender. */
function backward(shift: SequenceShift, sequence: number): number {
  const { delta, previousDelta, changedAt } = shift;
  return (sequence - (isAfter(sequence - previousDelta, changedAt) ? delta : previousDelta)) >>> 0;
}

/**
 * Brings the numbers of the segment at hand, whose TCP header is whole, to what its receiver counts.
 * @param fromServer which way it goes.
 * @param mends whether the checksum is to follow; false when it is computed anew anyway.
 * @returns false for a segment whose options cannot be read: the packet is lost.
 */
export function shiftSequences(
  view: DataView,
  packet: Packet,
  state: ApplicationState,
  fromServer: boolean,
  mends: boolean,
): boolean {
  const at = packet.ip + packet.headerLength;
  const own = fromServer ? state.fromServer : state.fromClient;
  const other = fromServer ? state.fromClient : state.fromServer;
  const check = mends ? at + tcp.TCP_CHECKSUM : 0;
  const sequence = tcp.sequence(view, at);
  replace(view, at + 4, sequence, forward(own, sequence), check);
  if ((packet.tcpFlags & tcp.ACK) === 0) return true;
  const acknowledgement = tcp.acknowledgement(view, at);
  replace(view, at + 8, acknowledgement, backward(other, acknowledgement), check);
  return shiftSack(view, at, packet.length - packet.headerLength, other, check);
}

function shiftSack(view: DataView, at: number, length: number, shift: SequenceShift, check: number): boolean {
  const end = at + Math.min(tcp.headerLength(view, at), length);
  for (let option = at + tcp.TCP_HEADER; option < end; ) {
    const kind = view.getUint8(option);
    if (kind === OPTION_END) return true;
    if (kind === OPTION_NOTHING) {
      option++;
      continue;
    }
    const size = option + 1 < end ? view.getUint8(option + 1) : 0;
    if (size < 2 || option + size > end) return false;
    if (kind === OPTION_SACK && size > 2 && (size - 2) % SACK_BLOCK === 0) {
      for (let edge = option + 2; edge < option + size; edge += 4) {
        // An edge at an odd place in the header has its bytes the other way round in the checksum.
        const value = view.getUint32(edge);
        const shifted = backward(shift, value);
        if (((edge - at) & 1) === 0) replace(view, edge, value, shifted, check);
        else replaceOdd(view, edge, value, shifted, check);
      }
    }
    option += size;
  }
  return true;
}

/** Writes a number and lets the checksum at `check` follow, if that is not 0. */
function replace(view: DataView, at: number, from: number, to: number, check: number): void {
  if (from === to) return;
  view.setUint32(at, to);
  if (check !== 0) view.setUint16(check, update32(view.getUint16(check), from, to));
}

function replaceOdd(view: DataView, at: number, from: number, to: number, check: number): void {
  if (from === to) return;
  view.setUint32(at, to);
  if (check !== 0) view.setUint16(check, update32(view.getUint16(check), swapBytes(from), swapBytes(to)));
}

function swapBytes(value: number): number {
  return ((value & 0x00ff00ff) << 8) | ((value >>> 8) & 0x00ff00ff);
}
