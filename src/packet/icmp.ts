/** ICMP (RFC 792). `at` is where the ICMP header begins. */
import { checksum } from './checksum.ts';

const TYPE = 0;
const CODE = 1;
const CHECKSUM = 2;
const REST = 4;

/** Bytes of the header, the type's own four included. */
export const ICMP_HEADER = 8;

export const ICMP_ECHO_REPLY = 0;
export const ICMP_DEST_UNREACH = 3;
export const ICMP_SOURCE_QUENCH = 4;
export const ICMP_REDIRECT = 5;
export const ICMP_ECHO = 8;
export const ICMP_TIME_EXCEEDED = 11;
export const ICMP_PARAMETER_PROBLEM = 12;

/** Codes of {@link ICMP_DEST_UNREACH}. */
export const UNREACH_NET = 0;
export const UNREACH_HOST = 1;
export const UNREACH_PROTOCOL = 2;
export const UNREACH_PORT = 3;
export const UNREACH_FRAG_NEEDED = 4;

export function icmpType(view: DataView, at: number): number {
  return view.getUint8(at + TYPE);
}
export function icmpCode(view: DataView, at: number): number {
  return view.getUint8(at + CODE);
}
export function icmpChecksum(view: DataView, at: number): number {
  return view.getUint16(at + CHECKSUM);
}
export function setIcmpChecksum(view: DataView, at: number, value: number): void {
  view.setUint16(at + CHECKSUM, value);
}
/** The four bytes that depend on the type: identifier and sequence, next-hop MTU. */
export function icmpRest(view: DataView, at: number): number {
  return view.getUint32(at + REST);
}
/** Writes type, code and the type's own four bytes; the checksum field becomes 0. */
export function writeIcmpHeader(view: DataView, at: number, type: number, code: number, rest: number): void {
  view.setUint8(at + TYPE, type);
  view.setUint8(at + CODE, code);
  view.setUint16(at + CHECKSUM, 0);
  view.setUint32(at + REST, rest);
}

/** Computes the checksum anew over a message of `length` bytes. */
export function writeIcmpChecksum(view: DataView, at: number, length: number): void {
  view.setUint16(at + CHECKSUM, 0);
  view.setUint16(at + CHECKSUM, checksum(view, at, length));
}
