import type { Destination } from '../services/destination.ts';
import { compare, nameOf, type Reasoning } from './reasoning.ts';
import type { ScheduledService, Scheduler, SchedulerFactory } from './scheduler.ts';
import { gcd } from './weights.ts';

/** Before the first destination of the list. */
const HEAD = -1;
/** No destination. */
const NONE = -2;

class WeightedRoundRobin implements Scheduler {
  readonly #destinations: readonly Destination[];
  /** Index of the destination chosen last. */
  #last = HEAD;
  /** What a destination must weigh to be chosen in this pass of the list: 1 .. `#maxThreshold`. */
  #threshold = 0;
  /** Where the threshold starts; 0 when no destination has a weight. */
  #maxThreshold = 0;
  /** How much the threshold falls from pass to pass: the greatest common divisor of the weights. */
  #step = 1;

  constructor(service: ScheduledService) {
    this.#destinations = service.destinations;
    this.#measure();
    this.#threshold = this.#maxThreshold;
  }

  schedule(): Destination | null {
    if (this.#maxThreshold === 0) return null;
    const destinations = this.#destinations;
    const start = this.#last;
    let index = start;
    let stop = NONE;
    let restarted = false;
    let lastPass = false;
    for (;;) {
      while (++index < destinations.length) {
        const destination = destinations[index];
        if (!destination.overloaded && destination.weight >= this.#threshold) {
          this.#last = index;
          return destination;
        }
        if (index === stop) {
          this.#last = index;
          return null;
        }
      }
      this.#lowerThreshold();
      if (this.#threshold <= 0) {
        this.#threshold = this.#maxThreshold;
        // Every destination has been looked at with the lowest threshold.
        if (lastPass || start === HEAD) {
          this.#last = HEAD;
          return null;
        }
        restarted = true;
      }
      lastPass = this.#threshold <= this.#step;
      if (lastPass && restarted) stop = start;
      index = HEAD;
    }
  }

  explain(): Reasoning {
    const last = this.#last;
    const threshold = this.#threshold;
    const choice = this.schedule();
    const reached = this.#threshold;
    this.#last = last;
    this.#threshold = threshold;
    const destinations = this.#destinations;
    const after = last === HEAD ? 'the head of the list' : `${nameOf(destinations[last])}, which was chosen last`;
    return {
      choice,
      rule: `the next after ${after}, that weighs at least the threshold of the present pass, ${reached}`,
      compared: compare(destinations, ({ weight }) => `weight ${weight}`),
    };
  }

  added(): void {
    this.#changed();
  }

  removed(): void {
    this.#changed();
  }

  updated(): void {
    this.#changed();
  }

  /**
   * Lowers the threshold for the next pass, over all the passes at once in which nobody could be chosen: weights may be
   * as high as 2^31 - 1. The last pass, at `#step` or less, is never left out.
   */
  #lowerThreshold(): void {
    let goal = this.#step;
    for (let i = 0; i < this.#destinations.length; i++) {
      const destination = this.#destinations[i];
      if (!destination.overloaded && destination.weight > goal) goal = destination.weight;
    }
    const passes = Math.max(1, Math.ceil((this.#threshold - goal) / this.#step));
    this.#threshold -= passes * this.#step;
  }

  /** Starts at the head of the list again, with the threshold kept where it was as far as the new weights allow. */
  #changed(): void {
    this.#last = HEAD;
    this.#measure();
    const step = this.#step;
    if (this.#threshold > this.#maxThreshold || this.#threshold === 0) this.#threshold = this.#maxThreshold;
    else if (step > 1) this.#threshold = Math.floor(this.#threshold / step) * step + 1;
  }

  #measure(): void {
    let step = 0;
    let max = 0;
    for (const { weight } of this.#destinations) {
      step = gcd(weight, step);
      if (weight > max) max = weight;
    }
    this.#step = step || 1;
    this.#maxThreshold = max - (this.#step - 1);
  }
}

/**
 * Weighted round robin: passes over the list with a falling threshold, so that a destination of weight 3 gets three
 * connections while one of weight 1 gets one, interleaved. Any change of the destinations starts the list anew but keeps
 * the threshold, so the order in which they were added decides the phase (kernel behaviour:
 * net/netfilter/ipvs/ip_vs_wrr.c).
 */
export const wrr: SchedulerFactory = {
  name: 'wrr',
  create: (service) => new WeightedRoundRobin(service),
};
