/** SCTP as IPVS follows it, by the first chunk of each packet (kernel behaviour: ip_vs_proto_sctp.c). */
import { seconds } from '../ticks.ts';

/** State names as `ipvsadm -Lc` prints them, by state number. */
export const SCTP_STATE_NAMES: readonly string[] = [
  'NONE',
  'INIT1',
  'INIT',
  'C-SENT',
  'C-REPLIED',
  'C-WAIT',
  'COOKIE',
  'C-ECHOED',
  'ESTABLISHED',
  'S-SENT',
  'S-RECEIVED',
  'S-ACK-SENT',
  'REJECTED',
  'CLOSED',
];

export const SCTP_INIT1 = 1;
export const SCTP_INIT = 2;
export const SCTP_ESTABLISHED = 8;
export const SCTP_CLOSED = 13;

/** A fresh table of timeouts in ticks, by state number. */
export function sctpTimeouts(): Int32Array {
  return Int32Array.from([2, 4, 61, 61, 61, 61, 61, 61, 900, 61, 61, 61, 4, 61], seconds);
}

const EVENT_DATA = 0;

/** Events by chunk type: rows of the tables below. Every type that is not named counts as data. */
const EVENTS: readonly number[] = [
  EVENT_DATA, // DATA
  1, // INIT
  2, // INIT ACK
  EVENT_DATA, // SACK
  EVENT_DATA, // HEARTBEAT
  EVENT_DATA, // HEARTBEAT ACK
  9, // ABORT
  5, // SHUTDOWN
  6, // SHUTDOWN ACK
  8, // ERROR
  3, // COOKIE ECHO
  4, // COOKIE ACK
  EVENT_DATA, // ECNE
  EVENT_DATA, // CWR
  7, // SHUTDOWN COMPLETE
];

const CODES = ['NO', 'I1', 'IN', 'CS', 'CR', 'CW', 'CO', 'CE', 'ES', 'SS', 'SR', 'SA', 'RJ', 'CL'];

/**
 * Next states: for INPUT, OUTPUT and INPUT-ONLY a line each for the events DATA, INIT, INIT ACK, COOKIE ECHO, COOKIE ACK,
 * SHUTDOWN, SHUTDOWN ACK, SHUTDOWN COMPLETE, ERROR, ABORT, with a column for each present state in the order of CODES.
 */
const TABLE = [
  // INPUT
  'ES I1 IN CS CR CW CO CE ES SS SR SA RJ CL',
  'I1 IN IN CS CR CW CO CE ES SS SR SA IN IN',
  'CW CW CW CS CR CO CO CE ES SS SR SA RJ CL',
  'CR IN IN CR CR CW CO CE ES SS SR SA RJ CL',
  'ES I1 IN CS CR CW CO ES ES SS SR SA RJ CL',
  'SR I1 IN CS CR CW CO CE SR SS SR SA RJ CL',
  'CL IN IN CS CR CW CO CE ES CL SR CL RJ CL',
  'CL CL CL CS CR CW CO CE ES SS SR CL RJ CL',
  'CL I1 IN CS CR CW CO CL ES SS SR SA RJ CL',
  'CL CL CL CL CL RJ CL CL CL CL CL CL CL CL',
  // OUTPUT
  'ES I1 IN CS CR CW CO CE ES SS SR SA RJ CL',
  'CW CW CW CW CW CW CW CW ES CW CW CW CW CW',
  'CS CS CS CS CR CW CO CE ES SS SR SA RJ CL',
  'CE CE CE CE CE CE CE CE ES SS SR SA RJ CL',
  'ES ES ES ES ES ES ES ES ES SS SR SA RJ CL',
  'SS SS SS SS SS SS SS SS SS SS SR SA RJ CL',
  'SA SA SA SA SA CW CO CE ES SA SA SA RJ CL',
  'CL I1 IN CS CR CW CO CE ES SS SR SA RJ CL',
  'CL CL CL CL CL CW CO CE ES SS SR SA RJ CL',
  'CL RJ CL CL CL CL CL CL CL CL CL CL CL CL',
  // INPUT-ONLY
  'ES I1 IN CS CR ES CO CE ES SS SR SA RJ CL',
  'I1 IN IN IN IN IN CO CE ES SS SR SA IN IN',
  'CE CE CE CE CE CE CO CE ES SS SR SA RJ CL',
  'ES ES ES ES ES ES CO CE ES SS SR SA RJ CL',
  'ES I1 IN ES ES CW ES ES ES SS SR SA RJ CL',
  'SR I1 IN CS CR CW CO CE SR SS SR SA RJ CL',
  'CL IN IN CS CR CW CO CE CL CL SR CL RJ CL',
  'CL CL CL CL CL CW CO CE ES SS CL CL RJ CL',
  'CL I1 IN CS CR CW CO CE ES SS SR SA RJ CL',
  'CL CL CL CL CL RJ CL CL CL CL CL CL CL CL',
];

const COLUMNS = 16;
const EVENTS_PER_DIRECTION = 10;
const NEXT = new Uint8Array(TABLE.length * COLUMNS);
for (const [i, line] of TABLE.entries()) {
  NEXT.set(
    line.split(' ').map((code) => CODES.indexOf(code)),
    i * COLUMNS,
  );
}

/** The state after a packet whose leading chunk is of this type. */
export function nextSctpState(direction: number, state: number, chunk: number): number {
  const event = EVENTS[chunk] ?? EVENT_DATA;
  return NEXT[(direction * EVENTS_PER_DIRECTION + event) * COLUMNS + state];
}
