/**
 * Tunnelling: the packet as it is, behind another IP header addressed to the server: IP in IP (RFC 2003, RFC 4213), GUE
 * (Generic UDP Encapsulation, draft-ietf-intarea-gue) or GRE (RFC 2784); kernel behaviour: ip_vs_tunnel_xmit.
 *
 * The outer headers are written into the headroom in front of the packet, which does not move.
 */
import type { Datapath } from '../datapath.ts';
import type { Hop } from '../host/host.ts';
import { nextIdentification } from '../host/icmp.ts';
import { fold, pseudoSum4, pseudoSum6 } from '../packet/checksum.ts';
import { DST, type Packet, SRC } from '../packet/dissect.ts';
import * as ipv4 from '../packet/ipv4.ts';
import * as ipv6 from '../packet/ipv6.ts';
import { UDP_CHECKSUM, UDP_HEADER, writeUdpHeader } from '../packet/udp.ts';
import { type Destination, TUNNEL_GRE, TUNNEL_GUE, TUNNEL_IPIP, TUNNEL_NOCSUM } from '../services/destination.ts';
import { V } from '../verdicts.ts';
import { PASS, passes, sendLimit } from './outgoing.ts';

/** A way that carries less than this is of no use (RFC 791 3.2, RFC 8200 5). */
const MIN_MTU4 = 68;
/** What an IP header can say of its packet's length. */
const MAX_PACKET = 65535;
const GUE_HEADER = 4;
const GRE_HEADER = 4;
const GRE_CHECKSUM = 4;
const GRE_CHECKSUM_PRESENT = 0x8000;
/** Source ports of GUE, one per flow: Linux's range of local ports. */
const FIRST_PORT = 32768;
const PORTS = 28232;

/** TOS of the outer header: the inner one, but that congestion marks only say that congestion can be told (RFC 3168 9.1). */
export function outerTos(tos: number): number {
  return (tos & 3) === 3 ? (tos & ~3) | 2 : tos;
}

/** Bytes between the outer IP header and the packet. */
function shimLength(destination: Destination): number {
  switch (destination.tunnelType) {
    case TUNNEL_GUE:
      return UDP_HEADER + GUE_HEADER;
    case TUNNEL_GRE:
      return destination.tunnelFlags === TUNNEL_NOCSUM ? GRE_HEADER : GRE_HEADER + GRE_CHECKSUM;
    default:
      return 0;
  }
}

/** A port that is the same for all packets of a flow and spreads flows over paths and queues (RFC 7510 3.1's reason). */
function flowPort(packet: Packet): number {
  let h = (packet.sourcePort << 16) ^ packet.destinationPort ^ packet.protocol;
  for (let i = 0; i < (packet.family === 4 ? 1 : 4); i++) {
    h = Math.imul(h ^ packet.address[SRC + i], 0x9e3779b1);
    h = Math.imul(h ^ packet.address[DST + i], 0x85ebca6b);
  }
  return FIRST_PORT + (((h ^ (h >>> 15)) >>> 0) % PORTS);
}

/** Bytes of the outer headers, IP's included. */
function outerLength(destination: Destination): number {
  return (destination.family === 4 ? ipv4.IPV4_HEADER : ipv6.IPV6_HEADER) + shimLength(destination);
}

export function transmitTunnel(dp: Datapath, destination: Destination, hop: Hop): number {
  if (hop.neighbour === null) return V.LOCAL;
  const { packet, wire } = dp;
  const mtu = hop.mtu - outerLength(destination);
  if (mtu < (packet.family === 4 ? MIN_MTU4 : ipv6.IPV6_MIN_MTU)) return V.TOO_BIG;
  const verdict = passes(dp, mtu, dp.sysctl.pmtu_disc === 0);
  if (verdict !== PASS) return verdict;
  if (wire.unfinished.size === 0) return encapsulate(dp, destination, hop, packet.ip, packet.length);

  // A virtio-net header has no words for segments inside a tunnel: they are cut before.
  const isWhole = wire.longest(packet) <= mtu;
  const count = wire.cut(packet.ip, packet.length);
  let result = V.TUNNEL;
  for (let i = 0; i < count && result === V.TUNNEL; i++) {
    const inner = wire.writeSegment(i, isWhole);
    result = encapsulate(dp, destination, hop, inner, wire.segmentLength);
  }
  return result;
}

