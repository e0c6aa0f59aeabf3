import { type Clock, SystemClock } from '../clock.ts';

/** Beyond every timer of a host: what only keeps the process alive need never run. */
const NEVER_MS = 0x7fff_ffff;

/**
 * Later than this by the system clock, and it was the process that stood still, not the network that kept silent. What
 * is under way then gets as long again to arrive.
 */
const LATE_MS = 100;

/**
 * One timer that is armed, disarmed and armed again. It runs by the host's clock. While it is armed on the system
 * clock it keeps the process alive, as a socket with unfinished business does, unless it is a `background` timer.
 */
export class Timer {
  readonly #clock: Clock;
  readonly #run: () => void;
  readonly #background: boolean;
  #stop: (() => void) | undefined;
  #hold: NodeJS.Timeout | undefined;

  constructor(clock: Clock, run: () => void, background = false) {
    this.#clock = clock;
    this.#run = run;
    this.#background = background;
  }

  get armed(): boolean {
    return this.#stop !== undefined;
  }

  /** Lets the timer run once, `ms` milliseconds from now; forgets any earlier appointment. */
  arm(ms: number): void {
    this.disarm();
    const dueMs = this.#clock.now() + ms;
    this.#start(ms, () => {
      if (this.#clock.now() - dueMs > LATE_MS) this.#start(LATE_MS, this.#run);
      else this.#run();
    });
  }

  disarm(): void {
    this.#stop?.();
    this.#stop = undefined;
    clearInterval(this.#hold);
    this.#hold = undefined;
  }

  #start(ms: number, run: () => void): void {
    this.#stop = this.#clock.every(ms, () => {
      this.disarm();
      run();
    });
    if (!this.#background && this.#clock instanceof SystemClock) this.#hold = setInterval(() => {}, NEVER_MS);
  }
}
