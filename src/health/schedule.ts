/** One question that is asked again and again of one server: when it is due, how long it may take, what became of it. */

/** What an attempt has come to: `failure` is null when it went well, and `value` is what it brought. */
export interface Outcome<T> {
  readonly failure: string | null;
  readonly value: T | undefined;
  readonly tookMs: number;
}

/** How often a question is asked. */
export interface Pace {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** By what part an interval is lengthened or shortened, at most. */
  readonly jitter: number;
}

export class Schedule<T> {
  readonly #ask: (signal: AbortSignal) => Promise<T>;
  readonly #pace: Pace;
  readonly #random: () => number;
  readonly #done: (outcome: Outcome<T>) => void;
  #dueMs: number;
  #startedMs = 0;
  #running: AbortController | null = null;

  /**
   * @param random numbers in [0, 1).
   * @param done is told what became of each attempt; not after {@link stop}.
   */
  constructor(
    ask: (signal: AbortSignal) => Promise<T>,
    pace: Pace,
    nowMs: number,
    random: () => number,
    done: (outcome: Outcome<T>) => void,
  ) {
    this.#ask = ask;
    this.#pace = pace;
    this.#random = random;
    this.#done = done;
    // Not all at once; but nobody waits a whole interval for the first answer.
    this.#dueMs = nowMs + random() * pace.jitter * pace.intervalMs;
  }

  /** Asks if it is due, and gives up what takes too long. @param now tells the time when an attempt has ended */
  advance(nowMs: number, now: () => number): void {
    if (this.#running !== null) {
      const { timeoutMs } = this.#pace;
      if (nowMs - this.#startedMs < timeoutMs) return;
      const running = this.#running;
      this.#end(running, { failure: `no answer within ${timeoutMs / 1000} s`, value: undefined, tookMs: timeoutMs });
      return;
    }
    if (nowMs >= this.#dueMs) this.#start(nowMs, now);
  }

  #start(nowMs: number, now: () => number): void {
    const running = new AbortController();
    this.#running = running;
    this.#startedMs = nowMs;
    const { intervalMs, jitter } = this.#pace;
    this.#dueMs = nowMs + intervalMs * (1 + jitter * (2 * this.#random() - 1));
    const tookMs = () => now() - nowMs;
    this.#ask(running.signal).then(
      (value) => this.#end(running, { failure: null, value, tookMs: tookMs() }),
      (error) => this.#end(running, { failure: reasonOf(error), value: undefined, tookMs: tookMs() }),
    );
  }

  /** The first end of an attempt is the one that counts. */
  #end(running: AbortController, outcome: Outcome<T>): void {
    if (this.#running !== running) return;
    this.#running = null;
    running.abort();
    this.#done(outcome);
  }

  /** Gives up what is under way. */
  stop(): void {
    const running = this.#running;
    this.#running = null;
    this.#dueMs = Number.POSITIVE_INFINITY;
    running?.abort();
  }
}

/** Why something failed, in a line. Errors of the system are told by their names: `ECONNREFUSED`. */
function reasonOf(error: unknown): string {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  const reason = typeof code === 'string' ? code : typeof message === 'string' ? message : String(error);
  return reason === '' ? 'failed' : (reason.split('\n', 1)[0] as string);
}
