/**
 * ICMP of the director's own: echo replies, and errors about packets that it cannot send on (RFC 792, RFC 1122 3.2.2,
 * RFC 1812 4.3.2; kernel behaviour: net/ipv4/icmp.c).
 */

import type { Datapath } from '../datapath.ts';
import { checksum } from '../packet/checksum.ts';
import { DST, SRC } from '../packet/dissect.ts';
import * as icmp from '../packet/icmp.ts';
import * as ipv4 from '../packet/ipv4.ts';
import { TICKS_PER_SECOND } from '../ticks.ts';

/** TTL of what the director itself sends. */
export const DEFAULT_TTL = 64;
/** An error carries as much of the packet it is about as fits in this many bytes of IP packet. */
const ERROR_LENGTH = 576;
/** TOS of an error: that of the packet without its ECN and precedence bits, and "internetwork control". */
const TOS_MASK = 0x1e;
const INTERNETWORK_CONTROL = 0xc0;

/**
 * How many ICMP errors may be sent: a bucket that fills with time, as Linux's `icmp_msgs_per_sec` and `icmp_msgs_burst`,
 * so that a flood of bad packets is not answered by a flood of errors.
 */
export class IcmpLimit {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #filled = 0;

  /** @param perSecond errors per second; Infinity for no limit. */
  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
  }

  take(tick: number): boolean {
    if (this.#perSecond === Number.POSITIVE_INFINITY) return true;
    const passed = (tick - this.#filled) | 0;
    if (passed > 0) {
      this.#tokens = Math.min(this.#burst, this.#tokens + (passed * this.#perSecond) / TICKS_PER_SECOND);
      this.#filled = tick;
    }
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}

/** A number that differs from packet to packet, for the identification of packets that may be fragmented. */
let identification = 0;
export function nextIdentification(): number {
  identification = (identification + 1) & 0xffff;
  return identification;
}

/** Whether an ICMP message may be answered with an error: errors never are (RFC 1122 3.2.2). */
function isIcmpError(type: number): boolean {
  return type !== icmp.ICMP_ECHO && type !== icmp.ICMP_ECHO_REPLY && !(type >= 13 && type <= 18);
}

/**
 * Tells the sender of `dp.packet` what became of it. Silent where an error must not be sent: about later fragments, about
 * packets that were not sent to this host alone or to a group, about ICMP errors, from addresses that are no host's.
 * @param rest the type's own four bytes: the MTU for "fragmentation needed".
 * @param routed whether the packet was on its way out already: then the error does not come from the address that the
 *   packet was sent to, even if that is the director's own.
 */
export function sendIcmpError(dp: Datapath, type: number, code: number, rest: number, routed = false): void {
  const { view, wire, host, packet } = dp;
  const { ip } = packet;
  if (!packet.toHost || (ipv4.fragment(view, ip) & ipv4.OFFSET_MASK) !== 0) return;
  const to = ipv4.source(view, ip);
  if (!isHostAddress(to) || isGroup(ipv4.destination(view, ip)) || host.isBroadcast4(packet.address, DST)) return;
  if (packet.protocol === ipv4.PROTO_ICMP) {
    const inside = ip + packet.headerLength;
    if (packet.length <= packet.headerLength || isIcmpError(icmp.icmpType(view, inside))) return;
  }
  scratch[0] = to;
  const neighbour = host.nextHop(4, scratch, 0);
  scratch[1] = ipv4.destination(view, ip);
  const from = !routed && host.isOwn(4, scratch, 1) ? scratch[1] : host.sourceFor(4, scratch, 0)?.[0];
  if (neighbour === null || from === undefined || !dp.icmpLimit.take(dp.tick)) return;

  wire.completeFirst(packet);
  const limit = Math.min(ERROR_LENGTH, neighbour.interface.mtu) - ipv4.IPV4_HEADER - icmp.ICMP_HEADER;
  const quoted = Math.min(packet.length, limit);
  const slot = wire.takeSlot();
  const length = ipv4.IPV4_HEADER + icmp.ICMP_HEADER + quoted;
  const message = slot + ipv4.IPV4_HEADER;
  const tos = (ipv4.tos(view, ip) & TOS_MASK) | INTERNETWORK_CONTROL;
  ipv4.writeHeader(view, slot, tos, length, nextIdentification(), 0, DEFAULT_TTL, ipv4.PROTO_ICMP, from, to);
  icmp.writeIcmpHeader(view, message, type, code, rest);
  wire.pool.memory.copyWithin(message + icmp.ICMP_HEADER, ip, ip + quoted);
  icmp.setIcmpChecksum(view, message, checksum(view, message, icmp.ICMP_HEADER + quoted));
  if (dp.localOut(slot, 4)) wire.send(slot, length, neighbour, dp.tick);
}

const scratch = new Int32Array(2);

/**
 * Whether one host can have the address: not 0.0.0.0, not loopback, not a group's, not everybody's. The rest of 0/8 and
 * of 240/4 is treated like any other (kernel behaviour: ipv4_is_zeronet, and no check for class E).
 */
export function isHostAddress(address: number): boolean {
  return address !== 0 && address >>> 24 !== 127 && address >>> 28 !== 0xe && address !== -1;
}

function isGroup(address: number): boolean {
  return address >>> 28 === 0xe;
}

/**
 * Answers the ICMP echo request `dp.packet`, in its own slot.
 * @returns false when it must not be answered: to a group or everybody, or with a wrong checksum.
 */
export function answerEcho(dp: Datapath): boolean {
  const { view, wire, host, packet } = dp;
  const { ip, headerLength, length } = packet;
  const message = ip + headerLength;
  const messageLength = length - headerLength;
  if (messageLength < icmp.ICMP_HEADER || checksum(view, message, messageLength) !== 0) return false;
  if (!host.isOwn(4, packet.address, DST)) return false;
  const neighbour = host.nextHop(4, packet.address, SRC);
  if (neighbour === null) return true;
  // The reply has no IP options: its header goes right in front of the message.
  const header = message - ipv4.IPV4_HEADER;
  const tos = ipv4.tos(view, ip);
  const from = packet.address[DST];
  const total = ipv4.IPV4_HEADER + messageLength;
  ipv4.writeHeader(
    view,
    header,
    tos,
    total,
    nextIdentification(),
    0,
    DEFAULT_TTL,
    ipv4.PROTO_ICMP,
    from,
    packet.address[SRC],
  );
  icmp.writeIcmpHeader(view, message, icmp.ICMP_ECHO_REPLY, 0, icmp.icmpRest(view, message));
  icmp.setIcmpChecksum(view, message, checksum(view, message, messageLength));
  wire.sendIp(4, header, total, neighbour, neighbour.interface.mtu, dp.tick);
  return true;
}
