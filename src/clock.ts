/** Where a director gets its time from. Milliseconds, never going back; only differences matter. */
export interface Clock {
  /** The time now, in milliseconds. */
  now(): number;
  /**
   * Calls `run` about every `periodMs` milliseconds until the returned function is called. A clock that is driven by
   * hand calls it while it is being advanced.
   */
  every(periodMs: number, run: () => void): () => void;
}

/** The machine's monotonic clock. Its timers do not keep a process alive on their own; an open device does. */
export class SystemClock implements Clock {
  now(): number {
    return performance.now();
  }

  every(periodMs: number, run: () => void): () => void {
    const timer = setInterval(run, periodMs);
    timer.unref();
    return () => clearInterval(timer);
  }
}

interface ManualTimer {
  readonly periodMs: number;
  readonly run: () => void;
  dueMs: number;
}

/**
 * A clock that only moves when told to: tests, recordings and simulations decide when timers fire.
 *
 * ```ts
 * const clock = new ManualClock();
 * const director = new Director({ clock, ... });
 * clock.advance(120_000); // two minutes later, all timers in between have run in order
 * ```
 */
export class ManualClock implements Clock {
  #nowMs: number;
  readonly #timers = new Set<ManualTimer>();

  constructor(startMs = 0) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  every(periodMs: number, run: () => void): () => void {
    const timer: ManualTimer = { periodMs, run, dueMs: this.#nowMs + periodMs };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Moves the time forward by `ms` milliseconds and runs every timer that falls due on the way, in order. */
  advance(ms: number): void {
    const targetMs = this.#nowMs + ms;
    for (;;) {
      let next: ManualTimer | undefined;
      for (const timer of this.#timers) {
        if (timer.dueMs <= targetMs && (next === undefined || timer.dueMs < next.dueMs)) next = timer;
      }
      if (next === undefined) break;
      this.#nowMs = next.dueMs;
      next.dueMs += next.periodMs;
      next.run();
    }
    this.#nowMs = targetMs;
  }
}
