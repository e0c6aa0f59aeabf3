/**
 * Counters and rates, as `ipvsadm --stats` and `--rate` show them: kept for every destination, every service and the
 * director as a whole (kernel behaviour: net/netfilter/ipvs/ip_vs_est.c).
 */

/** Indices into {@link Stats.counts}. */
export const CONNS = 0;
const IN_PKTS = 1;
const OUT_PKTS = 2;
const IN_BYTES = 3;
const OUT_BYTES = 4;
const FIELDS = 5;

/** How often the estimator runs, in milliseconds. */
export const ESTIMATE_PERIOD_MS = 2000;

/** The counters, as one plain object: what was counted since the start or the last zeroing. */
export interface StatsSnapshot {
  readonly conns: number;
  readonly inPkts: number;
  readonly outPkts: number;
  readonly inBytes: number;
  readonly outBytes: number;
}

/** The rates, per second. */
export interface RateSnapshot {
  readonly cps: number;
  readonly inPps: number;
  readonly outPps: number;
  readonly inBps: number;
  readonly outBps: number;
}

export class Stats {
  /** The running counters, indexed by CONNS .. OUT_BYTES; bytes are IP length. Float64 so that they never wrap. */
  readonly counts: Float64Array = new Float64Array(FIELDS);
  /** What had been counted when the counters were zeroed. */
  readonly #zero = new Float64Array(FIELDS);
  /** What had been counted when the estimator last ran. */
  readonly #last = new Float64Array(FIELDS);
  /** The moving averages: conns and packets in 1/1024 per second, bytes in 1/32 per second. */
  readonly #average = new Float64Array(FIELDS);

  /** Counts a packet from a client, of `length` bytes. */
  countIn(length: number): void {
    const { counts } = this;
    counts[IN_PKTS] += 1;
    counts[IN_BYTES] += length;
  }

  /** Counts a packet from a server. */
  countOut(length: number): void {
    const { counts } = this;
    counts[OUT_PKTS] += 1;
    counts[OUT_BYTES] += length;
  }

  /** One estimator step; called every {@link ESTIMATE_PERIOD_MS}. Moves each average a quarter of the way to the rate. */
  estimate(): void {
    for (let i = 0; i < FIELDS; i++) {
      const count = this.counts[i];
      const scale = i < IN_BYTES ? 512 : 16; // (change over 2 s) * 1024 / 2, or * 32 / 2
      const rate = (count - this.#last[i]) * scale;
      this.#last[i] = count;
      const average = this.#average[i];
      this.#average[i] = average + Math.floor((rate - average) / 4);
    }
  }

  /** Starts counting from nothing again, and the averages too. */
  zero(): void {
    this.#zero.set(this.counts);
    this.#last.set(this.counts);
    this.#average.fill(0);
  }

  /** Goes on counting from these numbers, as if they had been counted here long ago. */
  restore({ conns, inPkts, outPkts, inBytes, outBytes }: StatsSnapshot): void {
    this.counts.set([conns, inPkts, outPkts, inBytes, outBytes]);
    this.zero();
    this.#zero.fill(0);
  }

  snapshot(): StatsSnapshot {
    const [conns, inPkts, outPkts, inBytes, outBytes] = this.counts.map((count, i) => count - this.#zero[i]);
    return { conns: conns!, inPkts: inPkts!, outPkts: outPkts!, inBytes: inBytes!, outBytes: outBytes! };
  }

  rates(): RateSnapshot {
    const a = this.#average;
    const perSecond = (average: number) => Math.floor((average + 0x1ff) / 1024);
    const bytesPerSecond = (average: number) => Math.floor((average + 0xf) / 32);
    return {
      cps: perSecond(a[CONNS]),
      inPps: perSecond(a[IN_PKTS]),
      outPps: perSecond(a[OUT_PKTS]),
      inBps: bytesPerSecond(a[IN_BYTES]),
      outBps: bytesPerSecond(a[OUT_BYTES]),
    };
  }
}
