import type { Family, Words } from '../address.ts';
import type { Scheduler, SchedulerFactory } from '../schedulers/scheduler.ts';
import type { Destination } from './destination.ts';
import type { PersistenceEngine } from './engines/engine.ts';
import { Stats } from './stats.ts';

/** Service flags, with the kernel's numbers (include/uapi/linux/ip_vs.h, IP_VS_SVC_F_*). */
export const SVC_PERSISTENT = 0x1;
export const SVC_ONEPACKET = 0x4;
export const SVC_SCHED1 = 0x8;
export const SVC_SCHED2 = 0x10;
export const SVC_SCHED3 = 0x20;

/** A virtual service: what clients talk to, keyed by protocol, address and port, or by a firewall mark. */
export class Service {
  readonly id: number;
  readonly family: Family;
  /** IP protocol number (6, 17, 132); 0 for a firewall-mark service. */
  readonly protocol: number;
  /** The virtual address (VIP), host order, four words; all zero for a firewall-mark service. */
  readonly words: Words;
  /** The virtual address as text; empty for a firewall-mark service. */
  readonly address: string;
  /** The virtual port; 0 is all ports. */
  readonly port: number;
  /** The firewall mark, or 0. */
  readonly fwmark: number;

  /** Real servers, **newest first**, as the kernel keeps them: every "first in the list" rule runs in this order. */
  readonly destinations: Destination[] = [];
  /** What made the scheduler; its name is what listings print. */
  factory: SchedulerFactory | null = null;
  scheduler: Scheduler | null = null;
  /** SVC_* flags. */
  flags = 0;
  /** Persistence timeout in seconds, or 0. */
  timeout = 0;
  /** Which bits of a client's address count for persistence: four words, IPv4 uses the first. */
  readonly netmask: Words = Int32Array.of(-1, -1, -1, -1);
  /** The same as a prefix length: 32 or 128 is every client on its own. */
  netmaskLength: number;
  /** Tells its clients apart, if it is persistent; most services have none. */
  engine: PersistenceEngine | null = null;
  readonly stats: Stats = new Stats();

  constructor(
    id: number,
    family: Family,
    protocol: number,
    words: Words,
    address: string,
    port: number,
    fwmark: number,
  ) {
    this.id = id;
    this.family = family;
    this.protocol = protocol;
    this.words = words;
    this.address = address;
    this.port = port;
    this.fwmark = fwmark;
    this.netmaskLength = family === 4 ? 32 : 128;
  }
}
