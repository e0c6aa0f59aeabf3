/**
 * TCP as IPVS follows it (kernel behaviour: net/netfilter/ipvs/ip_vs_proto_tcp.c). The director sees both directions
 * under NAT and only the client's under DR and tunnels, which is what the INPUT-ONLY table is for.
 */
import { ACK, FIN, RST, SYN } from '../packet/tcp.ts';
import { seconds } from '../ticks.ts';

export const TCP_NONE = 0;
export const TCP_ESTABLISHED = 1;
export const TCP_SYN_SENT = 2;
export const TCP_SYN_RECV = 3;
export const TCP_FIN_WAIT = 4;
export const TCP_TIME_WAIT = 5;
export const TCP_CLOSE = 6;
export const TCP_CLOSE_WAIT = 7;
export const TCP_LAST_ACK = 8;
export const TCP_LISTEN = 9;
export const TCP_SYNACK = 10;

/** State names as `ipvsadm -Lc` prints them, by state number. */
export const TCP_STATE_NAMES: readonly string[] = [
  'NONE',
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT',
  'TIME_WAIT',
  'CLOSE',
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'SYNACK',
];

/** A fresh table of timeouts in ticks, by state number. `--set` changes ESTABLISHED and FIN_WAIT. */
export function tcpTimeouts(): Int32Array {
  return Int32Array.from([2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120], seconds);
}

const ACTIVE_STATES = (1 << TCP_ESTABLISHED) | (1 << TCP_SYN_SENT) | (1 << TCP_SYN_RECV) | (1 << TCP_SYNACK);

/** Whether connections in this state count as active. */
export function isActive(state: number): boolean {
  return ((ACTIVE_STATES >> state) & 1) !== 0;
}

/** Whether a client's SYN has begun such a connection, and the handshake is not completed yet. */
export function isOpening(state: number): boolean {
  return state === TCP_SYN_RECV || state === TCP_SYNACK;
}

/** Directions: rows of the tables below. */
export const INPUT = 0;
export const OUTPUT = 1;
export const INPUT_ONLY = 2;

const CODES = ['NO', 'ES', 'SS', 'SR', 'FW', 'TW', 'CL', 'CW', 'LA', 'LI', 'SA'];

/** One line of a table, read from its text: the next state by the present one. */
function row(text: string): number[] {
  return text.split(' ').map((code) => CODES.indexOf(code));
}

/**
 * Next states: for each direction a line each for SYN, FIN, ACK and RST, with a column for each present state in the
 * order of CODES.
 */
const NORMAL = [
  // INPUT
  'SR ES ES SR SR SR SR SR SR SR SR',
  'CL CW SS TW TW TW CL CW LA LI TW',
  'ES ES SS ES FW TW CL CW CL LI ES',
  'CL CL CL SR CL CL CL CL LA LI SR',
  // OUTPUT
  'SS ES SS SR SS SS SS SS SS LI SR',
  'TW FW SS TW FW TW CL TW LA LI TW',
  'ES ES SS ES FW TW CL CW LA ES ES',
  'CL CL SS CL CL TW CL CL CL CL CL',
  // INPUT-ONLY
  'SR ES ES SR SR SR SR SR SR SR SR',
  'CL FW SS TW FW TW CL CW LA LI TW',
  'ES ES SS ES FW TW CL CW CL LI ES',
  'CL CL CL SR CL CL CL CL LA LI CL',
];

/** The same while `secure_tcp` is on: a handshake must be finished by the client to leave SYN_RECV. */
const SECURE = [
  // INPUT
  'SR ES ES SR SR SR SR SR SR SR SA',
  'CL CW SS TW TW TW CL CW LA LI SA',
  'ES ES SS SR FW TW CL CW CL LI SA',
  'CL CL CL SR CL CL CL CL LA LI CL',
  // OUTPUT
  'SS ES SS SA SS SS SS SS SS LI SA',
  'TW FW SS TW FW TW CL TW LA LI TW',
  'ES ES SS ES FW TW CL CW LA ES ES',
  'CL CL SS CL CL TW CL CL CL CL CL',
  // INPUT-ONLY
  'SA ES ES SR SA SA SA SA SA SA SA',
  'CL FW SS TW FW TW CL CW LA LI TW',
  'ES ES SS ES FW TW CL CW CL LI ES',
  'CL CL CL SR CL CL CL CL LA LI CL',
];

/** Which line of a direction is for a segment with these flags: RST counts first, then SYN, FIN, ACK; -1 with none. */
function lineOf(flags: number): number {
  if ((flags & RST) !== 0) return 3;
  if ((flags & SYN) !== 0) return 0;
  if ((flags & FIN) !== 0) return 1;
  return (flags & ACK) !== 0 ? 2 : -1;
}

/** The flags that count, and PSH between them. */
const ALL_FLAGS = 0x1f;
const LINES = 4;
const COLUMNS = 16;
/** The tables flattened, so that one look is enough: `[direction][flags][state]`. */
function flatten(lines: readonly string[]): Uint8Array {
  const directions = lines.length / LINES;
  const table = new Uint8Array(directions * (ALL_FLAGS + 1) * COLUMNS).fill(TCP_CLOSE);
  for (let direction = 0; direction < directions; direction++) {
    for (let flags = 0; flags <= ALL_FLAGS; flags++) {
      const line = lineOf(flags);
      if (line >= 0) table.set(row(lines[direction * LINES + line]), (direction * (ALL_FLAGS + 1) + flags) * COLUMNS);
    }
  }
  return table;
}

export const NORMAL_TABLE: Uint8Array = flatten(NORMAL);
export const SECURE_TABLE: Uint8Array = flatten(SECURE);

/** The state after a packet with these TCP flags. Of several flags RST counts first, then SYN, FIN, ACK; none closes. */
export function nextTcpState(table: Uint8Array, direction: number, state: number, flags: number): number {
  return table[(direction << 9) | ((flags & ALL_FLAGS) << 4) | state];
}
