import { type Destination, overhead } from '../services/destination.ts';
import { isEligible } from './eligible.ts';
import { compare, overheadText, perWeight } from './reasoning.ts';
import type { SchedulerContext, SchedulerFactory } from './scheduler.ts';
import { exceeds } from './weights.ts';

function totalWeight(destinations: readonly Destination[]): number {
  let total = 0;
  for (let i = 0; i < destinations.length; i++) {
    const destination = destinations[i];
    if (isEligible(destination)) total += destination.weight;
  }
  return total;
}

/** The eligible destination where the weights, added up along the list, reach `mark`; null when none is eligible. */
function reaching(mark: number, destinations: readonly Destination[]): Destination | null {
  let reached: Destination | null = null;
  let sum = 0;
  for (let i = 0; i < destinations.length; i++) {
    const destination = destinations[i];
    if (!isEligible(destination)) continue;
    reached = destination;
    sum += destination.weight;
    if (sum >= mark) break;
  }
  return reached;
}

function betterOfTwo(destinations: readonly Destination[], context: SchedulerContext): Destination | null {
  // Marks run from 0 to the total, both included, so the list's first has one chance more than its weight.
  const marks = totalWeight(destinations) + 1;
  const first = reaching(Math.floor(context.random() * marks), destinations);
  const second = reaching(Math.floor(context.random() * marks), destinations);
  if (first === null || second === null) return null;
  return exceeds(overhead(first), second.weight, overhead(second), first.weight) ? second : first;
}

/**
 * Power of two choices: draws two eligible destinations at random, by weight, and takes the one with the less overhead
 * for its weight (kernel behaviour: net/netfilter/ipvs/ip_vs_twos.c).
 */
export const twos: SchedulerFactory = {
  name: 'twos',
  create: ({ destinations }, context) => ({
    schedule: () => betterOfTwo(destinations, context),
    explain: () => ({
      choice: destinations.some(isEligible) ? undefined : null,
      rule: `two are drawn at random by weight (of ${totalWeight(destinations)} in all), and the one with the less overhead for its weight is taken`,
      compared: compare(destinations, (destination) =>
        perWeight(overheadText(destination), overhead(destination), destination.weight),
      ),
    }),
  }),
};
