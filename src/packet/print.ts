/**
 * One line of text for a frame, like tcpdump's: for people who watch or learn. Addresses and ports are written as
 * ipvsadm writes them, TCP flags with the letters that `buildFrame` reads.
 *
 *     02:00:00:00:fe:fe > 02:00:00:00:00:01 IPv4 192.0.2.1:40000 > 10.0.0.100:80 ttl 64 TCP [S] seq 1000 win 64240 len 0
 *
 * Works on anything: what is cut off is called truncated, what is impossible is named, and nothing throws.
 */
import { formatMac } from '../address.ts';
import { checksum } from './checksum.ts';
import * as ethernet from './ethernet.ts';
import * as icmp from './icmp.ts';
import * as icmpv6 from './icmpv6.ts';
import * as ipv4 from './ipv4.ts';
import * as ipv6 from './ipv6.ts';
import { extensionName, icmpName, icmpv6Name } from './names.ts';
import {
  fragmentText,
  portsOf,
  printArp,
  printNeighbour,
  printRest,
  printSctp,
  printTcp,
  type Span,
} from './print-leaf.ts';
import * as udp from './udp.ts';
import { ipv4Text, ipv6Text } from './values.ts';

/** Packets within packets are followed this deep. */
const MAX_DEPTH = 6;

/**
 * Prints the Ethernet frame of `length` bytes at `at` as one line, without a newline. Bytes beyond the view are treated
 * as cut off. Never throws on what the frame holds.
 */
export function printFrame(view: DataView, at: number, length: number): string {
  const limit = Math.min(view.byteLength, at + length);
  if (limit - at < ethernet.ETHERNET_HEADER) return `Ethernet truncated, ${Math.max(0, limit - at)} bytes`;
  const source = formatMac(ethernet.srcHigh(view, at), ethernet.srcLow(view, at));
  const destination = formatMac(ethernet.dstHigh(view, at), ethernet.dstLow(view, at));
  let text = `${source} > ${destination} `;
  // The position of the innermost header counts as if the tags were not there, so that one accessor reads the type.
  let header = at;
  let type = ethernet.etherType(view, header);
  while (type === ethernet.ETHERTYPE_VLAN || type === ethernet.ETHERTYPE_QINQ) {
    if (limit - header < ethernet.ETHERNET_HEADER + ethernet.VLAN_TAG) return `${text}vlan truncated`;
    const tag = view.getUint16(header + ethernet.ETHERNET_HEADER);
    text += `vlan ${tag & 0xfff}${tag >>> 13 === 0 ? '' : ` priority ${tag >>> 13}`} `;
    header += ethernet.VLAN_TAG;
    type = ethernet.etherType(view, header);
  }
  const span = { at: header + ethernet.ETHERNET_HEADER, limit, end: limit, depth: 0 };
  switch (type) {
    case ethernet.ETHERTYPE_ARP:
      return text + printArp(view, span);
    case ethernet.ETHERTYPE_IPV4:
      return text + printIpv4(view, span);
    case ethernet.ETHERTYPE_IPV6:
      return text + printIpv6(view, span);
    default:
      return `${text}type 0x${type.toString(16).padStart(4, '0')} len ${limit - span.at}`;
  }
}

/**
 * Prints the IP packet of `length` bytes at `at`, which has no Ethernet header, as one line. Else as
 * {@link printFrame}.
 */
export function printPacket(view: DataView, at: number, length: number): string {
  const limit = Math.min(view.byteLength, at + length);
  return printIp(view, { at, limit, end: limit, depth: 0 });
}

function printIp(view: DataView, span: Span): string {
  if (span.limit - span.at < 1) return 'IP truncated';
  const version = view.getUint8(span.at) >>> 4;
  if (version === 4) return printIpv4(view, span);
  if (version === 6) return printIpv6(view, span);
  return `IP version ${version}`;
}

