import type { Destination } from '../services/destination.ts';
import { SVC_SCHED1, SVC_SCHED2 } from '../services/service.ts';
import { clientKey } from './client-key.ts';
import { isEligible } from './eligible.ts';
import { hash32 } from './hash32.ts';
import { compare, countOf, ownerText, type Reasoning } from './reasoning.ts';
import type { ScheduledPacket, ScheduledService, Scheduler, SchedulerFactory } from './scheduler.ts';

const TABLE_BITS = 8;
const TABLE_SIZE = 1 << TABLE_BITS;
const TABLE_MASK = TABLE_SIZE - 1;

class SourceHashing implements Scheduler {
  readonly #service: ScheduledService;
  /** Empty, or TABLE_SIZE destinations. */
  #table: readonly Destination[] = [];

  constructor(service: ScheduledService) {
    this.#service = service;
    this.#assign();
  }

  schedule(packet: ScheduledPacket): Destination | null {
    const table = this.#table;
    if (table.length === 0) return null;
    const hash = hash32(clientKey(this.#service, packet), TABLE_BITS);
    const destination = table[hash];
    if (isEligible(destination)) return destination;
    return (this.#service.flags & SVC_SCHED1) === 0 ? null : this.#fallback(hash);
  }

  explain(packet: ScheduledPacket): Reasoning {
    const table = this.#table;
    const bucket = hash32(clientKey(this.#service, packet), TABLE_BITS);
    const what = (this.#service.flags & SVC_SCHED2) === 0 ? "the client's address" : "the client's address and port";
    return {
      choice: this.schedule(packet),
      rule: `the hash of ${what} is bucket ${bucket} of ${TABLE_SIZE}${ownerText(table[bucket], (this.#service.flags & SVC_SCHED1) !== 0)}`,
      compared: compare(this.#service.destinations, (one) => `${countOf(table, one)} buckets`),
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

  /** The search goes once round, but starts at twice the hash: the kernel adds the hash to an offset that begins with it. */
  #fallback(hash: number): Destination | null {
    for (let i = 0; i < TABLE_SIZE; i++) {
      const destination = this.#table[(2 * hash + i) & TABLE_MASK];
      if (isEligible(destination)) return destination;
    }
    return null;
  }

  /** Every destination takes as many buckets in a row as its weight, at least one, round and round until all are full. */
  #assign(): void {
    const { destinations } = this.#service;
    const table: Destination[] = [];
    if (destinations.length > 0) {
      for (let i = 0; table.length < TABLE_SIZE; i = (i + 1) % destinations.length) {
        const destination = destinations[i];
        const buckets = Math.min(Math.max(destination.weight, 1), TABLE_SIZE - table.length);
        for (let n = 0; n < buckets; n++) table.push(destination);
      }
    }
    this.#table = table;
  }
}

/**
 * Source hashing: a client always meets the same destination. Flags: `sh-port` hashes the client's port too;
 * `sh-fallback` looks further when that destination is not eligible, where otherwise the client gets none (kernel
 * behaviour: net/netfilter/ipvs/ip_vs_sh.c).
 */
export const sh: SchedulerFactory = {
  name: 'sh',
  create: (service) => new SourceHashing(service),
};
