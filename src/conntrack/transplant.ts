/** Rows that come from another table: a director's predecessor, or the table that a rehearsal stands in for. */
import type { ApplicationState } from './application.ts';
import type { Connections } from './connections.ts';
import type { EngineIdentity } from './engine-templates.ts';
import {
  CADDR,
  CONTROL,
  ENGINE,
  EXPIRES,
  FLAGS,
  HASHED,
  META,
  N_CONTROL,
  NEXT,
  PORTS,
  TIMER_NEXT,
  TIMER_PREV,
} from './layout.ts';

/**
 * Makes a row with the words of another: its ends, state, flags, destination, mark and packets. It hangs on nothing, nothing
 * hangs on it, and its timer does not run yet.
 * @param words where the other row is, at `at`.
 * @param expires when it expires, in ticks.
 * @param identity of a template of a persistence engine (ENGINE); else null.
 * @returns its row, or 0 when the table is full.
 */
export function plant(
  to: Connections,
  words: Int32Array,
  at: number,
  expires: number,
  identity: EngineIdentity | null,
): number {
  const { table, engines } = to;
  const { rows, stride, width, vaddr } = table;
  const row = table.allocate();
  if (row === 0) return 0;
  for (let i = 0; i < stride; i++) rows[row + i] = words[at + i];
  for (const link of [NEXT, TIMER_NEXT, TIMER_PREV, CONTROL, N_CONTROL]) rows[row + link] = 0;
  rows[row + EXPIRES] = expires;
  const isFound = (rows[row + FLAGS] & HASHED) !== 0;
  rows[row + FLAGS] &= ~HASHED;
  if (identity !== null && (rows[row + FLAGS] & ENGINE) !== 0) {
    const key = keyOf(rows, row + CADDR, row + vaddr, width);
    engines.add(row, (rows[row + META] >>> 16) & 0xff, key, rows[row + PORTS] & 0xffff, identity);
  }
  if (isFound) table.hash(row);
  return row;
}

/** An address at 0 and another at 4, as tables of templates take them. */
export function keyOf(words: Int32Array, first: number, second: number, width: number): Int32Array {
  const key = new Int32Array(8);
  for (let i = 0; i < width; i++) {
    key[i] = words[first + i];
    key[4 + i] = words[second + i];
  }
  return key;
}

/** Lets a helper know of a connection what another knew. */
export function copyApplication(from: ApplicationState, to: ApplicationState): void {
  to.mode = from.mode;
  Object.assign(to.fromClient, from.fromClient);
  Object.assign(to.fromServer, from.fromServer);
}
