import type { Family, Words } from '../address.ts';

/** The kernel's GOLDEN_RATIO_32 (include/linux/hash.h). */
const GOLDEN_RATIO_32 = 0x61c88647;

/** The kernel's `hash_32`: the upper `bits` (1 .. 31) of the 32-bit product with the golden ratio. */
export function hash32(value: number, bits: number): number {
  return Math.imul(value, GOLDEN_RATIO_32) >>> (32 - bits);
}

/** An address as one word: an IPv4 address itself, the four words of an IPv6 address XORed. */
export function foldAddress(family: Family, words: Words): number {
  return family === 4 ? words[0] : words[0] ^ words[1] ^ words[2] ^ words[3];
}
