/**
 * ICMP errors about the director's own tunnel packets: what a router on the way to a server says is put into words that
 * the client understands, by taking the tunnel's headers off (RFC 2003 4; kernel behaviour: ip_vs_in_icmp).
 */
import type { Connections } from '../conntrack/connections.ts';
import { countOut, type Datapath } from '../datapath.ts';
import { sendIcmpError } from '../host/icmp.ts';
import { checksum } from '../packet/checksum.ts';
import { DST, readIpv4, readQuotedIpv4, SRC } from '../packet/dissect.ts';
import * as icmp from '../packet/icmp.ts';
import * as ipv4 from '../packet/ipv4.ts';
import { UDP_HEADER, destinationPort as udpDestinationPort } from '../packet/udp.ts';
import { type Destination, TUNNEL_GRE, TUNNEL_GUE, TUNNEL_IPIP } from '../services/destination.ts';
import { V } from '../verdicts.ts';

/** The error is not about a tunnel packet. */
export const NO_TUNNEL = -1;
/** It is about a tunnel packet, but of no connection: the host's business. */
export const TUNNEL_UNKNOWN = -2;

const GUE_HEADER = 4;
/** Version and control bits of GUE, which must be 0. */
const GUE_VERSION_CONTROL = 0xe0;
const GUE_LENGTH = 0x1f;
/** GRE's flags for a checksum, a key and a sequence number, each of four bytes. */
const GRE_FLAGS = [0x8000, 0x2000, 0x1000];
const ETHERTYPE_IPV4 = 0x0800;

const scratch = new Int32Array(1);

/** Takes the ICMP error in `dp.packet`, addressed to the director, whose message is at `message`. */
export function receiveTunnelError(dp: Datapath, connections: Connections, message: number, end: number): number {
  const { view, packet, inner } = dp;
  const outer = message + icmp.ICMP_HEADER;
  if (outer + ipv4.IPV4_HEADER > end) return NO_TUNNEL;
  const protocol = ipv4.protocol(view, outer);
  if (protocol !== ipv4.PROTO_IPIP && protocol !== ipv4.PROTO_UDP && protocol !== ipv4.PROTO_GRE) return NO_TUNNEL;
  if ((ipv4.fragment(view, outer) & ipv4.OFFSET_MASK) !== 0) return TUNNEL_UNKNOWN;
  const shim = outer + ipv4.headerLength(view, outer);
  const original = findOriginal(dp, protocol, ipv4.destination(view, outer), shim, end);
  if (original < 0) return original;
  if (original + ipv4.IPV4_HEADER > end || ipv4.version(view, original) !== 4) return TUNNEL_UNKNOWN;
  const headerLength = ipv4.headerLength(view, original);
  if (headerLength < ipv4.IPV4_HEADER) return TUNNEL_UNKNOWN;
  readQuotedIpv4(inner, view, original, headerLength, end - original);
  if (!inner.hasPorts) return TUNNEL_UNKNOWN;
  const row = connections.table.lookupIn(
    inner.protocol,
    inner.address,
    SRC,
    inner.sourcePort,
    DST,
    inner.destinationPort,
  );
  if (row === 0) return TUNNEL_UNKNOWN;
  if (checksum(view, message, end - message) !== 0) return V.BAD_CHECKSUM;

  const type = icmp.icmpType(view, message);
  const code = icmp.icmpCode(view, message);
  let rest = icmp.icmpRest(view, message);
  if (type === icmp.ICMP_DEST_UNREACH && code === icmp.UNREACH_FRAG_NEEDED) {
    const destination = connections.destinationOf(row);
    let mtu = rest & 0xffff;
    if (destination !== null) mtu = dp.host.learnPathMtu(destination, mtu, dp.tick);
    // A client that lets its packets be fragmented does not want to know.
    if ((ipv4.fragment(view, original) & ipv4.DF) === 0) return V.TUNNEL_ERROR;
    rest = mtu > MIN_MTU + ipv4.IPV4_HEADER ? mtu - ipv4.IPV4_HEADER : mtu;
  }
  readIpv4(packet, view, original, headerLength, end - original);
  sendIcmpError(dp, type, code, rest);
  countOut(dp, connections.destinationOf(row), end - original);
  return V.TUNNEL_ERROR;
}

const MIN_MTU = 68;
/** As much of a packet as an ICMP error quotes. */
const QUOTED = 576 - ipv4.IPV4_HEADER - icmp.ICMP_HEADER;

/**
 * The director's own packet at `ip` could not be handed to its neighbour. Linux tells itself so by ICMP, and takes that
 * as it takes a router's word about a tunnel packet. There must be room for an ICMP header in front of the packet.
 */
export function loseTunnelPacket(dp: Datapath, connections: Connections, ip: number, length: number): void {
  const { view } = dp;
  const message = ip - icmp.ICMP_HEADER;
  const end = ip + Math.min(length, QUOTED);
  icmp.writeIcmpHeader(view, message, icmp.ICMP_DEST_UNREACH, icmp.UNREACH_HOST, 0);
  icmp.setIcmpChecksum(view, message, checksum(view, message, end - message));
  receiveTunnelError(dp, connections, message, end);
}

/**
 * Where the packet in a tunnel begins, or {@link NO_TUNNEL}, {@link TUNNEL_UNKNOWN}.
 * @param to the address that the tunnel's packet goes to.
 * @param shim what is behind its IP header; `end` is where the bytes end.
 */
export function findOriginal(dp: Datapath, protocol: number, to: number, shim: number, end: number): number {
  const { view } = dp;
  scratch[0] = to;
  if (protocol === ipv4.PROTO_IPIP) {
    return isTunnel(dp.registry.findTunnel(4, scratch, 0), TUNNEL_IPIP) ? shim : TUNNEL_UNKNOWN;
  }
  if (protocol === ipv4.PROTO_UDP) {
    if (shim + UDP_HEADER > end) return NO_TUNNEL;
    const port = udpDestinationPort(view, shim);
    const gue = shim + UDP_HEADER;
    if (!isTunnel(dp.registry.findTunnel(4, scratch, port), TUNNEL_GUE) || gue + GUE_HEADER > end) return NO_TUNNEL;
    const first = view.getUint8(gue);
    if ((first & GUE_VERSION_CONTROL) !== 0) return NO_TUNNEL;
    if (view.getUint8(gue + 1) !== ipv4.PROTO_IPIP) return TUNNEL_UNKNOWN;
    return gue + GUE_HEADER + ((first & GUE_LENGTH) << 2);
  }
  if (shim + 4 > end || !isTunnel(dp.registry.findTunnel(4, scratch, 0), TUNNEL_GRE)) return NO_TUNNEL;
  const flags = view.getUint16(shim);
  let length = 4;
  for (const flag of GRE_FLAGS) if ((flags & flag) !== 0) length += 4;
  return view.getUint16(shim + 2) === ETHERTYPE_IPV4 ? shim + length : TUNNEL_UNKNOWN;
}

function isTunnel(destination: Destination | null, type: number): boolean {
  return destination !== null && destination.tunnelType === type;
}
