/** A limit on connections that several tables keep together, each in a thread of its own. */
export class SharedLimit {
  readonly #words: Int32Array;
  readonly #at: number;
  readonly #most: number;

  /** @param words shared memory, whose word at `at` counts connections. */
  constructor(words: Int32Array, at: number, most: number) {
    this.#words = words;
    this.#at = at;
    this.#most = most;
  }

  /** Whether there may be one more, which is counted. */
  take(): boolean {
    if (Atomics.add(this.#words, this.#at, 1) < this.#most) return true;
    this.give();
    return false;
  }

  /** There is one less. */
  give(): void {
    Atomics.sub(this.#words, this.#at, 1);
  }

  /** How many more there may be. */
  get free(): number {
    return this.#most - Atomics.load(this.#words, this.#at);
  }
}
