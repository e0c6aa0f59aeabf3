/** The TCP of one host: its connections, its listeners, and which segment is whose. */
import type { Clock } from '../clock.ts';
import { DirectorError, invalidOption } from '../errors.ts';
import * as tcp from '../packet/tcp.ts';
import type { Endpoints } from './endpoints.ts';
import type { Packet } from './packet.ts';
import { EphemeralPorts } from './ports.ts';
import { resetFor, TcpConnection, type TcpEnvironment, type TcpUser } from './tcp-connection.ts';
import { packSegment, readSegment, type Segment } from './tcp-segment.ts';
import { MemorySocket } from './tcp-socket.ts';

export interface ListenOptions {
  /** Whether a socket stays writable after the peer has ended. Default false, as in `node:net`. */
  readonly allowHalfOpen?: boolean;
}

/** A port that takes connections. */
export interface Listener {
  readonly port: number;
  /** Takes no more connections; those that are there stay. */
  close(): void;
}

interface Listening {
  readonly allowHalfOpen: boolean;
  readonly onConnection: (socket: MemorySocket) => void;
}

export interface TcpStackOptions {
  readonly clock: Clock;
  /** Numbers from 0 up to but not including 1, for initial sequence numbers. */
  readonly random: () => number;
  readonly send: (packet: Packet) => void;
  /** The largest packet that the first hop to the address carries, in bytes. */
  readonly mtuTo: (address: number) => number;
}

/** IP and TCP headers without options. */
const HEADERS = 40;

function keyOf({ localAddress, localPort, remoteAddress, remotePort }: Endpoints): string {
  return `${localAddress}:${localPort} ${remoteAddress}:${remotePort}`;
}

export class TcpStack {
  readonly #options: TcpStackOptions;
  readonly #connections = new Map<string, TcpConnection>();
  readonly #listeners = new Map<number, Listening>();
  readonly #ports = new EphemeralPorts();
  /** What ICMP told about the way to an address (RFC 1191), in bytes. */
  readonly #pathMtu = new Map<number, number>();

  constructor(options: TcpStackOptions) {
    this.#options = options;
  }

  /** @throws DirectorError ERR_INVALID_OPTION when the port is taken. */
  listen(port: number, options: ListenOptions, onConnection: (socket: MemorySocket) => void): Listener {
    if (this.#listeners.has(port)) throw invalidOption('port', port, 'free');
    const listening = { allowHalfOpen: options.allowHalfOpen ?? false, onConnection };
    this.#listeners.set(port, listening);
    return {
      port,
      close: () => {
        if (this.#listeners.get(port) === listening) this.#listeners.delete(port);
      },
    };
  }

  /** @throws DirectorError ERR_INVALID_OPTION when the local port is in use towards the same peer. */
  connect(
    from: number,
    fromPort: number | undefined,
    to: number,
    toPort: number,
    allowHalfOpen: boolean,
  ): MemorySocket {
    const peer = { localAddress: from, remoteAddress: to, remotePort: toPort };
    const isFree = (localPort: number): boolean => !this.#connections.has(keyOf({ ...peer, localPort }));
    const localPort = fromPort ?? this.#ports.take(isFree);
    if (localPort === undefined) throw new DirectorError('ERR_DEVICE', 'no local port is free');
    if (!isFree(localPort)) throw invalidOption('localPort', localPort, 'free towards this peer');
    const ends = { ...peer, localPort };
    return new MemorySocket(ends, allowHalfOpen, (user) => {
      const connection = TcpConnection.open(ends, this.#environment(to), user);
      this.#connections.set(keyOf(ends), connection);
      return connection;
    });
  }

  /** Takes a packet for this host whose checksum is right. */
  receive(packet: Packet): void {
    const segment = readSegment(packet);
    if (segment === undefined) return;
    const { view, payloadAt } = packet;
    const ends: Endpoints = {
      localAddress: packet.destination,
      localPort: tcp.destinationPort(view, payloadAt),
      remoteAddress: packet.source,
      remotePort: tcp.sourcePort(view, payloadAt),
    };
    let connection = this.#connections.get(keyOf(ends));
    // A new connection may take the place of one that only waits for stragglers (RFC 9293 section 3.6.1).
    if (connection?.state === 'TIME_WAIT' && isFreshSyn(segment) && this.#listeners.has(ends.localPort)) {
      connection.vanish();
      connection = undefined;
    }
    if (connection !== undefined) connection.receive(segment);
    else this.#receiveUnconnected(ends, segment);
  }

  /** An ICMP error came: the packet it quotes went from here to there. */
  unreachable(ends: Endpoints, code: string): void {
    this.#connections.get(keyOf(ends))?.unreachable(code);
  }

  /** As {@link unreachable}, for a packet that was too long. */
  fragmentationNeeded(ends: Endpoints, mtu: number): void {
    const known = Math.min(this.#pathMtu.get(ends.remoteAddress) ?? mtu, mtu);
    this.#pathMtu.set(ends.remoteAddress, known);
    this.#connections.get(keyOf(ends))?.fragmentationNeeded(known);
  }

  close(): void {
    this.#listeners.clear();
    for (const connection of [...this.#connections.values()]) connection.vanish();
  }

  #receiveUnconnected(ends: Endpoints, segment: Segment): void {
    const listening = this.#listeners.get(ends.localPort);
    if (listening !== undefined && isFreshSyn(segment)) this.#accept(ends, segment, listening);
    else if (!(segment.flags & tcp.RST)) this.#options.send(packSegment(ends, resetFor(segment)));
  }

  #accept(ends: Endpoints, syn: Segment, { allowHalfOpen, onConnection }: Listening): void {
    const accepted = (connection: TcpConnection): TcpUser => {
      let user!: TcpUser;
      const socket = new MemorySocket(ends, allowHalfOpen, (socketUser) => {
        user = socketUser;
        return connection;
      });
      const onConnect = (): void => {
        user.onConnect();
        onConnection(socket);
      };
      return { ...user, onConnect };
    };
    this.#connections.set(
      keyOf(ends),
      TcpConnection.accept(ends, this.#environment(ends.remoteAddress), syn, accepted),
    );
  }

  #environment(peer: number): TcpEnvironment {
    const { clock, random, mtuTo } = this.#options;
    return {
      clock,
      mss: Math.min(mtuTo(peer), this.#pathMtu.get(peer) ?? Number.POSITIVE_INFINITY) - HEADERS,
      initialSequence: Math.floor(random() * 0x1_0000_0000),
      send: (ends, segment) => this.#options.send(packSegment(ends, segment)),
      onClosed: (connection) => {
        const key = keyOf(connection.ends);
        if (this.#connections.get(key) === connection) this.#connections.delete(key);
      },
    };
  }
}

function isFreshSyn({ flags }: Segment): boolean {
  return (flags & (tcp.SYN | tcp.ACK | tcp.RST | tcp.FIN)) === tcp.SYN;
}
