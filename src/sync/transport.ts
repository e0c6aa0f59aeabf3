/**
 * What carries the messages of the sync daemons. Two come with the director: its own interfaces (group.ts), which is what
 * `ipvsadm --start-daemon` uses, and a UDP socket of the machine's (socket.ts).
 */
import type { Address } from '../address.ts';

/** Where messages go to or come from. */
export interface SyncEndpoint {
  /** The multicast group. */
  readonly group: Address;
  /** The UDP port of the first channel; the others follow. */
  readonly port: number;
  /** Time to live of what is sent. */
  readonly ttl: number;
  /** Over how many ports messages are spread (`sync_ports`), 1 .. 64. */
  readonly channels: number;
  /** Bytes that sockets should keep (`sync_sock_size`); 0 for the system's own choice. */
  readonly socketBuffer: number;
}

export interface SyncTransport {
  /** The interface's name, for listings. */
  readonly name: string;
  /** Longest IP packet that it takes whole, in bytes. */
  readonly mtu: number;
  /** @throws DirectorError when it cannot send. */
  openSender(endpoint: SyncEndpoint): SyncSender;
  /**
   * Hands every datagram that arrives to `receive`: a view, where it begins and how long it is. The view is the caller's
   * again afterwards.
   * @throws DirectorError when it cannot receive.
   */
  openReceiver(endpoint: SyncEndpoint, receive: SyncReceive): SyncReceiver;
}

export type SyncReceive = (view: DataView, at: number, length: number) => void;

export interface SyncSender {
  /** Sends the first `length` bytes as one datagram. What it needs of them later, it copies. */
  send(message: Uint8Array, length: number, channel: number): void;
  close(): void;
}

export interface SyncReceiver {
  close(): void;
}
