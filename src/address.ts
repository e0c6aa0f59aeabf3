/**
 * The border between addresses as people write them and addresses as the frame path uses them. This is the only file
 * that imports `ip6addr`, and the only one that turns strings into integers.
 *
 * Inside, an address is `Words`: an Int32Array that holds it in host order, one word for IPv4 and four for IPv6, most
 * significant word first. Functions that take an address take `(words, at)`, so that a packet's two addresses can live
 * in one array and nothing is copied.
 */
import ip6addr from 'ip6addr';
import { invalidOption } from './errors.ts';

/** An address family, as the number that people use for it. */
export type Family = 4 | 6;
/** An address (or several, one after the other) in host order: one 32-bit word each for IPv4, four for IPv6. */
export type Words = Int32Array;

/** How many 32-bit words an address of the family takes: 1 or 4. */
export function wordsOf(family: Family): number {
  return family === 4 ? 1 : 4;
}

/** An address as it comes out of parsing: its family and its words (always four; IPv4 uses the first). */
export interface Address {
  readonly family: Family;
  readonly words: Words;
}

/** An address with a prefix length, as in `10.0.0.1/24`. */
export interface Prefix extends Address {
  readonly length: number;
}

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/** An IPv4 address at the end of an IPv6 one. */
const DOTTED_TAIL = /(?<=:)\d+\.\d+\.\d+\.\d+$/;

/** The two hexadecimal groups of a dotted quad; the quad itself where it is none. */
function hexTail(quad: string): string {
  if (!IPV4.test(quad)) return quad;
  const [a, b, c, d] = quad.split('.').map(Number);
  return `${((a! << 8) | b!).toString(16)}:${((c! << 8) | d!).toString(16)}`;
}

/**
 * Parses an address (`10.0.0.1`, `2001:db8::1`).
 * @throws DirectorError ERR_INVALID_OPTION naming `option`.
 */
export function parseAddress(text: string, option: string): Address {
  const address = tryParseAddress(text);
  if (address === undefined) throw invalidOption(option, text, 'an IPv4 or IPv6 address');
  return address;
}

/** Parses an address; `undefined` where the text is none. */
export function tryParseAddress(text: unknown): Address | undefined {
  if (typeof text !== 'string') return undefined;
  const words = new Int32Array(4);
  if (IPV4.test(text)) {
    let word = 0;
    for (const part of text.split('.')) word = (word << 8) | Number(part);
    words[0] = word;
    return { family: 4, words };
  }
  if (!text.includes(':')) return undefined;
  try {
    const bytes = ip6addr.parse(text.replace(DOTTED_TAIL, hexTail)).toBuffer();
    const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
    for (let i = 0; i < 4; i++) words[i] = view.getInt32(i * 4);
    return { family: 6, words };
  } catch {
    return undefined;
  }
}

/**
 * Parses an address with a prefix length; without one it is a host address (/32 or /128). `default` is the prefix of
 * length 0 of `defaultFamily`.
 * @throws DirectorError ERR_INVALID_OPTION naming `option`.
 */
export function parsePrefix(text: string, option: string, defaultFamily: Family = 4): Prefix {
  if (text === 'default') return { family: defaultFamily, words: new Int32Array(4), length: 0 };
  const slash = typeof text === 'string' ? text.indexOf('/') : -1;
  const address = tryParseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) throw invalidOption(option, text, 'an address with an optional prefix length');
  const bits = address.family === 4 ? 32 : 128;
  if (slash < 0) return { ...address, length: bits };
  const lengthText = text.slice(slash + 1);
  const length = Number(lengthText);
  if (!/^\d{1,3}$/.test(lengthText) || length > bits) {
    throw invalidOption(option, text, `an address with a prefix length of 0 to ${bits}`);
  }
  return { ...address, length };
}

/**
 * Prints the address of the family at `words[at]`: dotted quad, or RFC 5952 text for IPv6, which ends dotted where it
 * holds an IPv4 address (`::ffff:10.0.0.1`, `::10.0.0.1`), as C's `inet_ntop` prints it.
 */
