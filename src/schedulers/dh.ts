import type { Destination } from '../services/destination.ts';
import { isEligible } from './eligible.ts';
import { foldAddress, hash32 } from './hash32.ts';
import { compare, countOf, ownerText, type Reasoning } from './reasoning.ts';
import type { ScheduledPacket, ScheduledService, Scheduler, SchedulerFactory } from './scheduler.ts';

const TABLE_BITS = 8;
const TABLE_SIZE = 1 << TABLE_BITS;

class DestinationHashing implements Scheduler {
  readonly #service: ScheduledService;
  /** The destinations over and over in list order: empty, or TABLE_SIZE of them. */
  #table: readonly Destination[] = [];

  constructor(service: ScheduledService) {
    this.#service = service;
    this.#assign();
  }

  schedule(packet: ScheduledPacket): Destination | null {
    const table = this.#table;
    if (table.length === 0) return null;
    const destination = table[hash32(foldAddress(this.#service.family, packet.destination), TABLE_BITS)];
    return isEligible(destination) ? destination : null;
  }

  explain(packet: ScheduledPacket): Reasoning {
    const table = this.#table;
    const bucket = hash32(foldAddress(this.#service.family, packet.destination), TABLE_BITS);
    return {
      choice: this.schedule(packet),
      rule: `the hash of the destination address is bucket ${bucket} of ${TABLE_SIZE}${ownerText(table[bucket], false)}`,
      compared: compare(this.#service.destinations, (one) => `${countOf(table, one)} buckets`),
    };
  }

  added(): void {
    this.#assign();
  }

  removed(): void {
    this.#assign();
  }

  #assign(): void {
    const { destinations } = this.#service;
    const size = destinations.length === 0 ? 0 : TABLE_SIZE;
    this.#table = Array.from({ length: size }, (_, i) => destinations[i % destinations.length]);
  }
}

/**
 * Destination hashing: an address that clients ask for is always served by the same destination (caches behind a
 * firewall-mark service). Weight counts only as zero or not; there is no fallback (kernel behaviour:
 * net/netfilter/ipvs/ip_vs_dh.c).
 */
export const dh: SchedulerFactory = {
  name: 'dh',
  create: (service) => new DestinationHashing(service),
};
