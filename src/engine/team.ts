/** What the threads of one director share, and what each of them is among the others. */
import { SharedLimit } from '../conntrack/shared-limit.ts';
import { SharedCounts } from '../services/shared-counts.ts';

/** As it is sent to the threads. */
export interface TeamPlan {
  /** How many threads there are. */
  readonly count: number;
  /** The same for all, random. */
  readonly seed: number;
  /** Of servers' connections. */
  readonly counts: SharedArrayBuffer;
  /** Two words: how many connections there are of IPv4 and of IPv6. */
  readonly connections: SharedArrayBuffer;
}

export class Team {
  readonly count: number;
  readonly seed: number;
  /** Which of the threads this is. */
  readonly index: number;
  readonly counts: SharedCounts;
  readonly #connections: Int32Array;

  /** @param index which of the threads this is. */
  constructor(plan: TeamPlan, index: number) {
    this.count = plan.count;
    this.seed = plan.seed;
    this.index = index;
    this.counts = new SharedCounts(plan.counts, index === 0);
    this.#connections = new Int32Array(plan.connections);
  }

  static plan(count: number): TeamPlan {
    return {
      count,
      seed: Math.floor(Math.random() * 2 ** 32) | 0,
      counts: SharedCounts.memory(),
      connections: new SharedArrayBuffer(8),
    };
  }

  /** The limit on the connections of all threads together. */
  limit(family: 4 | 6, most: number): SharedLimit {
    return new SharedLimit(this.#connections, family === 4 ? 0 : 1, most);
  }
}
