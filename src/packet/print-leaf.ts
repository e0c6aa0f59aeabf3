/** The lines of protocols that carry no packet within. Part of `print.ts`. */
import { formatMac } from '../address.ts';
import * as arp from './arp.ts';
import * as icmpv6 from './icmpv6.ts';
import * as ipv4 from './ipv4.ts';
import { chunkName, protocolName } from './names.ts';
import * as sctp from './sctp.ts';
import * as tcp from './tcp.ts';
import { formatFlags } from './tcp-flags.ts';
import { ipv4Text, ipv6Text } from './values.ts';

/**
 * What is known about the bytes of a layer: where they begin, up to where they can be read, and where the packet says
 * that they end (further away where the packet was cut off or lies).
 */
export interface Span {
  readonly at: number;
  readonly limit: number;
  readonly end: number;
  readonly depth: number;
}

/** Where a fragment belongs. */
export function fragmentText(id: number, offset: number, more: boolean): string {
  return `fragment ${id} offset ${offset} ${more ? 'more' : 'last'}`;
}

/** The ports, where the protocol has any and they are there. */
export function portsOf(view: DataView, { at, limit }: Span, protocol: number): [number, number] | undefined {
  if (protocol !== ipv4.PROTO_TCP && protocol !== ipv4.PROTO_UDP && protocol !== ipv4.PROTO_SCTP) return undefined;
  return limit - at < 4 ? undefined : [view.getUint16(at), view.getUint16(at + 2)];
}

/** A protocol that is not looked into. */
export function printRest({ at, end }: Span, protocol: number): string {
  return `${protocolName(protocol)} len ${Math.max(0, end - at)}`;
}

export function printArp(view: DataView, { at, limit }: Span): string {
  if (limit - at < arp.ARP_LENGTH) return 'ARP truncated';
  if (!arp.isEthernetIpv4(view, at)) return 'ARP not for IPv4 over Ethernet';
  const sender = ipv4Text(arp.senderIp(view, at));
  const senderMac = formatMac(arp.senderMacHigh(view, at), arp.senderMacLow(view, at));
  const target = ipv4Text(arp.targetIp(view, at));
  switch (arp.operation(view, at)) {
    case arp.ARP_REQUEST:
      if (sender === target) return `ARP announcement ${sender} is at ${senderMac}`;
      return `ARP who has ${target}? tell ${sender}`;
    case arp.ARP_REPLY:
      return `ARP ${sender} is at ${senderMac}`;
    default:
      return `ARP operation ${arp.operation(view, at)}`;
  }
}

export function printTcp(view: DataView, { at, limit, end }: Span): string {
  const room = limit - at;
  // An ICMP error may quote no more than the first eight bytes: ports and sequence number.
  if (room < 8) return 'TCP truncated';
  const sequence = `seq ${tcp.sequence(view, at)}`;
  if (room < tcp.TCP_HEADER) return `TCP ${sequence}`;
  const bits = tcp.flags(view, at);
  const words = [`TCP [${formatFlags(bits)}]`, sequence];
  if (bits & tcp.ACK) words.push(`ack ${tcp.acknowledgement(view, at)}`);
  words.push(`win ${tcp.window(view, at)}`);
  if (bits & tcp.URG) words.push(`urg ${tcp.urgentPointer(view, at)}`);
  const header = tcp.headerLength(view, at);
  if (header < tcp.TCP_HEADER || header > end - at) {
    words.push(`impossible header length ${header}`);
  } else {
    words.push(`len ${end - at - header}`, ...tcpOptions(view, at + tcp.TCP_HEADER, Math.min(limit, at + header)));
  }
  return words.join(' ');
}

/** The options of a TCP header (RFC 9293 section 3.2, RFC 7323, RFC 2018) between `at` and `end`. */
function tcpOptions(view: DataView, at: number, end: number): string[] {
  const words: string[] = [];
  let i = at;
  while (i < end) {
    const kind = view.getUint8(i);
    if (kind === 0) break;
    if (kind === 1) {
      i++;
      continue;
    }
    const length = i + 1 < end ? view.getUint8(i + 1) : 0;
    if (length < 2 || i + length > end) {
      words.push('bad options');
      break;
    }
    if (kind === 2 && length === 4) words.push(`mss ${view.getUint16(i + 2)}`);
    else if (kind === 3 && length === 3) words.push(`wscale ${view.getUint8(i + 2)}`);
    else if (kind === 4 && length === 2) words.push('sackOK');
    else if (kind === 5) words.push(`sack ${(length - 2) >> 3}`);
    else if (kind === 8 && length === 10) words.push(`ts ${view.getUint32(i + 2)}/${view.getUint32(i + 6)}`);
    else words.push(`option ${kind}`);
    i += length;
  }
  return words;
}

/** So many chunks are named. */
const MAX_CHUNKS = 8;

export function printSctp(view: DataView, { at, limit }: Span): string {
  if (limit - at < sctp.SCTP_HEADER) return 'SCTP truncated';
  const chunks: string[] = [];
  let i = at + sctp.SCTP_HEADER;
  while (limit - i >= sctp.CHUNK_HEADER) {
    if (chunks.length === MAX_CHUNKS) {
      chunks.push('...');
      break;
    }
    const length = sctp.chunkLength(view, i);
    chunks.push(chunkName(sctp.chunkType(view, i)));
    if (length < sctp.CHUNK_HEADER) {
      chunks.push('bad chunk');
      break;
    }
    i += (length + 3) & ~3;
  }
  const tag = sctp.verificationTag(view, at).toString(16).padStart(8, '0');
  return `SCTP [${chunks.join(' ')}] tag 0x${tag}`;
}

/** What follows the name of a neighbour solicitation or advertisement. */
export function printNeighbour(view: DataView, { at, limit }: Span): string {
  if (limit - at < icmpv6.NEIGHBOUR_LENGTH) return 'truncated';
  const target = ipv6Text(view, at + icmpv6.NEIGHBOUR_TARGET);
  const solicitation = icmpv6.icmpv6Type(view, at) === icmpv6.NEIGHBOUR_SOLICITATION;
  const wanted = solicitation ? icmpv6.OPTION_SOURCE_MAC : icmpv6.OPTION_TARGET_MAC;
  const option = icmpv6.findOption(view, at, limit - at, wanted);
  const mac = option < 0 ? '' : formatMac(icmpv6.optionMacHigh(view, option), icmpv6.optionMacLow(view, option));
  if (solicitation) return `who has ${target}?${mac === '' ? '' : ` tell ${mac}`}`;
  const flags = icmpv6.icmpv6Rest(view, at);
  const words = [target];
  if (mac !== '') words.push(`is at ${mac}`);
  if (flags & icmpv6.NA_ROUTER) words.push('router');
  if (flags & icmpv6.NA_SOLICITED) words.push('solicited');
  if (flags & icmpv6.NA_OVERRIDE) words.push('override');
  return words.join(' ');
}
