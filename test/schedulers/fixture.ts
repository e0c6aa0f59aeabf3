import { type Family, parseAddress } from '../../src/address.ts';
import type { ScheduledPacket, Scheduler, SchedulerContext, SchedulerFactory } from '../../src/schedulers/index.ts';
import { Destination } from '../../src/services/destination.ts';
import { Service } from '../../src/services/service.ts';

/** A packet with everything that a test does not care about filled in: TCP from 192.0.2.1:40000 to 192.0.2.100:80. */
export function packet(
  options: {
    source?: string;
    destination?: string;
    sourcePort?: number;
    destinationPort?: number;
    protocol?: number;
    inverse?: boolean;
  } = {},
): ScheduledPacket {
  const source = parseAddress(options.source ?? '192.0.2.1', 'source');
  const destination = parseAddress(options.destination ?? '192.0.2.100', 'destination');
  return {
    family: source.family,
    protocol: options.protocol ?? 6,
    source: source.words,
    destination: destination.words,
    sourcePort: options.sourcePort ?? 40000,
    destinationPort: options.destinationPort ?? 80,
    inverse: options.inverse ?? false,
  };
}

/** A repeatable source of numbers in [0, 1) (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One service with a scheduler, changed as a director changes it: newest destination first, then the notice. */
export class Bench implements SchedulerContext {
  readonly service: Service;
  scheduler: Scheduler;
  /** Where `random()` comes from. */
  source: () => number = seededRandom(1);
  nowMs = 0;
  /** `lblc_expiration` and `lblcr_expiration`. */
  expirationSeconds = 86400;

  constructor(factory: SchedulerFactory, family: Family = 4) {
    this.service = new Service(1, family, 6, new Int32Array(4), '', 80, 0);
    this.scheduler = factory.create(this.service, this);
  }

  random(): number {
    return this.source();
  }

  now(): number {
    return this.nowMs;
  }

  sysctl(): number {
    return this.expirationSeconds;
  }

  /** Replaces the scheduler, as editing the service does. */
  use(factory: SchedulerFactory): void {
    this.scheduler = factory.create(this.service, this);
  }

  add(address: string, weight = 1, port = 80): Destination {
    const { family, words } = parseAddress(address, 'address');
    return this.revive(new Destination(0, this.service, family, words, address, port), weight);
  }

  /** Adds a destination again that was deleted. */
  revive(destination: Destination, weight: number = destination.weight): Destination {
    destination.weight = weight;
    destination.lastWeight = weight;
    destination.available = true;
    this.service.destinations.unshift(destination);
    this.scheduler.added?.(destination);
    return destination;
  }

  edit(destination: Destination, weight: number): void {
    destination.weight = weight;
    if (weight !== 0) destination.lastWeight = weight;
    this.scheduler.updated?.(destination);
  }

  delete(destination: Destination): void {
    const index = this.service.destinations.indexOf(destination);
    destination.available = false;
    this.service.destinations.splice(index, 1);
    this.scheduler.removed?.(destination, index);
  }

  pick(from: ScheduledPacket = packet()): Destination | null {
    return this.scheduler.schedule(from);
  }

  /** Lets the clock run in seconds, with a tick each. */
  wait(seconds: number): void {
    for (let i = 0; i < seconds; i++) {
      this.nowMs += 1000;
      this.scheduler.tick?.();
    }
  }
}
