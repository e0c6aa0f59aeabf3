/**
 * SipHash-1-3 of one block, cut to 32 bits: what the kernel's `hsiphash` is on 64-bit machines (lib/siphash.c). Its
 * 64-bit words are kept in two 32-bit halves, so that nothing is allocated.
 */
export class SipHash13 {
  readonly #v0High: number;
  readonly #v0Low: number;
  readonly #v1High: number;
  readonly #v1Low: number;
  readonly #v2High: number;
  readonly #v2Low: number;
  readonly #v3High: number;
  readonly #v3Low: number;

  /** The key's two 64-bit words, each in halves. */
  constructor(key0High: number, key0Low: number, key1High: number, key1Low: number) {
    this.#v0High = 0x736f6d65 ^ key0High;
    this.#v0Low = 0x70736575 ^ key0Low;
    this.#v1High = 0x646f7261 ^ key1High;
    this.#v1Low = 0x6e646f6d ^ key1Low;
    this.#v2High = 0x6c796765 ^ key0High;
    this.#v2Low = 0x6e657261 ^ key0Low;
    this.#v3High = 0x74656462 ^ key1High;
    this.#v3Low = 0x79746573 ^ key1Low;
  }

  /**
   * Hashes a message of at most four bytes.
   *
   * @param bytes the message, little-endian, the bytes beyond its end zero
   * @param length its length in bytes, 0 .. 4
   * @returns an unsigned 32-bit number
   */
  hash(bytes: number, length: number): number {
    let v0h = this.#v0High;
    let v0l = this.#v0Low;
    let v1h = this.#v1High;
    let v1l = this.#v1Low;
    let v2h = this.#v2High;
    let v2l = this.#v2Low;
    const blockHigh = length << 24;
    let v3h = this.#v3High ^ blockHigh;
    let v3l = this.#v3Low ^ bytes;
    let sum = 0;
    let swap = 0;
    for (let round = 0; round < 4; round++) {
      // v0 += v1; v1 = rotl(v1, 13) ^ v0; v0 = rotl(v0, 32)
      sum = (v0l >>> 0) + (v1l >>> 0);
      v0h = (v0h + v1h + (sum > 0xffffffff ? 1 : 0)) | 0;
      v0l = sum | 0;
      swap = (v1h << 13) | (v1l >>> 19);
      v1l = ((v1l << 13) | (v1h >>> 19)) ^ v0l;
      v1h = swap ^ v0h;
      swap = v0h;
      v0h = v0l;
      v0l = swap;
      // v2 += v3; v3 = rotl(v3, 16) ^ v2
      sum = (v2l >>> 0) + (v3l >>> 0);
      v2h = (v2h + v3h + (sum > 0xffffffff ? 1 : 0)) | 0;
      v2l = sum | 0;
      swap = (v3h << 16) | (v3l >>> 16);
      v3l = ((v3l << 16) | (v3h >>> 16)) ^ v2l;
      v3h = swap ^ v2h;
      // v0 += v3; v3 = rotl(v3, 21) ^ v0
      sum = (v0l >>> 0) + (v3l >>> 0);
      v0h = (v0h + v3h + (sum > 0xffffffff ? 1 : 0)) | 0;
      v0l = sum | 0;
      swap = (v3h << 21) | (v3l >>> 11);
      v3l = ((v3l << 21) | (v3h >>> 11)) ^ v0l;
      v3h = swap ^ v0h;
      // v2 += v1; v1 = rotl(v1, 17) ^ v2; v2 = rotl(v2, 32)
      sum = (v2l >>> 0) + (v1l >>> 0);
      v2h = (v2h + v1h + (sum > 0xffffffff ? 1 : 0)) | 0;
      v2l = sum | 0;
      swap = (v1h << 17) | (v1l >>> 15);
      v1l = ((v1l << 17) | (v1h >>> 15)) ^ v2l;
      v1h = swap ^ v2h;
      swap = v2h;
      v2h = v2l;
      v2l = swap;
      // One round takes the block in, three finish.
      if (round === 0) {
        v0h ^= blockHigh;
        v0l ^= bytes;
        v2l ^= 0xff;
      }
    }
    return (v0l ^ v1l ^ v2l ^ v3l) >>> 0;
  }
}
