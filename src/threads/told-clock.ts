/** The clock of an engine whose director has a clock of its own: it shows what it was told last. */
import type { Clock } from '../clock.ts';

export class ToldClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<() => void>();

  tell(nowMs: number): void {
    this.#nowMs = nowMs;
  }

  now(): number {
    return this.#nowMs;
  }

  every(_periodMs: number, run: () => void): () => void {
    this.#timers.add(run);
    return () => this.#timers.delete(run);
  }

  /** The director's clock says that the timers are due. */
  run(): void {
    for (const run of this.#timers) run();
  }
}
