/**
 * What a benchmark is: a name, a sentence, and a generator of rows. `npm run bench -- NAME` (main.ts) runs it, prints its
 * rows as they come and writes them to JSON, tables and plots. To add one: a module that exports a {@link Bench}, and a
 * line in main.ts.
 */
import type { Cleanup } from '../examples/lab/cleanup.ts';

/** Of several samples. */
export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** What a figure, or a ratio, has to be. */
export type Bar = { readonly atLeast: number } | { readonly atMost: number };

/** A figure divided by another's of the same round. */
export interface Ratio extends Spread {
  /** Whose figure it was divided by. */
  readonly to: string;
  readonly bar?: Bar;
  /** Whether the median is what the bar asks for. */
  readonly meets?: boolean;
}

/** One figure that was measured. */
export interface Row extends Spread {
  /** The benchmark's name. */
  readonly bench: string;
  /** What was done: `DR, 1 k flows`. */
  readonly case: string;
  /** Who did it: `tapvs`, `plain C loop`. */
  readonly subject: string;
  /** What was counted: `forwarded`. */
  readonly figure: string;
  readonly unit: string;
  /** Which way is good. */
  readonly better: 'more' | 'less';
  /** How many samples there were: rounds, where others were measured in between. */
  readonly samples: number;
  readonly ratios: readonly Ratio[];
  /** For the median itself. */
  readonly bar?: Bar;
  readonly meets?: boolean;
}

/** What a benchmark is given. */
export interface Context {
  /** How many interleaved rounds to measure. */
  readonly rounds: number;
  /** Whether to show only that everything runs: short, on small tables. */
  readonly quick: boolean;
  /** Whether `--only` lets a case of this name through. */
  selects(name: string): boolean;
  /** Says on the terminal what is being done; also for long silences within a case. */
  progress(doing: string): void;
  /** Undoes, also after Ctrl-C, what is added to it. */
  readonly cleanup: Cleanup;
}

export interface Bench {
  readonly name: string;
  /** What it shows, for `--help`. */
  readonly about: string;
  /** Measures, and yields each row as soon as it is known. Every wait in it is bounded. */
  run(context: Context): AsyncGenerator<Row, void>;
}

/** Minimum, median (the lower one of an even number) and maximum. @throws RangeError without samples. */
export function spread(samples: readonly number[]): Spread {
  if (samples.length === 0) throw new RangeError('no samples');
  const sorted = [...samples].sort((a, b) => a - b);
  return { min: sorted[0], median: sorted[(sorted.length - 1) >> 1], max: sorted[sorted.length - 1] };
}

export function meets(value: number, bar: Bar): boolean {
  return 'atLeast' in bar ? value >= bar.atLeast : value <= bar.atMost;
}

/** What a {@link Row} is made of, with the samples of each round. */
export interface Measured {
  readonly bench: string;
  readonly case: string;
  readonly subject: string;
  readonly figure: string;
  readonly unit: string;
  readonly better: 'more' | 'less';
  readonly samples: readonly number[];
  /** Figures of the same rounds, in the same order, to divide by. */
  readonly against?: readonly { readonly to: string; readonly samples: readonly number[]; readonly bar?: Bar }[];
  readonly bar?: Bar;
}

/** A row from the samples of its rounds. @throws RangeError when two series are not of the same rounds. */
export function rowOf({ samples, against = [], bar, ...rest }: Measured): Row {
  const ratios = against.map((other): Ratio => {
    if (other.samples.length !== samples.length) throw new RangeError(`${rest.case}: not the rounds of ${other.to}`);
    const ratio = spread(samples.map((sample, round) => sample / other.samples[round]));
    return { to: other.to, ...ratio, ...judged(ratio.median, other.bar) };
  });
  const own = spread(samples);
  return { ...rest, ...own, samples: samples.length, ratios, ...judged(own.median, bar) };
}

function judged(value: number, bar: Bar | undefined): { bar?: Bar; meets?: boolean } {
  return bar === undefined ? {} : { bar, meets: meets(value, bar) };
}
