import { delayText, expectedDelay } from './expected-delay.ts';
import { compare } from './reasoning.ts';
import type { SchedulerFactory } from './scheduler.ts';
import { leastLoaded } from './weights.ts';

/**
 * Shortest expected delay: the eligible destination with the least (active connections + 1) / weight, the newest of
 * equals (kernel behaviour: net/netfilter/ipvs/ip_vs_sed.c).
 */
export const sed: SchedulerFactory = {
  name: 'sed',
  create: ({ destinations }) => ({
    schedule: () => leastLoaded(destinations, expectedDelay),
    explain: () => ({
      choice: leastLoaded(destinations, expectedDelay),
      rule: 'the shortest expected delay; the newest of equals',
      compared: compare(destinations, delayText),
    }),
  }),
};
