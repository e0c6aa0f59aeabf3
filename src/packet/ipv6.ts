/**
 * IPv6 (RFC 8200). `at` is where the header begins. An address is four words in host order, read into and written from
 * `(words, i)` as everywhere, so that nothing is allocated.
 */
import type { Words } from '../address.ts';

const VERSION_CLASS_FLOW = 0;
const PAYLOAD_LENGTH = 4;
const NEXT_HEADER = 6;
const HOP_LIMIT = 7;
const SOURCE = 8;
const DESTINATION = 24;

/** Bytes of the fixed header. */
export const IPV6_HEADER = 40;
/** Where the source address lies in the header. */
export const IPV6_SOURCE: number = SOURCE;
/** Where the destination address lies in the header. */
export const IPV6_DESTINATION: number = DESTINATION;
/** Every IPv6 link carries packets of at least this many bytes (RFC 8200 section 5). */
export const IPV6_MIN_MTU = 1280;

export const EXT_HOP_BY_HOP = 0;
export const EXT_ROUTING = 43;
export const EXT_FRAGMENT = 44;
/** Encapsulating security payload: what follows is encrypted, its length unknown. */
export const EXT_ESP = 50;
export const EXT_AUTHENTICATION = 51;
/** Nothing follows. */
export const NO_NEXT_HEADER = 59;
export const EXT_DESTINATION = 60;
export const EXT_MOBILITY = 135;
export const EXT_HIP = 139;
export const EXT_SHIM6 = 140;

/** Bytes of a fragment header; every extension header is at least that long. */
export const FRAGMENT_HEADER = 8;
/** "More fragments" in the fragment header's field. */
export const MORE_FRAGMENTS = 1;
/** The offset's bits in the fragment header's field. They count bytes as they stand: the unit of 8 is the low three bits. */
export const FRAGMENT_OFFSET_MASK = 0xfff8;

export function version(view: DataView, at: number): number {
  return view.getUint8(at + VERSION_CLASS_FLOW) >>> 4;
}
/** DSCP and ECN, as IPv4's TOS byte. */
export function trafficClass(view: DataView, at: number): number {
  return (view.getUint16(at + VERSION_CLASS_FLOW) >>> 4) & 0xff;
}
/** 20 bits. */
export function flowLabel(view: DataView, at: number): number {
  return view.getUint32(at + VERSION_CLASS_FLOW) & 0xfffff;
}
/** Bytes after the fixed header, extension headers included. */
export function payloadLength(view: DataView, at: number): number {
  return view.getUint16(at + PAYLOAD_LENGTH);
}
/** What follows the fixed header: an extension header or the transport protocol. */
export function nextHeader(view: DataView, at: number): number {
  return view.getUint8(at + NEXT_HEADER);
}
export function hopLimit(view: DataView, at: number): number {
  return view.getUint8(at + HOP_LIMIT);
}
/** Word `i` (0 .. 3, most significant first) of the source. */
export function sourceWord(view: DataView, at: number, i: number): number {
  return view.getInt32(at + SOURCE + i * 4);
}
/** Word `i` (0 .. 3, most significant first) of the destination. */
export function destinationWord(view: DataView, at: number, i: number): number {
  return view.getInt32(at + DESTINATION + i * 4);
}
/** Reads the source into `words[i .. i + 3]`. */
export function readSource(view: DataView, at: number, words: Words, i: number): void {
  readAddress(view, at + SOURCE, words, i);
}
/** Reads the destination into `words[i .. i + 3]`. */
export function readDestination(view: DataView, at: number, words: Words, i: number): void {
  readAddress(view, at + DESTINATION, words, i);
}

export function setTrafficClass(view: DataView, at: number, value: number): void {
  view.setUint16(at + VERSION_CLASS_FLOW, (view.getUint16(at + VERSION_CLASS_FLOW) & 0xf00f) | (value << 4));
}
export function setFlowLabel(view: DataView, at: number, value: number): void {
  view.setUint32(at + VERSION_CLASS_FLOW, (view.getUint32(at + VERSION_CLASS_FLOW) & 0xfff00000) | value);
}
export function setPayloadLength(view: DataView, at: number, value: number): void {
  view.setUint16(at + PAYLOAD_LENGTH, value);
}
export function setNextHeader(view: DataView, at: number, value: number): void {
  view.setUint8(at + NEXT_HEADER, value);
}
export function setHopLimit(view: DataView, at: number, value: number): void {
  view.setUint8(at + HOP_LIMIT, value);
}
/** Writes the source from `words[i .. i + 3]`. */
export function setSource(view: DataView, at: number, words: Words, i: number): void {
  writeAddress(view, at + SOURCE, words, i);
}
/** Writes the destination from `words[i .. i + 3]`. */
export function setDestination(view: DataView, at: number, words: Words, i: number): void {
  writeAddress(view, at + DESTINATION, words, i);
}

