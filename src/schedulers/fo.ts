import type { Destination } from '../services/destination.ts';
import { compare } from './reasoning.ts';
import type { SchedulerFactory } from './scheduler.ts';

function highestWeight(destinations: readonly Destination[]): Destination | null {
  let highest: Destination | null = null;
  let weight = 0;
  for (let i = 0; i < destinations.length; i++) {
    const destination = destinations[i];
    if (!destination.overloaded && destination.weight > weight) {
      highest = destination;
      weight = destination.weight;
    }
  }
  return highest;
}

/**
 * Failover: always the eligible destination with the highest weight, the newest of equals (kernel behaviour:
 * net/netfilter/ipvs/ip_vs_fo.c).
 */
export const fo: SchedulerFactory = {
  name: 'fo',
  create: ({ destinations }) => ({
    schedule: () => highestWeight(destinations),
    explain: () => ({
      choice: highestWeight(destinations),
      rule: 'the highest weight; the newest of equals',
      compared: compare(destinations, ({ weight }) => `weight ${weight}`),
    }),
  }),
};
