/**
 * ICMPv6 (RFC 4443) and neighbour discovery (RFC 4861). `at` is where the ICMPv6 header begins. Type, code, checksum
 * and the type's own four bytes lie where ICMP has them; unlike there the checksum covers a pseudo header.
 */
import type { Words } from '../address.ts';
import { finish, pseudoSum6, sumBytes } from './checksum.ts';
import { PROTO_ICMPV6 } from './ipv4.ts';
import { readAddress, writeAddress } from './ipv6.ts';

const TYPE = 0;
const CODE = 1;
const CHECKSUM = 2;
const REST = 4;
const TARGET = 8;
const OPTIONS = 24;
const OPTION = 8;

/** Bytes of the header, the type's own four included. */
export const ICMPV6_HEADER = 8;
/** Where the checksum lies in the header. */
export const ICMPV6_CHECKSUM: number = CHECKSUM;
/** Where the target lies in a neighbour solicitation or advertisement. */
export const NEIGHBOUR_TARGET: number = TARGET;
/** Bytes of a neighbour solicitation or advertisement before its options. */
export const NEIGHBOUR_LENGTH: number = OPTIONS;
/** Bytes of a neighbour solicitation or advertisement with one link-layer address option. */
export const NEIGHBOUR_WITH_MAC: number = OPTIONS + OPTION;

/** Types below this one are errors, the others informational. */
export const ICMPV6_INFORMATIONAL = 128;
export const ICMPV6_DEST_UNREACH = 1;
export const ICMPV6_PACKET_TOO_BIG = 2;
export const ICMPV6_TIME_EXCEEDED = 3;
export const ICMPV6_PARAMETER_PROBLEM = 4;
/** The code of a parameter problem about an option. */
export const UNRECOGNIZED_OPTION = 2;
export const ICMPV6_ECHO = 128;
export const ICMPV6_ECHO_REPLY = 129;
export const ROUTER_SOLICITATION = 133;
export const ROUTER_ADVERTISEMENT = 134;
export const NEIGHBOUR_SOLICITATION = 135;
export const NEIGHBOUR_ADVERTISEMENT = 136;
export const ICMPV6_REDIRECT = 137;

/** Codes of {@link ICMPV6_DEST_UNREACH}. */
export const UNREACH6_NO_ROUTE = 0;
export const UNREACH6_PROHIBITED = 1;
export const UNREACH6_ADDRESS = 3;
export const UNREACH6_PORT = 4;

/** Neighbour advertisement flags, in the type's own four bytes. */
export const NA_ROUTER = 0x80000000;
/** Sent in answer to a solicitation. */
export const NA_SOLICITED = 0x40000000;
/** An existing cache entry is to be overwritten. */
export const NA_OVERRIDE = 0x20000000;

/** Options with a link-layer address. */
export const OPTION_SOURCE_MAC = 1;
export const OPTION_TARGET_MAC = 2;

/** A neighbour discovery packet with another hop limit came from outside the link and must be ignored (RFC 4861 section 7.1). */
export const NEIGHBOUR_HOP_LIMIT = 255;

export function icmpv6Type(view: DataView, at: number): number {
  return view.getUint8(at + TYPE);
}
export function icmpv6Code(view: DataView, at: number): number {
  return view.getUint8(at + CODE);
}
export function icmpv6Checksum(view: DataView, at: number): number {
  return view.getUint16(at + CHECKSUM);
}
export function setIcmpv6Checksum(view: DataView, at: number, value: number): void {
  view.setUint16(at + CHECKSUM, value);
}
/** The four bytes that depend on the type: identifier and sequence, MTU, pointer, advertisement flags. */
export function icmpv6Rest(view: DataView, at: number): number {
  return view.getUint32(at + REST);
}
/** Writes type, code and the type's own four bytes; the checksum field becomes 0. */
export function writeIcmpv6Header(view: DataView, at: number, type: number, code: number, rest: number): void {
  view.setUint8(at + TYPE, type);
  view.setUint8(at + CODE, code);
  view.setUint16(at + CHECKSUM, 0);
  view.setUint32(at + REST, rest);
}

/**
 * Computes the checksum anew. The IPv6 header at `ipAt` must have its addresses already; `length` is that of the whole
 * ICMPv6 message.
 */
export function writeIcmpv6Checksum(view: DataView, ipAt: number, at: number, length: number): void {
  view.setUint16(at + CHECKSUM, 0);
  const sum = sumBytes(view, at, length, pseudoSum6(view, ipAt, PROTO_ICMPV6, length));
  view.setUint16(at + CHECKSUM, finish(sum));
}

/** Reads the target of a solicitation or advertisement into `words[i .. i + 3]`. */
export function readTarget(view: DataView, at: number, words: Words, i: number): void {
  readAddress(view, at + TARGET, words, i);
}

/**
 * Where the first option of `type` begins, or -1 where there is none or an option's length is impossible (a length of
 * 0 makes the packet invalid: RFC 4861 section 4.6). `length` is that of the whole message. A link-layer address found
 * this way has its six bytes.
 */
export function findOption(view: DataView, at: number, length: number, type: number): number {
  const end = at + length;
  let option = at + OPTIONS;
  while (option + OPTION <= end) {
    const size = view.getUint8(option + 1) << 3;
    if (size === 0 || option + size > end) return -1;
    if (view.getUint8(option) === type) return option;
    option += size;
  }
  return -1;
}
/** Upper 16 bits of the MAC in the link-layer address option at `option`. */
export function optionMacHigh(view: DataView, option: number): number {
  return view.getUint16(option + 2);
}
/** Lower 32 bits of the MAC in the link-layer address option at `option`, as a signed integer. */
export function optionMacLow(view: DataView, option: number): number {
  return view.getInt32(option + 4);
}

/**
 * Writes a neighbour solicitation for `target[i ..]` with our own MAC in a source link-layer address option:
 * {@link NEIGHBOUR_WITH_MAC} bytes. The checksum field becomes 0.
 */
export function writeNeighbourSolicitation(
  view: DataView,
  at: number,
  target: Words,
  i: number,
  macHigh: number,
  macLow: number,
): void {
  writeNeighbour(view, at, NEIGHBOUR_SOLICITATION, 0, target, i, OPTION_SOURCE_MAC, macHigh, macLow);
}

/**
 * Writes a neighbour advertisement of `target[i ..]` with its MAC in a target link-layer address option:
 * {@link NEIGHBOUR_WITH_MAC} bytes. `flags` are {@link NA_ROUTER}, {@link NA_SOLICITED}, {@link NA_OVERRIDE}. The
 * checksum field becomes 0.
 */
export function writeNeighbourAdvertisement(
  view: DataView,
  at: number,
  flags: number,
  target: Words,
  i: number,
  macHigh: number,
  macLow: number,
): void {
  writeNeighbour(view, at, NEIGHBOUR_ADVERTISEMENT, flags, target, i, OPTION_TARGET_MAC, macHigh, macLow);
}

function writeNeighbour(
  view: DataView,
  at: number,
  type: number,
  rest: number,
  target: Words,
  i: number,
  option: number,
  macHigh: number,
  macLow: number,
): void {
  writeIcmpv6Header(view, at, type, 0, rest);
  writeAddress(view, at + TARGET, target, i);
  // An option's length is in units of 8 bytes.
  view.setUint16(at + OPTIONS, (option << 8) | 1);
  view.setUint16(at + OPTIONS + 2, macHigh);
  view.setInt32(at + OPTIONS + 4, macLow);
}
