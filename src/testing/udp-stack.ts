/** The UDP (RFC 768) of one host. */
import { DirectorError, invalidOption } from '../errors.ts';
import { PROTO_UDP } from '../packet/ipv4.ts';
import * as udp from '../packet/udp.ts';
import type { Endpoints } from './endpoints.ts';
import { addressText } from './ipv4-address.ts';
import { Packet } from './packet.ts';
import { EphemeralPorts } from './ports.ts';
import { socketError } from './socket-error.ts';

/** Where a datagram came from, and which of the host's addresses it was sent to. */
export interface DatagramOrigin {
  readonly address: string;
  readonly port: number;
  readonly localAddress: string;
}

/** An open UDP port of an in-memory host. */
export interface MemoryUdpSocket {
  readonly port: number;
  /** Called when ICMP reports that a datagram did not arrive. */
  onError: ((error: Error) => void) | null;
  /**
   * Sends one datagram, from `localAddress` or else from the host's best address.
   * @throws DirectorError ERR_INVALID_OPTION for an address or port that is none, or data too long for one packet.
   */
  send(data: Uint8Array, address: string, port: number, localAddress?: string): void;
  close(): void;
}

interface Bound {
  readonly socket: MemoryUdpSocket;
  readonly onMessage: (data: Buffer, origin: DatagramOrigin) => void;
}

/** What a datagram is sent with: addresses resolved and checked. */
export interface UdpRoute {
  readonly from: number;
  readonly to: number;
  /** The largest packet that the first hop carries, in bytes. */
  readonly mtu: number;
}

export interface UdpStackOptions {
  /** Reads the addresses. @throws DirectorError ERR_INVALID_OPTION */
  readonly route: (address: string, port: number, localAddress: string | undefined) => UdpRoute;
  readonly send: (packet: Packet) => void;
}

const HEADERS = 28;

export class UdpStack {
  readonly #options: UdpStackOptions;
  readonly #bound = new Map<number, Bound>();
  readonly #ports = new EphemeralPorts();

  constructor(options: UdpStackOptions) {
    this.#options = options;
  }

  /** Opens `port`, or a free one for 0. @throws DirectorError ERR_INVALID_OPTION when the port is taken. */
  bind(port: number, onMessage: (data: Buffer, origin: DatagramOrigin) => void): MemoryUdpSocket {
    const own = port === 0 ? this.#ports.take((candidate) => !this.#bound.has(candidate)) : port;
    if (own === undefined) throw new DirectorError('ERR_DEVICE', 'no local port is free');
    if (this.#bound.has(own)) throw invalidOption('port', own, 'free');
    const socket: MemoryUdpSocket = {
      port: own,
      onError: null,
      send: (data, address, to, localAddress) =>
        this.#send(own, data, to, this.#options.route(address, to, localAddress)),
      close: () => {
        if (this.#bound.get(own)?.socket === socket) this.#bound.delete(own);
      },
    };
    this.#bound.set(own, { socket, onMessage });
    return socket;
  }

  /** Takes a packet for this host whose checksum is right. @returns false when nobody listens on its port. */
  receive(packet: Packet): boolean {
    const { view, payloadAt: at } = packet;
    const bound = this.#bound.get(udp.destinationPort(view, at));
    if (bound === undefined) return false;
    const length = udp.udpLength(view, at);
    if (length < udp.UDP_HEADER || length > packet.payloadLength) return true;
    bound.onMessage(Buffer.from(packet.bytes.subarray(at + udp.UDP_HEADER, at + length)), {
      address: addressText(packet.source),
      port: udp.sourcePort(view, at),
      localAddress: addressText(packet.destination),
    });
    return true;
  }

  /** An ICMP error came: the packet it quotes went from here to there. */
  unreachable(ends: Endpoints, code: string): void {
    this.#bound.get(ends.localPort)?.socket.onError?.(socketError(code, 'send', ends));
  }

  close(): void {
    this.#bound.clear();
  }

  #send(fromPort: number, data: Uint8Array, toPort: number, { from, to, mtu }: UdpRoute): void {
    if (data.length > mtu - HEADERS)
      throw invalidOption('data', `${data.length} bytes`, `at most ${mtu - HEADERS} bytes`);
    const packet = Packet.create(PROTO_UDP, from, to, udp.UDP_HEADER + data.length);
    udp.writeUdpHeader(packet.view, packet.payloadAt, fromPort, toPort, udp.UDP_HEADER + data.length);
    packet.bytes.set(data, packet.payloadAt + udp.UDP_HEADER);
    packet.sealPayload();
    this.#options.send(packet);
  }
}
