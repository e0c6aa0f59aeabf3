/** What was made gets removed again: at the end, after a failure, and when the lab is told to stop. */
import { constants } from 'node:os';

const WATCH_PERIOD_MS = 100;

/**
 * Calls `act` once npm has been ended, when this process runs under npm. A signal that npm gets itself it passes on to the
 * shell between it and us, which dies of it without a word.
 */
export function whenNpmIsGone(act: () => void): void {
  const parent = process.ppid;
  if (process.env.npm_lifecycle_event === undefined || process.platform === 'win32') return;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    act();
  }, WATCH_PERIOD_MS);
  timer.unref();
}

/** Steps that undo what was done, the newest first. They must be synchronous: a process that exits waits for nothing. */
export class Cleanup {
  readonly #steps: (() => void)[] = [];

  /**
   * Has the steps run when the process exits, for whatever reason, and makes it exit on Ctrl-C and its like. A second
   * Ctrl-C changes nothing: the handlers stay, so that it does not end the process in the middle of its steps.
   */
  constructor() {
    process.once('exit', () => this.run());
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => process.exit(128 + constants.signals[signal]));
    }
    whenNpmIsGone(() => process.exit(128 + constants.signals.SIGTERM));
  }

  /** Adds what has to be done to undo what is about to be done. */
  add(step: () => void): void {
    this.#steps.push(step);
  }

  /** Takes the steps, the newest first. One that fails is reported and does not keep the others from running. */
  run(): void {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        step();
      } catch (error) {
        console.error(`while clearing away: ${error instanceof Error ? error.message : error}`);
      }
    }
  }
}
