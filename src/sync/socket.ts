/**
 * The sync daemons on a UDP socket of the machine's, for programs that keep their directors together by a network of
 * their own: to a multicast group, or between two addresses where there is no multicast.
 */
import { createSocket, type Socket } from 'node:dgram';
import { formatAddress, parseAddress } from '../address.ts';
import { invalidOption } from '../errors.ts';
import type { SyncEndpoint, SyncReceive, SyncReceiver, SyncSender, SyncTransport } from './transport.ts';

export interface UdpTransportOptions {
  /** Address of the network interface to use for multicast; for IPv6 `::%eth0`. Default: the system's choice. */
  readonly interface?: string;
  /** Send to this address instead of the group. */
  readonly remote?: string;
  /** Receive what is sent to this address of the machine's, instead of the group. */
  readonly local?: string;
  /** Name in listings, at most 15 characters. Default `udp`. */
  readonly name?: string;
  /** Longest IP packet that is sent whole, in bytes. Default 1500. */
  readonly mtu?: number;
  /** Told of what went wrong with a socket. Messages that cannot be sent are lost, as any datagram may be. */
  readonly onError?: (error: Error) => void;
}

/**
 * Carries sync messages over `node:dgram`:
 *
 * ```ts
 * director.startDaemon({ role: 'master', transport: new UdpTransport({ remote: '192.0.2.2' }) });
 * ```
 */
export class UdpTransport implements SyncTransport {
  readonly name: string;
  readonly mtu: number;
  readonly #interface: string | undefined;
  readonly #remote: string | undefined;
  readonly #local: string | undefined;
  readonly #onError: (error: Error) => void;

  /** @throws DirectorError ERR_INVALID_OPTION */
  constructor(options: UdpTransportOptions = {}) {
    const { name = 'udp', mtu = 1500 } = options;
    if (typeof name !== 'string' || !/^[!-~]{1,15}$/.test(name)) {
      throw invalidOption('name', name, 'a name of 1 to 15 printable characters');
    }
    if (!Number.isInteger(mtu) || mtu < 68 || mtu > 65535) {
      throw invalidOption('mtu', mtu, 'an integer from 68 to 65535');
    }
    this.name = name;
    this.mtu = mtu;
    this.#interface = optionalAddress('interface', options.interface);
    this.#remote = optionalAddress('remote', options.remote);
    this.#local = optionalAddress('local', options.local);
    this.#onError = options.onError ?? (() => {});
  }

  openSender(endpoint: SyncEndpoint): SyncSender {
    const { group, port, ttl, channels, socketBuffer } = endpoint;
    const to = this.#remote ?? formatAddress(group.family, group.words);
    const onError = this.#onError;
    const sockets = Array.from({ length: channels }, () => {
      const socket = open(to, onError);
      bind(socket, 0, undefined, onError, () => {
        if (socketBuffer > 0) socket.setSendBufferSize(socketBuffer);
        if (this.#remote !== undefined) return;
        socket.setMulticastTTL(ttl);
        socket.setMulticastLoopback(false);
        if (this.#interface !== undefined) socket.setMulticastInterface(this.#interface);
      });
      return socket;
    });
    return {
      send: (message, length, channel) => {
        // The message is filled again after this call, the socket reads it later.
        sockets[channel].send(message.slice(0, length), port + channel, to, (error) => {
          if (error !== null) onError(error);
        });
      },
      close: () => {
        for (const socket of sockets) socket.close();
      },
    };
  }

  openReceiver(endpoint: SyncEndpoint, receive: SyncReceive): SyncReceiver {
    const { group, port, channels, socketBuffer } = endpoint;
    const groupText = formatAddress(group.family, group.words);
    const at = this.#local ?? groupText;
    const sockets = Array.from({ length: channels }, (_, i) => {
      const socket = open(at, this.#onError);
      socket.on('message', (message) => {
        receive(new DataView(message.buffer, message.byteOffset, message.length), 0, message.length);
      });
      bind(socket, port + i, at, this.#onError, () => {
        if (socketBuffer > 0) socket.setRecvBufferSize(socketBuffer);
        if (this.#local === undefined) socket.addMembership(groupText, this.#interface);
      });
      return socket;
    });
    return {
      close: () => {
        for (const socket of sockets) socket.close();
      },
    };
  }
}

/** A socket that does not keep the process alive: an open device does. */
function open(address: string, onError: (error: Error) => void): Socket {
  const type = address.includes(':') ? 'udp6' : 'udp4';
  return createSocket({ type, reuseAddr: true }).on('error', onError).unref();
}

/** Binds a socket and sets it up; what goes wrong with that is no exception that nobody could catch. */
function bind(
  socket: Socket,
  port: number,
  address: string | undefined,
  onError: (error: Error) => void,
  setUp: () => void,
): void {
  socket.bind({ port, ...(address === undefined ? {} : { address }) }, () => {
    try {
      setUp();
    } catch (error) {
      onError(error as Error);
    }
  });
}

function optionalAddress(option: string, text: string | undefined): string | undefined {
  if (text !== undefined) parseAddress(typeof text === 'string' ? text.replace(/%[^%]+$/, '') : text, option);
  return text;
}
