/** The time as an engine counts it: from its beginning on. */
import type { Clock } from '../clock.ts';
import { TICK_MS } from '../ticks.ts';

export class EngineTime {
  readonly clock: Clock;
  readonly #startMs: number;

  constructor(clock: Clock) {
    this.clock = clock;
    this.#startMs = clock.now();
  }

  /** Milliseconds since the engine was made. */
  elapsedMs(): number {
    return this.clock.now() - this.#startMs;
  }

  /** The same in ticks, which wrap (ticks.ts). */
  tick(): number {
    return Math.floor(this.elapsedMs() / TICK_MS) | 0;
  }
}
