import { overhead } from '../services/destination.ts';
import { compare, overheadText, perWeight } from './reasoning.ts';
import type { SchedulerFactory } from './scheduler.ts';
import { leastLoaded } from './weights.ts';

/**
 * Weighted least connections, the default: the eligible destination with the least overhead for its weight, the newest
 * of equals (kernel behaviour: net/netfilter/ipvs/ip_vs_wlc.c).
 */
export const wlc: SchedulerFactory = {
  name: 'wlc',
  create: ({ destinations }) => ({
    schedule: () => leastLoaded(destinations, overhead),
    explain: () => ({
      choice: leastLoaded(destinations, overhead),
      rule: 'the least overhead for its weight; the newest of equals',
      compared: compare(destinations, (destination) =>
        perWeight(overheadText(destination), overhead(destination), destination.weight),
      ),
    }),
  }),
};
