import { type Destination, overhead } from '../services/destination.ts';
import { AddressCache } from './address-cache.ts';
import { isSwamped } from './locality.ts';
import { compare, nameOf, overheadText, perWeight, type Reasoning } from './reasoning.ts';
import type { ScheduledPacket, ScheduledService, Scheduler, SchedulerContext, SchedulerFactory } from './scheduler.ts';
import { leastLoaded } from './weights.ts';

class LocalityBasedLeastConnections implements Scheduler {
  readonly #destinations: readonly Destination[];
  readonly #context: SchedulerContext;
  readonly #cache: AddressCache<Destination>;

  constructor(service: ScheduledService, context: SchedulerContext) {
    this.#destinations = service.destinations;
    this.#context = context;
    this.#cache = new AddressCache(service.family, context.now());
  }

  schedule(packet: ScheduledPacket): Destination | null {
    const nowMs = this.#context.now();
    const entry = this.#cache.find(packet.destination);
    if (entry !== null) {
      entry.lastUsedMs = nowMs;
      if (this.#serves(entry.value)) return entry.value;
    }
    const destination = leastLoaded(this.#destinations, overhead);
    if (destination === null) return null;
    if (entry === null) this.#cache.add(packet.destination, destination, nowMs);
    else entry.value = destination;
    return destination;
  }

  #serves(cached: Destination): boolean {
    return cached.available && cached.weight > 0 && !isSwamped(cached, this.#destinations);
  }

  explain(packet: ScheduledPacket): Reasoning {
    const entry = this.#cache.find(packet.destination);
    const kept = entry !== null && this.#serves(entry.value);
    const rule =
      entry === null
        ? 'the destination address is new, so it goes to the least overhead for its weight'
        : kept
          ? `the destination address stays with ${nameOf(entry.value)}, which is not swamped`
          : `${nameOf(entry.value)} had the destination address but cannot keep it, so it goes to the least overhead for its weight`;
    return {
      choice: kept ? entry.value : leastLoaded(this.#destinations, overhead),
      rule,
      compared: compare(this.#destinations, (one) => perWeight(overheadText(one), overhead(one), one.weight)),
    };
  }

  tick(): void {
    this.#cache.tick(this.#context.now(), this.#context.sysctl('lblc_expiration'));
  }
}

/**
 * Locality-based least connections: an address that clients ask for stays with the destination that `wlc` chose for it,
 * until that one has more active connections than weight while another is less than half busy. As with Linux, the upper
 * threshold keeps only new addresses away from a destination, not those that it serves already. Tunable:
 * `lblc_expiration` (kernel behaviour: net/netfilter/ipvs/ip_vs_lblc.c).
 */
export const lblc: SchedulerFactory = {
  name: 'lblc',
  create: (service, context) => new LocalityBasedLeastConnections(service, context),
};
