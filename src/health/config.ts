/**
 * What the health of a service's servers is declared with and listed as. All times are seconds, and may have fractions;
 * addresses are text.
 */
import type { DestinationKey, DestinationOptions, ServiceKey } from '../services/config.ts';

/** The server that a check is for. */
export interface CheckedServer {
  readonly address: string;
  readonly port: number;
}

/** Where a check goes, if not to the server's own address and port. */
export interface CheckTarget {
  /** Default: the server's. */
  readonly address?: string;
  /** Default: the server's. */
  readonly port?: number;
  /** The machine's own address that it is sent from. Default: the system's choice. */
  readonly localAddress?: string;
}

/** A TCP connection can be made. */
export interface TcpCheck extends CheckTarget {
  readonly type: 'tcp';
}

/** An HTTP request is answered as expected. */
export interface HttpCheck extends CheckTarget {
  readonly type: 'http' | 'https';
  /** Default `GET`. */
  readonly method?: string;
  /** Default `/`. */
  readonly path?: string;
  /** The `Host` header, and with https the name that is asked for. Default: the address. */
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Statuses that are well. Default: 200 to 399. */
  readonly status?: number | readonly number[];
  /** What the first megabyte of the body must hold. */
  readonly body?: string;
  /** https: whether the certificate must be valid for `host`. Default false. */
  readonly verify?: boolean;
}

/** A name server answers a question. */
export interface DnsCheck extends CheckTarget {
  readonly type: 'dns';
  /** The name that is asked for. */
  readonly name: string;
  /** Default `A`. */
  readonly record?: 'A' | 'AAAA' | 'NS' | 'TXT' | 'CNAME' | 'PTR';
  /** One of the records must be this. Default: any answer with a record. */
  readonly expect?: string;
}

/** A datagram is answered, or at least not refused. */
export interface UdpCheck extends CheckTarget {
  readonly type: 'udp';
  /** What is sent: a character for each byte. */
  readonly send: string;
  /** What the answer must hold. Default: any answer will do. */
  readonly expect?: string;
  /**
   * Seconds of silence, less than `timeout`, that are taken for well too: then only ICMP errors fail. Default: there has to
   * be an answer.
   */
  readonly quiet?: number;
}

/**
 * A program ends with status 0: whatever else there is, in a network namespace for instance. It has the server in
 * the environment, as `SERVER_ADDRESS` and `SERVER_PORT`, and is killed when its time is over.
 */
export interface CommandCheck {
  readonly type: 'command';
  /** The program and its arguments; there is no shell. */
  readonly command: readonly string[];
}

/** A check of one's own: throws, or its promise is rejected, when the server is not well. */
export type OwnCheck = (server: CheckedServer, signal: AbortSignal) => unknown;

export type Check = TcpCheck | HttpCheck | DnsCheck | UdpCheck | CommandCheck | OwnCheck;

/**
 * An agent on the server, as HAProxy knows it: it sends a line with a percentage (`75%`), that of its weight which it
 * wants, to whoever connects.
 */
export interface LoadAgent {
  /** Default: the server's address. */
  readonly address?: string;
  readonly port: number;
  readonly localAddress?: string;
}

/** The load of a server: 0 is idle, 1 as much as it can do. */
export type OwnLoad = (server: CheckedServer, signal: AbortSignal) => number | Promise<number>;

/** How weights follow the servers' load: a server has the part `1 - load` of its weight, within bounds. */
export interface LoadOptions {
  readonly from: LoadAgent | OwnLoad;
  /** Seconds between questions. Default: those between checks. */
  readonly interval?: number;
  /** Seconds for an answer. Default: those for a check. */
  readonly timeout?: number;
  /** The smallest part of its weight that a server keeps. Default 0.1. */
  readonly least?: number;
  /** The largest. Default 1. */
  readonly most?: number;
}

/** A kind of handshake that went wrong: see {@link HandshakeCounts}. */
export type HandshakeFailure = 'refused' | 'repeated' | 'reset';

/** When a server is left out for a while because of what the packets of its clients tell. */
export interface PassiveOptions {
  /** Seconds over which connections are counted. Default 10. */
  readonly window?: number;
  /** With fewer new connections in that time nothing is concluded. Default 10. */
  readonly connections?: number;
  /** The part of them that fails, from which on a server is left out. Default 0.5. */
  readonly failing?: number;
  /** What counts as failing. Default: `refused` and `repeated`. */
  readonly count?: readonly HandshakeFailure[];
  /** Seconds for which it gets no new connections. Default 30. */
  readonly eject?: number;
}

