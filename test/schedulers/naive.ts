/**
 * Every scheduler once more, restated from its definition with no thought of speed: lists are sorted, tables are spelled
 * out, products are BigInt. The tests hold the real ones against these.
 */
import type { ScheduledPacket } from '../../src/schedulers/index.ts';
import type { Destination } from '../../src/services/destination.ts';
import { type Service, SVC_SCHED1, SVC_SCHED2 } from '../../src/services/service.ts';

export interface Naive {
  schedule(packet: ScheduledPacket, nowMs: number): Destination | null;
  added?(destination: Destination): void;
  removed?(destination: Destination, index: number): void;
  updated?(destination: Destination): void;
}

const eligible = (d: Destination) => d.weight > 0 && !d.overloaded;
const overhead = (d: Destination) => 256 * d.activeConns + d.inactConns;

/** The one with the lowest load / weight, the first of equals: compared as fractions. */
function lowest(destinations: readonly Destination[], load: (d: Destination) => number): Destination | null {
  const sorted = destinations
    .map((destination, index) => ({ destination, index }))
    .sort((a, b) => {
      const left = BigInt(load(a.destination)) * BigInt(b.destination.weight);
      const right = BigInt(load(b.destination)) * BigInt(a.destination.weight);
      return left < right ? -1 : left > right ? 1 : a.index - b.index;
    });
  return sorted[0]?.destination ?? null;
}

/** The round as a ring of the destinations and the head of the list. */
export class NaiveRr implements Naive {
  #ring: (Destination | 'head')[];
  #last: Destination | 'head' = 'head';

  constructor(service: Service) {
    this.#ring = ['head', ...service.destinations];
  }

