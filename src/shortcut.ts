/**
 * The short way of ordinary packets: a whole IPv4 packet of TCP or UDP, of a connection that is there and stays in its state,
 * from a client to a server that is there and whose MAC address is known, or from a NAT server back.
 *
 * What is done to such a packet is exactly what pipeline.ts does to it, step by step and in the same order (test/core/shortcut.test.ts
 * compares them); but nothing is changed before it is certain that nothing out of the ordinary comes up. If something does,
 * {@link Shortcut.take} returns {@link LONG_WAY}, and the packet goes the way that pipeline.ts describes.
 *
 * It is worth its lines because what is known of a packet stays in local variables and small fields, and because V8 puts what
 * it calls into its functions: a packet takes about a third of the time of the long way (`npm run bench -- micro`). V8 puts no
 * more than 920 bytes of bytecode into a function, and nothing that is longer than 460 bytes itself. So #fromClient, #fromServer,
 * #rewrite and #encapsulate (488 bytes, the shortest) are long on purpose: each is called, and has 920 bytes of its own. What
 * is written out in them counts for nothing. (`node --print-bytecode --trace-turbo-inlining` tells, in Node 20.)
 */
import type { Connections } from './conntrack/connections.ts';
import * as method from './conntrack/forward-method.ts';
import * as layout from './conntrack/layout.ts';
import type { ConnectionTable } from './conntrack/table.ts';
import * as tcpState from './conntrack/tcp-state.ts';
import { countIn, countOut, type Datapath } from './datapath.ts';
import type { Hop, Host } from './host/host.ts';
import { isHostAddress, nextIdentification } from './host/icmp.ts';
import type { Interface } from './host/interface.ts';
import * as neighbour from './host/neighbours.ts';
import type { Wire } from './host/wire.ts';
import { outerTos } from './modes/tun.ts';
import * as checksum from './packet/checksum.ts';
import * as ethernet from './packet/ethernet.ts';
import * as ipv4 from './packet/ipv4.ts';
import { BURST } from './packet/pool.ts';
import * as tcp from './packet/tcp.ts';
import * as udp from './packet/udp.ts';
import type { Destination } from './services/destination.ts';
import * as destinations from './services/destination.ts';
import { V } from './verdicts.ts';

/** The packet is not ordinary, and nothing was done to it. */
export const LONG_WAY = -1;

// Numbers of other modules are read from there at every use; those of this one become part of the machine code.
const {
  CONTROL,
  DADDR4,
  VADDR4,
  ELSEWHERE,
  EXPIRES,
  FLAGS,
  FWD_MASK,
  HELPED,
  IN_PKTS,
  META,
  NO_CPORT,
  ONE_PACKET,
  PORTS,
  TIMEOUT,
} = layout;
const { MASQ, ROUTE, TUNNEL } = method;
const { INPUT, OUTPUT } = tcpState;
const { INCOMPLETE, STALE } = neighbour;
const { ETHERNET_HEADER, ETHERTYPE_IPV4 } = ethernet;
const { DF, IPV4_HEADER, MF, OFFSET_MASK, PROTO_IPIP, PROTO_TCP, PROTO_UDP } = ipv4;
const { SYN, TCP_CHECKSUM, TCP_HEADER } = tcp;
const { UDP_CHECKSUM, UDP_HEADER } = udp;
const { halves, foldShort } = checksum;
const { TUNNEL_IPIP } = destinations;
/** Any shorter frame holds neither a TCP nor a UDP header. */
const LEAST_FRAME = ethernet.ETHERNET_HEADER + ipv4.IPV4_HEADER + udp.UDP_HEADER;
/** Of a way that even tunnelled packets can go (RFC 791 3.2). */
const LEAST_MTU = 68 + ipv4.IPV4_HEADER;
/** The two ends of a packet. */
const SRC = 0;
const DST = 1;
/** Where a TCP header has its flags. */
const TCP_FLAGS = 13;
const VERDICT_MASQ = V.MASQ;
const VERDICT_ROUTE = V.ROUTE;
const VERDICT_TUNNEL = V.TUNNEL;
const VERDICT_REPLY = V.REPLY;

/** Version 4, a header without options. */
const VERSION_IHL = 0x45;
/** Connections that something is to be done for beside the usual. */
const UNUSUAL = HELPED | NO_CPORT | ONE_PACKET | ELSEWHERE;

