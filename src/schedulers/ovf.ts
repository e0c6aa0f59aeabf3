import type { Destination } from '../services/destination.ts';
import { compare } from './reasoning.ts';
import type { SchedulerFactory } from './scheduler.ts';

function highestNotFull(destinations: readonly Destination[]): Destination | null {
  let highest: Destination | null = null;
  let weight = 0;
  for (let i = 0; i < destinations.length; i++) {
    const destination = destinations[i];
    if (destination.overloaded || destination.activeConns > destination.weight) continue;
    if (destination.weight > weight) {
      highest = destination;
      weight = destination.weight;
    }
  }
  return highest;
}

/**
 * Overflow: fills the eligible destination with the highest weight until its active connections exceed that weight,
 * then the next one. None when all are full (kernel behaviour: net/netfilter/ipvs/ip_vs_ovf.c).
 */
export const ovf: SchedulerFactory = {
  name: 'ovf',
  create: ({ destinations }) => ({
    schedule: () => highestNotFull(destinations),
    explain: () => ({
      choice: highestNotFull(destinations),
      rule: 'the highest weight among those with no more active connections than weight; the newest of equals',
      compared: compare(destinations, ({ weight, activeConns }) =>
        activeConns > weight
          ? `weight ${weight}, full with ${activeConns} active`
          : `weight ${weight}, ${activeConns} active`,
      ),
    }),
  }),
};
