import type { Family, Words } from '../address.ts';
import { ACTIVE_CONNS, INACTIVE_CONNS, PERSISTENT_CONNS } from '../conntrack/counts.ts';
import type { ForwardMethodNumber } from '../conntrack/forward-method.ts';
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

/** Behind the counts of conntrack/counts.ts: whether the server is overloaded. */
const OVERLOADED = 3;
const COUNTS = 4;

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

  /** What this thread has counted, and where the totals are: here too, or in memory that threads share. */
  readonly #own = new Int32Array(COUNTS);
  #totals: Int32Array = this.#own;
  #at = 0;

  constructor(id: number, service: Service, family: Family, words: Words, address: string, port: number) {
    this.id = id;
    this.service = service;
    this.family = family;
    this.words = words;
    this.address = address;
    this.port = port;
  }

  /** Connections in a state that counts as active (SYN_RECV, ESTABLISHED, ...). */
  get activeConns(): number {
    return this.#totals[this.#at + ACTIVE_CONNS];
  }

  set activeConns(count: number) {
    this.count(ACTIVE_CONNS, count - this.activeConns);
  }

  /** All other connections. */
  get inactConns(): number {
    return this.#totals[this.#at + INACTIVE_CONNS];
  }

  set inactConns(count: number) {
    this.count(INACTIVE_CONNS, count - this.inactConns);
  }

  /** Persistence templates. */
  get persistConns(): number {
    return this.#totals[this.#at + PERSISTENT_CONNS];
  }

  set persistConns(count: number) {
    this.count(PERSISTENT_CONNS, count - this.persistConns);
  }

  /** At its upper threshold: gets no new connections until it falls below the lower one. */
  get overloaded(): boolean {
    return this.#totals[this.#at + OVERLOADED] !== 0;
  }

  set overloaded(overloaded: boolean) {
    this.setOverloaded(overloaded);
  }

  /** Sets {@link overloaded}; returns whether that was a change, which of several threads one alone is told. */
  setOverloaded(overloaded: boolean): boolean {
    const value = overloaded ? 1 : 0;
    return Atomics.exchange(this.#totals, this.#at + OVERLOADED, value) !== value;
  }

  /** Changes one of the counts. */
  count(which: number, change: number): void {
    this.#own[which] += change;
    if (this.#totals !== this.#own) Atomics.add(this.#totals, this.#at + which, change);
  }

  /** Counts in shared memory from now on, at this place. */
  share(totals: Int32Array, at: number): void {
    for (let which = 0; which < OVERLOADED; which++) Atomics.add(totals, at + which, this.#own[which]);
    if (this.#own[OVERLOADED] !== 0) Atomics.store(totals, at + OVERLOADED, 1);
    this.#totals = totals;
    this.#at = at;
  }

  /** Counts for itself again; returns the place that it leaves, or 0. */
  unshare(): number {
    const at = this.#at;
    if (this.#totals === this.#own) return 0;
    for (let which = 0; which < OVERLOADED; which++) Atomics.sub(this.#totals, at + which, this.#own[which]);
    this.#own[OVERLOADED] = Atomics.load(this.#totals, at + OVERLOADED);
    this.#totals = this.#own;
    this.#at = 0;
    return at;
  }
}

/** The load of a destination as `lc`, `wlc`, `lblc`, `lblcr` and `twos` compare it: 256 per active connection, 1 per other. */
export function overhead(destination: Destination): number {
  return destination.activeConns * 256 + destination.inactConns;
}
