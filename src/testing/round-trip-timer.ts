/** In milliseconds. */
const INITIAL_MS = 1000;
const LEAST_MS = 1000;
const MOST_MS = 120_000;
/** The granularity of the clock that the estimate allows for. */
const GRANULARITY_MS = 10;

/** When to send again what was not acknowledged: the retransmission timeout of RFC 6298. */
export class RoundTripTimer {
  #smoothedMs: number | undefined;
  #variationMs = 0;
  #backoff = 1;
  #timedEnd = -1;
  #timedAtMs = 0;

  /** The timeout now. */
  get timeoutMs(): number {
    const estimate =
      this.#smoothedMs === undefined
        ? INITIAL_MS
        : Math.max(LEAST_MS, this.#smoothedMs + Math.max(GRANULARITY_MS, 4 * this.#variationMs));
    return Math.min(MOST_MS, estimate * this.#backoff);
  }

  /** A segment that ends at the sequence number `end` was sent for the first time. One is timed at a time. */
  sent(end: number, nowMs: number): void {
    if (this.#timedEnd >= 0) return;
    this.#timedEnd = end;
    this.#timedAtMs = nowMs;
  }

  /** Something was sent again: what its acknowledgement answers can no longer be told (Karn's algorithm). */
  resent(): void {
    this.#timedEnd = -1;
  }

  /** The timeout has passed: the next one is twice as long. */
  expired(): void {
    this.resent();
    this.#backoff *= 2;
  }

  /** Everything before the sequence number `ack` has arrived. */
  acknowledged(ack: number, nowMs: number): void {
    this.#backoff = 1;
    if (this.#timedEnd < 0 || ack < this.#timedEnd) return;
    const sampleMs = nowMs - this.#timedAtMs;
    this.#timedEnd = -1;
    if (this.#smoothedMs === undefined) {
      this.#smoothedMs = sampleMs;
      this.#variationMs = sampleMs / 2;
    } else {
      this.#variationMs = 0.75 * this.#variationMs + 0.25 * Math.abs(this.#smoothedMs - sampleMs);
      this.#smoothedMs = 0.875 * this.#smoothedMs + 0.125 * sampleMs;
    }
  }
}
