import type { Family, Words } from '../address.ts';
import { ACTIVE_CONNS, INACTIVE_CONNS, PERSISTENT_CONNS } from '../conntrack/counts.ts';
import type { ForwardMethodNumber } from '../conntrack/forward-method.ts';
import { HANDSHAKE_COUNTS } from '../conntrack/handshakes.ts';
import type { Service } from './service.ts';
import { Stats } from './stats.ts';

/** Tunnel encapsulations, with the kernel's numbers. */
export const TUNNEL_IPIP = 0;
export const TUNNEL_GUE = 1;
export const TUNNEL_GRE = 2;
/** Tunnel checksum options, with the kernel's numbers. */
export const TUNNEL_NOCSUM = 0;
export const TUNNEL_CSUM = 1;
export const TUNNEL_REMCSUM = 2;

/** Behind the counts of conntrack/counts.ts in shared memory: whether the server is overloaded. */
const OVERLOADED = 3;

/**
 * A real server of one service. Schedulers read it; the director owns and changes it. All counts are of connections: of
 * all threads, where the director works in several.
 */
export class Destination {
  /** Small number by which connection rows refer to this destination. */
  readonly id: number;
  /** The service it belongs to. A deleted destination that comes back may come back to a new service of the same key. */
  service: Service;
  /** Family of the server's own address; differs from the service's only for tunnels. */
  readonly family: Family;
  /** The server's address (RIP), host order; four words, IPv4 uses the first. */
  readonly words: Words;
  /** The server's address as text. */
  readonly address: string;
  /** The server's port; 0 keeps the packet's own port. */
  readonly port: number;

  method: ForwardMethodNumber = 3;
  weight = 1;
  /** The last weight that was not 0 (`mh` lays its table out by it, so that weight 0 moves nobody else). */
  lastWeight = 1;
  upperThreshold = 0;
  lowerThreshold = 0;
  tunnelType = 0;
  tunnelPort = 0;
  tunnelFlags = 0;

  /** False once the destination was deleted: connections may still refer to it. */
  available = true;
  /** Grows from one added destination to the next. */
  sequence = 0;
  /** How many connections and templates refer to it: while there are any, it is kept although it was deleted. */
  references = 0;
  readonly stats: Stats = new Stats();
  /** What was counted of TCP handshakes, by the indices of conntrack/handshakes.ts. */
  readonly handshakes: Float64Array = new Float64Array(HANDSHAKE_COUNTS);

  /**
   * Connections in a state that counts as active (SYN_RECV, ESTABLISHED, ...). Where several threads count, this and what
   * follows is as it was when it was last looked at ({@link refresh}).
   */
  activeConns = 0;
  /** All other connections. */
  inactConns = 0;
  /** Persistence templates. */
  persistConns = 0;
  /** At its upper threshold: gets no new connections until it falls below the lower one. */
  overloaded = false;

  /** The totals of all threads, from an index on; null when there is one thread alone. */
  #shared: Int32Array | null = null;
  #at = 0;
  /** What of the totals is this thread's. */
  readonly #own = new Int32Array(OVERLOADED);

  constructor(id: number, service: Service, family: Family, words: Words, address: string, port: number) {
    this.id = id;
    this.service = service;
    this.family = family;
    this.words = words;
    this.address = address;
    this.port = port;
  }

  /** Changes one of the counts. */
  count(which: number, change: number): void {
    if (this.#shared === null) {
      if (which === ACTIVE_CONNS) this.activeConns += change;
      else if (which === INACTIVE_CONNS) this.inactConns += change;
      else this.persistConns += change;
      return;
    }
    this.#own[which] += change;
    Atomics.add(this.#shared, this.#at + which, change);
    this.refresh();
  }

  /** Sets {@link overloaded}; returns whether that was a change, which of several threads one alone is told. */
  setOverloaded(overloaded: boolean): boolean {
    const shared = this.#shared;
    const value = overloaded ? 1 : 0;
    const changed =
      shared === null
        ? this.overloaded !== overloaded
        : Atomics.exchange(shared, this.#at + OVERLOADED, value) !== value;
    this.overloaded = overloaded;
    return changed;
  }

  /** Looks at what all threads have counted. */
  refresh(): void {
    const shared = this.#shared;
    if (shared === null) return;
    this.activeConns = shared[this.#at + ACTIVE_CONNS];
    this.inactConns = shared[this.#at + INACTIVE_CONNS];
    this.persistConns = shared[this.#at + PERSISTENT_CONNS];
    this.overloaded = shared[this.#at + OVERLOADED] !== 0;
  }

  /** Counts together with other threads from now on, in shared memory, with what it has counted alone. */
  share(totals: Int32Array, at: number): void {
    this.#own.set([this.activeConns, this.inactConns, this.persistConns]);
    for (let which = 0; which < OVERLOADED; which++) Atomics.add(totals, at + which, this.#own[which]);
    if (this.overloaded) Atomics.store(totals, at + OVERLOADED, 1);
    this.#shared = totals;
    this.#at = at;
    this.refresh();
  }

  /** Counts alone again, taking off the totals what is its own; returns the place that it leaves. */
  unshare(): number {
    this.refresh();
    for (let which = 0; which < OVERLOADED; which++) Atomics.sub(this.#shared!, this.#at + which, this.#own[which]);
    [this.activeConns, this.inactConns, this.persistConns] = this.#own as unknown as [number, number, number];
    this.#shared = null;
    return this.#at;
  }
}

/** The load of a destination as `lc`, `wlc`, `lblc`, `lblcr` and `twos` compare it: 256 per active connection, 1 per other. */
export function overhead(destination: Destination): number {
  return destination.activeConns * 256 + destination.inactConns;
}
