import type { Family, Words } from '../address.ts';
import { foldAddress, hash32 } from './hash32.ts';

const BUCKET_BITS = 10;
const BUCKETS = 1 << BUCKET_BITS;
/** Above this many entries those that have idled for IDLE_MS go. */
const CROWDED = 16 * BUCKETS;
/** Nothing is added above this, a flood of addresses notwithstanding (the kernel stops at the end of its memory). */
const FULL = 4 * CROWDED;

const CHECK_PERIOD_MS = 60_000;
/** At every so many checks all entries are looked at. */
const CHECKS_PER_SWEEP = 30;
/** How long an entry of a crowded cache may be unused. */
const IDLE_MS = 6 * 60_000;

/** One address and what is kept for it. */
export interface CacheEntry<T> {
  readonly word0: number;
  readonly word1: number;
  readonly word2: number;
  readonly word3: number;
  value: T;
  /** When it was last asked for, in the milliseconds of the caller's clock; the caller sets it. */
  lastUsedMs: number;
  /** The next entry of the same bucket. */
  next: CacheEntry<T> | null;
}

/**
 * What `lblc` and `lblcr` remember for the addresses that clients ask for: a hash table whose entries expire when they
 * have not been used for long.
 */
export class AddressCache<T> {
  readonly #family: Family;
  readonly #buckets: (CacheEntry<T> | null)[] = new Array<CacheEntry<T> | null>(BUCKETS).fill(null);
  #size = 0;
  /** The bucket where the last collection ended. */
  #rover = 0;
  /** Checks since the last full sweep. */
  #checks = 1;
  #nextCheckMs: number;

  constructor(family: Family, nowMs: number) {
    this.#family = family;
    this.#nextCheckMs = nowMs + CHECK_PERIOD_MS;
  }

  /** How many addresses it holds. */
  get size(): number {
    return this.#size;
  }

  /** The entry for the address, or null. */
  find(words: Words): CacheEntry<T> | null {
    const wide = this.#family === 6;
    let entry = this.#buckets[this.#bucketOf(words)];
    while (entry !== null) {
      if (
        entry.word0 === words[0] &&
        (!wide || (entry.word1 === words[1] && entry.word2 === words[2] && entry.word3 === words[3]))
      ) {
        return entry;
      }
      entry = entry.next;
    }
    return null;
  }

  /** Adds an address that is not there yet; when the cache is full, does nothing. */
  add(words: Words, value: T, nowMs: number): void {
    if (this.#size >= FULL) return;
    const wide = this.#family === 6;
    const bucket = this.#bucketOf(words);
    this.#buckets[bucket] = {
      word0: words[0],
      word1: wide ? words[1] : 0,
      word2: wide ? words[2] : 0,
      word3: wide ? words[3] : 0,
      value,
      lastUsedMs: nowMs,
      next: this.#buckets[bucket],
    };
    this.#size++;
  }

  /**
   * Lets entries expire; to be called about every second. Once in half an hour it drops all that have not been used for
   * `expirationSeconds`; in between, every minute, only as many as make a crowded cache less so.
   */
  tick(nowMs: number, expirationSeconds: number): void {
    if (nowMs < this.#nextCheckMs) return;
    this.#nextCheckMs = nowMs + CHECK_PERIOD_MS;
    if (this.#checks % CHECKS_PER_SWEEP === 0) {
      this.#checks = 1;
      this.#collect(nowMs - expirationSeconds * 1000, Number.POSITIVE_INFINITY);
    } else if (this.#size <= CROWDED) {
      this.#checks++;
    } else {
      const goal = Math.min(Math.floor(((this.#size - CROWDED) * 4) / 3), CROWDED / 2);
      this.#collect(nowMs - IDLE_MS, goal);
    }
  }

  /** Drops entries last used at `sinceMs` or before, bucket by bucket, until at least `goal` have gone. */
  #collect(sinceMs: number, goal: number): void {
    let left = goal;
    for (let i = 0; i < BUCKETS && left > 0; i++) {
      this.#rover = (this.#rover + 1) % BUCKETS;
      let kept: CacheEntry<T> | null = null;
      let entry = this.#buckets[this.#rover];
      while (entry !== null) {
        const { next } = entry;
        if (entry.lastUsedMs <= sinceMs) {
          if (kept === null) this.#buckets[this.#rover] = next;
          else kept.next = next;
          this.#size--;
          left--;
        } else {
          kept = entry;
        }
        entry = next;
      }
    }
  }

  #bucketOf(words: Words): number {
    return hash32(foldAddress(this.#family, words), BUCKET_BITS);
  }
}
