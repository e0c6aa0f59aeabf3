/**
 * The few words of FTP that a director must understand (RFC 959 4.1.2, RFC 2428), read as Linux reads them (kernel
 * behaviour: ip_vs_ftp.c): within one segment, and no more strictly than there. Nothing here looks beyond the segment's
 * end or throws, whatever the segment holds.
 */
import { type Family, tryParseAddress } from '../address.ts';

/** What a segment from the client asks for. */
export const NO_REQUEST = 0;
export const PASSIVE = 1;
export const EXTENDED_PASSIVE = 2;
/** An EPSV that is not for this family, or EPSV ALL. */
export const OTHER_PASSIVE = 3;

const COMMA = 0x2c;
const ZERO = 0x30;
const NINE = 0x39;
const DOT = 0x2e;
const SPACE = 0x20;
const CR = 0x0d;
const OPENING = 0x28;
/** Digits 1 and 2 name the family in RFC 2428. */
const FAMILY_DIGITS: Readonly<Record<Family, number>> = { 4: 0x31, 6: 0x32 };
/** The longest text of an address: of IPv6 with an IPv4 address at its end. */
const LONGEST_ADDRESS = 45;

/** An address and port found in a segment, and where they stand: from `start` up to `end`. */
export class FtpEndpoint {
  readonly words: Int32Array = new Int32Array(4);
  port = 0;
  start = 0;
  end = 0;
}

/** Whether the bytes from `at` on are `word`, in upper or lower case; `word` is in lower case. */
function isWord(view: DataView, at: number, end: number, word: string): boolean {
  if (end - at < word.length) return false;
  for (let i = 0; i < word.length; i++) {
    const byte = view.getUint8(at + i);
    if ((byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte) !== word.charCodeAt(i)) return false;
  }
  return true;
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}

/** Looks for PASV or EPSV anywhere in what a client sends from `at` to `end`. */
export function findPassiveRequest(view: DataView, at: number, end: number, family: Family): number {
  for (; at <= end - 6; at++) {
    if (family === 4 && isWord(view, at, end, 'pasv\r\n')) return PASSIVE;
    if (!isWord(view, at, end, 'epsv')) continue;
    const next = view.getUint8(at + 4);
    if (next === CR) return EXTENDED_PASSIVE;
    if (next !== SPACE) continue;
    const isOwn = at <= end - 7 && view.getUint8(at + 6) === CR && view.getUint8(at + 5) === FAMILY_DIGITS[family];
    return isOwn ? EXTENDED_PASSIVE : OTHER_PASSIVE;
  }
  return NO_REQUEST;
}

/** Reads PORT or EPRT at the beginning of what a client sends. */
export function readActiveRequest(view: DataView, at: number, end: number, family: Family, into: FtpEndpoint): boolean {
  if (family === 4 && isWord(view, at, end, 'port')) {
    const numbers = skipTo(view, at + 4, end, SPACE, true);
    if (numbers >= 0) return readNumbers(view, numbers, end, into);
  }
  if (!isWord(view, at, end, 'eprt')) return false;
  const text = skipTo(view, at + 4, end, SPACE, false);
  return text >= 0 && readExtended(view, text, end, family, false, into);
}

/** Reads the answer to PASV at the beginning of what a server sends. */
export function readPassiveReply(view: DataView, at: number, end: number, into: FtpEndpoint): boolean {
  if (!isWord(view, at, end, '227 ')) return false;
  const numbers = skipTo(view, at + 4, end, OPENING, true);
  return numbers >= 0 && readNumbers(view, numbers, end, into);
}

/** Reads the answer to EPSV. Where it names no address, that of `into` is left. */
export function readExtendedReply(view: DataView, at: number, end: number, family: Family, into: FtpEndpoint): boolean {
  if (!isWord(view, at, end, '229 ')) return false;
  const text = skipTo(view, at + 4, end, OPENING, false);
  return text >= 0 && readExtended(view, text, end, family, true, into);
}

/** The first byte behind one or more `mark`s, or a digit before them if that will do too; -1 when there is none. */
function skipTo(view: DataView, at: number, end: number, mark: number, orDigit: boolean): number {
  let found = false;
  for (; at < end; at++) {
    const byte = view.getUint8(at);
    if (found ? byte !== mark : orDigit && isDigit(byte)) return at;
    if (byte === mark) found = true;
  }
  return -1;
}

