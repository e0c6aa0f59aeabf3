/** What may be captured, and how much of it: the options of `Director.capture`, checked. */
import { type Address, type Prefix, parseAddress, parsePrefix } from '../../address.ts';
import type { ServiceKey } from '../../services/config.ts';
import { integer, object, optionsOf, type ServiceName, serviceName } from '../../services/settings.ts';

/**
 * Which frames: those of connections that all of this holds for, on both sides of the director, and ICMP errors about them.
 * Without any, all frames. What belongs to no connection is judged by the addresses that it bears.
 */
export interface CaptureFilter {
  /** Connections of this service. */
  readonly service?: ServiceKey;
  /** Connections of clients in this network: an address, or a prefix such as `192.0.2.0/24`. */
  readonly client?: string;
  /** Connections to this server, whatever services it serves. */
  readonly server?: { readonly address: string; readonly port?: number };
  /** Connections with this port at any end. */
  readonly port?: number;
}

/** The filter, and bounds, at the first of which it ends. */
export interface CaptureOptions extends CaptureFilter {
  /** Frames. Default 10,000; at most 10,000,000. */
  readonly packets?: number;
  /** Bytes of frames that are kept. Default 64 MiB; at most 16 GiB. */
  readonly bytes?: number;
  /** Seconds. Default 60; at most a day. */
  readonly seconds?: number;
  /** Bytes of each frame that are kept, from its beginning, 128 .. 65563. Default: all. */
  readonly snapLength?: number;
  /**
   * Bytes of memory for what was not fetched yet, 256 KiB .. 64 MiB, for each thread; what finds no room there is counted
   * as lost. Default 4 MiB.
   */
  readonly bufferBytes?: number;
}

/** {@link CaptureOptions}, checked and with every default filled in. */
export interface CaptureSettings {
  readonly service: ServiceName | null;
  readonly client: Prefix | null;
  readonly server: (Address & { readonly port: number | null }) | null;
  /** -1: any. */
  readonly port: number;
  readonly packets: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly snapLength: number;
  readonly bufferBytes: number;
}

const OPTIONS = ['service', 'client', 'server', 'port', 'packets', 'bytes', 'seconds', 'snapLength', 'bufferBytes'];
/** The longest frame: an IP packet as long as can be, and its link header. */
const LONGEST = 65535 + 28;

/** @throws DirectorError ERR_INVALID_OPTION */
export function captureSettings(options: CaptureOptions): CaptureSettings {
  optionsOf('options', options, OPTIONS);
  const { service, client, server } = options;
  return {
    service: service === undefined ? null : serviceName(service),
    client: client === undefined ? null : parsePrefix(client, 'client'),
    server: server === undefined ? null : serverSettings(server),
    port: integer('port', options.port, 0, 65535, -1),
    packets: integer('packets', options.packets, 1, 10_000_000, 10_000),
    bytes: integer('bytes', options.bytes, 1, 2 ** 34, 2 ** 26),
    seconds: integer('seconds', options.seconds, 1, 86_400, 60),
    snapLength: integer('snapLength', options.snapLength, 128, LONGEST, LONGEST),
    bufferBytes: integer('bufferBytes', options.bufferBytes, 2 ** 18, 2 ** 26, 2 ** 22),
  };
}

function serverSettings(server: NonNullable<CaptureFilter['server']>): CaptureSettings['server'] {
  object('server', server);
  optionsOf('server', server, ['address', 'port'], 'server.');
  const port = server.port === undefined ? null : integer('server.port', server.port, 0, 65535, 0);
  return { ...parseAddress(server.address, 'server.address'), port };
}
