/** IPv4 (RFC 791). `at` is where the header begins. */
import { checksum, update16 } from './checksum.ts';

const VERSION_IHL = 0;
const TOS = 1;
const TOTAL_LENGTH = 2;
const IDENTIFICATION = 4;
const FRAGMENT = 6;
const TTL = 8;
const PROTOCOL = 9;
const CHECKSUM = 10;
const SOURCE = 12;
const DESTINATION = 16;

/** Bytes of a header without options. */
export const IPV4_HEADER = 20;
/** "Don't fragment" in the fragment field. */
export const DF = 0x4000;
/** "More fragments" in the fragment field. */
export const MF = 0x2000;
/** The offset's bits in the fragment field, in units of 8 bytes. */
export const OFFSET_MASK = 0x1fff;

export const PROTO_IP = 0;
export const PROTO_ICMP = 1;
export const PROTO_IGMP = 2;
export const PROTO_IPIP = 4;
export const PROTO_TCP = 6;
export const PROTO_UDP = 17;
export const PROTO_IPV6 = 41;
export const PROTO_GRE = 47;
export const PROTO_ICMPV6 = 58;
export const PROTO_SCTP = 132;

export function version(view: DataView, at: number): number {
  return view.getUint8(at + VERSION_IHL) >>> 4;
}
/** Header length in bytes, options included. */
export function headerLength(view: DataView, at: number): number {
  return (view.getUint8(at + VERSION_IHL) & 15) << 2;
}
export function tos(view: DataView, at: number): number {
  return view.getUint8(at + TOS);
}
/** Length of the whole packet in bytes. */
export function totalLength(view: DataView, at: number): number {
  return view.getUint16(at + TOTAL_LENGTH);
}
export function identification(view: DataView, at: number): number {
  return view.getUint16(at + IDENTIFICATION);
}
/** The fragment field: {@link DF}, {@link MF} and the offset in units of 8 bytes. */
export function fragment(view: DataView, at: number): number {
  return view.getUint16(at + FRAGMENT);
}
export function ttl(view: DataView, at: number): number {
  return view.getUint8(at + TTL);
}
export function protocol(view: DataView, at: number): number {
  return view.getUint8(at + PROTOCOL);
}
export function headerChecksum(view: DataView, at: number): number {
  return view.getUint16(at + CHECKSUM);
}
export function source(view: DataView, at: number): number {
  return view.getInt32(at + SOURCE);
}
export function destination(view: DataView, at: number): number {
  return view.getInt32(at + DESTINATION);
}

export function setTos(view: DataView, at: number, value: number): void {
  view.setUint8(at + TOS, value);
}
export function setTotalLength(view: DataView, at: number, value: number): void {
  view.setUint16(at + TOTAL_LENGTH, value);
}
export function setIdentification(view: DataView, at: number, value: number): void {
  view.setUint16(at + IDENTIFICATION, value);
}
export function setFragment(view: DataView, at: number, value: number): void {
  view.setUint16(at + FRAGMENT, value);
}
export function setTtl(view: DataView, at: number, value: number): void {
  view.setUint8(at + TTL, value);
}
export function setProtocol(view: DataView, at: number, value: number): void {
  view.setUint8(at + PROTOCOL, value);
}
export function setHeaderChecksum(view: DataView, at: number, value: number): void {
  view.setUint16(at + CHECKSUM, value);
}
export function setSource(view: DataView, at: number, value: number): void {
  view.setInt32(at + SOURCE, value);
}
export function setDestination(view: DataView, at: number, value: number): void {
  view.setInt32(at + DESTINATION, value);
}

/** Computes the header checksum anew. */
export function writeChecksum(view: DataView, at: number): void {
  view.setUint16(at + CHECKSUM, 0);
  view.setUint16(at + CHECKSUM, checksum(view, at, headerLength(view, at)));
}

/** Lowers the TTL by one and mends the checksum (RFC 1624). The TTL must not be 0. */
export function decrementTtl(view: DataView, at: number): void {
  const word = view.getUint16(at + TTL);
  view.setUint8(at + TTL, (word >>> 8) - 1);
  view.setUint16(at + CHECKSUM, update16(view.getUint16(at + CHECKSUM), word, word - 0x100));
}

/** Writes a 20-byte header, checksum included. */
export function writeHeader(
  view: DataView,
  at: number,
  tosByte: number,
  length: number,
  id: number,
  fragmentField: number,
  ttlByte: number,
  proto: number,
  from: number,
  to: number,
): void {
  view.setUint16(at, 0x4500 | tosByte);
  view.setUint16(at + TOTAL_LENGTH, length);
  view.setUint16(at + IDENTIFICATION, id);
  view.setUint16(at + FRAGMENT, fragmentField);
  view.setUint16(at + TTL, (ttlByte << 8) | proto);
  view.setUint16(at + CHECKSUM, 0);
  view.setInt32(at + SOURCE, from);
  view.setInt32(at + DESTINATION, to);
  view.setUint16(at + CHECKSUM, checksum(view, at, IPV4_HEADER));
}
