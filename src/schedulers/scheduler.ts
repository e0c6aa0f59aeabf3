import type { Family, Words } from '../address.ts';
import type { Destination } from '../services/destination.ts';
import type { Reasoning } from './reasoning.ts';

/**
 * What a scheduler may know of the packet that opens a connection. The director reuses one such object: it is valid
 * only during the call.
 */
export interface ScheduledPacket {
  readonly family: Family;
  /** IP protocol number. */
  readonly protocol: number;
  /** Source address in host order: one word for IPv4, four for IPv6. */
  readonly source: Words;
  /** Destination address, likewise. */
  readonly destination: Words;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /**
   * True for the packet inside an ICMP error, which travelled the other way: its destination is the client
   * (`schedule_icmp`).
   */
  readonly inverse: boolean;
}

/** What a scheduler may know of its service. */
export interface ScheduledService {
  readonly family: Family;
  /** The real servers, newest first. The array is live: it is the same one for the scheduler's whole life. */
  readonly destinations: readonly Destination[];
  /** SVC_SCHED1, SVC_SCHED2, SVC_SCHED3 as set with `-b`. Read at every pick: they can change. */
  readonly flags: number;
}

/** What the director lends a scheduler. */
export interface SchedulerContext {
  /** A number in [0, 1), from the director's own source, so that a seeded director is repeatable. */
  random(): number;
  /** Time in milliseconds. */
  now(): number;
  /** A tunable by its kernel name: `lblc_expiration` in seconds. */
  sysctl(name: string): number;
}

/**
 * Chooses the real server of every new connection of one service. Ten lines make one:
 *
 * ```ts
 * const first: SchedulerFactory = {
 *   name: 'first',
 *   create: (service) => ({
 *     schedule: () => service.destinations.find((d) => d.weight > 0 && !d.overloaded) ?? null,
 *   }),
 * };
 * ```
 *
 * Called once per new connection, never for packets of connections that exist. Must not throw.
 */
export interface Scheduler {
  /** The destination for this packet's connection, or null when none is fit (weight 0 and overloaded ones never are). */
  schedule(packet: ScheduledPacket): Destination | null;
  /** The destination has been added (it is in `destinations` already). */
  added?(destination: Destination): void;
  /** The destination has been removed (it is no longer in `destinations`; `index` is where it was). */
  removed?(destination: Destination, index: number): void;
  /** The destination was edited: its weight, say. */
  updated?(destination: Destination): void;
  /** About every second: drop what has become old. */
  tick?(): void;
  /** What {@link schedule} would choose for this packet now, and why; changes nothing. For `explain`. */
  explain?(packet: ScheduledPacket): Reasoning;
}

/** Makes one {@link Scheduler} per service. `name` is what `-s` takes: at most 15 characters. */
export interface SchedulerFactory {
  readonly name: string;
  create(service: ScheduledService, context: SchedulerContext): Scheduler;
}
