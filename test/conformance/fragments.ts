/**
 * Puts the fragments among answers together again. Where a datagram that arrived in fragments is cut again depends, in
 * Linux, on how its pieces lay in memory.
 */
import { printFrame } from '../../src/packet/print.ts';
import type { RecordedFrame } from './scenario.ts';

const IP = 14;
const IPV6_HEADER = 40;
const FRAGMENT_HEADER = 8;
const FRAGMENT = 44;

interface Piece {
  readonly key: string;
  readonly bytes: Buffer;
  readonly header: number;
  readonly offset: number;
  readonly more: boolean;
}

/** The same frames with every whole set of fragments as one frame, in the place of the first. */
export function joinFragments(frames: readonly RecordedFrame[]): RecordedFrame[] {
  const joined: RecordedFrame[] = [];
  const sets = new Map<string, { at: number; frame: RecordedFrame; pieces: Piece[] }>();
  for (const frame of frames) {
    const piece = pieceOf(frame);
    const set = piece === null ? undefined : sets.get(piece.key);
    if (piece !== null && set !== undefined) set.pieces.push(piece);
    else {
      if (piece !== null) sets.set(piece.key, { at: joined.length, frame, pieces: [piece] });
      joined.push(frame);
    }
  }
  for (const { at, frame, pieces } of sets.values()) joined[at] = join(frame, pieces) ?? frame;
  return joined;
}

function pieceOf({ dev, frame }: RecordedFrame): Piece | null {
  const bytes = Buffer.from(frame, 'hex');
  if (bytes.length < IP + 20) return null;
  const ends = (from: number, to: number) =>
    `${dev} ${bytes.toString('hex', 0, 12)} ${bytes.toString('hex', from, to)}`;
  if (bytes.readUInt16BE(12) === 0x0800) {
    const field = bytes.readUInt16BE(IP + 6);
    if ((field & 0x3fff) === 0) return null;
    const header = (bytes[IP] & 15) * 4;
    const key = `${ends(IP + 12, IP + 20)} ${bytes[IP + 9]} ${bytes.readUInt16BE(IP + 4)}`;
    return { key, bytes, header, offset: (field & 0x1fff) * 8, more: (field & 0x2000) !== 0 };
  }
  if (bytes.readUInt16BE(12) !== 0x86dd || bytes[IP + 6] !== FRAGMENT || bytes.length < IP + IPV6_HEADER + 8)
    return null;
  const fragment = IP + IPV6_HEADER;
  const field = bytes.readUInt16BE(fragment + 2);
  const key = `${ends(IP + 8, IP + 40)} ${bytes.readUInt32BE(fragment + 4)}`;
  return { key, bytes, header: IPV6_HEADER + FRAGMENT_HEADER, offset: field & 0xfff8, more: (field & 1) !== 0 };
}

/** The whole datagram, if all pieces are there. */
function join(first: RecordedFrame, pieces: readonly Piece[]): RecordedFrame | null {
  const sorted = [...pieces].sort((a, b) => a.offset - b.offset);
  const parts: Buffer[] = [];
  let end = 0;
  for (const { bytes, header, offset } of sorted) {
    if (offset !== end) return null;
    parts.push(bytes.subarray(IP + header));
    end += bytes.length - IP - header;
  }
  const [{ bytes, header }] = sorted;
  if (sorted[sorted.length - 1].more) return null;
  const is6 = bytes[12] === 0x86;
  const head = Buffer.from(bytes.subarray(0, IP + (is6 ? IPV6_HEADER : header)));
  if (is6) {
    head[IP + 6] = bytes[IP + IPV6_HEADER];
    head.writeUInt16BE(end, IP + 4);
  } else {
    head.writeUInt16BE(header + end, IP + 2);
    head.writeUInt16BE(0, IP + 6);
    head.writeUInt16BE(0, IP + 10);
    let sum = 0;
    for (let at = IP; at < IP + header; at += 2) sum += head.readUInt16BE(at);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    head.writeUInt16BE(~sum & 0xffff, IP + 10);
  }
  const whole = Buffer.concat([head, ...parts]);
  const note = printFrame(new DataView(whole.buffer, whole.byteOffset, whole.length), 0, whole.length);
  const free = is6 ? withoutFragmentHeader(first.free ?? []) : (first.free ?? []);
  return { ...first, frame: whole.toString('hex'), note, free };
}

type Ranges = NonNullable<RecordedFrame['free']>;

/** Where the free bytes of an IPv6 frame are when its fragment header is gone. */
function withoutFragmentHeader(free: Ranges): Ranges {
  const at = IP + IPV6_HEADER;
  return free
    .filter(([from]) => from < at || from >= at + FRAGMENT_HEADER)
    .map(([from, to]) => (from < at ? [from, to] : [from - FRAGMENT_HEADER, to - FRAGMENT_HEADER]));
}