export class Shortcut {
  readonly #dp: Datapath;
  readonly #view: DataView;
  readonly #host: Host;
  readonly #wire: Wire;
  readonly #connections: Connections;
  readonly #table: ConnectionTable;
  readonly #rows: Int32Array;

  // The packet at hand: where it is, and the words of its header.
  #ip = 0;
  /** Version, header length, type of service and total length. */
  #sizes = 0;
  /** Identification and the fragment field. */
  #fragment = 0;
  /** Time to live, protocol and checksum. */
  #control = 0;
  #source = 0;
  #destination = 0;
  /** Source and destination port. */
  #ports = 0;
  #tcpFlags = 0;
  // The burst at hand: its frames, the first row for each, and the state of the table when those were read.
  readonly #offsets: Int32Array;
  readonly #lengths: Int32Array;
  readonly #firsts = new Int32Array(BURST);
  #changes = 0;

  // The address, protocol and port that was last seen to be no connection's client, and when.
  #noClient = 0;
  #noClientPort = -1;
  #noClientChanges = 0;

  /** @param offsets where the frames of a burst begin. @param lengths how long they are. */
  constructor(dp: Datapath, offsets: Int32Array, lengths: Int32Array) {
    this.#dp = dp;
    this.#offsets = offsets;
    this.#lengths = lengths;
    this.#view = dp.view;
    this.#host = dp.host;
    this.#wire = dp.wire;
    this.#connections = dp.connections4;
    this.#table = dp.connections4.table;
    this.#rows = this.#table.rows;
  }

  /**
   * Takes a burst of frames up, which {@link take} is then called for in their order. What it needs of the connection table is
   * read for all of them at once, for that takes much less time than one after the other.
   */
  begin(frames: number): void {
    const table = this.#table;
    const view = this.#view;
    const offsets = this.#offsets;
    const lengths = this.#lengths;
    const firsts = this.#firsts;
    this.#changes = table.changes;
    for (let i = 0; i < frames; i++) {
      firsts[i] = 0;
      const ip = offsets[i] + ETHERNET_HEADER;
      if (lengths[i] < LEAST_FRAME || view.getUint16(ip - 2) !== ETHERTYPE_IPV4) continue;
      const protocol = view.getUint8(ip + 9);
      const ports = view.getInt32(ip + IPV4_HEADER);
      const destination = view.getInt32(ip + 16);
      firsts[i] = this.#host.isOwn4(destination)
        ? table.bucket4(protocol, view.getInt32(ip + 12), ports >>> 16)
        : table.bucket4(protocol, destination, ports & 0xffff);
    }
    table.firstRows(firsts, frames);
  }

  /**
   * Sends on a complete frame of the burst, if it is an ordinary packet.
   * @param on the interface without a VLAN that it came in by.
   * @param i which one it is.
   * @param requests whether packets from clients may go the short way now.
   * @param replies whether those from NAT servers may.
   * @returns its verdict, or {@link LONG_WAY}.
   */
  take(on: Interface, i: number, requests: boolean, replies: boolean): number {
    const view = this.#view;
    const frame = this.#offsets[i];
    const length = this.#lengths[i];
    if (length < LEAST_FRAME) return LONG_WAY;
    const isIpv4 = view.getUint16(frame + 12) === ETHERTYPE_IPV4;
    if (!isIpv4 || view.getUint16(frame) !== on.macHigh || view.getInt32(frame + 2) !== on.macLow) return LONG_WAY;

    const ip = frame + ETHERNET_HEADER;
    const sizes = view.getInt32(ip);
    const fragment = view.getInt32(ip + 4);
    const control = view.getInt32(ip + 8);
    const source = view.getInt32(ip + 12);
    const destination = view.getInt32(ip + 16);
    const total = sizes & 0xffff;
    if (sizes >>> 24 !== VERSION_IHL || total > length - ETHERNET_HEADER) return LONG_WAY;
    if ((fragment & (MF | OFFSET_MASK)) !== 0 || control >>> 24 <= 1) return LONG_WAY;
    // With the right checksum the sum is a multiple of 0xffff.
    const sum = halves(sizes) + halves(fragment) + halves(control) + halves(source) + halves(destination);
    if (sum % 0xffff !== 0) return LONG_WAY;
    const protocol = (control >>> 16) & 0xff;
    let tcpFlags = 0;
    if (protocol === PROTO_TCP) {
      if (total < IPV4_HEADER + TCP_HEADER) return LONG_WAY;
      tcpFlags = view.getUint8(ip + IPV4_HEADER + TCP_FLAGS);
      if ((tcpFlags & SYN) !== 0) return LONG_WAY;
    } else if (protocol !== PROTO_UDP || total < IPV4_HEADER + UDP_HEADER) return LONG_WAY;

    const host = this.#host;
    if (!isHostAddress(source) || host.isOwn4(source)) return LONG_WAY;
    this.#ip = ip;
    this.#sizes = sizes;
    this.#fragment = fragment;
    this.#control = control;
    this.#source = source;
    this.#destination = destination;
    this.#ports = view.getInt32(ip + IPV4_HEADER);
    this.#tcpFlags = tcpFlags;
    if (host.isOwn4(destination)) return requests ? this.#fromClient(i, protocol, source, destination) : LONG_WAY;
    if (!replies || !isHostAddress(destination) || host.isBroadcastWord4(destination)) return LONG_WAY;
    return this.#fromServer(i, protocol, source, destination);
  }

