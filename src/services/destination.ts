import type { Family, Words } from '../address.ts';
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

/**
 * A real server of one service. Schedulers read it; the director owns and changes it. All counts are of connections.
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

  /** Connections in a state that counts as active (SYN_RECV, ESTABLISHED, ...). */
  activeConns = 0;
  /** All other connections. */
  inactConns = 0;
  /** Persistence templates. */
  persistConns = 0;
  /** False once the destination was deleted: connections may still refer to it. */
  available = true;
  /** At its upper threshold: gets no new connections until it falls below the lower one. */
  overloaded = false;
  /** Grows from one added destination to the next. */
  sequence = 0;
  /** How many connections and templates refer to it: while there are any, it is kept although it was deleted. */
  references = 0;
  readonly stats: Stats = new Stats();

  constructor(id: number, service: Service, family: Family, words: Words, address: string, port: number) {
    this.id = id;
    this.service = service;
    this.family = family;
    this.words = words;
    this.address = address;
    this.port = port;
  }
}

/** The load of a destination as `lc`, `wlc`, `lblc`, `lblcr` and `twos` compare it: 256 per active connection, 1 per other. */
export function overhead(destination: Destination): number {
  return destination.activeConns * 256 + destination.inactConns;
}
