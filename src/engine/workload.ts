/** How busy an engine is: what fills its tables, how its bursts are, how late its timers come. */
import type { Family } from '../address.ts';
import type { Connections } from '../conntrack/connections.ts';
import { FLAGS, META, TEMPLATE } from '../conntrack/layout.ts';
import { stateName } from '../conntrack/protocols.ts';

/** Connections, or templates, that are in the same state. */
export interface StateCount {
  readonly family: Family;
  /** IP protocol number; 0 for templates of firewall-mark services. */
  readonly protocol: number;
  /** As `ipvsadm -Lc` prints it. */
  readonly state: string;
  readonly template: boolean;
  readonly count: number;
}

/** How full a connection table is. */
export interface TableFill {
  readonly family: Family;
  /** Connections and templates. */
  readonly entries: number;
  readonly capacity: number;
}

/** How often something took how long. */
export interface Histogram {
  /** Upper bounds, ascending; what is longer than the last has a count of its own behind them. */
  readonly boundsSeconds: readonly number[];
  /** For each bound what is within it, and not within the one before; then what is beyond all. */
  readonly counts: readonly number[];
  readonly sumSeconds: number;
}

/** What a director has to do, beside what it counts. */
export interface Workload {
  readonly tables: readonly TableFill[];
  /** Only what there is; nothing where it was not asked for. */
  readonly states: readonly StateCount[];
  /** How many bursts there were of so many frames, by the number of frames: 0 (always 0) .. 64. */
  readonly bursts: readonly number[];
  /** How much later than every 50 ms timers were looked at: how long packets and everything else have to wait. */
  readonly lag: Histogram;
}

export interface WorkloadOptions {
  /** Whether connections are counted by state, which is a look at each of them. Default true. */
  readonly states?: boolean;
}

/** Counts a table's connections by state: a look at each of them (7 ms for 250,000). */
export function countStates({ table, family }: Connections): StateCount[] {
  const { rows } = table;
  const found = new Map<number, { row: number; count: number }>();
  table.forEach((row) => {
    // State and protocol; templates have states of their own.
    const key = (rows[row + META] >>> 16) | ((rows[row + FLAGS] & TEMPLATE) << 4);
    const same = found.get(key);
    if (same === undefined) found.set(key, { row, count: 1 });
    else same.count++;
  });
  return Array.from(found.values(), ({ row, count }) => ({
    family,
    protocol: (rows[row + META] >>> 16) & 0xff,
    state: stateName(rows, row),
    template: (rows[row + FLAGS] & TEMPLATE) !== 0,
    count,
  }));
}

const LAG_BOUNDS_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];

/** Measures how late something periodic comes. */
export class Lag {
  readonly #periodMs: number;
  readonly #counts = new Array<number>(LAG_BOUNDS_SECONDS.length + 1).fill(0);
  #lastMs: number;
  #sumMs = 0;

  constructor(periodMs: number, nowMs: number) {
    this.#periodMs = periodMs;
    this.#lastMs = nowMs;
  }

  /** It has come, now. */
  came(nowMs: number): void {
    const lateMs = Math.max(0, nowMs - this.#lastMs - this.#periodMs);
    this.#lastMs = nowMs;
    this.#sumMs += lateMs;
    const bound = LAG_BOUNDS_SECONDS.findIndex((most) => lateMs <= most * 1000);
    this.#counts[bound < 0 ? LAG_BOUNDS_SECONDS.length : bound]++;
  }

  snapshot(): Histogram {
    return { boundsSeconds: LAG_BOUNDS_SECONDS, counts: [...this.#counts], sumSeconds: this.#sumMs / 1000 };
  }
}
