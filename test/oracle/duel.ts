/** Plays steps to Linux and to the director, and compares their answers one by one. */
import { compareStep } from '../conformance/compare.ts';
import { Player } from '../conformance/play.ts';
import type { Step } from '../conformance/scenario.ts';
import { HOST } from './lab-host.ts';
import type { Linux } from './linux.ts';

/** What recordings made here say of themselves: a quiet console, and devices that leave checksums to the kernel. */
export const RECORDED_AS = { console: false, checksumOffload: false } as const;

/** Commands that change nothing, and so can be run again. */
const LISTING = /^ipvsadm -L[^;|>]*$/;

/** A step, what Linux made of it, and what the director did otherwise. */
export interface Round {
  /** The step as Linux answered it. */
  readonly step: Step;
  /** How the director's answer differs, or null. */
  readonly difference: string | null;
}

/** One scenario on both. */
export class Duel {
  readonly #linux: Linux;
  readonly #player: Player;
  #lastMs: number;

  private constructor(linux: Linux) {
    this.#linux = linux;
    this.#player = new Player(HOST, RECORDED_AS);
    this.#lastMs = performance.now();
  }

  /** Begins with two fresh hosts. */
  static async begin(linux: Linux): Promise<Duel> {
    await linux.reset(HOST);
    return new Duel(linux);
  }

  async play(step: Step): Promise<Round> {
    const { step: wanted, atMs } = await this.#linux.answer(step);
    // The director lives through the same time as Linux did, however long that took.
    const elapsedMs = Math.max(0, atMs - this.#lastMs);
    this.#lastMs = atMs;
    let got: Step;
    try {
      got = this.#player.answer(step, elapsedMs);
    } catch (error) {
      return { step: wanted, difference: `the director failed: ${error instanceof Error ? error.stack : error}` };
    }
    const difference = compareStep(wanted, got);
    if (difference === null || !('exec' in step && LISTING.test(step.exec))) return { step: wanted, difference };
    // Linux lists connections in parts; when the table changes meanwhile, it skips some or shows them twice.
    const { step: again } = await this.#linux.answer(step);
    return { step: again, difference: compareStep(again, got) };
  }

  end(): void {
    this.#player.close();
  }
}

/** Where a scenario first differs. */
export interface Difference {
  /** The steps up to and with the one that differs, as Linux answered them. */
  readonly steps: readonly Step[];
  readonly text: string;
}

/** Plays a list of steps to both, up to the first difference. */
export async function duel(linux: Linux, steps: readonly Step[]): Promise<Difference | null> {
  const match = await Duel.begin(linux);
  const played: Step[] = [];
  try {
    for (const given of steps) {
      const { step, difference } = await match.play(given);
      played.push(step);
      if (difference !== null) return { steps: played, text: difference };
    }
    return null;
  } finally {
    match.end();
  }
}
