import type { Destination } from '../services/destination.ts';
import { isEligible } from './eligible.ts';
import { delayText, expectedDelay } from './expected-delay.ts';
import { compare } from './reasoning.ts';
import type { SchedulerFactory } from './scheduler.ts';
import { leastLoaded } from './weights.ts';

function neverQueue(destinations: readonly Destination[]): Destination | null {
  for (let i = 0; i < destinations.length; i++) {
    const destination = destinations[i];
    if (destination.activeConns === 0 && isEligible(destination)) return destination;
  }
  return leastLoaded(destinations, expectedDelay);
}

/**
 * Never queue: an eligible destination without active connections if there is one, the newest of them, whatever their
 * weights; else as `sed` (kernel behaviour: net/netfilter/ipvs/ip_vs_nq.c).
 */
export const nq: SchedulerFactory = {
  name: 'nq',
  create: ({ destinations }) => ({
    schedule: () => neverQueue(destinations),
    explain: () => ({
      choice: neverQueue(destinations),
      rule: 'the first without active connections, else the shortest expected delay; the newest of equals',
      compared: compare(destinations, (destination) =>
        destination.activeConns === 0 ? 'no active connections' : delayText(destination),
      ),
    }),
  }),
};