  schedule(): Destination | null {
    const at = this.#ring.indexOf(this.#last);
    const turn = [...this.#ring.slice(at + 1), ...this.#ring.slice(0, at + 1)];
    const next = turn.find((d) => d !== 'head' && eligible(d)) as Destination | undefined;
    if (next !== undefined) this.#last = next;
    return next ?? null;
  }

  added(destination: Destination): void {
    this.#ring.splice(1, 0, destination);
  }

  removed(destination: Destination): void {
    const at = this.#ring.indexOf(destination);
    if (this.#last === destination) this.#last = this.#ring[at - 1];
    this.#ring.splice(at, 1);
  }
}

/** The falling threshold, one step and one destination at a time. */
export class NaiveWrr implements Naive {
  readonly #list: readonly Destination[];
  #at = -1;
  #threshold: number;

  constructor(service: Service) {
    this.#list = service.destinations;
    this.#threshold = this.#top();
  }

  schedule(): Destination | null {
    if (this.#top() === 0) return null;
    const begin = this.#at;
    let stop: number | null = null;
    let lastPass = false;
    let restarted = false;
    for (;;) {
      for (this.#at++; this.#at < this.#list.length; this.#at++) {
        const d = this.#list[this.#at];
        if (!d.overloaded && d.weight >= this.#threshold) return d;
        if (this.#at === stop) return null;
      }
      this.#at = -1;
      this.#threshold -= this.#step();
      if (this.#threshold <= 0) {
        this.#threshold = this.#top();
        if (lastPass || begin === -1) return null;
        restarted = true;
      }
      lastPass = this.#threshold <= this.#step();
      if (lastPass && restarted && begin !== -1) stop = begin;
    }
  }

  added(): void {
    this.#at = -1;
    const step = this.#step();
    const top = this.#top();
    if (this.#threshold > top || this.#threshold === 0) this.#threshold = top;
    else if (step > 1) this.#threshold = Math.floor(this.#threshold / step) * step + 1;
  }

  removed(): void {
    this.added();
  }

  updated(): void {
    this.added();
  }

  /** The largest number that divides all weights. */
  #step(): number {
    const weights = this.#list.map((d) => d.weight).filter((weight) => weight > 0);
    if (weights.length === 0) return 1;
    let step = Math.min(...weights);
    while (weights.some((weight) => weight % step !== 0)) step--;
    return step;
  }

  #top(): number {
    return Math.max(0, ...this.#list.map((d) => d.weight)) - (this.#step() - 1);
  }
}

export const naiveLc = (service: Service): Naive => ({
  schedule: () => {
    const least = Math.min(...service.destinations.filter(eligible).map(overhead));
    return service.destinations.find((d) => eligible(d) && overhead(d) === least) ?? null;
  },
});

export const naiveWlc = (service: Service): Naive => ({
  schedule: () => lowest(service.destinations.filter(eligible), overhead),
});

export const naiveSed = (service: Service): Naive => ({
  schedule: () => lowest(service.destinations.filter(eligible), (d) => d.activeConns + 1),
});

export const naiveNq = (service: Service): Naive => ({
  schedule: (packet, nowMs) =>
    service.destinations.filter(eligible).find((d) => d.activeConns === 0) ?? naiveSed(service).schedule(packet, nowMs),
});

export const naiveFo = (service: Service): Naive => ({
  schedule: () => {
    const highest = Math.max(...service.destinations.filter(eligible).map((d) => d.weight));
    return service.destinations.find((d) => eligible(d) && d.weight === highest) ?? null;
  },
});

export const naiveOvf = (service: Service): Naive => ({
  schedule: () => {
    const open = service.destinations.filter((d) => eligible(d) && d.activeConns <= d.weight);
    const highest = Math.max(...open.map((d) => d.weight));
    return open.find((d) => d.weight === highest) ?? null;
  },
});

/** A lottery: one ticket for every unit of weight, and one more for the first. For small weights. */
export const naiveTwos = (service: Service, random: () => number): Naive => ({
  schedule: () => {
    const open = service.destinations.filter(eligible);
    const tickets = open.flatMap((d) => new Array<Destination>(d.weight).fill(d));
    if (tickets.length === 0) {
      random();
      random();
      return null;
    }
    tickets.unshift(tickets[0]);
    const one = tickets[Math.floor(random() * tickets.length)];
    const other = tickets[Math.floor(random() * tickets.length)];
    return lowest([one, other], overhead);
  },
});

const MASK32 = 0xffffffffn;
const MASK64 = 0xffffffffffffffffn;

function unsigned(word: number): bigint {
  return BigInt(word >>> 0);
}

function fold(service: Service, words: Int32Array): bigint {
  return service.family === 4
    ? unsigned(words[0])
    : unsigned(words[0]) ^ unsigned(words[1]) ^ unsigned(words[2]) ^ unsigned(words[3]);
}

function hash32(value: bigint, bits: bigint): number {
  return Number(((value * 0x61c88647n) & MASK32) >> (32n - bits));
}

function clientKey(service: Service, packet: ScheduledPacket): bigint {
  const [words, port] = packet.inverse
    ? [packet.destination, packet.destinationPort]
    : [packet.source, packet.sourcePort];
  const counts = (service.flags & SVC_SCHED2) !== 0 && [6, 17, 132].includes(packet.protocol);
  return (fold(service, words) + (counts ? BigInt(port) : 0n)) & MASK32;
}

export const naiveDh = (service: Service): Naive => ({
  schedule: (packet) => {
    const list = service.destinations;
    const d = list[hash32(fold(service, packet.destination), 8n) % list.length];
    return d !== undefined && eligible(d) ? d : null;
  },
});

export const naiveSh = (service: Service): Naive => ({
  schedule: (packet) => {
    const round = service.destinations.flatMap((d) => new Array<Destination>(Math.max(1, d.weight)).fill(d));
    if (round.length === 0) return null;
    const hash = hash32(clientKey(service, packet), 8n);
    const tries = [hash];
    if ((service.flags & SVC_SCHED1) !== 0) {
      for (let i = 0; i < 256; i++) tries.push((((i + hash) % 256) + hash) % 256);
    }
    return tries.map((bucket) => round[bucket % round.length]).find(eligible) ?? null;
  },
});

/** SipHash-1-3 of one little-endian 32-bit word, cut to 32 bits, as its authors wrote it. */
export function sipHash13(value: number, key0: bigint, key1: bigint): number {
  const rotate = (x: bigint, bits: bigint) => ((x << bits) | (x >> (64n - bits))) & MASK64;
  let v0 = key0 ^ 0x736f6d6570736575n;
  let v1 = key1 ^ 0x646f72616e646f6dn;
  let v2 = key0 ^ 0x6c7967656e657261n;
  let v3 = key1 ^ 0x7465646279746573n;
  const round = () => {
    v0 = (v0 + v1) & MASK64;
    v1 = rotate(v1, 13n) ^ v0;
    v0 = rotate(v0, 32n);
    v2 = (v2 + v3) & MASK64;
    v3 = rotate(v3, 16n) ^ v2;
    v0 = (v0 + v3) & MASK64;
    v3 = rotate(v3, 21n) ^ v0;
    v2 = (v2 + v1) & MASK64;
    v1 = rotate(v1, 17n) ^ v2;
    v2 = rotate(v2, 32n);
  };
  const block = (4n << 56n) | unsigned(value);
  v3 ^= block;
  round();
  v0 ^= block;
  v2 ^= 0xffn;
  round();
  round();
  round();
  return Number((v0 ^ v1 ^ v2 ^ v3) & MASK32);
}

const SLOTS = 4093;
const offsetHash = (key: bigint) => sipHash13(Number(key & MASK32), 2654435761n, 2654435761n);
const skipHash = (key: bigint) => sipHash13(Number(key & MASK32), 2654446892n, 2654446892n);

/** The table of the Maglev paper, from whole permutations, with weights as turns. */
export function maglevTable(service: Service): Destination[] {
  const list = service.destinations.filter((d) => d.lastWeight > 0);
  const table = new Array<Destination | undefined>(list.length === 0 ? 0 : SLOTS).fill(undefined);
  if (list.length === 0) return [];
  let divisor = Math.min(...list.map((d) => d.lastWeight));
  while (list.some((d) => d.lastWeight % divisor !== 0)) divisor--;
  const bits = (Math.max(...list.map((d) => d.lastWeight)) / divisor).toString(2).length;
  const shift = Math.max(0, bits - 6);
  const queues = list.map((d) => {
    const key = fold(service, d.words) + BigInt(d.port);
    const offset = offsetHash(key) % SLOTS;
    const skip = (skipHash(key) % (SLOTS - 1)) + 1;
    return Array.from({ length: SLOTS }, (_, j) => (offset + j * skip) % SLOTS).reverse();
  });
  let left = SLOTS;
  while (left > 0) {
    for (const [i, d] of list.entries()) {
      const turns = Math.max(1, Math.floor(d.lastWeight / divisor / 2 ** shift));
      for (let turn = 0; turn < turns && left > 0; turn++, left--) {
        let slot = queues[i].pop()!;
        while (table[slot] !== undefined) slot = queues[i].pop()!;
        table[slot] = d;
      }
    }
  }
  return table as Destination[];
}

export class NaiveMh implements Naive {
  readonly #service: Service;
  #table: Destination[];

  constructor(service: Service) {
    this.#service = service;
    this.#table = maglevTable(service);
  }

  schedule(packet: ScheduledPacket): Destination | null {
    if (this.#table.length === 0) return null;
    const key = clientKey(this.#service, packet);
    const at = (offset: number) => offsetHash(key + BigInt(offset)) % SLOTS;
    const first = this.#table[at(0)];
    if (eligible(first)) return first;
    if ((this.#service.flags & SVC_SCHED1) === 0) return null;
    for (let i = 0; i < SLOTS; i++) {
      const d = this.#table[at((i + at(0)) % SLOTS)];
      if (eligible(d)) return d;
    }
    return null;
  }

  added(): void {
    this.#table = maglevTable(this.#service);
  }

  removed(): void {
    this.added();
  }

  updated(): void {
    this.added();
  }
}

const swamped = (d: Destination, list: readonly Destination[]) =>
  d.activeConns > d.weight && list.some((other) => other.activeConns * 2 < other.weight);

/** Never forgets an address: for runs shorter than an entry lives. */
export function naiveLblc(service: Service): Naive {
  const cache = new Map<string, Destination>();
  return {
    schedule: (packet) => {
      const key = packet.destination.slice(0, service.family === 4 ? 1 : 4).join();
      const cached = cache.get(key);
      if (cached?.available && cached.weight > 0 && !swamped(cached, service.destinations)) return cached;
      const d = lowest(service.destinations.filter(eligible), overhead);
      if (d !== null) cache.set(key, d);
      return d;
    },
  };
}

/** Never forgets an address either. */
export function naiveLblcr(service: Service, expirationMs: number): Naive {
  const cache = new Map<string, { members: Destination[]; modifiedMs: number }>();
  return {
    schedule: (packet, nowMs) => {
      const key = packet.destination.slice(0, service.family === 4 ? 1 : 4).join();
      const set = cache.get(key);
      if (set !== undefined) {
        const least = lowest(
          set.members.filter((d) => eligible(d) && d.available),
          overhead,
        );
        if (set.members.length > 1 && nowMs > set.modifiedMs + expirationMs) {
          const weighty = set.members.filter((d) => d.weight > 0);
          const most = weighty.find((d) =>
            weighty.every((o) => BigInt(overhead(o)) * BigInt(d.weight) <= BigInt(overhead(d)) * BigInt(o.weight)),
          );
          if (most !== undefined) {
            set.members = set.members.filter((d) => d !== most);
            set.modifiedMs = nowMs;
          }
        }
        if (least !== null && !swamped(least, service.destinations)) return least;
      }
      const d = lowest(service.destinations.filter(eligible), overhead);
      if (d === null) return null;
      if (set === undefined) cache.set(key, { members: [d], modifiedMs: nowMs });
      else if (!set.members.includes(d)) {
        set.members = [d, ...set.members];
        set.modifiedMs = nowMs;
      }
      return d;
    },
  };
}