/** Sends the packet of `innerLength` bytes at `inner`, which is the one at hand or a segment of it. */
function encapsulate(dp: Datapath, destination: Destination, hop: Hop, inner: number, innerLength: number): number {
  const { view, packet } = dp;
  const outer4 = destination.family === 4;
  const inner4 = packet.family === 4;
  const header = outer4 ? ipv4.IPV4_HEADER : ipv6.IPV6_HEADER;
  const outer = inner - outerLength(destination);
  const length = inner - outer + innerLength;
  if (length > MAX_PACKET) return V.TOO_BIG;
  const tos = outerTos(inner4 ? ipv4.tos(view, inner) : ipv6.trafficClass(view, inner));
  const hops = inner4 ? ipv4.ttl(view, inner) : ipv6.hopLimit(view, inner);
  const protocol = outerProtocol(destination.tunnelType, inner4);
  if (outer4) {
    const df = inner4 && dp.sysctl.pmtu_disc !== 0 ? ipv4.fragment(view, inner) & ipv4.DF : 0;
    const id = df === 0 ? nextIdentification() : 0;
    ipv4.writeHeader(view, outer, tos, length, id, df, hops, protocol, hop.source[0], destination.words[0]);
  } else {
    const payload = length - ipv6.IPV6_HEADER;
    ipv6.writeHeader6(view, outer, tos, 0, payload, protocol, hops, hop.source, 0, destination.words, 0);
  }
  if (destination.tunnelType === TUNNEL_GUE) writeGue(dp, destination, outer, outer + header, length - header);
  else if (destination.tunnelType === TUNNEL_GRE) writeGre(dp, destination, outer + header, inner4);
  dp.wire.forward(destination.family, outer, length, hop.neighbour!, sendLimit(dp, hop.mtu), dp.tick);
  return V.TUNNEL;
}

function outerProtocol(tunnelType: number, inner4: boolean): number {
  if (tunnelType === TUNNEL_GUE) return ipv4.PROTO_UDP;
  if (tunnelType === TUNNEL_GRE) return ipv4.PROTO_GRE;
  return inner4 ? ipv4.PROTO_IPIP : ipv4.PROTO_IPV6;
}

/** UDP and GUE headers at `udp`; `length` bytes from there. */
function writeGue(dp: Datapath, destination: Destination, outer: number, udp: number, length: number): void {
  const { view, packet } = dp;
  writeUdpHeader(view, udp, flowPort(packet), destination.tunnelPort, length);
  // Version 0, data, no options; then the protocol of what follows, and no flags.
  view.setUint32(udp + UDP_HEADER, outerProtocol(TUNNEL_IPIP, packet.family === 4) << 16);
  // Remote checksum offload has nothing to tell about packets whose checksum is whole: it is as a plain checksum.
  if (destination.tunnelFlags === TUNNEL_NOCSUM) return;
  const pseudo = destination.family === 4 ? pseudoSum4 : pseudoSum6;
  view.setUint16(udp + UDP_CHECKSUM, fold(pseudo(view, outer, ipv4.PROTO_UDP, length)));
  dp.wire.leavePartial(udp, udp + UDP_CHECKSUM);
}

function writeGre(dp: Datapath, destination: Destination, gre: number, inner4: boolean): void {
  const { view } = dp;
  const withChecksum = destination.tunnelFlags !== TUNNEL_NOCSUM;
  view.setUint16(gre, withChecksum ? GRE_CHECKSUM_PRESENT : 0);
  view.setUint16(gre + 2, inner4 ? 0x0800 : 0x86dd);
  if (!withChecksum) return;
  view.setUint32(gre + GRE_HEADER, 0);
  dp.wire.leavePartial(gre, gre + GRE_HEADER);
}
