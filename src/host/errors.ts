/** What the director tells the sender of a packet that it cannot send on, in the words of the packet's family. */
import type { Datapath } from '../datapath.ts';
import * as icmp from '../packet/icmp.ts';
import * as icmpv6 from '../packet/icmpv6.ts';
import { sendIcmpError } from './icmp.ts';
import { sendIcmpv6Error } from './icmpv6.ts';

export function tellTtlExceeded(dp: Datapath): void {
  if (dp.packet.family === 4) sendIcmpError(dp, icmp.ICMP_TIME_EXCEEDED, 0, 0);
  else sendIcmpv6Error(dp, icmpv6.ICMPV6_TIME_EXCEEDED, 0, 0);
}

/** @param mtu the longest packet that would have passed, in bytes. */
export function tellTooBig(dp: Datapath, mtu: number): void {
  if (dp.packet.family === 4) sendIcmpError(dp, icmp.ICMP_DEST_UNREACH, icmp.UNREACH_FRAG_NEEDED, mtu);
  else sendIcmpv6Error(dp, icmpv6.ICMPV6_PACKET_TOO_BIG, 0, mtu);
}

export function tellPortUnreachable(dp: Datapath): void {
  if (dp.packet.family === 4) sendIcmpError(dp, icmp.ICMP_DEST_UNREACH, icmp.UNREACH_PORT, 0);
  else sendIcmpv6Error(dp, icmpv6.ICMPV6_DEST_UNREACH, icmpv6.UNREACH6_PORT, 0);
}

/** The host is known to be on a network the director reaches, but does not answer. */
export function tellHostUnreachable(dp: Datapath): void {
  if (dp.packet.family === 4) sendIcmpError(dp, icmp.ICMP_DEST_UNREACH, icmp.UNREACH_HOST, 0);
  else sendIcmpv6Error(dp, icmpv6.ICMPV6_DEST_UNREACH, icmpv6.UNREACH6_ADDRESS, 0);
}

/** The neighbour that the packet had been handed to does not answer: it is no longer one to the director itself. */
export function tellNeighbourUnreachable(dp: Datapath): void {
  if (dp.packet.family === 4) sendIcmpError(dp, icmp.ICMP_DEST_UNREACH, icmp.UNREACH_HOST, 0, true);
  else sendIcmpv6Error(dp, icmpv6.ICMPV6_DEST_UNREACH, icmpv6.UNREACH6_ADDRESS, 0);
}

export function tellNoRoute(dp: Datapath): void {
  if (dp.packet.family === 4) sendIcmpError(dp, icmp.ICMP_DEST_UNREACH, icmp.UNREACH_NET, 0);
  else sendIcmpv6Error(dp, icmpv6.ICMPV6_DEST_UNREACH, icmpv6.UNREACH6_NO_ROUTE, 0);
}

/** A datagram's fragments did not all come in time. */
export function tellReassemblyTimeout(dp: Datapath): void {
  if (dp.packet.family === 4) sendIcmpError(dp, icmp.ICMP_TIME_EXCEEDED, 1, 0);
  else sendIcmpv6Error(dp, icmpv6.ICMPV6_TIME_EXCEEDED, 1, 0);
}

/** Nobody here speaks the packet's protocol. IPv6 points at where it is named (RFC 4443 3.4). */
export function tellProtocolUnreachable(dp: Datapath): void {
  const { packet } = dp;
  if (packet.family === 4) sendIcmpError(dp, icmp.ICMP_DEST_UNREACH, icmp.UNREACH_PROTOCOL, 0);
  else sendIcmpv6Error(dp, icmpv6.ICMPV6_PARAMETER_PROBLEM, UNRECOGNIZED_NEXT_HEADER, packet.protocolAt - packet.ip);
}

const UNRECOGNIZED_NEXT_HEADER = 1;