/** A weight that grows when a server has come back. */
export interface SlowStartOptions {
  /** Seconds until it has its whole weight. */
  readonly duration: number;
  /** The part of its weight that it begins with. Default 0.1. */
  readonly from?: number;
  /** In how many steps it grows. Default 10. */
  readonly steps?: number;
}

/** The server that takes over when too few are left. */
export interface SorryServer extends DestinationKey, DestinationOptions {}

/** A server whose check is not that of the others. */
export interface ServerCheck extends DestinationKey {
  /** null: it is not checked. Default: as the others. */
  readonly check?: Check | null;
}

/** How the servers of a service are watched. */
export interface HealthOptions {
  /** How each server is checked. Default: they are not. */
  readonly check?: Check;
  /** Servers that are checked in another way. */
  readonly servers?: readonly ServerCheck[];
  /** Seconds from the beginning of one check to that of the next. Default 5. */
  readonly interval?: number;
  /** Seconds after which a check has failed. Default 2. */
  readonly timeout?: number;
  /** Checks in a row that must succeed until a server is up again. Default 2. */
  readonly rise?: number;
  /** Checks in a row that must fail until it is down. Default 3. */
  readonly fall?: number;
  /** By what part of it an interval is lengthened or shortened, at random, so that checks spread. Default 0.1. */
  readonly jitter?: number;
  /** What becomes of a server that is down: weight 0, or it is taken out of the table. Default `quiesce`. */
  readonly onFailure?: 'quiesce' | 'remove';
  /** How many servers must be in use: below that the sorry server takes over. Default 1. */
  readonly quorum?: number;
  readonly sorryServer?: SorryServer;
  readonly slowStart?: SlowStartOptions;
  readonly load?: LoadOptions;
  readonly passive?: PassiveOptions;
}

/**
 * `unchecked`: in use, and no check has ended yet. `ejected`: left out for a while because of what its connections
 * told. A server whose weight was set to 0 by hand is in its state all the same.
 */
export type ServerState = 'unchecked' | 'up' | 'down' | 'ejected';

/**
 * `served` by its servers; by the sorry server (`sorry`), because fewer of them are in use than the quorum; or by fewer
 * than the quorum, and without a sorry server (`short`).
 */
export type ServiceState = 'served' | 'sorry' | 'short';

/** Something about a service's health has changed. */
export type HealthChange =
  | {
      readonly what: 'server';
      readonly service: ServiceKey;
      readonly server: CheckedServer;
      readonly was: ServerState;
      readonly now: ServerState;
      readonly reason: string;
    }
  | {
      /** A server's weight in the table; null is that of a server that is not in it. */
      readonly what: 'weight';
      readonly service: ServiceKey;
      readonly server: CheckedServer;
      readonly was: number | null;
      readonly now: number | null;
      readonly reason: string;
    }
  | {
      readonly what: 'service';
      readonly service: ServiceKey;
      readonly was: ServiceState;
      readonly now: ServiceState;
      readonly reason: string;
    };

/** What checks of a server have come to. */
export interface CheckCounts {
  readonly succeeded: number;
  readonly failed: number;
  /** How long the last one took, in seconds; null before the first. */
  readonly lastSeconds: number | null;
  /** Why the last one failed; null when it succeeded, and before the first. */
  readonly lastFailure: string | null;
}

/** The health of a server, as it is listed. */
export interface ServerHealthEntry extends CheckedServer {
  readonly state: ServerState;
  /** Why it is in that state. */
  readonly reason: string;
  /** The weight that it was given. */
  readonly configuredWeight: number;
  /** What of that it has in the table now; null when it is not in the table. */
  readonly weight: number | null;
  /** The load that it told last; null when it was not asked, or has not told. */
  readonly load: number | null;
  readonly checks: CheckCounts;
}

/** The health of a service, as it is listed. */
export interface ServiceHealthEntry {
  readonly service: ServiceKey;
  readonly state: ServiceState;
  readonly quorum: number;
  /** Servers in use. */
  readonly inUse: number;
  /** The sorry server, or null. */
  readonly sorryServer: CheckedServer | null;
  readonly servers: readonly ServerHealthEntry[];
}
