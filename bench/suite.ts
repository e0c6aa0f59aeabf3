/** The `benchmark` package wrapped once: a case in, nanoseconds per operation out. */
import Benchmark from 'benchmark';

export interface Case {
  readonly name: string;
  /** Operations in one call of `run`. */
  readonly operations: number;
  readonly run: () => void;
}

const SECOND_NS = 1e9;

/** Measures a case for about so many seconds. Returns its samples, in nanoseconds per operation. */
export function measure({ name, operations, run }: Case, seconds: number): number[] {
  const bench = new Benchmark(name, run, { async: false, maxTime: seconds }).run();
  return bench.stats.sample.map((sample) => (sample * SECOND_NS) / operations);
}
