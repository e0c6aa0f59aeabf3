import type { Destination } from '../services/destination.ts';

/** How many active connections the destination would have with one more: the load that `sed` and `nq` compare. */
export function expectedDelay(destination: Destination): number {
  return destination.activeConns + 1;
}
