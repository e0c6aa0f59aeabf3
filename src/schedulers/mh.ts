import type { Destination } from '../services/destination.ts';
import { SVC_SCHED1, SVC_SCHED2 } from '../services/service.ts';
import { clientKey } from './client-key.ts';
import { isEligible } from './eligible.ts';
import { foldAddress } from './hash32.ts';
import { compare, countOf, ownerText, type Reasoning } from './reasoning.ts';
import type { ScheduledPacket, ScheduledService, Scheduler, SchedulerFactory } from './scheduler.ts';
import { SipHash13 } from './siphash.ts';
import { gcd } from './weights.ts';

/** The kernel's default table size (CONFIG_IP_VS_MH_TAB_INDEX 12), a prime. */
const TABLE_SIZE = 4093;
/** The largest weight, once divided by what all have in common, keeps this many bits. */
const WEIGHT_BITS = 6;

const KEY1 = 2654435761;
const KEY2 = 2654446892;
const OFFSET_HASH = new SipHash13(0, KEY1, 0, KEY1);
const SKIP_HASH = new SipHash13(0, KEY2, 0, KEY2);

/** A destination's claim on the table: where its permutation of the slots stands, and how many slots it takes in a row. */
interface Claim {
  readonly destination: Destination;
  readonly skip: number;
  readonly turns: number;
  slot: number;
}

class MaglevHashing implements Scheduler {
  readonly #service: ScheduledService;
  /** Empty when no destination ever had a weight, else TABLE_SIZE destinations. */
  #table: readonly Destination[] = [];

  constructor(service: ScheduledService) {
    this.#service = service;
    this.#assign();
  }

  schedule(packet: ScheduledPacket): Destination | null {
    const table = this.#table;
    if (table.length === 0) return null;
    const key = clientKey(this.#service, packet);
    const slot = OFFSET_HASH.hash(key, 4) % TABLE_SIZE;
    const destination = table[slot];
    if (isEligible(destination)) return destination;
    return (this.#service.flags & SVC_SCHED1) === 0 ? null : this.#fallback(key, slot);
  }

  explain(packet: ScheduledPacket): Reasoning {
    const table = this.#table;
    const slot = OFFSET_HASH.hash(clientKey(this.#service, packet), 4) % TABLE_SIZE;
    const what = (this.#service.flags & SVC_SCHED2) === 0 ? "the client's address" : "the client's address and port";
    return {
      choice: this.schedule(packet),
      rule: `the hash of ${what} is slot ${slot} of ${TABLE_SIZE}${ownerText(table[slot], (this.#service.flags & SVC_SCHED1) !== 0)}`,
      compared: compare(this.#service.destinations, (one) => `${countOf(table, one)} slots`),
    };
  }

  added(): void {
    this.#assign();
  }

  removed(): void {
    this.#assign();
  }

  updated(): void {
    this.#assign();
  }

  /** Hashes the client again with every offset, from `slot` round, until that gives an eligible destination. */
  #fallback(key: number, slot: number): Destination | null {
    // With nobody eligible the search below would cost thousands of hashes for every connection.
    if (!this.#service.destinations.some(isEligible)) return null;
    for (let i = 0; i < TABLE_SIZE; i++) {
      const offset = (slot + i) % TABLE_SIZE;
      const destination = this.#table[OFFSET_HASH.hash((key + offset) | 0, 4) % TABLE_SIZE];
      if (isEligible(destination)) return destination;
    }
    return null;
  }

  /** The claims of all destinations that ever had a weight, in list order. */
  #claims(): Claim[] {
    const { destinations, family } = this.#service;
    let divisor = 0;
    let max = 0;
    for (const { lastWeight } of destinations) {
      divisor = gcd(lastWeight, divisor);
      if (lastWeight > max) max = lastWeight;
    }
    const shift = Math.max(0, 32 - Math.clz32(max / divisor) - WEIGHT_BITS);
    const claims: Claim[] = [];
    for (const destination of destinations) {
      if (destination.lastWeight === 0) continue;
      const key = (foldAddress(family, destination.words) + destination.port) | 0;
      claims.push({
        destination,
        skip: (SKIP_HASH.hash(key, 4) % (TABLE_SIZE - 1)) + 1,
        turns: (destination.lastWeight / divisor) >> shift || 1,
        slot: OFFSET_HASH.hash(key, 4) % TABLE_SIZE,
      });
    }
    return claims;
  }

  /**
   * Fills the table: in turn, each destination takes the next free slots of its own permutation. Built from the last
   * weight that was not 0, so that taking a destination out of service moves nobody else's clients. Of more than
   * TABLE_SIZE destinations (the kernel refuses them) the newest get a slot each.
   */
  #assign(): void {
    const claims = this.#claims();
    const table: Destination[] = new Array(claims.length === 0 ? 0 : TABLE_SIZE);
    let left = table.length;
    for (let i = 0; left > 0; i = (i + 1) % claims.length) {
      const claim = claims[i];
      for (let turn = 0; turn < claim.turns && left > 0; turn++, left--) {
        while (table[claim.slot] !== undefined) claim.slot = (claim.slot + claim.skip) % TABLE_SIZE;
        table[claim.slot] = claim.destination;
      }
    }
    this.#table = table;
  }
}

/**
 * Maglev hashing: like `sh` a client always meets the same destination, but a change of the destinations moves few
 * clients. Flags: `mh-port` hashes the client's port too; `mh-fallback` looks further when that destination is not
 * eligible, where otherwise the client gets none. The table is the one of a 64-bit kernel, slot for slot (kernel
 * behaviour: net/netfilter/ipvs/ip_vs_mh.c; D. Eisenbud et al., "Maglev", NSDI 2016).
 */
export const mh: SchedulerFactory = {
  name: 'mh',
  create: (service) => new MaglevHashing(service),
};