  #fromClient(i: number, protocol: number, source: number, destination: number): number {
    const ports = this.#ports;
    if (this.#mayBeReply(protocol, destination, ports & 0xffff)) return LONG_WAY;
    const first = this.#first(i, protocol, source, ports >>> 16);
    const row = this.#table.findRequest4(first, protocol, source, destination, ports);
    if (row === 0) return LONG_WAY;
    const rows = this.#rows;
    // Ordinary packets do nothing to their connection but to start its timer again, for no less than there is left.
    const timeout = this.#connections.timeoutIfUnchanged(row, INPUT, this.#tcpFlags);
    const expires = (this.#dp.tick + timeout) | 0;
    if (timeout < 0 || ((expires - rows[row + EXPIRES]) | 0) < 0 || (rows[row + FLAGS] & UNUSUAL) !== 0)
      return LONG_WAY;
    const server = this.#connections.destinationOf(row);
    if (server === null || !server.available) return LONG_WAY;
    const hop = this.#host.hopOf(server);
    if (hop === null || hop.neighbour === null) return LONG_WAY;

    const total = this.#sizes & 0xffff;
    const forward = rows[row + FLAGS] & FWD_MASK;
    const outer = forward === TUNNEL ? IPV4_HEADER : 0;
    if (total > hop.mtu - outer || hop.mtu < LEAST_MTU || !isReachable(hop.neighbour)) return LONG_WAY;
    let verdict: number;
    if (forward === ROUTE) {
      verdict = VERDICT_ROUTE;
      this.#age();
    } else if (forward === MASQ && this.#hasChecksum(protocol)) {
      verdict = VERDICT_MASQ;
      this.#rewrite(protocol, DST, rows[row + DADDR4], rows[row + META] & 0xffff);
    } else if (forward === TUNNEL && server.family === 4 && server.tunnelType === TUNNEL_IPIP) {
      verdict = VERDICT_TUNNEL;
      this.#encapsulate(hop, server);
    } else return LONG_WAY;
    rows[row + IN_PKTS]++;
    rows[row + TIMEOUT] = timeout;
    rows[row + EXPIRES] = expires;
    countIn(this.#dp, server, total);
    this.#wire.sendIpv4(hop.neighbour, this.#ip - outer, total + outer);
    return verdict;
  }

  /** The first row of the bucket of this client, as it was read when the burst began, or is by now. */
  #first(i: number, protocol: number, client: number, port: number): number {
    const table = this.#table;
    return table.changes === this.#changes ? this.#firsts[i] : table.first4(protocol, client, port);
  }

  /**
   * Whether a packet to the director is for a client of a connection: so when the director has got the client's address since,
   * or the connection is of another director.
   */
  #mayBeReply(protocol: number, destination: number, port: number): boolean {
    const table = this.#table;
    const key = (protocol << 16) | port;
    const isKnown = this.#noClient === destination && this.#noClientPort === key;
    if (isKnown && this.#noClientChanges === table.changes) return false;
    if (table.hasClient4(protocol, destination, port)) return true;
    this.#noClient = destination;
    this.#noClientPort = key;
    this.#noClientChanges = table.changes;
    return false;
  }

  #fromServer(i: number, protocol: number, source: number, destination: number): number {
    const rows = this.#rows;
    const ports = this.#ports;
    const first = this.#first(i, protocol, destination, ports & 0xffff);
    const row = this.#table.findReply4(first, protocol, destination, source, ports);
    if (row === 0) return LONG_WAY;
    // As in #fromClient.
    const timeout = this.#connections.timeoutIfUnchanged(row, OUTPUT, this.#tcpFlags);
    const expires = (this.#dp.tick + timeout) | 0;
    if (timeout < 0 || ((expires - rows[row + EXPIRES]) | 0) < 0 || (rows[row + FLAGS] & UNUSUAL) !== 0)
      return LONG_WAY;
    if ((rows[row + FLAGS] & FWD_MASK) !== MASQ || rows[row + CONTROL] !== 0) return LONG_WAY;
    const server = this.#connections.destinationOf(row);
    if (server === null || !server.available) return LONG_WAY;
    const next = this.#host.nextHop4(this.#destination);
    const total = this.#sizes & 0xffff;
    if (next === null || !isReachable(next) || total > next.interface.mtu || !this.#hasChecksum(protocol))
      return LONG_WAY;
    this.#rewrite(protocol, SRC, rows[row + VADDR4], rows[row + PORTS] & 0xffff);
    rows[row + TIMEOUT] = timeout;
    rows[row + EXPIRES] = expires;
    countOut(this.#dp, server, total);
    this.#wire.sendIpv4(next, this.#ip, total);
    return VERDICT_REPLY;
  }

  /** One from the time to live. */
  #age(): void {
    const control = this.#control;
    const aged = (control >>> 16) - 0x100;
    const check = ~foldShort(halves(~control) + aged) & 0xffff;
    this.#view.setInt32(this.#ip + 8, (aged << 16) | check);
  }

  /** Whether there is a transport checksum that can be mended. */
  #hasChecksum(protocol: number): boolean {
    return protocol === PROTO_TCP || this.#view.getUint16(this.#ip + IPV4_HEADER + UDP_CHECKSUM) !== 0;
  }

  /** NAT: gives the packet another address and port at one end, and takes one from the time to live. */
  #rewrite(protocol: number, end: number, to: number, toPort: number): void {
    const view = this.#view;
    const ip = this.#ip;
    const from = end === SRC ? this.#source : this.#destination;
    const kept = end === SRC ? this.#destination : this.#source;
    const fromPort = (this.#ports >>> (end === SRC ? 16 : 0)) & 0xffff;
    const aged = (this.#control >>> 16) - 0x100;
    const header = halves(this.#sizes) + halves(this.#fragment) + aged + halves(kept) + halves(to);
    view.setInt32(ip + 8, (aged << 16) | (~foldShort(header) & 0xffff));
    view.setInt32(ip + 12 + 4 * end, to);
    view.setUint16(ip + IPV4_HEADER + 2 * end, toPort);
    const at = ip + IPV4_HEADER + (protocol === PROTO_TCP ? TCP_CHECKSUM : UDP_CHECKSUM);
    // As in modes/rewrite.ts.
    const sum = (~view.getUint16(at) & 0xffff) + 0xffff + (~fromPort & 0xffff) + toPort + halves(~from) + halves(to);
    const check = ~foldShort(sum) & 0xffff;
    view.setUint16(at, check === 0 && protocol === PROTO_UDP ? 0xffff : check);
  }

  /** IP in IP: takes one from the time to live and writes the outer header. */
  #encapsulate(hop: Hop, server: Destination): void {
    const view = this.#view;
    const source = hop.source[0];
    const destination = server.words[0];
    const ip = this.#ip;
    const outer = ip - IPV4_HEADER;
    const sizes = this.#sizes;
    // As #age does; see above why it is written out.
    const aged = (this.#control >>> 16) - 0x100;
    view.setInt32(ip + 8, (aged << 16) | (~foldShort(halves(~this.#control) + aged) & 0xffff));
    const tos = outerTos((sizes >>> 16) & 0xff);
    const df = this.#dp.sysctl.pmtu_disc !== 0 ? this.#fragment & DF : 0;
    const id = df === 0 ? nextIdentification() : 0;
    const first = (VERSION_IHL << 24) | (tos << 16) | ((sizes & 0xffff) + IPV4_HEADER);
    const control = (aged & 0xff00) | PROTO_IPIP;
    const sum = halves(first) + id + df + control + halves(source) + halves(destination);
    view.setInt32(outer, first);
    view.setInt32(outer + 4, (id << 16) | df);
    view.setInt32(outer + 8, (control << 16) | (~foldShort(sum) & 0xffff));
    view.setInt32(outer + 12, source);
    view.setInt32(outer + 16, destination);
  }
}

function isReachable({ state }: neighbour.Neighbour): boolean {
  return state !== INCOMPLETE && state !== STALE;
}