function printIpv4(view: DataView, { at, limit, depth }: Span): string {
  if (limit - at < ipv4.IPV4_HEADER) return 'IPv4 truncated';
  if (ipv4.version(view, at) !== 4) return `IPv4 with version ${ipv4.version(view, at)}`;
  const header = ipv4.headerLength(view, at);
  if (header < ipv4.IPV4_HEADER) return `IPv4 with impossible header length ${header}`;
  const total = ipv4.totalLength(view, at);
  const source = ipv4Text(ipv4.source(view, at));
  const destination = ipv4Text(ipv4.destination(view, at));
  if (total < header) return `IPv4 ${source} > ${destination} with impossible length ${total}`;

  const field = ipv4.fragment(view, at);
  const offset = (field & ipv4.OFFSET_MASK) << 3;
  const span = { at: at + header, limit: Math.min(limit, at + total), end: at + total, depth };
  const protocol = ipv4.protocol(view, at);
  const words: string[] = [`ttl ${ipv4.ttl(view, at)}`];
  if (ipv4.tos(view, at) !== 0) words.push(`tos 0x${ipv4.tos(view, at).toString(16)}`);
  if (field & ipv4.DF) words.push('DF');
  if (header > ipv4.IPV4_HEADER) words.push(`options ${header - ipv4.IPV4_HEADER}`);
  if (limit - at >= header && checksum(view, at, header) !== 0) words.push('bad header checksum');
  if (field & (ipv4.MF | ipv4.OFFSET_MASK)) {
    words.push(fragmentText(ipv4.identification(view, at), offset, (field & ipv4.MF) !== 0));
  }
  const ports = offset === 0 ? portsOf(view, span, protocol) : undefined;
  const ends =
    ports === undefined ? `${source} > ${destination}` : `${source}:${ports[0]} > ${destination}:${ports[1]}`;
  words.push(offset === 0 ? printTransport(view, span, protocol) : printRest(span, protocol));
  return `IPv4 ${ends} ${words.join(' ')}${missing(span)}`;
}

function printIpv6(view: DataView, { at, limit, depth }: Span): string {
  if (limit - at < ipv6.IPV6_HEADER) return 'IPv6 truncated';
  if (ipv6.version(view, at) !== 6) return `IPv6 with version ${ipv6.version(view, at)}`;
  const source = ipv6Text(view, at + ipv6.IPV6_SOURCE);
  const destination = ipv6Text(view, at + ipv6.IPV6_DESTINATION);
  const end = at + ipv6.IPV6_HEADER + ipv6.payloadLength(view, at);
  const words: string[] = [`hlim ${ipv6.hopLimit(view, at)}`];
  if (ipv6.trafficClass(view, at) !== 0) words.push(`class 0x${ipv6.trafficClass(view, at).toString(16)}`);
  if (ipv6.flowLabel(view, at) !== 0) words.push(`flow 0x${ipv6.flowLabel(view, at).toString(16)}`);

  let next = ipv6.nextHeader(view, at);
  let offset = 0;
  let span: Span = { at: at + ipv6.IPV6_HEADER, limit: Math.min(limit, end), end, depth };
  while (offset === 0 && ipv6.isExtensionHeader(next)) {
    if (span.limit - span.at < ipv6.FRAGMENT_HEADER) {
      words.push(`${extensionName(next)} truncated`);
      return `IPv6 ${source} > ${destination} ${words.join(' ')}${missing(span)}`;
    }
    if (next === ipv6.EXT_FRAGMENT) {
      const field = ipv6.fragmentField(view, span.at);
      offset = field & ipv6.FRAGMENT_OFFSET_MASK;
      const more = (field & ipv6.MORE_FRAGMENTS) !== 0;
      words.push(fragmentText(ipv6.fragmentIdentification(view, span.at), offset, more));
    } else {
      words.push(extensionName(next));
    }
    const length = ipv6.extensionLength(view, span.at, next);
    next = ipv6.extensionNext(view, span.at);
    span = { ...span, at: span.at + length };
  }
  const ports = offset === 0 ? portsOf(view, span, next) : undefined;
  const ends =
    ports === undefined ? `${source} > ${destination}` : `[${source}]:${ports[0]} > [${destination}]:${ports[1]}`;
  words.push(offset === 0 ? printTransport(view, span, next) : printRest(span, next));
  return `IPv6 ${ends} ${words.join(' ')}${missing(span)}`;
}

