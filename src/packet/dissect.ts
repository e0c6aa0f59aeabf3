/**
 * Turns bytes into numbers once: {@link dissectIpv4} checks every length, and after it the accessors of the other files in
 * this folder cannot fail. One {@link Packet} is reused for every frame; all its fields are numbers from birth, so that
 * it keeps one shape and nothing is allocated.
 */
import type { Family } from '../address.ts';
import { checksum } from './checksum.ts';
import * as ipv4 from './ipv4.ts';
import * as ipv6 from './ipv6.ts';
import * as sctp from './sctp.ts';
import * as tcp from './tcp.ts';

/** Index of the source address in {@link Packet.address}. */
export const SRC = 0;
/** Index of the destination address in {@link Packet.address}. */
export const DST = 4;

/** What is known of the packet at hand. Offsets are into the pool's memory, lengths in bytes. */
export class Packet {
  /** Index of the interface it came in on. */
  interface = 0;
  /** Whether the frame was addressed to this host alone (not to a group or to everybody). */
  toHost = true;
  /** Where the IP header begins. */
  ip = 0;
  /** Length of the IP packet, by its own header. */
  length = 0;
  /** Length of the IP header, options or extension headers included: the transport header begins at `ip + headerLength`. */
  headerLength = 0;
  family: Family = 4;
  /** IP protocol number of the transport header. */
  protocol = 0;
  /** IPv4: the fragment field. IPv6: the same bits from the fragment header; 0 without one. */
  fragment = 0;
  /** Ports of TCP, UDP and SCTP; 0 for others and for non-first fragments. */
  sourcePort = 0;
  destinationPort = 0;
  /** TCP flags; 0 where the TCP header is not whole. */
  tcpFlags = 0;
  /** Type of an SCTP packet's leading chunk; NO_CHUNK (-1) without one. */
  sctpChunk = -1;
  /** Whether the ports are there. */
  hasPorts = false;
  /** Whether the whole fixed part of the transport header is there. */
  hasTransport = false;
  /**
   * The largest fragment that a reassembled packet came in, header included; 0 for a packet that came whole. It goes out
   * in fragments no larger.
   */
  largestFragment = 0;
  /** IPv6: where the byte is that names the transport protocol. */
  protocolAt = 0;
  /** IPv6: where the fragment header begins, and the byte that announces it; 0 without one. */
  fragmentHeader = 0;
  fragmentAnnounced = 0;
  /** Source at {@link SRC}, destination at {@link DST}; host order, one word for IPv4 and four for IPv6. */
  readonly address: Int32Array = new Int32Array(8);
}

/** Bytes of transport header that must be there before a protocol's connections can be scheduled. */
function transportHeader(protocol: number): number {
  if (protocol === ipv4.PROTO_TCP) return tcp.TCP_HEADER;
  if (protocol === ipv4.PROTO_UDP) return 8;
  if (protocol === ipv4.PROTO_SCTP) return 12;
  return 0;
}

/** Whether the protocol is one that IPVS balances and that has ports. */
export function hasPortNumbers(protocol: number): boolean {
  return protocol === ipv4.PROTO_TCP || protocol === ipv4.PROTO_UDP || protocol === ipv4.PROTO_SCTP;
}

/** Fills in what the transport header says; `available` bytes of it are there: none in a later fragment. */
function dissectTransport(packet: Packet, view: DataView, available: number): void {
  const protocol = packet.protocol;
  const at = packet.ip + packet.headerLength;
  packet.sourcePort = 0;
  packet.destinationPort = 0;
  packet.tcpFlags = 0;
  packet.sctpChunk = sctp.NO_CHUNK;
  packet.hasPorts = false;
  packet.hasTransport = false;
  if (available < 4 || !hasPortNumbers(protocol)) return;
  packet.hasPorts = true;
  packet.sourcePort = tcp.sourcePort(view, at);
  packet.destinationPort = tcp.destinationPort(view, at);
  if (available < transportHeader(protocol)) return;
  packet.hasTransport = true;
  if (protocol === ipv4.PROTO_TCP) packet.tcpFlags = tcp.flags(view, at);
  else if (protocol === ipv4.PROTO_SCTP) packet.sctpChunk = sctp.leadingChunk(view, at, available);
}

/**
 * Fills `packet` from the IPv4 packet at `at`, of which `available` bytes are there (RFC 1122 3.2.1).
 * @returns false for a packet that must be dropped: not version 4, an impossible length, a wrong header checksum.
 */
