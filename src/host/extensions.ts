/**
 * IPv6 extension headers (RFC 8200 4; kernel behaviour: ip6_parse_tlv, ipv6_rthdr_rcv, ipv6_destopt_rcv): what is not
 * understood is skipped, refused or dropped, as it says itself. The director is the end of every route.
 */
import type { Datapath } from '../datapath.ts';
import { DST } from '../packet/dissect.ts';
import { ICMPV6_PARAMETER_PROBLEM, UNRECOGNIZED_OPTION } from '../packet/icmpv6.ts';
import * as ipv6 from '../packet/ipv6.ts';
import { sendIcmpv6Error } from './icmpv6.ts';

/** The code of a parameter problem about a field of a header. */
const WRONG_FIELD = 0;

/** Routing types that hosts only take when told to: RPL source routes and segment routing. */
const ROUTING_RPL = 3;
const ROUTING_SEGMENTS = 4;

const PAD1 = 0;
const PADN = 1;
const ROUTER_ALERT = 5;
/** Padding aligns to 8 bytes, so there is never more in a row; and it is empty (RFC 4942 2.1.9.5). */
const MAX_PADDING = 7;
/** Options in one header, padding not counted: Linux's default limit. */
const MAX_OPTIONS = 8;
/** What to do with a packet whose option is unknown: the two highest bits of its type. */
const SKIP = 0;
const DROP = 1;
const REFUSE = 2;

/**
 * Looks at the hop-by-hop options of `dp.packet`, which every node on the way must read.
 * @returns whether it may go on; if not, the sender has been told.
 */
export function acceptHopByHop(dp: Datapath): boolean {
  const { packet, view } = dp;
  if (ipv6.nextHeader(view, packet.ip) !== ipv6.EXT_HOP_BY_HOP) return true;
  const at = packet.ip + ipv6.IPV6_HEADER;
  return acceptOptions(dp, at + 2, at + ipv6.extensionLength(view, at, ipv6.EXT_HOP_BY_HOP), true);
}

/** Looks at the extension headers of `dp.packet`. @returns whether it may go on; if not, the sender has been told. */
export function acceptExtensions(dp: Datapath): boolean {
  const { packet, view } = dp;
  const end = packet.ip + packet.headerLength;
  let next = ipv6.nextHeader(view, packet.ip);
  for (let at = packet.ip + ipv6.IPV6_HEADER; at < end; ) {
    if (next === ipv6.EXT_ROUTING && !acceptRouting(dp, at)) return false;
    const length = ipv6.extensionLength(view, at, next);
    if (next === ipv6.EXT_DESTINATION && !acceptOptions(dp, at + 2, at + length, false)) return false;
    next = ipv6.extensionNext(view, at);
    at += length;
  }
  return true;
}

function acceptRouting(dp: Datapath, at: number): boolean {
  const { packet, view } = dp;
  const type = view.getUint8(at + 2);
  if (!packet.toHost || type === ROUTING_RPL || type === ROUTING_SEGMENTS) return false;
  if (view.getUint8(at + 3) === 0) return true;
  sendIcmpv6Error(dp, ICMPV6_PARAMETER_PROBLEM, WRONG_FIELD, at + 2 - packet.ip);
  return false;
}

function acceptOptions(dp: Datapath, from: number, to: number, hopByHop: boolean): boolean {
  const { packet, view } = dp;
  let padding = 0;
  let options = 0;
  for (let at = from; at < to; ) {
    const type = view.getUint8(at);
    if (type === PAD1) {
      if (++padding > MAX_PADDING) return false;
      at++;
      continue;
    }
    const length = at + 1 < to ? view.getUint8(at + 1) + 2 : 0;
    if (length === 0 || at + length > to) return false;
    if (type === PADN) {
      padding += length;
      if (padding > MAX_PADDING) return false;
      for (let i = 2; i < length; i++) if (view.getUint8(at + i) !== 0) return false;
      at += length;
      continue;
    }
    padding = 0;
    if (++options > MAX_OPTIONS) return false;
    if (hopByHop && type === ROUTER_ALERT && length !== 4) return false;
    const action = type >>> 6;
    if (action !== SKIP) {
      const toGroup = ipv6.isMulticast6(packet.address, DST);
      if (action === REFUSE || (action !== DROP && !toGroup)) {
        sendIcmpv6Error(dp, ICMPV6_PARAMETER_PROBLEM, UNRECOGNIZED_OPTION, at - packet.ip);
      }
      return false;
    }
    at += length;
  }
  return true;
}
