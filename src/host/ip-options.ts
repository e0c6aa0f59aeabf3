/**
 * IPv4 options of packets that arrive (RFC 791 3.1, RFC 1812 4.2.2.2; kernel behaviour: ip_options_compile): what is
 * impossible is refused, routes and times are recorded, and senders do not get to choose the route.
 */
import type { Datapath } from '../datapath.ts';
import { DST, SRC } from '../packet/dissect.ts';
import { ICMP_PARAMETER_PROBLEM } from '../packet/icmp.ts';
import * as ipv4 from '../packet/ipv4.ts';
import { V } from '../verdicts.ts';
import { sendIcmpError } from './icmp.ts';

const END = 0;
const NOP = 1;
const RECORD_ROUTE = 7;
const TIMESTAMP = 68;
const LOOSE_SOURCE_ROUTE = 131;
const STRICT_SOURCE_ROUTE = 137;
const ROUTER_ALERT = 148;

/** Flags of the timestamp option. */
const TIME_ONLY = 0;
const TIME_AND_ADDRESS = 1;
const PRESPECIFIED = 3;

const DAY_MS = 86_400_000;

/** The packet may go on. */
export const OPTIONS_FINE = -1;

/** The address that the director records: the one that was spoken to, else the one it would answer the sender from. */
function ownAddress(dp: Datapath): number {
  const { address } = dp.packet;
  if (dp.host.isOwn(4, address, DST)) return address[DST];
  return dp.host.sourceFor(4, dp.packet.address, SRC)?.[0] ?? 0;
}

/**
 * Looks at the options of `dp.packet`, and records in them what they ask for.
 * @returns {@link OPTIONS_FINE}, or the verdict that ends the packet's way; the sender has been told.
 */
export function receiveOptions(dp: Datapath): number {
  const { view, packet } = dp;
  const end = packet.ip + packet.headerLength;
  let seenRoute = false;
  let seenTime = false;
  let at = packet.ip + ipv4.IPV4_HEADER;
  while (at < end) {
    const type = view.getUint8(at);
    if (type === END) {
      for (let i = at + 1; i < end; i++) view.setUint8(i, END);
      break;
    }
    if (type === NOP) {
      at++;
      continue;
    }
    const length = at + 1 < end ? view.getUint8(at + 1) : 0;
    if (length < 2 || at + length > end) return refuse(dp, at);
    let wrong = -1;
    switch (type) {
      case LOOSE_SOURCE_ROUTE:
      case STRICT_SOURCE_ROUTE:
        return V.SOURCE_ROUTE;
      case RECORD_ROUTE:
        wrong = seenRoute ? at : recordRoute(dp, at, length);
        seenRoute = true;
        break;
      case TIMESTAMP:
        wrong = seenTime ? at : recordTime(dp, at, length);
        seenTime = true;
        break;
      case ROUTER_ALERT:
        if (length < 4) wrong = at + 1;
        break;
    }
    if (wrong >= 0) return refuse(dp, wrong);
    at += length;
  }
  ipv4.writeChecksum(view, packet.ip);
  return OPTIONS_FINE;
}

/** Tells the sender which byte of the header is wrong. */
function refuse(dp: Datapath, at: number): number {
  sendIcmpError(dp, ICMP_PARAMETER_PROBLEM, 0, (at - dp.packet.ip) * 0x1000000);
  return V.BAD_HEADER;
}

/** @returns where the option is wrong, or -1. */
function recordRoute(dp: Datapath, at: number, length: number): number {
  if (length < 3) return at + 1;
  const { view } = dp;
  const pointer = view.getUint8(at + 2);
  if (pointer < 4) return at + 2;
  if (pointer > length) return -1; // full
  if (pointer + 3 > length) return at + 2;
  view.setInt32(at + pointer - 1, ownAddress(dp));
  view.setUint8(at + 2, pointer + 4);
  return -1;
}

/** @returns where the option is wrong, or -1. */
function recordTime(dp: Datapath, at: number, length: number): number {
  if (length < 4) return at + 1;
  const { view } = dp;
  const pointer = view.getUint8(at + 2);
  if (pointer < 5) return at + 2;
  const overflowFlag = view.getUint8(at + 3);
  const flag = overflowFlag & 0xf;
  const place = at + pointer - 1;
  if (pointer > length) {
    if (flag === PRESPECIFIED) return -1;
    if (overflowFlag >>> 4 === 15) return at + 3;
    view.setUint8(at + 3, overflowFlag + 0x10);
    return -1;
  }
  if (pointer + 3 > length) return at + 2;
  const now = Date.now() % DAY_MS; // milliseconds since midnight UT, by the option's definition
  if (flag === TIME_ONLY) {
    view.setUint32(place, now);
    view.setUint8(at + 2, pointer + 4);
  } else if (flag === TIME_AND_ADDRESS || flag === PRESPECIFIED) {
    if (pointer + 7 > length) return at + 2;
    if (flag === PRESPECIFIED) {
      scratch[0] = view.getInt32(place);
      if (!dp.host.isOwn(4, scratch, 0)) return -1;
    } else view.setInt32(place, ownAddress(dp));
    view.setUint32(place + 4, now);
    view.setUint8(at + 2, pointer + 8);
  }
  return -1;
}

const scratch = new Int32Array(1);
