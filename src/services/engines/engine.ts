import type { ScheduledPacket } from '../../schedulers/scheduler.ts';

/**
 * What a persistence engine may know of the packet that opens a connection. The director reuses one such object: it is
 * valid only during the call.
 */
export interface EnginePacket extends ScheduledPacket {
  /** The memory that the packet lies in. */
  readonly view: DataView;
  /** Where what the transport header carries begins. */
  readonly payload: number;
  /** How many bytes it carries; what lies behind them is not the packet's. */
  readonly payloadLength: number;
}

/**
 * Tells clients of a persistent service apart by more than their address: by something that it finds in the packet, as
 * `sip` does by the call. Whoever has the same client address (or network) and the same data gets the same server.
 *
 * ```ts
 * const firstByte: PersistenceEngine = {
 *   name: 'first-byte',
 *   identify: ({ view, payload, payloadLength }) =>
 *     payloadLength > 0 ? String.fromCharCode(view.getUint8(payload)) : null,
 * };
 * ```
 *
 * Called once per new connection, and with one-packet scheduling for every datagram; never for packets of connections
 * that exist. Must not throw.
 */
export interface PersistenceEngine {
  /** What `--pe` takes: 1 to 15 printable characters. */
  readonly name: string;
  /** The data, one char per byte and 1 to 255 of them; or null when there is none, and then the packet is dropped. */
  identify(packet: EnginePacket): string | null;
  /**
   * Whether UDP datagrams that NAT servers send, and that belong to no connection, begin one: they get the virtual
   * address, and the client's answer finds its way back. Default false.
   */
  readonly serversConnect?: boolean;
}

/** The longest data of an engine, in bytes. */
export const MAX_ENGINE_DATA = 255;
