/**
 * The multicast groups that the director listens to on its interfaces. IPv4 memberships are reported by IGMP version 3
 * (RFC 3376), IPv6 ones by MLD version 2 (RFC 3810), so that switches which watch those pass the groups on.
 */
import { type Family, sameAddress, type Words, wordsOf } from '../address.ts';
import type { Datapath } from '../datapath.ts';
import { checksum, finish, pseudoSum4, pseudoSum6, sumBytes } from '../packet/checksum.ts';
import { DST, type Packet } from '../packet/dissect.ts';
import * as ipv4 from '../packet/ipv4.ts';
import * as ipv6 from '../packet/ipv6.ts';
import * as udp from '../packet/udp.ts';
import { V } from '../verdicts.ts';
import { nextIdentification } from './icmp.ts';
import type { Interface } from './interface.ts';
import { Neighbour, PERMANENT } from './neighbours.ts';
import type { Wire } from './wire.ts';

const PROTO_IGMP = 2;
const IGMP_QUERY = 0x11;
const IGMP_V3_REPORT = 0x22;
const MLD_QUERY = 130;
const MLD_V2_REPORT = 143;
/** Record types of a report: what the membership is, or that it has changed to all sources or to none. */
const MODE_IS_EXCLUDE = 2;
const CHANGE_TO_INCLUDE = 3;
const CHANGE_TO_EXCLUDE = 4;
/** Where reports go (RFC 3376 4.2.14, RFC 3810 5.2.14). */
const IGMP_ROUTERS = 0xe0000016 | 0;
const MLD_ROUTERS: Words = Int32Array.of(0xff020000 | 0, 0, 0, 0x16);
const ALL_HOSTS = 0xe0000001 | 0;
const ALL_NODES: Words = Int32Array.of(0xff020000 | 0, 0, 0, 1);
/** "Look into this packet" (RFC 2113, RFC 2711), for routers: in IPv4 an option, in IPv6 a hop-by-hop header. */
const ROUTER_ALERT_4 = 0x94040000 | 0;
const IGMP_HEADER = ipv4.IPV4_HEADER + 4;
const HOP_BY_HOP = 8;
/** Stands for any address of link-local scope. */
const LINK_LOCAL: Words = Int32Array.of(0xfe800000 | 0, 0, 0, 0);
/** "Internetwork control". */
const REPORT_TOS = 0xc0;

/** Takes a datagram to a group: its UDP data is `length` bytes at `at`. */
export type GroupReceive = (view: DataView, at: number, length: number) => void;

/** A group that is listened to on one interface, at some UDP ports. */
export interface Membership {
  readonly interface: Interface;
  readonly family: Family;
  readonly words: Words;
  /** The first port, and how many there are. */
  readonly port: number;
  readonly ports: number;
  readonly receive: GroupReceive;
}

/** The neighbour that stands for a group: frames to it go to the MAC address that follows from the group's own. */
export function groupNeighbour(on: Interface, family: Family, words: Words): Neighbour {
  const neighbour = new Neighbour(on, family, words);
  // RFC 1112 6.4: the lower 23 bits behind 01:00:5e. RFC 2464 7: the last four bytes behind 33:33.
  neighbour.macHigh = family === 4 ? 0x0100 : 0x3333;
  neighbour.macLow = family === 4 ? 0x5e000000 | (words[0] & 0x7fffff) : words[3];
  neighbour.state = PERMANENT;
  return neighbour;
}

/** The address to send from to a group, or null when the interface has none. */
export function groupSource(on: Interface, family: Family, words: Words): Words | null {
  const isLinkScope = family === 6 && ((words[0] >>> 16) & 0xf) === 2;
  return on.sourceFor(family, isLinkScope ? LINK_LOCAL : words, 0)?.words ?? null;
}

export class Groups {
  readonly #memberships: Membership[] = [];
  readonly #wire: Wire;

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  /** Starts to listen. */
  join(membership: Membership, tick: number): void {
    this.#memberships.push(membership);
    this.#report(membership, CHANGE_TO_EXCLUDE, tick);
  }

  /** Stops to listen. */
  leave(membership: Membership, tick: number): void {
    const index = this.#memberships.indexOf(membership);
    if (index < 0) return;
    this.#memberships.splice(index, 1);
    if (!this.#memberships.some((other) => isSameGroup(other, membership))) {
      this.#report(membership, CHANGE_TO_INCLUDE, tick);
    }
  }

  /** Has the memberships of another, on interfaces of its own, but lets nobody hear what comes. */
  mimic(other: Groups, interfaces: readonly Interface[]): void {
    for (const membership of other.#memberships) {
      this.#memberships.push({ ...membership, interface: interfaces[membership.interface.index], receive: () => {} });
    }
  }

  /** Whether a packet to a group is for one of those listened to, or asks for them. */
  wants(packet: Packet): boolean {
    for (let i = 0; i < this.#memberships.length; i++) {
      const membership = this.#memberships[i];
      if (packet.interface !== membership.interface.index || packet.family !== membership.family) continue;
      if (sameAddress(wordsOf(packet.family), packet.address, DST, membership.words, 0)) return true;
      if (isQueryProtocol(packet) && isToAll(packet)) return true;
    }
    return false;
  }