/** Reads the address at `at` (of an address, not of a header) into `words[i .. i + 3]`. */
export function readAddress(view: DataView, at: number, words: Words, i: number): void {
  words[i] = view.getInt32(at);
  words[i + 1] = view.getInt32(at + 4);
  words[i + 2] = view.getInt32(at + 8);
  words[i + 3] = view.getInt32(at + 12);
}

/** Writes the address `words[i .. i + 3]` at `at` (of an address, not of a header). */
export function writeAddress(view: DataView, at: number, words: Words, i: number): void {
  view.setInt32(at, words[i]!);
  view.setInt32(at + 4, words[i + 1]!);
  view.setInt32(at + 8, words[i + 2]!);
  view.setInt32(at + 12, words[i + 3]!);
}

/** Writes the fixed header; `from[i ..]` and `to[j ..]` are the addresses. */
export function writeHeader6(
  view: DataView,
  at: number,
  trafficClassByte: number,
  flow: number,
  payload: number,
  next: number,
  hops: number,
  from: Words,
  i: number,
  to: Words,
  j: number,
): void {
  view.setUint32(at + VERSION_CLASS_FLOW, 0x60000000 | (trafficClassByte << 20) | flow);
  view.setUint16(at + PAYLOAD_LENGTH, payload);
  view.setUint16(at + NEXT_HEADER, (next << 8) | hops);
  writeAddress(view, at + SOURCE, from, i);
  writeAddress(view, at + DESTINATION, to, j);
}

/**
 * Whether the number names an extension header that can be stepped over with {@link extensionLength}. ESP cannot: what
 * comes after it is encrypted.
 */
export function isExtensionHeader(next: number): boolean {
  switch (next) {
    case EXT_HOP_BY_HOP:
    case EXT_ROUTING:
    case EXT_FRAGMENT:
    case EXT_AUTHENTICATION:
    case EXT_DESTINATION:
    case EXT_MOBILITY:
    case EXT_HIP:
    case EXT_SHIM6:
      return true;
    default:
      return false;
  }
}

/** What follows the extension header at `at`. */
export function extensionNext(view: DataView, at: number): number {
  return view.getUint8(at);
}

/**
 * Bytes of the extension header of type `next` at `at`, at least 8. Its first two bytes must be there. The length byte
 * counts units of 8 bytes beyond the first 8, for the authentication header 4-byte words minus 2 (RFC 4302 section
 * 2.2); the fragment header has none.
 */
export function extensionLength(view: DataView, at: number, next: number): number {
  if (next === EXT_FRAGMENT) return FRAGMENT_HEADER;
  const units = view.getUint8(at + 1);
  // RFC 4302 wants an 8-byte multiple for IPv6, so never less than 8; a liar's 0 must not stop a walk from advancing.
  return next === EXT_AUTHENTICATION ? (units + 2) << 2 : (units + 1) << 3;
}

/** The field of a fragment header: offset ({@link FRAGMENT_OFFSET_MASK}, in bytes) and {@link MORE_FRAGMENTS}. */
export function fragmentField(view: DataView, at: number): number {
  return view.getUint16(at + 2);
}
export function fragmentIdentification(view: DataView, at: number): number {
  return view.getUint32(at + 4);
}

/** Writes a fragment header; `field` as {@link fragmentField} reads it. */
export function writeFragmentHeader(view: DataView, at: number, next: number, field: number, id: number): void {
  view.setUint16(at, next << 8);
  view.setUint16(at + 2, field);
  view.setUint32(at + 4, id);
}

/** Whether the address at `words[i]` is multicast (ff00::/8). */
export function isMulticast6(words: Words, i: number): boolean {
  return words[i]! >>> 24 === 0xff;
}

/** Upper 16 bits of the MAC of a multicast group; the lower 32 are the group's last word (RFC 2464 section 7). */
export const MULTICAST_MAC_HIGH = 0x3333;

/** Writes the solicited-node group (RFC 4291 section 2.7.1) of `words[i ..]` to `group[j .. j + 3]`. */
export function solicitedNode(words: Words, i: number, group: Words, j: number): void {
  const low = words[i + 3]!;
  group[j] = 0xff020000;
  group[j + 1] = 0;
  group[j + 2] = 1;
  group[j + 3] = 0xff000000 | (low & 0xffffff);
}