/** What is said of a packet whose end is not there. A quoted one is cut off by design. */
function missing({ limit, end, depth }: Span): string {
  return limit < end && depth === 0 ? ` (${end - limit} bytes missing)` : '';
}

function printTransport(view: DataView, span: Span, protocol: number): string {
  switch (protocol) {
    case ipv4.PROTO_TCP:
      return printTcp(view, span);
    case ipv4.PROTO_UDP:
      return printUdp(view, span);
    case ipv4.PROTO_SCTP:
      return printSctp(view, span);
    case ipv4.PROTO_ICMP:
      return printIcmp(view, span);
    case ipv4.PROTO_ICMPV6:
      return printIcmpv6(view, span);
    case ipv4.PROTO_GRE:
      return printGre(view, span);
    case ipv4.PROTO_IPIP:
    case ipv4.PROTO_IPV6:
      return `IPIP: ${printInner(view, span)}`;
    default:
      return printRest(span, protocol);
  }
}

/** A packet in a tunnel or in an ICMP error. */
function printInner(view: DataView, span: Span): string {
  return span.depth === MAX_DEPTH ? '...' : printIp(view, { ...span, depth: span.depth + 1 });
}

function printUdp(view: DataView, span: Span): string {
  const { at, limit, end } = span;
  if (limit - at < udp.UDP_HEADER) return 'UDP truncated';
  const length = udp.udpLength(view, at);
  const gue = gueHeader(view, span);
  if (gue > 0) return `UDP GUE: ${printInner(view, { ...span, at: at + udp.UDP_HEADER + gue })}`;
  if (length < udp.UDP_HEADER) return `UDP impossible length ${length}`;
  const words = [`UDP len ${length - udp.UDP_HEADER}`];
  if (udp.udpChecksum(view, at) === 0) words.push('no checksum');
  // The first of several fragments has the length of the whole datagram.
  if (at + length > end) words.push(`(${end - at - udp.UDP_HEADER} here)`);
  return words.join(' ');
}

/**
 * Bytes of the GUE header (version 0, data message) behind the UDP header, or 0 where there is none. GUE has no port of
 * its own in IPVS, so it is told by its look: an IP packet of the announced family that ends where the datagram ends.
 */
function gueHeader(view: DataView, { at, limit }: Span): number {
  const end = at + udp.udpLength(view, at);
  const gueAt = at + udp.UDP_HEADER;
  if (limit - gueAt < 4) return 0;
  const first = view.getUint8(gueAt);
  const protocol = view.getUint8(gueAt + 1);
  // Two bits version, one bit "control message", five bits of length in words.
  if (first >>> 5 !== 0 || (protocol !== ipv4.PROTO_IPIP && protocol !== ipv4.PROTO_IPV6)) return 0;
  const length = 4 + ((first & 31) << 2);
  const inner = gueAt + length;
  if (protocol === ipv4.PROTO_IPIP) {
    if (limit - inner < ipv4.IPV4_HEADER || ipv4.version(view, inner) !== 4) return 0;
    return inner + ipv4.totalLength(view, inner) === end ? length : 0;
  }
  if (limit - inner < ipv6.IPV6_HEADER || ipv6.version(view, inner) !== 6) return 0;
  return inner + ipv6.IPV6_HEADER + ipv6.payloadLength(view, inner) === end ? length : 0;
}

