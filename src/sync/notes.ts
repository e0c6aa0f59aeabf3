import type { Connections } from '../conntrack/connections.ts';

/**
 * What the master remembers of each connection beside its row: when what was last sent runs out, and the state that was
 * sent. Made when the first daemon starts, so that directors without one pay nothing for it; rows stay one cache line.
 */
export class SyncNotes {
  readonly connections: Connections;
  /** By place: the tick at which the connection as last sent expires, with the number of retries in the two lowest bits; 0 for never sent. */
  readonly endTimes: Int32Array;
  /** By place: the state last sent or received. */
  readonly states: Uint8Array;
  readonly #shift: number;

  constructor(connections: Connections) {
    const { capacity, stride } = connections.table;
    this.connections = connections;
    this.endTimes = new Int32Array(capacity + 1);
    this.states = new Uint8Array(capacity + 1);
    this.#shift = 31 - Math.clz32(stride);
  }

  /** Where a row's notes are. */
  place(row: number): number {
    return row >>> this.#shift;
  }

  /** A row is used anew. */
  forget(row: number): void {
    const place = row >>> this.#shift;
    this.endTimes[place] = 0;
    this.states[place] = 0;
  }
}
