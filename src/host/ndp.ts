/** Neighbour discovery (RFC 4861): answers for the director's own addresses, learns, and asks. */
import type { Words } from '../address.ts';
import type { Datapath } from '../datapath.ts';
import { finish, pseudoSum6, sumBytes } from '../packet/checksum.ts';
import { SRC } from '../packet/dissect.ts';
import { ETHERTYPE_IPV6, srcHigh, srcLow } from '../packet/ethernet.ts';
import * as icmpv6 from '../packet/icmpv6.ts';
import { PROTO_ICMPV6 } from '../packet/ipv4.ts';
import * as ipv6 from '../packet/ipv6.ts';
import type { Host } from './host.ts';
import type { Interface } from './interface.ts';
import type { Neighbour } from './neighbours.ts';
import type { Wire } from './wire.ts';

const ALL_NODES: Words = Int32Array.of(0xff020000, 0, 0, 1);
const scratch: Words = new Int32Array(4);

/** Whether the message type belongs to neighbour or router discovery. */
export function isDiscovery(type: number): boolean {
  return type >= icmpv6.ROUTER_SOLICITATION && type <= icmpv6.ICMPV6_REDIRECT;
}

/** Whether the ICMPv6 message of `dp.packet` has the right checksum. */
export function icmpv6ChecksumIsRight(dp: Datapath): boolean {
  const { packet, view } = dp;
  const length = packet.length - packet.headerLength;
  const sum = pseudoSum6(view, packet.ip, PROTO_ICMPV6, length);
  return finish(sumBytes(view, packet.ip + packet.headerLength, length, sum)) === 0;
}

/**
 * Takes the discovery message in `dp.packet`.
 * @param frame where its frame begins.
 * @returns false when it is not to be trusted (RFC 4861 7.1): sent from beyond the link, damaged, or too short.
 */
export function receiveNdp(dp: Datapath, on: Interface, frame: number): boolean {
  const { packet, view, wire, host, tick } = dp;
  const message = packet.ip + packet.headerLength;
  const length = packet.length - packet.headerLength;
  const type = icmpv6.icmpv6Type(view, message);
  if (ipv6.hopLimit(view, packet.ip) !== icmpv6.NEIGHBOUR_HOP_LIMIT || !icmpv6ChecksumIsRight(dp)) return false;
  if (type !== icmpv6.NEIGHBOUR_SOLICITATION && type !== icmpv6.NEIGHBOUR_ADVERTISEMENT) return true;
  if (length < icmpv6.NEIGHBOUR_LENGTH || icmpv6.icmpv6Code(view, message) !== 0) return false;
  icmpv6.readTarget(view, message, scratch, 0);
  if (ipv6.isMulticast6(scratch, 0)) return false;

  if (type === icmpv6.NEIGHBOUR_ADVERTISEMENT) {
    const option = icmpv6.findOption(view, message, length, icmpv6.OPTION_TARGET_MAC);
    if (option < 0 || host.isOwn(6, scratch, 0)) return true;
    const solicited = (icmpv6.icmpv6Rest(view, message) & icmpv6.NA_SOLICITED) !== 0;
    const high = icmpv6.optionMacHigh(view, option);
    const low = icmpv6.optionMacLow(view, option);
    host.neighbours.learn(on, 6, scratch, 0, high, low, false, solicited, tick);
    return true;
  }

  if (!host.isOwn(6, scratch, 0)) return true;
  const { address } = packet;
  const anonymous = (address[SRC] | address[SRC + 1] | address[SRC + 2] | address[SRC + 3]) === 0;
  const option = icmpv6.findOption(view, message, length, icmpv6.OPTION_SOURCE_MAC);
  if (!anonymous && option >= 0) {
    const high = icmpv6.optionMacHigh(view, option);
    const low = icmpv6.optionMacLow(view, option);
    host.neighbours.learn(on, 6, address, SRC, high, low, true, false, tick);
  }
  if (host.isSilent) return true;
  const slot = wire.takeSlot();
  const answer = slot + ipv6.IPV6_HEADER;
  const flags = icmpv6.NA_OVERRIDE | (anonymous ? 0 : icmpv6.NA_SOLICITED) | (dp.forwarding ? icmpv6.NA_ROUTER : 0);
  const to = anonymous ? ALL_NODES : address;
  icmpv6.writeNeighbourAdvertisement(view, answer, flags, scratch, 0, on.macHigh, on.macLow);
  writeNeighbourHeader(view, slot, scratch, to, anonymous ? 0 : SRC);
  if (anonymous) wire.sendTo(on, slot, MESSAGE_LENGTH, ETHERTYPE_IPV6, ipv6.MULTICAST_MAC_HIGH, ALL_NODES[3]);
  else wire.sendTo(on, slot, MESSAGE_LENGTH, ETHERTYPE_IPV6, srcHigh(view, frame), srcLow(view, frame));
  return true;
}

const MESSAGE_LENGTH = ipv6.IPV6_HEADER + icmpv6.NEIGHBOUR_WITH_MAC;

function writeNeighbourHeader(view: DataView, ip: number, from: Words, to: Words, j: number): void {
  const length = icmpv6.NEIGHBOUR_WITH_MAC;
  ipv6.writeHeader6(view, ip, 0, 0, length, PROTO_ICMPV6, icmpv6.NEIGHBOUR_HOP_LIMIT, from, 0, to, j);
  icmpv6.writeIcmpv6Checksum(view, ip, ip + ipv6.IPV6_HEADER, length);
}

/** Asks who has the neighbour's address: its solicited-node group, or the one who had it last. */
export function sendSolicitation(wire: Wire, host: Host, neighbour: Neighbour, direct: boolean, source: Words): void {
  const on = neighbour.interface;
  const own = host.isOwn(6, source, 0) ? source : on.sourceFor(6, neighbour.words, 0)?.words;
  if (own === undefined) return;
  const { view } = wire;
  const slot = wire.takeSlot();
  if (direct) scratch.set(neighbour.words);
  else ipv6.solicitedNode(neighbour.words, 0, scratch, 0);
  const message = slot + ipv6.IPV6_HEADER;
  icmpv6.writeNeighbourSolicitation(view, message, neighbour.words, 0, on.macHigh, on.macLow);
  writeNeighbourHeader(view, slot, own, scratch, 0);
  const high = direct ? neighbour.macHigh : ipv6.MULTICAST_MAC_HIGH;
  const low = direct ? neighbour.macLow : scratch[3];
  wire.sendTo(on, slot, MESSAGE_LENGTH, ETHERTYPE_IPV6, high, low);
}
