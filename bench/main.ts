/**
 * `npm run bench -- NAME...`: runs benchmarks, prints their figures as they come, and writes them to a file and to plots.
 */
import { parseArgs } from 'node:util';
import { Cleanup } from '../examples/lab/cleanup.ts';
import type { Bench, Context, Row } from './bench.ts';
import { memory } from './memory.ts';
import { micro } from './micro.ts';
import { peers } from './peers/peers.ts';
import { Progress } from './progress.ts';
import { circumstances, writeReport } from './report.ts';
import { headingLine, rowLines, summaryLine } from './table.ts';
import { threads } from './threads/threads.ts';
import { wire } from './wire/wire.ts';

const BENCHES: readonly Bench[] = [micro, memory, wire, threads, peers];
const ROUNDS = 5;
const QUICK_ROUNDS = 1;
const MS_PER_SECOND = 1000;

const USAGE = `npm run bench -- NAME... [OPTIONS]

${BENCHES.map(({ name, about }) => `  ${name.padEnd(10)}${about}`).join('\n')}
  all       all of them

  --only PATTERN   only cases whose names match the regular expression, ignoring case
  --rounds N       interleaved rounds (${ROUNDS})
  --quick          one short round on small tables: shows that everything runs, not how fast
  --json FILE      writes the figures to FILE
  --plots FOLDER   draws them there, as SVG and PNG
  --help
`;

/** Prints why it cannot be and how it should be. */
function misused(problem: string): number {
  process.stderr.write(`${problem}\n\n${USAGE}`);
  return 2;
}

async function main(argv: readonly string[]): Promise<number> {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(argv);
  } catch (error) {
    return misused((error as Error).message);
  }
  const { values, positionals } = parsed;
  if (values.help === true) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (positionals.length === 0) return misused('Which benchmark?');
  const unknown = positionals.find((name) => name !== 'all' && BENCHES.every((bench) => bench.name !== name));
  if (unknown !== undefined) return misused(`There is no benchmark '${unknown}'.`);
  const quick = values.quick === true;
  const rounds = values.rounds === undefined ? (quick ? QUICK_ROUNDS : ROUNDS) : Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) return misused(`--rounds ${values.rounds}: not a number of rounds`);
  let only: RegExp;
  try {
    only = new RegExp(values.only ?? '', 'i');
  } catch (error) {
    return misused(`--only ${values.only}: ${(error as Error).message}`);
  }

  const progress = new Progress();
  const cleanup = new Cleanup();
  const chosen = BENCHES.filter(({ name }) => positionals.includes('all') || positionals.includes(name));
  const where = circumstances(argv);
  const begun = performance.now();
  const rows: Row[] = [];
  let failure: unknown;
  for (const bench of chosen) {
    const context: Context = {
      rounds,
      quick,
      selects: (name) => only.test(name),
      progress: (doing) => progress.show(`${bench.name}: ${doing}`),
      cleanup,
    };
    console.log(`${bench.name}: ${bench.about}\n${headingLine()}`);
    try {
      for await (const row of bench.run(context)) {
        rows.push(row);
        progress.clear();
        for (const line of rowLines(row)) console.log(line);
      }
    } catch (error) {
      failure = error;
    }
    progress.clear();
    console.log();
    if (failure !== undefined) break;
  }
  const seconds = Math.round((performance.now() - begun) / MS_PER_SECOND);
  console.log(`${summaryLine(rows)}; ${seconds} s`);
  console.log(`${where.date}, commit ${where.commit}, node ${where.node}, ${where.kernel}, ${where.machine}`);
  if (values.json !== undefined) writeReport(values.json, { ...where, seconds, rows });
  // Loaded only now: it is large, and would be in the way of what is measured.
  if (values.plots !== undefined) await (await import('./plots.ts')).writePlots(rows, values.plots);
  // What was measured before is kept.
  if (failure !== undefined) throw failure;
  return rows.length > 0 ? 0 : misused(`--only ${values.only}: no case matches`);
}

function parse(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      only: { type: 'string' },
      rounds: { type: 'string' },
      quick: { type: 'boolean' },
      json: { type: 'string' },
      plots: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}

// Not only an exit status: what is to be undone is undone now, also when something is still open.
try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  let text = 'bench';
  for (let cause = error; cause instanceof Error; cause = cause.cause) text += `: ${cause.message}`;
  console.error(`\n${text}`);
  process.exit(1);
}