/** `h1,h2,h3,h4,p1,p2`: numbers modulo 256, and something must follow them. */
function readNumbers(view: DataView, at: number, end: number, into: FtpEndpoint): boolean {
  let high = 0;
  let low = 0;
  let number = 0;
  let commas = 0;
  into.start = at;
  for (; at < end; at++) {
    const byte = view.getUint8(at);
    if (isDigit(byte)) {
      number = (number * 10 + byte - ZERO) & 0xff;
      continue;
    }
    if (byte !== COMMA || commas === 5) break;
    if (commas < 4) high = (high << 8) | number;
    else low = number << 8;
    number = 0;
    commas++;
  }
  if (at === end || commas !== 5) return false;
  into.words[0] = high;
  into.port = low | number;
  into.end = at;
  return true;
}

/** `|family|address|port|` with any delimiter; the first two may be left out in a reply. */
function readExtended(
  view: DataView,
  at: number,
  end: number,
  family: Family,
  mayOmitAddress: boolean,
  into: FtpEndpoint,
): boolean {
  into.start = at;
  const delimiter = view.getUint8(at++);
  if (delimiter <= 0x20 || delimiter > 0x7e || at === end) return false;
  if (view.getUint8(at) === delimiter) {
    if (!mayOmitAddress || at + 1 === end || view.getUint8(at + 1) !== delimiter) return false;
    at += 2;
  } else {
    if (at + 2 >= end || view.getUint8(at) !== FAMILY_DIGITS[family] || view.getUint8(at + 1) !== delimiter)
      return false;
    at += 2;
    at = family === 4 ? readAddress4(view, at, end, delimiter, into) : readAddress6(view, at, end, delimiter, into);
    if (at < 0) return false;
  }
  let port = 0;
  for (; at < end && isDigit(view.getUint8(at)); at++) port = (port * 10 + view.getUint8(at) - ZERO) & 0xffff;
  if (at === end || port === 0 || view.getUint8(at) !== delimiter) return false;
  into.port = port;
  into.end = at + 1;
  return true;
}

/** @returns where what follows the delimiter behind the address begins, or -1. */
function readAddress4(view: DataView, at: number, end: number, delimiter: number, into: FtpEndpoint): number {
  let address = 0;
  let part = -1;
  let parts = 0;
  for (; at < end; at++) {
    const byte = view.getUint8(at);
    if (byte === delimiter || byte === DOT) {
      if (part < 0) return -1;
      address = (address << 8) | part;
      part = -1;
      parts++;
      if (byte === delimiter) break;
      if (parts === 4) return -1;
    } else {
      if (!isDigit(byte)) return -1;
      part = (part < 0 ? 0 : part * 10) + byte - ZERO;
      if (part > 255) return -1;
    }
  }
  if (at === end || parts !== 4) return -1;
  into.words[0] = address;
  return at + 1;
}

function readAddress6(view: DataView, at: number, end: number, delimiter: number, into: FtpEndpoint): number {
  const limit = Math.min(end, at + LONGEST_ADDRESS + 1);
  let text = '';
  for (; at < limit && view.getUint8(at) !== delimiter; at++) text += String.fromCharCode(view.getUint8(at));
  if (at === limit) return -1;
  const address = tryParseAddress(text);
  if (address === undefined || address.family !== 6) return -1;
  into.words.set(address.words);
  return at + 1;
}

/** Writes `h1,h2,h3,h4,p1,p2`. Returns how many bytes of `text` that takes; there must be room for 23. */
export function writeNumbers(text: Uint8Array, address: number, port: number): number {
  let length = writeNumber(text, 0, address >>> 24);
  for (const number of [(address >>> 16) & 0xff, (address >>> 8) & 0xff, address & 0xff, port >>> 8, port & 0xff]) {
    text[length] = COMMA;
    length = writeNumber(text, length + 1, number);
  }
  return length;
}

/** Writes `|||port|`. Returns how many bytes of `text` that takes; there must be room for 9. */
export function writeExtended(text: Uint8Array, port: number): number {
  const bar = 0x7c;
  text.fill(bar, 0, 3);
  const length = writeNumber(text, 3, port);
  text[length] = bar;
  return length + 1;
}

function writeNumber(text: Uint8Array, at: number, number: number): number {
  const digits = String(number);
  for (let i = 0; i < digits.length; i++) text[at + i] = digits.charCodeAt(i);
  return at + digits.length;
}
