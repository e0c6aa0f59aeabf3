import { formatMac, parseMac } from '../address.ts';
import { type Clock, SystemClock } from '../clock.ts';
import { invalidOption } from '../errors.ts';
import * as ethernet from '../packet/ethernet.ts';
import * as icmp from '../packet/icmp.ts';
import * as ipv4 from '../packet/ipv4.ts';
import { flowOf } from './flow.ts';
import { errorAbout, isIcmpError } from './icmp-message.ts';
import { type IcmpError, IcmpStack } from './icmp-stack.ts';
import { networkOf } from './ipv4-address.ts';
import { MemoryInterface } from './memory-interface.ts';
import { Nat, type NatOptions } from './nat.ts';
import { type ArpAnnounce, type ArpIgnore, Neighbours } from './neighbours.ts';
import { checkPort, readIpv4, readIpv4Prefix } from './options.ts';
import { Packet } from './packet.ts';
import { type Route, RouteTable } from './route-table.ts';
import type { MemorySocket } from './tcp-socket.ts';
import { type Listener, type ListenOptions, TcpStack } from './tcp-stack.ts';
import { type DatagramOrigin, type MemoryUdpSocket, UdpStack } from './udp-stack.ts';
import type { Wire } from './wire.ts';

/** One network interface of a host. */
export interface MemoryInterfaceOptions {
  /** Default `eth0`, `eth1`, ... */
  readonly name?: string;
  /** IPv4 addresses with prefix length; each makes its network reachable on this interface. */
  readonly addresses: readonly string[];
  /** Default: `02:00` and the first address. */
  readonly mac?: string;
  /** The largest IP packet, in bytes. Default 1500. */
  readonly mtu?: number;
  /** What the interface is plugged into. */
  readonly wire?: Wire;
}

export interface MemoryRouteOptions {
  /** A network, or `default`. */
  readonly to: string;
  /** The gateway: an address in the network of one of the interfaces. */
  readonly via: string;
}

export interface MemoryHostOptions {
  readonly interfaces: readonly MemoryInterfaceOptions[];
  /** Addresses on `lo`: the host is reached by them, but they belong to no wire. */
  readonly loopback?: readonly string[];
  readonly routes?: readonly MemoryRouteOptions[];
  /** Whether packets for others are passed on (`net.ipv4.ip_forward`). Default false. */
  readonly forwarding?: boolean;
  /** Which ARP requests are answered (`net.ipv4.conf.all.arp_ignore`). Default 0. */
  readonly arpIgnore?: ArpIgnore;
  /** Which address ARP requests name (`net.ipv4.conf.all.arp_announce`). Default 0. */
  readonly arpAnnounce?: ArpAnnounce;
  /** Address translation of what is passed on. */
  readonly nat?: NatOptions;
  /** Whether IPIP packets (RFC 2003) for this host are unwrapped. Default false. */
  readonly tunnel?: boolean;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** Numbers from 0 up to but not including 1, for TCP's initial sequence numbers. Default `Math.random`. */
  readonly random?: () => number;
}

export interface ConnectOptions {
  /** Default: the address of the interface that the connection leaves on. */
  readonly localAddress?: string;
  /** Default: an ephemeral port. */
  readonly localPort?: number;
  /** Whether the socket stays writable after the peer has ended. Default false. */
  readonly allowHalfOpen?: boolean;
}

/** Takes connections: a function, or a server such as `http.createServer()` makes. */
export type ConnectionTarget =
  | ((socket: MemorySocket) => void)
  | { emit(event: 'connection', socket: MemorySocket): boolean };

/** Why a host let a packet fall. */
export interface MemoryHostDrops {
  /** Not a whole IPv4 packet, or its header checksum was wrong. */
  malformed: number;
  /** For somebody else, and the host does not forward. */
  misdirected: number;
  /** The checksum of TCP, UDP or ICMP was wrong. */
  badChecksum: number;
  /** Fragments: these hosts neither make nor reassemble them. */
  fragment: number;
}

const DEFAULT_MTU = 1500;
const LEAST_MTU = 68;
const MOST_MTU = 65535;
const PING_TIMEOUT_MS = 5000;
const GROUP_BIT = 0x0100;

/**
 * An IPv4 host in memory, with as much of Linux's behaviour as playing clients, routers and real servers takes: ARP
 * with arp_ignore and arp_announce, addresses on `lo`, routes, forwarding with DNAT and SNAT, IPIP decapsulation, ICMP,
 * UDP, and a TCP whose sockets carry `node:http` and `node:tls`. It answers for all its addresses on all its interfaces
 * (the weak host model). IPv4 fragments are not supported.
 */
