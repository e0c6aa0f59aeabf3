import type { Destination } from '../services/destination.ts';

/** The greatest common divisor; `gcd(0, n)` is n. */
export function gcd(a: number, b: number): number {
  while (b !== 0) {
    const rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

/**
 * Whether `a * weightA` is greater than `b * weightB`, exactly. A double holds the products only up to 2^53, which a
 * large load times a weight near 2^31 exceeds; then weights are taken in two halves.
 *
 * @param a less than 2^37, as is `b`
 * @param weightA 0 .. 2147483647, as is `weightB`
 */
export function exceeds(a: number, weightA: number, b: number, weightB: number): boolean {
  const left = a * weightA;
  const right = b * weightB;
  if (left <= Number.MAX_SAFE_INTEGER && right <= Number.MAX_SAFE_INTEGER) return left > right;
  const high = a * (weightA >>> 16) - b * (weightB >>> 16);
  const low = a * (weightA & 0xffff) - b * (weightB & 0xffff);
  return high * 65536 > -low;
}

/** A measure of how busy a destination is, not yet divided by its weight. */
export type Load = (destination: Destination) => number;

/**
 * The eligible destination with the least load for its weight (`load / weight`); of equals the first in the list. Null
 * when none is eligible.
 */
export function leastLoaded(destinations: readonly Destination[], load: Load): Destination | null {
  let least: Destination | null = null;
  let leastLoad = 0;
  for (let i = 0; i < destinations.length; i++) {
    const destination = destinations[i];
    if (destination.overloaded || destination.weight <= 0) continue;
    const itsLoad = load(destination);
    if (least === null || exceeds(leastLoad, destination.weight, itsLoad, least.weight)) {
      least = destination;
      leastLoad = itsLoad;
    }
  }
  return least;
}
