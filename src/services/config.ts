/**
 * What the control plane speaks: the objects that go into a director's methods and come out of its listings. All
 * addresses are text, all times seconds, as with ipvsadm.
 */

import type { Family } from '../address.ts';
import type { ForwardMethod } from '../conntrack/forward-method.ts';
import type { SchedulerFactory } from '../schedulers/scheduler.ts';
import type { SyncTransport } from '../sync/transport.ts';
import type { RateSnapshot, StatsSnapshot } from './stats.ts';

export type ServiceProtocol = 'tcp' | 'udp' | 'sctp';

/** Names a service: by protocol, address and port, or by a firewall mark. */
export type ServiceKey =
  | { readonly protocol: ServiceProtocol; readonly address: string; readonly port: number }
  | { readonly fwmark: number; readonly family?: Family };

/** Flags that change what a scheduler does (`-b`). `flag-1` .. `flag-3` are their raw names. */
export type SchedulerFlag = 'sh-fallback' | 'sh-port' | 'mh-fallback' | 'mh-port' | 'flag-1' | 'flag-2' | 'flag-3';

/** How a service behaves. Everything has ipvsadm's default. */
export interface ServiceOptions {
  /** Scheduler by name, or a user's own factory. Default `wlc`. */
  readonly scheduler?: string | SchedulerFactory;
  /** Persistence timeout in seconds (`-p`); 0 or absent is not persistent. At most 31 days (2678400). */
  readonly persistent?: number;
  /** Which clients count as one (`-M`): a dotted mask (IPv4) or a prefix length. Default: every address on its own. */
  readonly netmask?: string | number;
  /** Persistence engine (`--pe`): `sip`, or one of your own by its name. Of no use without `persistent`. */
  readonly engine?: string;
  /** Schedule every datagram on its own (`-o`); UDP and firewall-mark services only. */
  readonly onePacket?: boolean;
  /** Scheduler flags (`-b`). */
  readonly schedulerFlags?: readonly SchedulerFlag[];
}

/** Names a real server within its service. */
export interface DestinationKey {
  readonly address: string;
  /** Default: the service's port (0 for a firewall-mark service). */
  readonly port?: number;
}

/** How packets for a tunnelled destination are wrapped. */
export interface TunnelOptions {
  /** Default `ipip`. */
  readonly type?: 'ipip' | 'gue' | 'gre';
  /** UDP port of GUE. */
  readonly port?: number;
  /** Checksums in the tunnel header. Default `none`. */
  readonly checksum?: 'none' | 'csum' | 'remcsum';
}

/** How a real server is used. Everything has ipvsadm's default. */
export interface DestinationOptions {
  /** Default `route` (DR). For `route` and `tunnel` under an address service the port is the service's, whatever was asked. */
  readonly method?: ForwardMethod;
  /** 0 .. 2147483647; 0 takes no new connections. Default 1. */
  readonly weight?: number;
  /** No new connections from this many on (`-x`), 0 .. 2147483647; 0 is no limit. */
  readonly upperThreshold?: number;
  /** New connections again below this many (`-y`). */
  readonly lowerThreshold?: number;
  readonly tunnel?: TunnelOptions;
}

/** A service as a listing shows it. */
export interface ServiceEntry {
  readonly protocol: ServiceProtocol | 'fwm';
  readonly family: Family;
  /** Empty for a firewall-mark service. */
  readonly address: string;
  readonly port: number;
  /** 0 for an address service. */
  readonly fwmark: number;
  readonly scheduler: string;
  /** SVC_* flags. */
  readonly flags: number;
  /** Persistence timeout in seconds, 0 when not persistent. */
  readonly persistent: number;
  /** Prefix length of the persistence mask; 32 or 128 is every client on its own. For IPv4 see `netmask`. */
  readonly netmaskLength: number;
  /** The persistence mask of an IPv4 service, dotted; empty for IPv6. */
  readonly netmask: string;
  /** Persistence engine, or empty. */
  readonly engine: string;
  readonly stats: StatsSnapshot;
  readonly rates: RateSnapshot;
  /** Real servers in the kernel's order: newest first. */
  readonly destinations: readonly DestinationEntry[];
}

