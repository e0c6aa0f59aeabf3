import { EXPIRES, N_CONTROL, TIMEOUT, TIMER_NEXT, TIMER_PREV } from './layout.ts';

/** Ticks in one slot, as a power of two (4 ticks, 40 ms): an entry fires up to this much late, never early. */
const SLOT_SHIFT = 2;
const SLOTS = 8192;
/** How many slots ahead an entry is filed at most: half the wheel, so that it never lands in the slot being emptied. */
const REACH = SLOTS / 2;
/** Linux's timers that are nearer than so many ticks fire to the tick; from there on each step is this much longer. */
const EXACT_REACH = 64;
const LONGER = 8;

/**
 * How long, in ticks, a row waits for others that hang on it: a template ends with its last connection, if that was used hardly
 * later. To Linux the two are over at once, for its longer timers fire in steps, and of those that fire together the
 * one that was started last comes first (kernel behaviour: calc_wheel_index, with 100 ticks a second). This is half a step.
 */
function patienceOf(timeout: number): number {
  let step = 1;
  for (let reach = EXACT_REACH; reach <= timeout; reach *= LONGER) step *= LONGER;
  return step >> 1;
}

/** How far ahead the first slot is all of whose ticks are more than so many behind the end of this one, as far as the wheel reaches. */
function slotsBehind(ticks: number): number {
  return Math.min(REACH, ((ticks + (1 << SLOT_SHIFT) - 1) >> SLOT_SHIFT) + 1);
}

/**
 * A timer wheel whose entries are connection rows. A packet only writes a later expiry into its row; the wheel notices
 * when the row's slot comes up, and files it again. Only an expiry that came nearer must be told ({@link file}).
 *
 * Slots are doubly linked lists through the rows; in TIMER_PREV the first entry of a slot holds `-1 - slot`, and a row
 * that is in no slot holds 0.
 */
export class TimerWheel {
  readonly #rows: Int32Array;
  readonly #heads = new Int32Array(SLOTS);
  /** The slot to be emptied next, counted from tick 0; its last tick is not over yet or {@link advance} is behind. */
  #position: number;
  readonly #expire: (row: number, tick: number) => void;

  constructor(rows: Int32Array, tick: number, expire: (row: number, tick: number) => void) {
    this.#rows = rows;
    this.#position = tick >> SLOT_SHIFT;
    this.#expire = expire;
  }

  /** Puts a row, which must not be in the wheel, where its EXPIRES belongs. */
  insert(row: number): void {
    const rows = this.#rows;
    let ahead = ((rows[row + EXPIRES] - (this.#position << SLOT_SHIFT)) | 0) >> SLOT_SHIFT;
    if (ahead < 0) ahead = 0;
    if (ahead > REACH) ahead = REACH;
    this.#link(row, ahead);
  }

  #link(row: number, ahead: number): void {
    const rows = this.#rows;
    const slot = (this.#position + ahead) & (SLOTS - 1);
    const next = this.#heads[slot];
    rows[row + TIMER_NEXT] = next;
    rows[row + TIMER_PREV] = -1 - slot;
    if (next !== 0) rows[next + TIMER_PREV] = row;
    this.#heads[slot] = row;
  }

  /** Takes a row out; nothing happens when it is not in. */
  remove(row: number): void {
    const rows = this.#rows;
    const previous = rows[row + TIMER_PREV];
    if (previous === 0) return;
    const next = rows[row + TIMER_NEXT];
    if (previous < 0) this.#heads[-1 - previous] = next;
    else rows[previous + TIMER_NEXT] = next;
    if (next !== 0) rows[next + TIMER_PREV] = previous;
    rows[row + TIMER_PREV] = 0;
  }

  /** Files a row anew after its EXPIRES came nearer. */
  file(row: number): void {
    this.remove(row);
    this.insert(row);
  }

  /**
   * Fires what is due by `tick`, but looks at no more than `budget` rows, so that a million connections that expire in
   * the same second do not stop the loop.
   * @returns whether it got as far as `tick`; when false, call again soon.
   */
  advance(tick: number, budget: number): boolean {
    const rows = this.#rows;
    const now = tick >> SLOT_SHIFT;
    // A slot is emptied when its last tick is over, so that nothing in it can still be early.
    while ((now - this.#position) << SLOT_SHIFT > 0) {
      const slot = this.#position & (SLOTS - 1);
      // Not `tick`: after a long pause, too, everything is over in its order.
      const end = (((this.#position + 1) << SLOT_SHIFT) - 1) | 0;
      for (let row = this.#heads[slot]; row !== 0; row = this.#heads[slot]) {
        if (budget-- === 0) return false;
        this.remove(row);
        const late = (end - rows[row + EXPIRES]) | 0;
        const patience = rows[row + N_CONTROL] === 0 ? 0 : patienceOf(rows[row + TIMEOUT]);
        if (late < 0) this.insert(row);
        else if (late < patience) this.#link(row, slotsBehind(patience - late));
        else this.#expire(row, tick);
      }
      this.#position = ((this.#position + 1) << SLOT_SHIFT) >> SLOT_SHIFT;
    }
    return true;
  }
}
