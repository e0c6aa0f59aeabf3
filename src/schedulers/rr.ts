import type { Destination } from '../services/destination.ts';
import { isEligible } from './eligible.ts';
import { compare, nameOf, type Reasoning } from './reasoning.ts';
import type { ScheduledService, Scheduler, SchedulerFactory } from './scheduler.ts';

/** Before the first destination of the list. */
const HEAD = -1;

class RoundRobin implements Scheduler {
  readonly #destinations: readonly Destination[];
  /** Index of the destination chosen last. */
  #last = HEAD;

  constructor(service: ScheduledService) {
    this.#destinations = service.destinations;
  }

  schedule(): Destination | null {
    const destinations = this.#destinations;
    let index = this.#last;
    // The one chosen last is looked at again, after all others.
    for (let seen = 0; seen < destinations.length; seen++) {
      if (++index >= destinations.length) index = 0;
      const destination = destinations[index];
      if (isEligible(destination)) {
        this.#last = index;
        return destination;
      }
    }
    return null;
  }

  explain(): Reasoning {
    const last = this.#last;
    const choice = this.schedule();
    this.#last = last;
    const destinations = this.#destinations;
    const after =
      last === HEAD ? 'from the head of the list' : `after ${nameOf(destinations[last])}, which was chosen last`;
    return {
      choice,
      rule: `the next in turn ${after}`,
      compared: compare(
        [...destinations.slice(last + 1), ...destinations.slice(0, last + 1)],
        (_, turn) => `number ${turn + 1} in turn`,
      ),
    };
  }

  added(destination: Destination): void {
    if (this.#destinations.indexOf(destination) <= this.#last) this.#last++;
  }

  /** The pointer stays on its destination; when that one went, it moves to the one before it. */
  removed(_destination: Destination, index: number): void {
    if (index <= this.#last) this.#last--;
  }
}

/**
 * Round robin: every connection to the next eligible destination in the list. Weight counts only as zero or not.
 * Editing a destination does not disturb the round (kernel behaviour: net/netfilter/ipvs/ip_vs_rr.c).
 */
export const rr: SchedulerFactory = {
  name: 'rr',
  create: (service) => new RoundRobin(service),
};