/**
 * What the packets of a server's TCP connections have told since it was added, counted in connections. Under NAT both
 * directions come by; with DR and tunnels only the client's, so that what the server sends is not known and stays 0.
 */
export interface HandshakeCounts {
  /** A client's SYN has come. */
  readonly started: number;
  /** The client has completed the handshake. */
  readonly completed: number;
  /** NAT: the server has answered the SYN. */
  readonly answered: number;
  /** NAT: it did so before the SYN came again... */
  readonly timed: number;
  /**
   * ... and needed so many seconds for all of these together. A single one is known to 10 ms only; but as handshakes begin at
   * any time between two ticks, the mean of many (`timedSeconds / timed`) is exact.
   */
  readonly timedSeconds: number;
  /** The SYN came again: nothing had answered it (NAT), or the client had not completed the handshake. */
  readonly repeated: number;
  /** NAT: the server has answered the SYN by a reset. */
  readonly refused: number;
  /** NAT: the server has reset an established connection. */
  readonly reset: number;
  /** The connection's time was over with the SYN unanswered (NAT), or without the handshake's being completed. */
  readonly expired: number;
}

/** A real server as a listing shows it. */
export interface DestinationEntry {
  readonly family: Family;
  readonly address: string;
  readonly port: number;
  /** Forward method number: 0 Masq, 1 Local, 2 Tunnel, 3 Route. */
  readonly method: number;
  readonly weight: number;
  readonly upperThreshold: number;
  readonly lowerThreshold: number;
  readonly activeConns: number;
  readonly inactConns: number;
  readonly persistConns: number;
  readonly overloaded: boolean;
  readonly tunnelType: number;
  readonly tunnelPort: number;
  readonly tunnelFlags: number;
  readonly handshakes: HandshakeCounts;
  readonly stats: StatsSnapshot;
  readonly rates: RateSnapshot;
}

/** A connection or template as `ipvsadm -Lc` shows it. */
export interface ConnectionEntry {
  readonly family: Family;
  /** IP protocol number; 0 (`IP`) for templates of firewall-mark services. */
  readonly protocol: number;
  /** State as `ipvsadm` prints it: `SYN_RECV`, `UDP`, `NONE`, `ASSURED` ... */
  readonly state: string;
  /** Whole seconds until it expires. */
  readonly expiresInSeconds: number;
  readonly clientAddress: string;
  readonly clientPort: number;
  readonly virtualAddress: string;
  readonly virtualPort: number;
  /** Family of the server's address: may differ from `family` on tunnels. */
  readonly destinationFamily: Family;
  readonly destinationAddress: string;
  readonly destinationPort: number;
  /** IP_VS_CONN_F_* flags. */
  readonly flags: number;
  readonly engine: string;
  readonly engineData: string;
}

/** The three timeouts of `ipvsadm --set`, in seconds. */
export interface Timeouts {
  readonly tcp: number;
  readonly tcpfin: number;
  readonly udp: number;
}

export type DaemonRole = 'master' | 'backup';

/** A sync daemon's settings (`--start-daemon`). */
export interface DaemonOptions {
  readonly role: DaemonRole;
  /** Default: the first interface. */
  readonly mcastInterface?: string;
  /** 0 .. 255; 0 accepts every id. Default 0. */
  readonly syncId?: number;
  readonly syncMaxlen?: number;
  /** Default 224.0.0.81. */
  readonly mcastGroup?: string;
  /** Default 8848. */
  readonly mcastPort?: number;
  /** Default 1. */
  readonly mcastTtl?: number;
  /**
   * Carries the messages instead of `mcastInterface`, on which they go as Linux sends them: a UDP socket of the machine's
   * (`UdpTransport`), or one's own.
   */
  readonly transport?: SyncTransport;
}

/** A running sync daemon: {@link DaemonOptions} with every default filled in. */
export type DaemonEntry = Required<Omit<DaemonOptions, 'transport'>>;
