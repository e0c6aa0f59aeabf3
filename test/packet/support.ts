/** Shared by the packet tests. */
import fc from 'fast-check';

// The same cases in every run, so that a failure is never a matter of luck; FC_SEED=<number> looks elsewhere.
fc.configureGlobal({ seed: Number(process.env.FC_SEED ?? 1) });

/** Bytes of hexadecimal digits; blanks are for the reader. */
export function hex(digits: string): Uint8Array {
  return new Uint8Array(Buffer.from(digits.replaceAll(/\s/g, ''), 'hex'));
}

export function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Bytes in which a write that was forgotten shows. */
export function dirty(length: number): Uint8Array {
  return new Uint8Array(length).fill(0xa5);
}

/** The same bytes at an odd place in a larger, dirty buffer: accessors must not depend on where a header lies. */
export function displaced(bytes: Uint8Array, by = 3): { bytes: Uint8Array; view: DataView; at: number } {
  const all = dirty(bytes.length + 2 * by);
  all.set(bytes, by);
  return { bytes: all, view: view(all), at: by };
}

/** A checksum as RFC 1071 words it, byte pair by byte pair: what the fast one is compared with. */
export function naiveChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
    if (sum > 0xffff) sum = (sum & 0xffff) + 1;
  }
  return ~sum & 0xffff;
}
