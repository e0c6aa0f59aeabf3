/** Many scenarios: random ones, played one after the other on as many machines as there are. */
import type { Step } from '../conformance/scenario.ts';
import { type Difference, Duel, duel } from './duel.ts';
import type { Feature } from './generator/features.ts';
import { Generator } from './generator/generator.ts';
import type { Linux } from './linux.ts';
import { shrink } from './shrink.ts';

export interface ContestOptions {
  /** The first scenario's seed; each one has the next. */
  readonly seed: number;
  /** Compared steps after which no further scenario begins. */
  readonly steps: number;
  /** Milliseconds after which no further scenario begins. */
  readonly durationMs: number;
  readonly stepsPerScenario: number;
  readonly features: ReadonlySet<Feature>;
  /** Whether differences are shrunk. */
  readonly shrinks: boolean;
  readonly onDifference: (found: Found) => void;
  readonly onScenario?: (figures: Figures) => void;
}

/** A difference between Linux and the director. */
export interface Found extends Difference {
  readonly seed: number;
  /** Whether it was there again when the scenario was played again. */
  readonly isStable: boolean;
  /** Steps of the scenario that it was found in. */
  readonly foundAfter: number;
}

export interface Figures {
  scenarios: number;
  /** Compared steps. */
  steps: number;
  differences: number;
  /** Differences that were not there a second time. */
  unstable: number;
}

/** How often a scenario is played again to see a difference a second time. */
const REPLAYS = 2;

/** Plays scenarios until enough steps are compared or the time is up. */
export async function contest(machines: readonly Linux[], options: ContestOptions): Promise<Figures> {
  const figures: Figures = { scenarios: 0, steps: 0, differences: 0, unstable: 0 };
  const endMs = performance.now() + options.durationMs;
  let nextSeed = options.seed;
  const kinds = new Set<string>();
  const run = async (linux: Linux) => {
    while (figures.steps < options.steps && performance.now() < endMs) {
      const seed = nextSeed++;
      const { difference, compared } = await playScenario(linux, seed, options).catch((cause) => {
        throw new Error(`seed ${seed} cannot be played`, { cause });
      });
      figures.scenarios++;
      figures.steps += compared;
      if (difference !== null) {
        // Of differences that look alike one is examined to the end.
        const kind = kindOf(difference.text);
        const found = await examine(linux, seed, difference, options.shrinks && !kinds.has(kind));
        kinds.add(kind);
        figures.differences++;
        if (!found.isStable) figures.unstable++;
        options.onDifference(found);
      }
      options.onScenario?.(figures);
    }
  };
  await Promise.all(machines.map(run));
  return figures;
}

/** What a difference is about, without its numbers and addresses. */
function kindOf(text: string): string {
  return text.replace(/[0-9a-f:.]*[0-9][0-9a-f:.]*/g, '#').replace(/\[[A-Z]*\]/g, '[]');
}

/** Plays one scenario, up to its end or its first difference. */
async function playScenario(
  linux: Linux,
  seed: number,
  { features, stepsPerScenario }: ContestOptions,
): Promise<{ difference: Difference | null; compared: number }> {
  const generator = new Generator(seed, features);
  const match = await Duel.begin(linux);
  const steps: Step[] = [];
  let compared = 0;
  try {
    while (steps.length < stepsPerScenario) {
      const { step, difference } = await match.play(generator.next());
      steps.push(step);
      if ('tx' in step || 'exec' in step) compared++;
      if (difference !== null) return { difference: { steps, text: difference }, compared };
      generator.saw(step);
    }
    return { difference: null, compared };
  } finally {
    match.end();
  }
}

async function examine(linux: Linux, seed: number, first: Difference, shrinks: boolean): Promise<Found> {
  const foundAfter = first.steps.length;
  let again: Difference | null = null;
  for (let i = 0; i < REPLAYS && again === null; i++) again = await duel(linux, first.steps);
  if (again === null) return { ...first, seed, isStable: false, foundAfter };
  let best = again;
  if (shrinks) {
    await shrink(again.steps, async (steps) => {
      const difference = await duel(linux, steps);
      if (difference !== null) best = difference;
      return difference?.steps ?? null;
    });
  }
  return { ...best, seed, isStable: true, foundAfter };
}
