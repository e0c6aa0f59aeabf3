/**
 * What the steps of a packet's way work on: the memory, the host, the services, the connections, and the packet at hand.
 * The steps themselves are functions in modes/, host/ and services/; pipeline.ts puts them in order.
 */
import type { Family } from './address.ts';
import type { Connections } from './conntrack/connections.ts';
import type { Host } from './host/host.ts';
import type { IcmpLimit } from './host/icmp.ts';
import type { Reassembly } from './host/reassembly.ts';
import type { Wire } from './host/wire.ts';
import type { Packet } from './packet/dissect.ts';
import type { Defence } from './services/defence.ts';
import type { Destination } from './services/destination.ts';
import type { FirewallMarks } from './services/marks.ts';
import type { Registry } from './services/registry.ts';
import type { Service } from './services/service.ts';
import type { Stats } from './services/stats.ts';
import type { SysctlValues } from './sysctl.ts';

/** What the frame path tells the outside; each is called only where something noteworthy happens, never per packet. */
export interface DatapathListener {
  /** A service had no server for a packet. */
  noServer(service: Service): void;
  /** The user's code threw this while it was asked about a packet, which is lost. */
  failed(error: unknown): void;
}

export interface Datapath {
  readonly view: DataView;
  readonly wire: Wire;
  readonly host: Host;
  readonly reassembly: Reassembly;
  readonly icmpLimit: IcmpLimit;
  readonly registry: Registry;
  readonly marks: FirewallMarks;
  readonly connections4: Connections;
  readonly connections6: Connections;
  readonly sysctl: SysctlValues;
  readonly defence: Defence;
  /** Counters of the director as a whole. */
  readonly stats: Stats;
  readonly listener: DatapathListener;
  /** The packet at hand. */
  readonly packet: Packet;
  /** The packet that an ICMP error at hand is about. */
  readonly inner: Packet;
  /** The time, in ticks; set once per burst. */
  tick: number;
  /** Whether packets for others are routed. */
  readonly forwarding: boolean;
  /**
   * The director itself is about to send the ICMP error or TCP reset at `ip`: IPVS sees it as a reply, if it is one.
   * @returns false when it must not be sent.
   */
  localOut(ip: number, family: Family): boolean;
  /**
   * The director's own packet of `length` bytes at `ip`, in the pool's largest slot, cannot be delivered: its neighbour
   * does not answer.
   */
  loseOwn(ip: number, length: number): void;
}

export function connectionsOf(dp: Datapath, family: Family): Connections {
  return family === 4 ? dp.connections4 : dp.connections6;
}

/** Counts a packet from a client, of `length` bytes, for its destination, the service and the director. */
export function countIn(dp: Datapath, destination: Destination | null, length: number): void {
  if (destination === null || !destination.available) return;
  destination.stats.countIn(length);
  destination.service.stats.countIn(length);
  dp.stats.countIn(length);
}

/** Counts a packet from a server. */
export function countOut(dp: Datapath, destination: Destination | null, length: number): void {
  if (destination === null || !destination.available) return;
  destination.stats.countOut(length);
  destination.service.stats.countOut(length);
  dp.stats.countOut(length);
}
