import test from 'ava';
import fc from 'fast-check';
import { CRC32C_INIT, crc32c, crc32cFinish, crc32cUpdate } from '../../src/packet/crc32c.ts';
import { displaced, hex, view } from './support.ts';

/** Bit by bit, from the definition: what the table-driven one is compared with. */
function bitwise(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

test('the examples of RFC 3720 appendix B.4', (t) => {
  const ascending = Uint8Array.from({ length: 32 }, (_, i) => i);
  t.is(crc32c(view(new Uint8Array(32)), 0, 32), 0x8a9136aa);
  t.is(crc32c(view(new Uint8Array(32).fill(0xff)), 0, 32), 0x62a8ab43);
  t.is(crc32c(view(ascending), 0, 32), 0x46dd794e);
  t.is(crc32c(view(ascending.toReversed()), 0, 32), 0x113fdb5c);
});

test('the check value of the nine digits', (t) => {
  t.is(crc32c(view(hex('313233343536373839')), 0, 9), 0xe3069283);
  t.is(crc32c(view(new Uint8Array()), 0, 0), 0);
});

test('every length from 0 to 64, at every displacement of a word', (t) => {
  const data = Uint8Array.from({ length: 64 }, (_, i) => (i * 167 + 13) & 255);
  for (let length = 0; length <= 64; length++) {
    const bytes = data.subarray(0, length);
    for (let by = 0; by < 8; by++) {
      const there = displaced(bytes, by);
      t.is(crc32c(there.view, there.at, length), bitwise(bytes), `${length} bytes at ${by}`);
    }
  }
});

test('the same as bit by bit, whole or in pieces', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(), (bytes, n) => {
      const cut = n % (bytes.length + 1);
      const expected = bitwise(bytes);
      t.is(crc32c(view(bytes), 0, bytes.length), expected);
      const first = crc32cUpdate(CRC32C_INIT, view(bytes), 0, cut);
      t.is(crc32cFinish(crc32cUpdate(first, view(bytes), cut, bytes.length - cut)), expected);
    }),
  );
});
