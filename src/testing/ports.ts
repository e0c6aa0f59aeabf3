/** The ports that a host gives out by itself: Linux's `ip_local_port_range`. */
const FIRST = 32768;
const LAST = 60999;

/** Gives out the ephemeral ports one after the other. */
export class EphemeralPorts {
  #next = FIRST;

  /** The next port that is free; `undefined` when none is. */
  take(isFree: (port: number) => boolean): number | undefined {
    for (let tries = FIRST; tries <= LAST; tries++) {
      const port = this.#next;
      this.#next = port === LAST ? FIRST : port + 1;
      if (isFree(port)) return port;
    }
    return undefined;
  }
}
