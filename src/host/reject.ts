/**
 * What a host says to a packet for a port or protocol that nobody serves: TCP reset (RFC 9293 3.10.7.1), port
 * unreachable, protocol unreachable (RFC 1122 3.2.2.1).
 */
import type { Family } from '../address.ts';
import type { Datapath } from '../datapath.ts';
import { finish, pseudoSum4, pseudoSum6, sumBytes } from '../packet/checksum.ts';
import { DST, SRC } from '../packet/dissect.ts';
import * as ipv4 from '../packet/ipv4.ts';
import * as ipv6 from '../packet/ipv6.ts';
import * as tcp from '../packet/tcp.ts';
import * as udp from '../packet/udp.ts';
import { V } from '../verdicts.ts';
import { tellPortUnreachable, tellProtocolUnreachable } from './errors.ts';
import { DEFAULT_TTL } from './icmp.ts';

/** A reset is no packet of a transport that understands ECN (RFC 3168 6.1.4), but keeps the rest of the service field. */
const ECN_MASK = 3;

/** Answers the whole packet `dp.packet`, addressed to the director itself, that nobody wants. */
export function reject(dp: Datapath): number {
  const { view, packet } = dp;
  if (!dp.host.isOwn(packet.family, packet.address, DST)) return V.NOT_WANTED;
  switch (packet.protocol) {
    case ipv4.PROTO_TCP:
      return rejectTcp(dp);
    case ipv4.PROTO_UDP: {
      if (!packet.hasTransport) return V.SHORT_TRANSPORT;
      const at = packet.ip + packet.headerLength;
      const length = udp.udpLength(view, at);
      if (length < udp.UDP_HEADER || length > packet.length - packet.headerLength) return V.SHORT_TRANSPORT;
      if (udp.udpChecksum(view, at) !== 0 && !transportChecksumIsRight(dp, length)) return V.BAD_CHECKSUM;
      tellPortUnreachable(dp);
      return V.REJECTED;
    }
    default:
      if (isHostProtocol(packet.family, packet.protocol)) return V.NOT_WANTED;
      tellProtocolUnreachable(dp);
      return V.REJECTED;
  }
}

/** What every host of the family takes, though it may not answer. */
function isHostProtocol(family: Family, protocol: number): boolean {
  return family === 4
    ? protocol === ipv4.PROTO_ICMP || protocol === ipv4.PROTO_IGMP
    : protocol === ipv4.PROTO_ICMPV6 || protocol === ipv6.NO_NEXT_HEADER;
}

function transportChecksumIsRight(dp: Datapath, length: number): boolean {
  const { view, packet } = dp;
  const pseudo = packet.family === 4 ? pseudoSum4 : pseudoSum6;
  const sum = pseudo(view, packet.ip, packet.protocol, length);
  return finish(sumBytes(view, packet.ip + packet.headerLength, length, sum)) === 0;
}

function rejectTcp(dp: Datapath): number {
  const { view, wire, host, packet } = dp;
  const at = packet.ip + packet.headerLength;
  const length = packet.length - packet.headerLength;
  if (!packet.hasTransport || tcp.headerLength(view, at) < tcp.TCP_HEADER || tcp.headerLength(view, at) > length) {
    return V.SHORT_TRANSPORT;
  }
  if (!transportChecksumIsRight(dp, length)) return V.BAD_CHECKSUM;
  const { tcpFlags } = packet;
  if (!packet.toHost || (tcpFlags & tcp.RST) !== 0) return V.NOT_WANTED;
  const neighbour = host.nextHop(packet.family, packet.address, SRC);
  if (neighbour === null) return V.NO_ROUTE;

  const four = packet.family === 4;
  const slot = wire.takeSlot();
  const header = four ? ipv4.IPV4_HEADER : ipv6.IPV6_HEADER;
  const segment = slot + header;
  const total = header + tcp.TCP_HEADER;
  const { address } = packet;
  if (four) {
    const tos = ipv4.tos(view, packet.ip) & ~ECN_MASK;
    ipv4.writeHeader(view, slot, tos, total, 0, ipv4.DF, DEFAULT_TTL, ipv4.PROTO_TCP, address[DST], address[SRC]);
  } else {
    const trafficClass = ipv6.trafficClass(view, packet.ip) & ~ECN_MASK;
    const { PROTO_TCP } = ipv4;
    ipv6.writeHeader6(view, slot, trafficClass, 0, tcp.TCP_HEADER, PROTO_TCP, DEFAULT_TTL, address, DST, address, SRC);
  }
  const acknowledges = (tcpFlags & tcp.ACK) !== 0;
  const data = length - tcp.headerLength(view, at);
  const used = data + ((tcpFlags & tcp.SYN) !== 0 ? 1 : 0) + ((tcpFlags & tcp.FIN) !== 0 ? 1 : 0);
  const sequence = acknowledges ? tcp.acknowledgement(view, at) : 0;
  const acknowledgement = acknowledges ? 0 : tcp.sequence(view, at) + used;
  const flags = tcp.RST | (acknowledges ? 0 : tcp.ACK);
  const { sourcePort, destinationPort } = packet;
  const { TCP_HEADER } = tcp;
  tcp.writeTcpHeader(view, segment, destinationPort, sourcePort, sequence, acknowledgement, TCP_HEADER, flags, 0);
  const sum = (four ? pseudoSum4 : pseudoSum6)(view, slot, ipv4.PROTO_TCP, tcp.TCP_HEADER);
  view.setUint16(segment + tcp.TCP_CHECKSUM, finish(sumBytes(view, segment, tcp.TCP_HEADER, sum)));
  if (dp.localOut(slot, packet.family)) wire.send(slot, total, neighbour, dp.tick);
  return V.REJECTED;
}
