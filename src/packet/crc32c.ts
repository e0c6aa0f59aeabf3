/**
 * CRC32c (Castagnoli, as SCTP uses it: RFC 9260 appendix A): reflected polynomial 0x82f63b78, all ones before and
 * inverted after.
 */
const POLYNOMIAL = 0x82f63b78;

/**
 * Slicing by 8: table k holds the CRC of a byte followed by k zero bytes, so that eight bytes are folded in with eight
 * independent look-ups instead of a chain of them. All eight lie in one array, 256 words each.
 */
const TABLE: Int32Array = makeTable();

function makeTable(): Int32Array {
  const table = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    table[byte] = crc;
  }
  for (let i = 256; i < table.length; i++) {
    const previous = table[i - 256]!;
    table[i] = (previous >>> 8) ^ table[previous & 255]!;
  }
  return table;
}

/** What {@link crc32cUpdate} starts with. */
export const CRC32C_INIT = -1;

/**
 * Takes `length` more bytes into a running CRC. Begin with {@link CRC32C_INIT}, end with {@link crc32cFinish}; ranges
 * may be of any length and lie anywhere.
 */
export function crc32cUpdate(crc: number, view: DataView, at: number, length: number): number {
  const table = TABLE;
  const end = at + length;
  let c = crc | 0;
  let i = at;
  for (; i + 8 <= end; i += 8) {
    const low = c ^ view.getInt32(i, true);
    const high = view.getInt32(i + 4, true);
    c =
      table[0x700 | (low & 255)]! ^
      table[0x600 | ((low >>> 8) & 255)]! ^
      table[0x500 | ((low >>> 16) & 255)]! ^
      table[0x400 | (low >>> 24)]! ^
      table[0x300 | (high & 255)]! ^
      table[0x200 | ((high >>> 8) & 255)]! ^
      table[0x100 | ((high >>> 16) & 255)]! ^
      table[high >>> 24]!;
  }
  for (; i < end; i++) c = (c >>> 8) ^ table[(c ^ view.getUint8(i)) & 255]!;
  return c;
}

/** The CRC of what {@link crc32cUpdate} was given, as an unsigned 32-bit number. */
export function crc32cFinish(crc: number): number {
  return ~crc >>> 0;
}

/** The CRC32c of `length` bytes, as an unsigned 32-bit number. */
export function crc32c(view: DataView, at: number, length: number): number {
  return crc32cFinish(crc32cUpdate(CRC32C_INIT, view, at, length));
}
