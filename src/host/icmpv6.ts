/** ICMPv6 of the director's own: echo replies and errors (RFC 4443; kernel behaviour: net/ipv6/icmp.c). */
import type { Datapath } from '../datapath.ts';
import { DST, SRC } from '../packet/dissect.ts';
import * as icmpv6 from '../packet/icmpv6.ts';
import { PROTO_ICMPV6 } from '../packet/ipv4.ts';
import * as ipv6 from '../packet/ipv6.ts';
import { DEFAULT_TTL } from './icmp.ts';
import { icmpv6ChecksumIsRight } from './ndp.ts';

const scratch = new Int32Array(8);

function isUnspecified(words: Int32Array, at: number): boolean {
  return (words[at] | words[at + 1] | words[at + 2] | words[at + 3]) === 0;
}

/**
 * Tells the sender of the IPv6 packet `dp.packet` what became of it. Silent where an error must not be sent (RFC 4443
 * 2.4 e): about ICMPv6 errors, about packets to groups, from addresses that are no host's.
 * @param rest the type's own four bytes: the MTU for "packet too big".
 */
export function sendIcmpv6Error(dp: Datapath, type: number, code: number, rest: number): void {
  const { view, wire, host, packet } = dp;
  const { ip } = packet;
  ipv6.readSource(view, ip, scratch, 0);
  ipv6.readDestination(view, ip, scratch, 4);
  if (isUnspecified(scratch, 0) || ipv6.isMulticast6(scratch, 0)) return;
  // RFC 4443 2.4 (e.3): only these two answer what was sent to many.
  const answersMany =
    type === icmpv6.ICMPV6_PACKET_TOO_BIG ||
    (type === icmpv6.ICMPV6_PARAMETER_PROBLEM && code === icmpv6.UNRECOGNIZED_OPTION);
  if ((!packet.toHost || ipv6.isMulticast6(scratch, 4)) && !answersMany) return;
  if (packet.protocol === PROTO_ICMPV6) {
    if (packet.length <= packet.headerLength) return;
    if (icmpv6.icmpv6Type(view, ip + packet.headerLength) < icmpv6.ICMPV6_INFORMATIONAL) return;
  }
  const own = host.isOwn(6, scratch, 4);
  const from = own ? scratch : host.sourceFor(6, scratch, 0);
  const neighbour = host.nextHop(6, scratch, 0);
  if (neighbour === null || from === null || !dp.icmpLimit.take(dp.tick)) return;

  wire.completeFirst(packet);
  const room = ipv6.IPV6_MIN_MTU - ipv6.IPV6_HEADER - icmpv6.ICMPV6_HEADER;
  const quoted = Math.min(packet.length, room);
  const slot = wire.takeSlot();
  const message = slot + ipv6.IPV6_HEADER;
  const length = icmpv6.ICMPV6_HEADER + quoted;
  ipv6.writeHeader6(view, slot, 0, 0, length, PROTO_ICMPV6, DEFAULT_TTL, from, own ? 4 : 0, scratch, 0);
  icmpv6.writeIcmpv6Header(view, message, type, code, rest);
  wire.pool.memory.copyWithin(message + icmpv6.ICMPV6_HEADER, ip, ip + quoted);
  icmpv6.writeIcmpv6Checksum(view, slot, message, length);
  if (dp.localOut(slot, 6)) wire.send(slot, ipv6.IPV6_HEADER + length, neighbour, dp.tick);
}

/** Answers the ICMPv6 echo request `dp.packet`. @returns false when it must not be answered. */
export function answerEcho6(dp: Datapath): boolean {
  const { view, wire, host, packet } = dp;
  const { ip, headerLength } = packet;
  const message = ip + headerLength;
  const length = packet.length - headerLength;
  if (length < icmpv6.ICMPV6_HEADER || !icmpv6ChecksumIsRight(dp)) return false;
  if (!host.isOwn(6, packet.address, DST)) return false;
  const neighbour = host.nextHop(6, packet.address, SRC);
  if (neighbour === null) return true;
  const header = message - ipv6.IPV6_HEADER;
  const trafficClass = ipv6.trafficClass(view, ip);
  const { address } = packet;
  ipv6.writeHeader6(view, header, trafficClass, 0, length, PROTO_ICMPV6, DEFAULT_TTL, address, DST, address, SRC);
  icmpv6.writeIcmpv6Header(view, message, icmpv6.ICMPV6_ECHO_REPLY, 0, icmpv6.icmpv6Rest(view, message));
  icmpv6.writeIcmpv6Checksum(view, header, message, length);
  wire.sendIp(6, header, ipv6.IPV6_HEADER + length, neighbour, neighbour.interface.mtu, dp.tick);
  return true;
}