export function dissectIpv4(packet: Packet, view: DataView, at: number, available: number): boolean {
  if (available < ipv4.IPV4_HEADER || ipv4.version(view, at) !== 4) return false;
  const headerLength = ipv4.headerLength(view, at);
  const length = ipv4.totalLength(view, at);
  if (headerLength < ipv4.IPV4_HEADER || length < headerLength || length > available) return false;
  if (checksum(view, at, headerLength) !== 0) return false;
  readIpv4(packet, view, at, headerLength, length);
  return true;
}

/** Fills `packet` from an IPv4 packet whose lengths are known to be right. */
export function readIpv4(packet: Packet, view: DataView, at: number, headerLength: number, length: number): void {
  readIpv4Header(packet, view, at, headerLength, length);
  dissectTransport(packet, view, isLaterFragment(packet) ? 0 : length - headerLength);
}

/**
 * The same for a packet inside an ICMP error, in which Linux looks for ports where a transport header would begin, even when
 * it is a later fragment (kernel behaviour: ip_vs_fill_iph_skb_icmp).
 */
export function readQuotedIpv4(packet: Packet, view: DataView, at: number, headerLength: number, length: number): void {
  readIpv4Header(packet, view, at, headerLength, length);
  dissectTransport(packet, view, length - headerLength);
}

function readIpv4Header(packet: Packet, view: DataView, at: number, headerLength: number, length: number): void {
  packet.ip = at;
  packet.family = 4;
  packet.length = length;
  packet.headerLength = headerLength;
  packet.protocol = ipv4.protocol(view, at);
  packet.fragment = ipv4.fragment(view, at) & (ipv4.MF | ipv4.OFFSET_MASK);
  packet.fragmentHeader = 0;
  packet.largestFragment = 0;
  packet.address[SRC] = ipv4.source(view, at);
  packet.address[DST] = ipv4.destination(view, at);
}

/** Whether the packet is a fragment that begins with data. */
export function isLaterFragment(packet: Packet): boolean {
  return (packet.fragment & ipv4.OFFSET_MASK) !== 0;
}

/**
 * Fills `packet` from the IPv6 packet at `at`, of which `available` bytes are there (RFC 8200 3 and 4).
 * @returns false for a packet that must be dropped: not version 6, an impossible length.
 */
export function dissectIpv6(packet: Packet, view: DataView, at: number, available: number): boolean {
  if (available < ipv6.IPV6_HEADER || ipv6.version(view, at) !== 6) return false;
  const length = ipv6.IPV6_HEADER + ipv6.payloadLength(view, at);
  if (length > available) return false;
  return readIpv6(packet, view, at, length);
}

/**
 * Fills `packet` from an IPv6 packet of which `length` bytes are there, stepping over its extension headers.
 * @returns false when they do not fit.
 */
export function readIpv6(packet: Packet, view: DataView, at: number, length: number): boolean {
  packet.ip = at;
  packet.family = 6;
  packet.length = length;
  packet.fragment = 0;
  packet.fragmentHeader = 0;
  packet.largestFragment = 0;
  ipv6.readSource(view, at, packet.address, SRC);
  ipv6.readDestination(view, at, packet.address, DST);
  let next = ipv6.nextHeader(view, at);
  let announced = at + 6;
  let header = ipv6.IPV6_HEADER;
  while (isSteppedOver(next)) {
    if (header + 8 > length) return false;
    const extension = at + header;
    if (next === ipv6.EXT_FRAGMENT && packet.fragmentHeader === 0) {
      const field = ipv6.fragmentField(view, extension);
      packet.fragment = (field >>> 3) | ((field & ipv6.MORE_FRAGMENTS) !== 0 ? ipv4.MF : 0);
      packet.fragmentHeader = extension;
      packet.fragmentAnnounced = announced;
    }
    header += ipv6.extensionLength(view, extension, next);
    next = ipv6.extensionNext(view, extension);
    announced = extension;
    if (header > length) return false;
    // What a later fragment begins with is data, whatever it looks like.
    if (isLaterFragment(packet)) break;
  }
  packet.headerLength = header;
  packet.protocol = next;
  packet.protocolAt = announced;
  dissectTransport(packet, view, isLaterFragment(packet) ? 0 : length - header);
  return true;
}

/** The extension headers that come before the transport header in packets that IPVS looks into. */
function isSteppedOver(next: number): boolean {
  return (
    next === ipv6.EXT_HOP_BY_HOP ||
    next === ipv6.EXT_ROUTING ||
    next === ipv6.EXT_FRAGMENT ||
    next === ipv6.EXT_AUTHENTICATION ||
    next === ipv6.EXT_DESTINATION
  );
}
