/**
 * `npm run bench -- memory`: what connections cost of memory, everything included, and how long the event loop and the
 * garbage collector hold up a program while very many of them are opened, and then expire in the same second.
 */
import { join } from 'node:path';
import { type Bar, type Bench, type Context, type Row, rowOf } from './bench.ts';
import { ROOT, runProgram } from './programs.ts';
import { SIZES } from './steps.ts';

const LIMIT_MS = 300_000;
const LEAST = 100_000;
const BYTES_BAR = { atMost: 96 };
const PAUSE_BAR = { atMost: 10 };
const LARGEST_MIB_BAR = { atMost: 1200 };
const MIB = 2 ** 20;

type Result = Readonly<Record<string, number>>;

interface Figure {
  readonly figure: string;
  readonly unit: string;
  readonly of: (result: Result) => number;
  /** For this many connections. */
  readonly bar?: readonly [number, Bar];
}

const FIGURES: readonly Figure[] = [
  { figure: 'memory per connection', unit: 'bytes', of: (r) => r.bytesPerConnection, bar: [1_000_000, BYTES_BAR] },
  { figure: 'memory of the process', unit: 'MiB', of: (r) => r.rss / MIB, bar: [10_000_000, LARGEST_MIB_BAR] },
  { figure: 'time to open one', unit: 'ns', of: (r) => r.openNs },
  { figure: 'longest pause, opening', unit: 'ms', of: (r) => r.longestOpeningMs, bar: [1_000_000, PAUSE_BAR] },
  { figure: 'longest pause, expiring', unit: 'ms', of: (r) => r.longestExpiringMs, bar: [1_000_000, PAUSE_BAR] },
  { figure: 'garbage collections', unit: '', of: (r) => r.collections },
  { figure: 'longest collection', unit: 'ms', of: (r) => r.longestCollectionMs, bar: [1_000_000, PAUSE_BAR] },
];

async function* run({ cleanup, quick, rounds, selects, progress }: Context): AsyncGenerator<Row, void> {
  for (const [size, text] of SIZES) {
    const name = `${text} connections`;
    if (size < LEAST || (quick && size > LEAST) || !selects(name)) continue;
    const results: Result[] = [];
    for (let round = 0; round < rounds; round++) {
      progress(`${name}: round ${round + 1} of ${rounds}`);
      const script = join(ROOT, 'build', 'bench', 'memory-process.js');
      results.push(JSON.parse(await runProgram(cleanup, LIMIT_MS, process.execPath, script, String(size))) as Result);
    }
    for (const { figure, unit, of, bar } of FIGURES) {
      yield rowOf({
        bench: 'memory',
        case: name,
        subject: 'tapvs',
        figure,
        unit,
        better: 'less',
        samples: results.map(of),
        ...(bar?.[0] === size ? { bar: bar[1] } : {}),
      });
    }
  }
}

/** Memory and pauses with very many connections. */
export const memory: Bench = {
  name: 'memory',
  about: 'what connections cost of memory, and how long they hold up a program',
  run,
};
