import type { Destination } from '../services/destination.ts';
import { perWeight } from './reasoning.ts';

/** How many active connections the destination would have with one more: the load that `sed` and `nq` compare. */
export function expectedDelay(destination: Destination): number {
  return destination.activeConns + 1;
}

/** The delay that `sed` compares, worked out in words. */
export function delayText(destination: Destination): string {
  return perWeight(`${destination.activeConns} active + 1`, expectedDelay(destination), destination.weight);
}
