/**
 * Time as the frame path knows it: ticks, 32-bit integers that may wrap, compared by the sign of their difference.
 */

/** One tick, in milliseconds. 2^31 ticks are 248 days: longer than any timer (31 days). */
export const TICK_MS = 10;
export const TICKS_PER_SECOND: number = 1000 / TICK_MS;

/** Ticks of whole seconds. */
export function seconds(s: number): number {
  return s * TICKS_PER_SECOND;
}
