/** The line that says what a long run is doing: overwritten on a terminal, printed where there is none. */

const MS_PER_SECOND = 1000;
const CLEAR_LINE = '\r\x1b[K';

/** Writes to stderr, so that tables can be redirected. */
export class Progress {
  readonly #begun = performance.now();
  readonly #terminal = process.stderr.isTTY === true;

  /** Replaces the line. */
  show(doing: string): void {
    const seconds = Math.round((performance.now() - this.#begun) / MS_PER_SECOND);
    const line = `[${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}] ${doing}`;
    if (!this.#terminal) process.stderr.write(`${line}\n`);
    else process.stderr.write(CLEAR_LINE + line.slice(0, (process.stderr.columns ?? 80) - 1));
  }

  /** Takes the line away, for something else to be printed in its place. */
  clear(): void {
    if (this.#terminal) process.stderr.write(CLEAR_LINE);
  }
}
