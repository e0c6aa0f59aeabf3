/**
 * What a host says to a packet for a port or protocol that nobody serves: TCP reset (RFC 9293 3.10.7.1), port
 * unreachable, protocol unreachable (RFC 1122 3.2.2.1).
 */
import type { Datapath } from '../datapath.ts';
import { finish, pseudoSum4, sumBytes } from '../packet/checksum.ts';
import { DST, SRC } from '../packet/dissect.ts';
import * as icmp from '../packet/icmp.ts';
import * as ipv4 from '../packet/ipv4.ts';
import * as tcp from '../packet/tcp.ts';
import * as udp from '../packet/udp.ts';
import { V } from '../verdicts.ts';
import { DEFAULT_TTL, sendIcmpError } from './icmp.ts';

/** Answers the whole IPv4 packet `dp.packet`, addressed to the director itself, that nobody wants. */
export function reject(dp: Datapath): number {
  const { view, packet } = dp;
  if (!dp.host.isOwn(4, packet.address, DST)) return V.NOT_WANTED;
  switch (packet.protocol) {
    case ipv4.PROTO_TCP:
      return rejectTcp(dp);
    case ipv4.PROTO_UDP: {
      if (!packet.hasTransport) return V.SHORT_TRANSPORT;
      const at = packet.ip + packet.headerLength;
      const length = udp.udpLength(view, at);
      if (length < udp.UDP_HEADER || length > packet.length - packet.headerLength) return V.SHORT_TRANSPORT;
      if (udp.udpChecksum(view, at) !== 0 && !transportChecksumIsRight(dp, length)) return V.BAD_CHECKSUM;
      sendIcmpError(dp, icmp.ICMP_DEST_UNREACH, icmp.UNREACH_PORT, 0);
      return V.REJECTED;
    }
    case ipv4.PROTO_ICMP:
      return V.NOT_WANTED;
    default:
      sendIcmpError(dp, icmp.ICMP_DEST_UNREACH, icmp.UNREACH_PROTOCOL, 0);
      return V.REJECTED;
  }
}

function transportChecksumIsRight(dp: Datapath, length: number): boolean {
  const { view, packet } = dp;
  const sum = pseudoSum4(view, packet.ip, packet.protocol, length);
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
  const neighbour = host.nextHop(4, packet.address, SRC);
  if (neighbour === null) return V.NO_ROUTE;

  const slot = wire.takeSlot();
  const segment = slot + ipv4.IPV4_HEADER;
  const total = ipv4.IPV4_HEADER + tcp.TCP_HEADER;
  const tos = ipv4.tos(view, packet.ip);
  ipv4.writeHeader(
    view,
    slot,
    tos,
    total,
    0,
    ipv4.DF,
    DEFAULT_TTL,
    ipv4.PROTO_TCP,
    packet.address[DST],
    packet.address[SRC],
  );
  const acknowledges = (tcpFlags & tcp.ACK) !== 0;
  const data = length - tcp.headerLength(view, at);
  const used = data + ((tcpFlags & tcp.SYN) !== 0 ? 1 : 0) + ((tcpFlags & tcp.FIN) !== 0 ? 1 : 0);
  view.setUint16(segment, packet.destinationPort);
  view.setUint16(segment + 2, packet.sourcePort);
  view.setUint32(segment + 4, acknowledges ? tcp.acknowledgement(view, at) : 0);
  view.setUint32(segment + 8, acknowledges ? 0 : tcp.sequence(view, at) + used);
  view.setUint16(segment + 12, 0x5000 | tcp.RST | (acknowledges ? 0 : tcp.ACK));
  view.setUint32(segment + 14, 0); // window and checksum
  view.setUint16(segment + 18, 0);
  const sum = pseudoSum4(view, slot, ipv4.PROTO_TCP, tcp.TCP_HEADER);
  view.setUint16(segment + tcp.TCP_CHECKSUM, finish(sumBytes(view, segment, tcp.TCP_HEADER, sum)));
  wire.send(slot, total, neighbour, dp.tick);
  return V.REJECTED;
}