function printGre(view: DataView, span: Span): string {
  const { at, limit } = span;
  if (limit - at < 4) return 'GRE truncated';
  const flags = view.getUint16(at);
  const type = view.getUint16(at + 2);
  if (flags & 7) return `GRE version ${flags & 7}`;
  // Checksum, key and sequence number, four bytes each where their bit is set (RFC 2784, RFC 2890).
  const header = 4 + (flags & 0x8000 ? 4 : 0) + (flags & 0x2000 ? 4 : 0) + (flags & 0x1000 ? 4 : 0);
  const words = flags & 0x8000 ? 'GRE checksum' : 'GRE';
  if (type !== ethernet.ETHERTYPE_IPV4 && type !== ethernet.ETHERTYPE_IPV6) {
    return `${words} type 0x${type.toString(16).padStart(4, '0')}`;
  }
  return `${words}: ${printInner(view, { ...span, at: at + header })}`;
}

function printIcmp(view: DataView, span: Span): string {
  const { at, limit, end } = span;
  if (limit - at < icmp.ICMP_HEADER) return 'ICMP truncated';
  const type = icmp.icmpType(view, at);
  const code = icmp.icmpCode(view, at);
  const rest = icmp.icmpRest(view, at);
  const text = `ICMP ${icmpName(type, code)}`;
  const quoted = { ...span, at: at + icmp.ICMP_HEADER };
  switch (type) {
    case icmp.ICMP_ECHO:
    case icmp.ICMP_ECHO_REPLY:
      return `${text} ${echoText(rest, end - at - icmp.ICMP_HEADER)}`;
    case icmp.ICMP_REDIRECT:
      return `${text} to ${ipv4Text(rest)} [${printInner(view, quoted)}]`;
    case icmp.ICMP_DEST_UNREACH: {
      const mtu = code === icmp.UNREACH_FRAG_NEEDED ? ` mtu ${rest & 0xffff}` : '';
      return `${text}${mtu} [${printInner(view, quoted)}]`;
    }
    case icmp.ICMP_SOURCE_QUENCH:
    case icmp.ICMP_TIME_EXCEEDED:
    case icmp.ICMP_PARAMETER_PROBLEM:
      return `${text} [${printInner(view, quoted)}]`;
    default:
      return `${text} len ${Math.max(0, end - quoted.at)}`;
  }
}

function printIcmpv6(view: DataView, span: Span): string {
  const { at, limit, end } = span;
  if (limit - at < icmpv6.ICMPV6_HEADER) return 'ICMPv6 truncated';
  const type = icmpv6.icmpv6Type(view, at);
  const rest = icmpv6.icmpv6Rest(view, at);
  const text = `ICMPv6 ${icmpv6Name(type, icmpv6.icmpv6Code(view, at))}`;
  const quoted = { ...span, at: at + icmpv6.ICMPV6_HEADER };
  switch (type) {
    case icmpv6.ICMPV6_ECHO:
    case icmpv6.ICMPV6_ECHO_REPLY:
      return `${text} ${echoText(rest, end - quoted.at)}`;
    case icmpv6.ICMPV6_PACKET_TOO_BIG:
      return `${text} mtu ${rest} [${printInner(view, quoted)}]`;
    case icmpv6.ICMPV6_DEST_UNREACH:
    case icmpv6.ICMPV6_TIME_EXCEEDED:
    case icmpv6.ICMPV6_PARAMETER_PROBLEM:
      return `${text} [${printInner(view, quoted)}]`;
    case icmpv6.NEIGHBOUR_SOLICITATION:
    case icmpv6.NEIGHBOUR_ADVERTISEMENT:
      return `${text} ${printNeighbour(view, span)}`;
    default:
      return `${text} len ${Math.max(0, end - quoted.at)}`;
  }
}

function echoText(rest: number, length: number): string {
  return `id ${rest >>> 16} seq ${rest & 0xffff} len ${Math.max(0, length)}`;
}
