/**
 * `npm run oracle -- [options]`: plays random scenarios to real Linux IPVS and to the director, and compares their
 * answers step by step. Exits with 1 when a difference was found that is there
 * again when its scenario is played again; one that is not is told, too.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { contest, type Found } from './contest.ts';
import { chooseFeatures, FEATURES } from './generator/features.ts';
import { HOST } from './lab-host.ts';
import { Linux } from './linux.ts';
import { recording, stepText, writeRecording } from './report.ts';

const USAGE = `usage: npm run oracle -- [options]
  --seed N       the first scenario's seed (1); the others have the ones after it
  --steps N      compare at least this many steps (20000)
  --minutes N    or stop after this time
  --length N     steps of a scenario (250)
  --machines N   Linux machines to play on (two for each processor)
  --keep DIR     write each difference there, as a recording
  --without A,B  leave features out
  --with A,B     add features that are left out otherwise
  --no-shrink    do not look for the fewest steps that differ
features: ${Object.keys(FEATURES).join(' ')}`;

const PROGRESS_MS = 10_000;

function parse() {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      steps: { type: 'string' },
      minutes: { type: 'string' },
      length: { type: 'string', default: '250' },
      machines: { type: 'string', default: String(2 * availableParallelism()) },
      keep: { type: 'string' },
      without: { type: 'string', default: '' },
      with: { type: 'string', default: '' },
      'no-shrink': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const count = (name: string, text: string) => {
    const value = Number(text);
    if (!Number.isFinite(value) || value <= 0) throw new Error(`--${name} ${text}: not a positive number`);
    return value;
  };
  const names = (text: string) => text.split(',').filter((name) => name !== '');
  const { minutes, steps } = values;
  return {
    help: values.help,
    seed: count('seed', values.seed),
    steps: steps === undefined ? (minutes === undefined ? 20_000 : Number.POSITIVE_INFINITY) : count('steps', steps),
    durationMs: minutes === undefined ? Number.POSITIVE_INFINITY : count('minutes', minutes) * 60_000,
    stepsPerScenario: count('length', values.length),
    machines: count('machines', values.machines),
    keep: values.keep,
    shrinks: !values['no-shrink'],
    features: chooseFeatures(names(values.with), names(values.without)),
  };
}

function tell({ seed, steps, text, isStable, foundAfter }: Found): void {
  console.log(
    `\nseed ${seed}: after ${foundAfter} steps, ${isStable ? `shrunk to ${steps.length}` : 'not seen again'}`,
  );
  console.log((isStable ? steps : steps.slice(-1)).map(stepText).join('\n'));
  console.log(`  => ${text}`);
}

async function main(): Promise<number> {
  let options: ReturnType<typeof parse>;
  try {
    options = parse();
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`);
    return 2;
  }
  if (options.help) {
    console.log(USAGE);
    return 0;
  }
  const machines: Linux[] = [];
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      for (const machine of machines) machine.kill();
      process.exit(130);
    });
  }
  const startMs = performance.now();
  const perSecond = (steps: number) => Math.round(steps / ((performance.now() - startMs) / 1000));
  try {
    for (let i = 0; i < options.machines; i++) machines.push(await Linux.boot(HOST));
    let told = performance.now();
    const figures = await contest(machines, {
      ...options,
      onDifference: (found) => {
        tell(found);
        if (options.keep === undefined) return;
        const scenario = recording(`seed-${found.seed}`, found.text, found.steps);
        console.log(`  written to ${writeRecording(options.keep, scenario)}`);
      },
      onScenario: ({ scenarios, steps, differences }) => {
        if (performance.now() - told < PROGRESS_MS) return;
        told = performance.now();
        console.log(`${scenarios} scenarios, ${steps} steps, ${perSecond(steps)} a second, ${differences} differences`);
      },
    });
    const { scenarios, steps, differences, unstable } = figures;
    console.log(
      `\n${scenarios} scenarios, ${steps} steps compared, ${perSecond(steps)} a second: ` +
        `${differences} differences, ${unstable} of them not seen again`,
    );
    return differences === unstable ? 0 : 1;
  } finally {
    await Promise.all(machines.map((machine) => machine.close()));
  }
}

process.exitCode = await main();
