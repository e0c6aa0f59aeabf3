/** The `benchmark` package wrapped once: cases in, nanoseconds per operation out. */
import Benchmark from 'benchmark';

export interface Case {
  readonly name: string;
  /** Operations in one call of `run`. */
  readonly operations: number;
  readonly run: () => void;
}

export interface Figure {
  readonly name: string;
  /** Of all samples, in nanoseconds per operation. */
  readonly minNs: number;
  readonly medianNs: number;
  readonly maxNs: number;
  readonly samples: number;
}

const SECOND_NS = 1e9;

/** Measures the cases one after the other and reports each as soon as it is done. */
export function measure(cases: readonly Case[], report: (figure: Figure) => void): void {
  for (const { name, operations, run } of cases) {
    const bench = new Benchmark(name, run, { async: false, maxTime: 1 }).run();
    const samples = bench.stats.sample.map((seconds) => (seconds * SECOND_NS) / operations).sort((a, b) => a - b);
    report({
      name,
      minNs: samples[0],
      medianNs: samples[samples.length >> 1],
      maxNs: samples[samples.length - 1],
      samples: samples.length,
    });
  }
}
