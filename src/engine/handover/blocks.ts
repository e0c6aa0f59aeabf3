/**
 * What a director hands to its successor, as bytes: a header, then blocks, of which the last says how many there were.
 * Each block has a kind, a length and a checksum (CRC-32), so that what is damaged or cut off is known before it is used.
 *
 *     header   "tapvs\0h\0"  version (u32)  byte order (u32)
 *     block    kind (u32)  length (u32)  crc32 of the payload (u32)  payload
 *
 * Numbers are in the machine's byte order: a successor runs on the same one.
 */
import { crc32 } from 'node:zlib';
import { DirectorError } from '../../errors.ts';

/** Grows when an older director would misunderstand what is written. */
const VERSION = 1;
const MAGIC = 'tapvs\0h\0';
const BYTE_ORDER = 0x01020304;
export const HEADER_BYTES = 16;
export const BLOCK_HEADER_BYTES = 12;
/** Longest payload, in bytes: more than any that is written, so that a wrong length does not take the memory. */
export const MAX_BLOCK_BYTES: number = 64 * 2 ** 20;

/** JSON: all but connections. The first block. */
export const STATE_BLOCK = 1;
/** Connections; see rows.ts. */
export const ROWS_BLOCK = 2;
/** The last block: how many there were before it. */
export const END_BLOCK = 3;

/** A block that was read. */
export interface Block {
  readonly kind: number;
  readonly payload: Uint8Array;
}

/** Reads so many bytes; fewer at the end. */
export type ReadBytes = (count: number) => Uint8Array;

export function damaged(what: string): DirectorError {
  return new DirectorError('ERR_HANDOVER', `this is no complete handover: ${what}`);
}

export function formatHeader(): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES);
  header.set(Buffer.from(MAGIC, 'latin1'));
  header.set(new Uint8Array(Uint32Array.of(VERSION, BYTE_ORDER).buffer), MAGIC.length);
  return header;
}

/** A block in two pieces, so that its payload need not be copied. */
export function* formatBlock(kind: number, payload: Uint8Array): Generator<Uint8Array, void> {
  yield new Uint8Array(Uint32Array.of(kind, payload.length, crc32(payload)).buffer);
  yield payload;
}

export function formatEnd(blocks: number): Generator<Uint8Array, void> {
  return formatBlock(END_BLOCK, new Uint8Array(Uint32Array.of(blocks).buffer));
}

function words(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(new Uint8Array(bytes).buffer); // a Buffer's slice() would not copy
}

/**
 * Reads all blocks but the last, each when it is asked for and found whole.
 * @throws DirectorError ERR_HANDOVER for what is damaged, cut off, of another version or of another machine; then what
 *   was read before it may still have been right.
 */
export function* readBlocks(read: ReadBytes): Generator<Block> {
  const header = read(HEADER_BYTES);
  if (header.length < HEADER_BYTES || Buffer.from(header.subarray(0, MAGIC.length)).toString('latin1') !== MAGIC) {
    throw damaged('it does not begin as one');
  }
  const [version, byteOrder] = words(header.subarray(MAGIC.length));
  if (byteOrder !== BYTE_ORDER) throw damaged('it is from a machine with another byte order');
  if (version !== VERSION) throw damaged(`it has version ${version}, not ${VERSION}`);
  for (let count = 0; ; count++) {
    const block = readBlock(read);
    if (block.kind !== END_BLOCK) {
      yield block;
      continue;
    }
    if (block.payload.length !== 4 || words(block.payload)[0] !== count) throw damaged('blocks are missing');
    if (read(1).length > 0) throw damaged('something follows its end');
    return;
  }
}

function readBlock(read: ReadBytes): Block {
  const header = read(BLOCK_HEADER_BYTES);
  if (header.length < BLOCK_HEADER_BYTES) throw damaged('it is cut off');
  const [kind, length, checksum] = words(header) as unknown as [number, number, number];
  if (length > MAX_BLOCK_BYTES) throw damaged('a block is too long');
  const payload = read(length);
  if (payload.length < length) throw damaged('it is cut off');
  if (crc32(payload) !== checksum) throw damaged('a checksum is wrong');
  return { kind, payload };
}
