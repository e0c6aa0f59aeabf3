/** The content of a configuration file: checked, and with every default filled in. */
import type { Level } from 'pino';
import type { NeighbourOptions, RouteOptions } from '../configuration.ts';
import type { PacketOptions } from '../devices/packet.ts';
import type { TapOptions } from '../devices/tap.ts';
import type { Check, HealthOptions, LoadAgent, LoadOptions, OwnCheck } from '../health/config.ts';
import type {
  DaemonOptions,
  DestinationKey,
  DestinationOptions,
  ServiceOptions,
  Timeouts,
} from '../services/config.ts';
import type { MarkRule } from '../services/marks.ts';

/** A TAP of the kernel's. It has as many queues as the director has threads. */
export interface TapConfiguration extends Omit<TapOptions, 'queues'> {
  readonly type: 'tap';
  readonly name: string;
}

/** An existing interface of the machine's, by its name. With `af_packet` it has as many queues as the director has threads. */
export interface PacketConfiguration extends Omit<PacketOptions, 'interface' | 'queues'> {
  readonly type: 'packet';
  readonly name: string;
}

/** A device. */
export type DeviceConfiguration = TapConfiguration | PacketConfiguration;

/** An interface of the director's. */
export interface InterfaceConfiguration {
  /** The name of one of the devices. */
  readonly device: string;
  readonly name?: string;
  readonly vlan?: number;
  readonly addresses: readonly string[];
}

/** The director itself: what its constructor takes. */
export interface DirectorConfiguration {
  readonly forwarding: boolean;
  readonly claimVips: boolean;
  readonly maxConnections: number;
  readonly icmpErrorsPerSecond: number;
  readonly threads: number;
  readonly spin: boolean;
}

/** A real server of a service. */
export interface ServerConfiguration extends DestinationKey, DestinationOptions {
  /** How it is checked, if not as the service's `health` says; null: not at all. */
  readonly check?: Exclude<Check, OwnCheck> | null;
}

/** How a service's servers are watched. */
export interface HealthConfiguration extends Omit<HealthOptions, 'check' | 'servers' | 'load'> {
  readonly check?: Exclude<Check, OwnCheck>;
  readonly load?: Omit<LoadOptions, 'from'> & { readonly from: LoadAgent };
}

/** A service with its servers: its key (by address or by firewall mark) and its options in one object. */
export interface ServiceConfiguration extends Omit<ServiceOptions, 'scheduler'> {
  readonly protocol?: 'tcp' | 'udp' | 'sctp';
  readonly address?: string;
  readonly port?: number;
  readonly fwmark?: number;
  readonly family?: 4 | 6;
  readonly scheduler: string;
  readonly health?: HealthConfiguration;
  readonly servers: readonly ServerConfiguration[];
}

/** A sync daemon on an interface of the director's. */
export type SyncConfiguration = Omit<DaemonOptions, 'transport'>;

/** The control socket. */
export interface ControlConfiguration {
  readonly socket: string;
  /** Octal digits. */
  readonly mode: string;
  readonly user?: string;
  readonly group?: string;
}

/** Where metrics are served. */
export interface MetricsConfiguration {
  readonly address: string;
  /** 0: nowhere. */
  readonly port: number;
}

/** Whom the process becomes once its devices are open. */
export interface PrivilegesConfiguration {
  readonly user?: string;
  readonly group?: string;
}

/** How the process ends. */
export interface StopConfiguration {
  readonly drainSeconds: number;
}

/** How the next director goes on with the connections of this one. */
export interface HandoverConfiguration {
  readonly file?: string;
  readonly snapshotSeconds: number;
  readonly maxAgeSeconds: number;
}

/** What is logged. */
export interface LogConfiguration {
  readonly level: Extract<Level, 'debug' | 'info' | 'warn' | 'error'>;
}

/** A whole file. */
export interface Configuration {
  readonly devices: readonly DeviceConfiguration[];
  readonly interfaces: readonly InterfaceConfiguration[];
  readonly routes: readonly RouteOptions[];
  readonly neighbours: readonly NeighbourOptions[];
  readonly director: DirectorConfiguration;
  readonly log: LogConfiguration;
  readonly privileges: PrivilegesConfiguration;
  readonly stop: StopConfiguration;
  readonly handover: HandoverConfiguration;
  readonly tunables: Readonly<Record<string, number | string>>;
  readonly timeouts: Timeouts;
  readonly marks: readonly MarkRule[];
  readonly services: readonly ServiceConfiguration[];
  readonly sync: readonly SyncConfiguration[];
  readonly control: ControlConfiguration;
  readonly metrics: MetricsConfiguration;
}
