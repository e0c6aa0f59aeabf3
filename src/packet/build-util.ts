/** What the parts of the frame builder share. */
import type { Bytes } from './build-fields.ts';

const UTF8 = new TextEncoder();

/** The bytes of data that may be text. */
export function bytesOf(data: Bytes): Uint8Array {
  return typeof data === 'string' ? UTF8.encode(data) : data;
}

/** Fresh bytes, all zero, and a view over them. */
export function allocate(length: number): { bytes: Uint8Array; view: DataView } {
  const bytes = new Uint8Array(length);
  return { bytes, view: new DataView(bytes.buffer) };
}

/** `bytes` with as many `filler`s behind as make its length a multiple of `unit`. */
export function padded(bytes: Uint8Array, unit: number, filler: number): Uint8Array {
  const length = Math.ceil(bytes.length / unit) * unit;
  if (length === bytes.length) return bytes;
  const result = new Uint8Array(length).fill(filler);
  result.set(bytes);
  return result;
}
