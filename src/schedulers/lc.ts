import { type Destination, overhead } from '../services/destination.ts';
import { isEligible } from './eligible.ts';
import { compare, overheadText } from './reasoning.ts';
import type { SchedulerFactory } from './scheduler.ts';

function leastConnections(destinations: readonly Destination[]): Destination | null {
  let least: Destination | null = null;
  let leastOverhead = 0;
  for (let i = 0; i < destinations.length; i++) {
    const destination = destinations[i];
    if (!isEligible(destination)) continue;
    const itsOverhead = overhead(destination);
    if (least === null || itsOverhead < leastOverhead) {
      least = destination;
      leastOverhead = itsOverhead;
    }
  }
  return least;
}

/**
 * Least connections: the eligible destination with the least overhead, the newest of equals. Weight counts only as zero
 * or not (kernel behaviour: net/netfilter/ipvs/ip_vs_lc.c).
 */
export const lc: SchedulerFactory = {
  name: 'lc',
  create: ({ destinations }) => ({
    schedule: () => leastConnections(destinations),
    explain: () => ({
      choice: leastConnections(destinations),
      rule: 'the least overhead, 256 for an active connection and 1 for an inactive one; the newest of equals',
      compared: compare(destinations, overheadText),
    }),
  }),
};
