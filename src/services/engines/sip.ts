/**
 * Persistence of SIP calls (RFC 3261): all messages of a call, which is known by its Call-ID, go to the same server
 * (kernel behaviour: ip_vs_pe_sip.c, and of nf_conntrack_sip.c how headers are found).
 */
import { PROTO_UDP } from '../../packet/ipv4.ts';
import { type EnginePacket, MAX_ENGINE_DATA, type PersistenceEngine } from './engine.ts';

const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const TAB = 0x09;
const COLON = 0x3a;
const AT = 0x40;

const HEADER = 'call-id';
const COMPACT = 0x69; // 'i'

/** The characters of `word` (RFC 3261 25.1), and letters of Latin-1, which Linux takes for letters. */
const WORD = new Uint8Array(256);
for (const char of '-.!%*_+`\'~()<>:\\"/[]?{}') WORD[char.charCodeAt(0)] = 1;
for (let byte = 0; byte < 256; byte++) if (isLetter(byte) || (byte >= 0x30 && byte <= 0x39)) WORD[byte] = 1;

function isLetter(byte: number): boolean {
  const upper = byte & 0xdf;
  return (upper >= 0x41 && upper <= 0x5a) || (byte >= 0xc0 && byte !== 0xd7 && byte !== 0xf7);
}

/** What {@link findCallId} found last: where the value begins, and how many bytes it has (0 for one that is wrong). */
let valueAt = 0;
let valueLength = 0;

export const sip: PersistenceEngine = {
  name: 'sip',
  serversConnect: true,
  identify({ protocol, view, payload, payloadLength }: EnginePacket): string | null {
    if (protocol !== PROTO_UDP) return null;
    const end = payload + payloadLength;
    let from = payload;
    for (;;) {
      if (!findCallId(view, from, end)) return null;
      if (valueLength > 0) break;
      // Linux goes on this far behind a Call-ID without a proper value, however far into the message it was.
      from += valueAt - payload;
    }
    const behind = valueAt + valueLength;
    if (valueLength > MAX_ENGINE_DATA || behind === end) return null;
    const next = view.getUint8(behind);
    if (next !== CR && next !== LF) return null;
    let data = '';
    for (let at = valueAt; at < behind; at++) data += String.fromCharCode(view.getUint8(at));
    return data;
  },
};

/** Looks for the next header Call-ID at the beginning of a line; the first line of a message is none. */
function findCallId(view: DataView, from: number, end: number): boolean {
  for (let at = from; at < end; at++) {
    const byte = view.getUint8(at);
    if (byte !== CR && byte !== LF) continue;
    if (++at >= end) return false;
    if (byte === CR && view.getUint8(at) === LF && ++at >= end) return false;
    if (isBlank(view.getUint8(at))) continue; // the line before goes on
    const name = nameLength(view, at, end);
    if (name === 0) continue;
    at = skipSpace(view, at + name, end);
    if (at >= end || view.getUint8(at) !== COLON) return false;
    at = skipSpace(view, at + 1, end);
    if (at > end) return false;
    valueAt = at;
    valueLength = callIdLength(view, at, end);
    return true;
  }
  return false;
}

/** Bytes of the header's name, in full or compact form; 0 when it is another header. */
function nameLength(view: DataView, at: number, end: number): number {
  if (end - at >= HEADER.length) {
    let same = 0;
    while (same < HEADER.length && lower(view.getUint8(at + same)) === HEADER.charCodeAt(same)) same++;
    if (same === HEADER.length) return same;
  }
  if (end - at >= 2 && lower(view.getUint8(at)) === COMPACT && !isLetter(view.getUint8(at + 1))) return 1;
  return 0;
}

function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB;
}

/** Steps over blanks, and over line ends after which the line goes on. Beyond `end` when it does not go on. */
function skipSpace(view: DataView, at: number, end: number): number {
  while (at < end) {
    const byte = view.getUint8(at);
    if (isBlank(byte)) {
      at++;
      continue;
    }
    if (byte !== CR && byte !== LF) return at;
    if (++at >= end) return end + 1;
    if (byte === CR && view.getUint8(at) === LF && ++at >= end) return end + 1;
    if (!isBlank(view.getUint8(at))) return end + 1;
    while (at < end && isBlank(view.getUint8(at))) at++;
  }
  return at;
}

/** Bytes of `word [ "@" word ]`; 0 when there is no such thing. */
function callIdLength(view: DataView, at: number, end: number): number {
  const local = wordLength(view, at, end);
  if (local === 0 || at + local === end || view.getUint8(at + local) !== AT) return local;
  const host = wordLength(view, at + local + 1, end);
  return host === 0 ? 0 : local + 1 + host;
}

function wordLength(view: DataView, at: number, end: number): number {
  let length = 0;
  while (at + length < end && WORD[view.getUint8(at + length)] === 1) length++;
  return length;
}