export class MemoryHost {
  readonly interfaces: readonly MemoryInterface[];
  readonly dropped: MemoryHostDrops = { malformed: 0, misdirected: 0, badChecksum: 0, fragment: 0 };
  readonly #forwarding: boolean;
  readonly #tunnel: boolean;
  readonly #local = new Set<number>();
  readonly #routes = new RouteTable();
  readonly #neighbours: Neighbours;
  readonly #nat: Nat | undefined;
  readonly #icmp: IcmpStack;
  readonly #tcp: TcpStack;
  readonly #udp: UdpStack;
  readonly #unplug: (() => void)[] = [];

  /** @throws DirectorError ERR_INVALID_OPTION */
  constructor(options: MemoryHostOptions) {
    const { clock = new SystemClock(), random = Math.random, arpIgnore = 0, arpAnnounce = 0 } = options;
    if (arpIgnore < 0 || arpIgnore > 2) throw invalidOption('arpIgnore', arpIgnore, '0, 1 or 2');
    if (arpAnnounce < 0 || arpAnnounce > 2) throw invalidOption('arpAnnounce', arpAnnounce, '0, 1 or 2');
    this.#forwarding = options.forwarding ?? false;
    this.#tunnel = options.tunnel ?? false;
    this.interfaces = options.interfaces.map((one, i) => this.#makeInterface(one, i));
    options.loopback?.forEach((text, i) => {
      this.#local.add(readIpv4(text, `loopback[${i}]`));
    });
    options.routes?.forEach((route, i) => {
      this.#routes.add(this.#makeRoute(route, `routes[${i}]`));
    });
    this.#nat = options.nat === undefined ? undefined : new Nat(clock, options.nat);
    this.#neighbours = new Neighbours({
      clock,
      arpIgnore,
      arpAnnounce,
      isLocal: (address) => this.#local.has(address),
    });
    const send = (packet: Packet): void => this.#send(packet);
    this.#icmp = new IcmpStack({ clock, send, onError: (error) => this.#reported(error) });
    this.#tcp = new TcpStack({ clock, random, send, mtuTo: (address) => this.#mtuTo(address) });
    this.#udp = new UdpStack({
      send,
      route: (address, port, localAddress) => {
        checkPort(port, 'port');
        const to = readIpv4(address, 'address');
        return { from: this.#sourceTo(to, localAddress), to, mtu: this.#mtuTo(to) };
      },
    });
    options.interfaces.forEach(({ wire }, i) => {
      if (wire !== undefined) this.#unplug.push(wire.connect(this.interfaces[i]!));
    });
  }

  /**
   * Takes TCP connections to `port`, on all addresses of the host.
   *
   * ```ts
   * host.listen(80, createServer((request, response) => response.end('hello\n')));
   * ```
   * @throws DirectorError ERR_INVALID_OPTION when the port is none or taken.
   */
  listen(port: number, target: ConnectionTarget, options: ListenOptions = {}): Listener {
    checkPort(port, 'port');
    const onConnection =
      typeof target === 'function' ? target : (socket: MemorySocket): void => void target.emit('connection', socket);
    return this.#tcp.listen(port, options, onConnection);
  }

  /**
   * Opens a TCP connection. The socket may be written at once; it emits `connect` when the connection is established.
   *
   * ```ts
   * get('http://192.0.2.1/', { createConnection: () => host.connect('192.0.2.1', 80) }, (response) => { ... });
   * ```
   * @throws DirectorError ERR_INVALID_OPTION
   */
  connect(address: string, port: number, options: ConnectOptions = {}): MemorySocket {
    checkPort(port, 'port');
    if (options.localPort !== undefined) checkPort(options.localPort, 'localPort');
    const to = readIpv4(address, 'address');
    const from = this.#sourceTo(to, options.localAddress);
    return this.#tcp.connect(from, options.localPort, to, port, options.allowHalfOpen ?? false);
  }

  /**
   * Opens a UDP port; 0 takes a free one.
   * @throws DirectorError ERR_INVALID_OPTION when the port is none or taken.
   */
  bind(port: number, onMessage: (data: Buffer, origin: DatagramOrigin) => void): MemoryUdpSocket {
    if (port !== 0) checkPort(port, 'port');
    return this.#udp.bind(port, onMessage);
  }

  /**
   * Sends an ICMP echo request. Resolves to the time until the answer came, in milliseconds; rejects with `ETIMEDOUT`,
   * or with what ICMP reports.
   */
  ping(address: string, timeoutMs: number = PING_TIMEOUT_MS): Promise<number> {
    const to = readIpv4(address, 'address');
    return this.#icmp.ping(this.#sourceTo(to, undefined), to, timeoutMs);
  }

  /** The MAC address that ARP found for a neighbour, as text; `undefined` where nobody has answered. */
  macOf(address: string): string | undefined {
    const neighbour = readIpv4(address, 'address');
    const mac = this.interfaces
      .map((one) => this.#neighbours.macOf(neighbour, one))
      .find((found) => found !== undefined);
    return mac === undefined ? undefined : formatMac(mac.high, mac.low);
  }

  /** Unplugs the host and forgets all that it was doing, without a word to anybody. */
  close(): void {
    for (const unplug of this.#unplug.splice(0)) unplug();
    this.#neighbours.close();
    this.#icmp.close();
    this.#tcp.close();
    this.#udp.close();
  }

  #makeInterface(options: MemoryInterfaceOptions, i: number): MemoryInterface {
    const option = `interfaces[${i}]`;
    const { name = `eth${i}`, mtu = DEFAULT_MTU } = options;
    if (!Number.isInteger(mtu) || mtu < LEAST_MTU || mtu > MOST_MTU) {
      throw invalidOption(`${option}.mtu`, mtu, `a whole number from ${LEAST_MTU} to ${MOST_MTU}`);
    }
    const addresses = options.addresses.map((text, k) => readIpv4Prefix(text, `${option}.addresses[${k}]`));
    const mac =
      options.mac === undefined
        ? { high: 0x0200, low: addresses[0]?.address ?? i }
        : parseMac(options.mac, `${option}.mac`);
    const made = new MemoryInterface(name, mac, mtu, addresses, (frame) => this.#receiveFrame(frame, made));
    for (const { address, length } of addresses) {
      this.#local.add(address);
      if (length < 32) this.#routes.add({ network: networkOf(address, length), length, gateway: undefined, out: made });
    }
    return made;
  }

  #makeRoute(route: MemoryRouteOptions, option: string): Route {
    const { address, length } = readIpv4Prefix(route.to, `${option}.to`);
    const gateway = readIpv4(route.via, `${option}.via`);
    const direct = this.#routes.find(gateway);
    if (direct === undefined || direct.gateway !== undefined) {
      throw invalidOption(`${option}.via`, route.via, "an address in an interface's network");
    }
    return { network: networkOf(address, length), length, gateway, out: direct.out };
  }

  #sourceTo(to: number, localAddress: string | undefined): number {
    if (localAddress !== undefined) {
      const from = readIpv4(localAddress, 'localAddress');
      if (!this.#local.has(from)) throw invalidOption('localAddress', localAddress, 'an address of this host');
      return from;
    }
    if (this.#local.has(to)) return to;
    const route = this.#routes.find(to);
    const out = route?.out ?? this.interfaces[0];
    return out?.addressTowards(route?.gateway ?? to) ?? 0;
  }

  #mtuTo(address: number): number {
    return this.#routes.find(address)?.out.mtu ?? DEFAULT_MTU;
  }

  #receiveFrame(frame: Uint8Array, on: MemoryInterface): void {
    if (frame.length < ethernet.ETHERNET_HEADER) return;
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    const high = ethernet.dstHigh(view, 0);
    const group = (high & GROUP_BIT) !== 0;
    if (!group && (high !== on.mac.high || ethernet.dstLow(view, 0) !== on.mac.low)) return;
    const type = ethernet.etherType(view, 0);
    if (type === ethernet.ETHERTYPE_ARP) {
      this.#neighbours.receive(view, ethernet.ETHERNET_HEADER, on);
    } else if (type === ethernet.ETHERTYPE_IPV4) {
      const packet = Packet.copy(view, ethernet.ETHERNET_HEADER);
      if (packet === undefined) this.dropped.malformed++;
      else this.#receivePacket(packet, !group);
    }
  }

  #receivePacket(packet: Packet, mayForward: boolean): void {
    this.#nat?.translate(packet, (destination) =>
      this.#forwarding && !this.#local.has(destination) ? this.#routes.find(destination)?.out : undefined,
    );
    if (this.#local.has(packet.destination)) this.#deliver(packet);
    else if (this.#forwarding && mayForward) this.#forward(packet);
    else this.dropped.misdirected++;
  }

  #deliver(packet: Packet): void {
    if (packet.isFragment) {
      this.dropped.fragment++;
    } else if (!packet.payloadIsValid()) {
      this.dropped.badChecksum++;
    } else if (packet.protocol === ipv4.PROTO_TCP) {
      this.#tcp.receive(packet);
    } else if (packet.protocol === ipv4.PROTO_ICMP) {
      this.#icmp.receive(packet);
    } else if (packet.protocol === ipv4.PROTO_UDP) {
      if (!this.#udp.receive(packet)) this.#sendError(packet, icmp.ICMP_DEST_UNREACH, icmp.UNREACH_PORT);
    } else if (packet.protocol === ipv4.PROTO_IPIP && this.#tunnel) {
      this.#unwrap(packet);
    } else {
      this.#sendError(packet, icmp.ICMP_DEST_UNREACH, icmp.UNREACH_PROTOCOL);
    }
  }

  #unwrap(packet: Packet): void {
    const inner = Packet.copy(packet.view, packet.payloadAt);
    if (inner === undefined) this.dropped.malformed++;
    else this.#receivePacket(inner, true);
  }

  #forward(packet: Packet): void {
    const route = this.#routes.find(packet.destination);
    if (packet.ttl <= 1) {
      this.#sendError(packet, icmp.ICMP_TIME_EXCEEDED, 0);
    } else if (route === undefined) {
      this.#sendError(packet, icmp.ICMP_DEST_UNREACH, icmp.UNREACH_NET);
    } else if (packet.length > route.out.mtu) {
      if (packet.dontFragment) {
        this.#sendError(packet, icmp.ICMP_DEST_UNREACH, icmp.UNREACH_FRAG_NEEDED, route.out.mtu);
      } else {
        this.dropped.fragment++;
      }
    } else {
      packet.decrementTtl();
      const unreachable = (): void => this.#sendError(packet, icmp.ICMP_DEST_UNREACH, icmp.UNREACH_HOST);
      this.#neighbours.send(packet, route.gateway ?? packet.destination, route.out, unreachable);
    }
  }

  /** Sends a packet of the host's own. */
  #send(packet: Packet): void {
    this.#nat?.track(packet);
    const { destination } = packet;
    const route = this.#routes.find(destination);
    const undeliverable = (code: string): void => {
      const flow = flowOf(packet.view, packet.at, packet.at + packet.length);
      if (flow !== undefined) this.#reported({ flow, code, mtu: undefined });
    };
    // Not at once: no caller expects to be called back from inside its own sending.
    if (this.#local.has(destination)) setImmediate(() => this.#deliver(packet));
    else if (route === undefined) setImmediate(() => undeliverable('ENETUNREACH'));
    else this.#neighbours.send(packet, route.gateway ?? destination, route.out, () => undeliverable('EHOSTUNREACH'));
  }

  /** Tells the sender of `cause` what became of it, where that is allowed (RFC 1122 section 3.2.2). */
  #sendError(cause: Packet, type: number, code: number, rest = 0): void {
    if (cause.isFragment || cause.source === 0) return;
    if (cause.protocol === ipv4.PROTO_ICMP) {
      if (cause.payloadLength < icmp.ICMP_HEADER || isIcmpError(icmp.icmpType(cause.view, cause.payloadAt))) return;
    }
    const source = this.#local.has(cause.destination) ? cause.destination : this.#sourceTo(cause.source, undefined);
    const error = errorAbout(cause, source, type, code, rest);
    this.#nat?.translate(error, () => undefined);
    this.#send(error);
  }

  /** A packet that this host sent did not arrive. */
  #reported({ flow, code, mtu }: IcmpError): void {
    const ends = {
      localAddress: flow.source,
      localPort: flow.sourcePort,
      remoteAddress: flow.destination,
      remotePort: flow.destinationPort,
    };
    if (flow.protocol === ipv4.PROTO_ICMP) this.#icmp.unreachable(flow.sourcePort, code);
    else if (flow.protocol === ipv4.PROTO_UDP) this.#udp.unreachable(ends, code);
    else if (flow.protocol !== ipv4.PROTO_TCP) return;
    else if (mtu === undefined) this.#tcp.unreachable(ends, code);
    else this.#tcp.fragmentationNeeded(ends, mtu);
  }
}
