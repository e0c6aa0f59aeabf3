/**
 * SCTP (RFC 9260). `at` is where the common header begins; for the chunk functions, where the chunk begins. The first
 * chunk begins {@link SCTP_HEADER} bytes after the common header.
 */
import { CRC32C_INIT, crc32cFinish, crc32cUpdate } from './crc32c.ts';

const SOURCE_PORT = 0;
const DESTINATION_PORT = 2;
const VERIFICATION_TAG = 4;
const CHECKSUM = 8;
const CHUNK_TYPE = 0;
const CHUNK_FLAGS = 1;
const CHUNK_LENGTH = 2;

/** Bytes of the common header. */
export const SCTP_HEADER = 12;
/** Bytes of a chunk's header. */
export const CHUNK_HEADER = 4;
/** Where the checksum lies in the common header. */
export const SCTP_CHECKSUM: number = CHECKSUM;

export const CHUNK_DATA = 0;
export const CHUNK_INIT = 1;
export const CHUNK_INIT_ACK = 2;
export const CHUNK_SACK = 3;
export const CHUNK_HEARTBEAT = 4;
export const CHUNK_HEARTBEAT_ACK = 5;
export const CHUNK_ABORT = 6;
export const CHUNK_SHUTDOWN = 7;
export const CHUNK_SHUTDOWN_ACK = 8;
export const CHUNK_ERROR = 9;
export const CHUNK_COOKIE_ECHO = 10;
export const CHUNK_COOKIE_ACK = 11;
export const CHUNK_ECNE = 12;
export const CHUNK_CWR = 13;
export const CHUNK_SHUTDOWN_COMPLETE = 14;

export function sourcePort(view: DataView, at: number): number {
  return view.getUint16(at + SOURCE_PORT);
}
export function destinationPort(view: DataView, at: number): number {
  return view.getUint16(at + DESTINATION_PORT);
}
/** As an unsigned 32-bit number. */
export function verificationTag(view: DataView, at: number): number {
  return view.getUint32(at + VERIFICATION_TAG);
}
/** The CRC32c as it is in the packet. The bytes lie the other way round than all other fields (RFC 9260 appendix A). */
export function sctpChecksum(view: DataView, at: number): number {
  return view.getUint32(at + CHECKSUM, true);
}
export function setSourcePort(view: DataView, at: number, value: number): void {
  view.setUint16(at + SOURCE_PORT, value);
}
export function setDestinationPort(view: DataView, at: number, value: number): void {
  view.setUint16(at + DESTINATION_PORT, value);
}
export function setVerificationTag(view: DataView, at: number, value: number): void {
  view.setUint32(at + VERIFICATION_TAG, value);
}
export function setSctpChecksum(view: DataView, at: number, value: number): void {
  view.setUint32(at + CHECKSUM, value, true);
}

/** What the checksum field counts as while the checksum is computed. */
const ZERO: DataView = new DataView(new ArrayBuffer(4));

/** Computes the CRC32c of a packet of `length` bytes, common header included, the checksum field counted as 0. */
export function computeSctpChecksum(view: DataView, at: number, length: number): number {
  let crc = crc32cUpdate(CRC32C_INIT, view, at, CHECKSUM);
  crc = crc32cUpdate(crc, ZERO, 0, 4);
  return crc32cFinish(crc32cUpdate(crc, view, at + SCTP_HEADER, length - SCTP_HEADER));
}

/** Computes the checksum anew and writes it. `length` as for {@link computeSctpChecksum}. */
export function writeSctpChecksum(view: DataView, at: number, length: number): void {
  setSctpChecksum(view, at, computeSctpChecksum(view, at, length));
}

/** Writes the common header; the checksum field becomes 0. */
export function writeSctpHeader(view: DataView, at: number, from: number, to: number, tag: number): void {
  view.setUint16(at + SOURCE_PORT, from);
  view.setUint16(at + DESTINATION_PORT, to);
  view.setUint32(at + VERIFICATION_TAG, tag);
  view.setUint32(at + CHECKSUM, 0);
}

export function chunkType(view: DataView, at: number): number {
  return view.getUint8(at + CHUNK_TYPE);
}
export function chunkFlags(view: DataView, at: number): number {
  return view.getUint8(at + CHUNK_FLAGS);
}
/** Bytes of the chunk, its header included, the padding to a multiple of 4 not. Less than 4 is impossible. */
export function chunkLength(view: DataView, at: number): number {
  return view.getUint16(at + CHUNK_LENGTH);
}
/** Writes a chunk's header; `length` as {@link chunkLength} reads it. */
export function writeChunkHeader(view: DataView, at: number, type: number, flags: number, length: number): void {
  view.setUint8(at + CHUNK_TYPE, type);
  view.setUint8(at + CHUNK_FLAGS, flags);
  view.setUint16(at + CHUNK_LENGTH, length);
}

/** Whether the packet at `at`, which has a whole chunk header, begins with an ABORT. */
export function startsWithAbort(view: DataView, at: number): boolean {
  return chunkType(view, at + SCTP_HEADER) === CHUNK_ABORT;
}

/** {@link leadingChunk} of a packet without a whole chunk header. */
export const NO_CHUNK = -1;

/**
 * The type of the first chunk of the packet at `at`, of which `length` bytes are there; an ABORT that follows a COOKIE
 * ECHO or COOKIE ACK counts as first (RFC 9260 section 3.3.7 lets it be bundled behind them).
 */
export function leadingChunk(view: DataView, at: number, length: number): number {
  const chunk = at + SCTP_HEADER;
  const end = at + length;
  if (chunk + CHUNK_HEADER > end) return NO_CHUNK;
  const type = chunkType(view, chunk);
  if (type !== CHUNK_COOKIE_ECHO && type !== CHUNK_COOKIE_ACK) return type;
  const size = chunkLength(view, chunk);
  const next = chunk + ((size + 3) & ~3);
  const aborts = size >= CHUNK_HEADER && next + CHUNK_HEADER <= end && chunkType(view, next) === CHUNK_ABORT;
  return aborts ? CHUNK_ABORT : type;
}