export function formatAddress(family: Family, words: Words, at = 0): string {
  const w = words[at];
  if (family === 4) return `${w >>> 24}.${(w >>> 16) & 255}.${(w >>> 8) & 255}.${w & 255}`;
  const groups: number[] = [];
  for (let i = 0; i < 4; i++) groups.push(words[at + i] >>> 16, words[at + i] & 0xffff);
  const [from, to] = longestZeroRun(groups);
  if (from === 0 && (to === 6 || (to === 5 && groups[5] === 0xffff))) {
    return `::${to === 5 ? 'ffff:' : ''}${formatAddress(4, words, at + 3)}`;
  }
  const text = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':');
  return to === from ? text(groups) : `${text(groups.slice(0, from))}::${text(groups.slice(to))}`;
}

/** Where the first of the longest runs of two or more zeros begins and ends; an empty range where there is none. */
function longestZeroRun(groups: readonly number[]): [from: number, to: number] {
  let best: [number, number] = [0, 0];
  for (let from = 0; from < groups.length; from++) {
    let to = from;
    while (groups[to] === 0) to++;
    if (to - from >= 2 && to - from > best[1] - best[0]) best = [from, to];
    if (to > from) from = to;
  }
  return best;
}

/** Whether the addresses at `a[i]` and `b[j]` are the same in their first `width` words. */
export function sameAddress(width: number, a: Words, i: number, b: Words, j: number): boolean {
  for (let k = 0; k < width; k++) if (a[i + k] !== b[j + k]) return false;
  return true;
}

/** Whether the address at `words[at]`, of the same family, is in the network of `prefix`. */
export function inPrefix(prefix: Prefix, words: Words, at: number): boolean {
  const whole = prefix.length >>> 5;
  const width = wordsOf(prefix.family);
  if (!sameAddress(Math.min(whole, width), prefix.words, 0, words, at)) return false;
  const rest = prefix.length & 31;
  return rest === 0 || (prefix.words[whole] ^ words[at + whole]) >>> (32 - rest) === 0;
}

/** The mask of a prefix length, as words: `/20` is `fffff000 0 0 0`. */
export function maskWords(length: number): Words {
  const words = new Int32Array(4);
  for (let i = 0; i < 4; i++) {
    const bits = Math.min(32, Math.max(0, length - 32 * i));
    words[i] = bits === 0 ? 0 : -1 << (32 - bits);
  }
  return words;
}

const MAC = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i;

/** A MAC address as two integers: the upper 16 and the lower 32 bits. */
export interface Mac {
  readonly high: number;
  readonly low: number;
}

/**
 * Parses a MAC address (`02:00:00:00:00:01`).
 * @throws DirectorError ERR_INVALID_OPTION naming `option`.
 */
export function parseMac(text: string, option: string): Mac {
  if (typeof text !== 'string' || !MAC.test(text))
    throw invalidOption(option, text, 'a MAC address (aa:bb:cc:dd:ee:ff)');
  const digits = text.replaceAll(':', '');
  return { high: Number.parseInt(digits.slice(0, 4), 16), low: Number.parseInt(digits.slice(4), 16) | 0 };
}

/** Prints a MAC address. */
export function formatMac(high: number, low: number): string {
  const digits = (high & 0xffff).toString(16).padStart(4, '0') + (low >>> 0).toString(16).padStart(8, '0');
  return digits.match(/../g)!.join(':');
}

/** The link-local IPv6 address of an interface with this MAC address (RFC 4291 appendix A: modified EUI-64). */
export function linkLocal(mac: Mac): Prefix {
  const words = Int32Array.of(
    0xfe800000,
    0,
    ((mac.high ^ 0x0200) << 16) | ((mac.low >>> 16) & 0xff00) | 0xff,
    0xfe000000 | (mac.low & 0xffffff),
  );
  return { family: 6, words, length: 64 };
}
