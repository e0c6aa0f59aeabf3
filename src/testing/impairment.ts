import { invalidOption } from '../errors.ts';

/**
 * What a bad wire does to one frame: for every copy that arrives, how many delivery rounds late. `[]` loses the frame,
 * `[0]` delivers it, `[0, 0]` doubles it, `[3]` lets others overtake it.
 */
export type Impairment = (frame: Uint8Array) => readonly number[];

export interface ImpairmentOptions {
  /** The same seed gives the same sequence of faults. */
  readonly seed: number;
  /** The share of frames that is lost, 0 to 1. Default 0. */
  readonly loss?: number;
  /** The share of frames that arrives twice, 0 to 1. Default 0. */
  readonly duplication?: number;
  /** The share of frames that is held back for one to `maxDelay` rounds, 0 to 1. Default 0. */
  readonly reordering?: number;
  /** In delivery rounds. Default 5. */
  readonly maxDelay?: number;
}

/** A small seeded generator (mulberry32): numbers from 0 up to but not including 1. */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

function share(option: string, value = 0): number {
  if (typeof value !== 'number' || !(value >= 0 && value <= 1)) throw invalidOption(option, value, 'from 0 to 1');
  return value;
}

/**
 * A wire that loses, doubles and reorders frames, the same way for the same seed.
 * @throws DirectorError ERR_INVALID_OPTION
 */
export function impair(options: ImpairmentOptions): Impairment {
  const loss = share('loss', options.loss);
  const duplication = share('duplication', options.duplication);
  const reordering = share('reordering', options.reordering);
  const maxDelay = options.maxDelay ?? 5;
  if (!Number.isInteger(maxDelay) || maxDelay < 1) throw invalidOption('maxDelay', maxDelay, 'a whole number from 1');
  const random = seededRandom(options.seed);
  return () => {
    if (random() < loss) return [];
    const delay = random() < reordering ? 1 + Math.floor(random() * maxDelay) : 0;
    return random() < duplication ? [delay, delay] : [delay];
  };
}
