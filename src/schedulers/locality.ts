import type { Destination } from '../services/destination.ts';

/**
 * Whether `lblc` and `lblcr` should take clients away from the destination: it has more active connections than weight
 * while another has less than half as many. (Not the same as `overloaded`, the upper threshold.)
 */
export function isSwamped(destination: Destination, destinations: readonly Destination[]): boolean {
  if (destination.activeConns <= destination.weight) return false;
  for (let i = 0; i < destinations.length; i++) {
    const other = destinations[i];
    if (other.activeConns * 2 < other.weight) return true;
  }
  return false;
}