  /** Takes a whole packet that is {@link wants wanted}. Returns its verdict. */
  receive(dp: Datapath): number {
    const { packet, view } = dp;
    if (isQueryProtocol(packet)) return this.#answerQuery(dp);
    if (packet.protocol !== ipv4.PROTO_UDP) return V.NOT_WANTED;
    const at = packet.ip + packet.headerLength;
    const available = packet.length - packet.headerLength;
    if (available < udp.UDP_HEADER) return V.SHORT_TRANSPORT;
    const length = udp.udpLength(view, at);
    if (length < udp.UDP_HEADER || length > available) return V.SHORT_TRANSPORT;
    if (!hasRightChecksum(dp, at, length)) return V.BAD_CHECKSUM;
    let verdict = V.NOT_WANTED;
    for (let i = 0; i < this.#memberships.length; i++) {
      const membership = this.#memberships[i];
      const offset = packet.destinationPort - membership.port;
      if (
        offset < 0 ||
        offset >= membership.ports ||
        packet.interface !== membership.interface.index ||
        packet.family !== membership.family ||
        !sameAddress(wordsOf(packet.family), packet.address, DST, membership.words, 0)
      ) {
        continue;
      }
      membership.receive(view, at + udp.UDP_HEADER, length - udp.UDP_HEADER);
      verdict = V.SYNC;
    }
    return verdict;
  }

  /** A router asks who listens: tells it, at once (there are no crowds of directors to wait for). */
  #answerQuery(dp: Datapath): number {
    const { packet, view } = dp;
    const at = packet.ip + packet.headerLength;
    const length = packet.length - packet.headerLength;
    if (length < 8) return V.SHORT_TRANSPORT;
    const four = packet.family === 4;
    const sum = four ? 0 : pseudoSum6(view, packet.ip, ipv4.PROTO_ICMPV6, length);
    if (finish(sumBytes(view, at, length, sum)) !== 0) return V.BAD_CHECKSUM;
    if (view.getUint8(at) !== (four ? IGMP_QUERY : MLD_QUERY)) return V.NOT_WANTED;
    for (const membership of this.#memberships) {
      if (packet.interface !== membership.interface.index || packet.family !== membership.family) continue;
      this.#report(membership, MODE_IS_EXCLUDE, dp.tick);
    }
    return V.GROUP;
  }

  #report(membership: Membership, record: number, tick: number): void {
    if (membership.family === 4) this.#reportIgmp(membership, record, tick);
    else this.#reportMld(membership, record, tick);
  }

  #reportIgmp({ interface: on, words }: Membership, record: number, tick: number): void {
    const { view } = this.#wire;
    const from = groupSource(on, 4, words)?.[0] ?? 0;
    const ip = this.#wire.takeSlot();
    const message = ip + IGMP_HEADER;
    const length = IGMP_HEADER + 16;
    ipv4.writeHeader(view, ip, REPORT_TOS, length, nextIdentification(), ipv4.DF, 1, PROTO_IGMP, from, IGMP_ROUTERS);
    view.setUint8(ip, 0x46);
    view.setInt32(ip + ipv4.IPV4_HEADER, ROUTER_ALERT_4);
    ipv4.writeChecksum(view, ip);
    view.setUint32(message, IGMP_V3_REPORT << 24);
    view.setUint32(message + 4, 1);
    view.setUint32(message + 8, record << 24);
    view.setInt32(message + 12, words[0]);
    view.setUint16(message + 2, checksum(view, message, 16));
    this.#wire.send(ip, length, groupNeighbour(on, 4, Int32Array.of(IGMP_ROUTERS)), tick);
  }

  #reportMld({ interface: on, words }: Membership, record: number, tick: number): void {
    const { view } = this.#wire;
    const from = on.sourceFor(6, LINK_LOCAL, 0);
    if (from === null) return;
    const ip = this.#wire.takeSlot();
    const options = ip + ipv6.IPV6_HEADER;
    const message = options + HOP_BY_HOP;
    const messageLength = 28;
    ipv6.writeHeader6(
      view,
      ip,
      0,
      0,
      HOP_BY_HOP + messageLength,
      ipv6.EXT_HOP_BY_HOP,
      1,
      from.words,
      0,
      MLD_ROUTERS,
      0,
    );
    // A router alert for MLD, padded to eight bytes.
    view.setUint32(options, (ipv4.PROTO_ICMPV6 << 24) | 0x0502);
    view.setUint32(options + 4, 0x0000_0100);
    view.setUint32(message, MLD_V2_REPORT << 24);
    view.setUint32(message + 4, 1);
    view.setUint32(message + 8, record << 24);
    ipv6.writeAddress(view, message + 12, words, 0);
    const sum = pseudoSum6(view, ip, ipv4.PROTO_ICMPV6, messageLength);
    view.setUint16(message + 2, finish(sumBytes(view, message, messageLength, sum)));
    this.#wire.send(ip, HOP_BY_HOP + messageLength + ipv6.IPV6_HEADER, groupNeighbour(on, 6, MLD_ROUTERS), tick);
  }
}

function isSameGroup(a: Membership, b: Membership): boolean {
  return a.interface === b.interface && a.family === b.family && sameAddress(4, a.words, 0, b.words, 0);
}

function isQueryProtocol(packet: Packet): boolean {
  return packet.protocol === (packet.family === 4 ? PROTO_IGMP : ipv4.PROTO_ICMPV6);
}

function isToAll(packet: Packet): boolean {
  if (packet.family === 4) return packet.address[DST] === ALL_HOSTS;
  return sameAddress(4, packet.address, DST, ALL_NODES, 0);
}

/** RFC 768: 0 is no checksum; IPv6 has none such (RFC 8200 8.1). */
function hasRightChecksum(dp: Datapath, at: number, length: number): boolean {
  const { packet, view } = dp;
  if (udp.udpChecksum(view, at) === 0) return packet.family === 4;
  const pseudo = packet.family === 4 ? pseudoSum4 : pseudoSum6;
  return finish(sumBytes(view, at, length, pseudo(view, packet.ip, ipv4.PROTO_UDP, length))) === 0;
}
