import type { Destination } from '../services/destination.ts';

/** Whether the destination may be given new connections: it has a weight and is not at its upper threshold. */
export function isEligible(destination: Destination): boolean {
  return destination.weight > 0 && !destination.overloaded;
}
