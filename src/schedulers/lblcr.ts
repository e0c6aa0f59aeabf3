import { type Destination, overhead } from '../services/destination.ts';
import { AddressCache } from './address-cache.ts';
import { isSwamped } from './locality.ts';
import { compare, nameOf, overheadText, perWeight, type Reasoning } from './reasoning.ts';
import type { ScheduledPacket, ScheduledService, Scheduler, SchedulerContext, SchedulerFactory } from './scheduler.ts';
import { exceeds, leastLoaded } from './weights.ts';

/** How many deleted destinations a set may hold, so that it stays bounded when they come and go for ever. */
const MAX_DELETED = 64;

/** The destinations that serve one address, the one that joined last first. Deleted ones stay: they may come back. */
interface ServerSet {
  members: Destination[];
  modifiedMs: number;
}

/** The least loaded member that can be used, for its weight. */
function leastOf({ members }: ServerSet): Destination | null {
  let least: Destination | null = null;
  for (const member of members) {
    if (member.overloaded || member.weight <= 0 || !member.available) continue;
    if (least === null || exceeds(overhead(least), member.weight, overhead(member), least.weight)) least = member;
  }
  return least;
}

/** The most loaded member with a weight, for its weight. */
function mostOf({ members }: ServerSet): Destination | null {
  let most: Destination | null = null;
  for (const member of members) {
    if (member.weight <= 0) continue;
    if (most === null || exceeds(overhead(member), most.weight, overhead(most), member.weight)) most = member;
  }
  return most;
}

class LocalityBasedLeastConnectionsWithReplication implements Scheduler {
  readonly #destinations: readonly Destination[];
  readonly #context: SchedulerContext;
  readonly #cache: AddressCache<ServerSet>;

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
      const member = leastOf(entry.value);
      this.#shrink(entry.value, nowMs);
      if (member !== null && !isSwamped(member, this.#destinations)) return member;
    }
    const destination = leastLoaded(this.#destinations, overhead);
    if (destination === null) return null;
    if (entry === null) this.#cache.add(packet.destination, { members: [destination], modifiedMs: nowMs }, nowMs);
    else this.#join(entry.value, destination, nowMs);
    return destination;
  }

  explain(packet: ScheduledPacket): Reasoning {
    const entry = this.#cache.find(packet.destination);
    const member = entry === null ? null : leastOf(entry.value);
    const kept = member !== null && !isSwamped(member, this.#destinations);
    const rule =
      entry === null
        ? 'the destination address is new, so it goes to the least overhead for its weight'
        : kept
          ? `of the ${entry.value.members.length} that serve the destination address ${nameOf(member)} has the least overhead for its weight, and is not swamped`
          : 'none of those that serve the destination address can take more, so the least overhead for its weight joins them';
    return {
      choice: kept ? member : leastLoaded(this.#destinations, overhead),
      rule,
      compared: compare(this.#destinations, (one) => perWeight(overheadText(one), overhead(one), one.weight)),
    };
  }

  tick(): void {
    this.#cache.tick(this.#context.now(), this.#expirationSeconds());
  }

  /** A set that has not changed for long loses its most loaded member. */
  #shrink(set: ServerSet, nowMs: number): void {
    if (set.members.length < 2 || nowMs <= set.modifiedMs + this.#expirationSeconds() * 1000) return;
    const most = mostOf(set);
    if (most === null) return;
    set.members.splice(set.members.indexOf(most), 1);
    set.modifiedMs = nowMs;
  }

  #join(set: ServerSet, destination: Destination, nowMs: number): void {
    if (set.members.includes(destination)) return;
    if (set.members.length >= this.#destinations.length + MAX_DELETED) {
      set.members = set.members.filter((member) => member.available);
    }
    set.members.unshift(destination);
    set.modifiedMs = nowMs;
  }

  #expirationSeconds(): number {
    return this.#context.sysctl('lblcr_expiration');
  }
}

/**
 * Locality-based least connections with replication: as `lblc`, but an address may be served by several destinations;
 * another one joins when the least loaded of them is swamped, and the most loaded one leaves when the set has not
 * changed for `lblcr_expiration` (kernel behaviour: net/netfilter/ipvs/ip_vs_lblcr.c).
 */
export const lblcr: SchedulerFactory = {
  name: 'lblcr',
  create: (service, context) => new LocalityBasedLeastConnectionsWithReplication(service, context),
};
