import test from 'ava';
import fc from 'fast-check';
import {
  checksum,
  finish,
  finishUdp,
  fold,
  pseudoSum4,
  pseudoSum6,
  sumBytes,
  update16,
  update32,
} from '../../src/packet/checksum.ts';
import { TCP_RESET, TCP6_SYN, UDP6_HELLO } from './frames.ts';
import { displaced, hex, naiveChecksum, view } from './support.ts';

test('the checksum of an IPv4 header that Linux sent is 0, its field included', (t) => {
  t.is(checksum(view(TCP_RESET), 14, 20), 0);
});

test('the example of RFC 1071 section 3', (t) => {
  t.is(fold(sumBytes(view(hex('0001f203f4f5f6f7')), 0, 8, 0)), 0xddf2);
});

test('the full checksum is the naive one, at any place and of any length', (t) => {
  const bytes = fc.uint8Array({ maxLength: 300 });
  fc.assert(
    fc.property(bytes, fc.integer({ min: 0, max: 5 }), (data, by) => {
      const there = displaced(data, by);
      t.is(checksum(there.view, there.at, data.length), naiveChecksum(data));
    }),
  );
});

test('64 KiB of ones do not overflow', (t) => {
  const ones = new Uint8Array(0x10000).fill(0xff);
  t.is(checksum(view(ones), 0, ones.length), 0);
});

/** Words among which the two zeros of one's complement are frequent. */
const word16 = fc.oneof(fc.constantFrom(0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff), fc.integer({ min: 0, max: 0xffff }));

test('update16 is the full checksum after one word changed', (t) => {
  fc.assert(
    fc.property(
      fc.array(word16, { minLength: 1, maxLength: 20 }),
      fc.nat(),
      word16,
      // A word that never changes and is not 0 stands for the rest of a real header: version, length, TTL.
      fc.integer({ min: 1, max: 0xffff }),
      (words, position, to, rest) => {
        const i = position % words.length;
        const from = words[i]!;
        const before = checksumOfWords([rest, ...words]);
        words[i] = to;
        t.is(update16(before, from, to), checksumOfWords([rest, ...words]));
      },
    ),
    { numRuns: 2000 },
  );
});

test('update16 over every checksum, between the two zeros', (t) => {
  // RFC 1624 section 3 is about this: equation 2 gives 0xffff where the full sum gives 0, and 0 for 0xffff.
  const words = [0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff];
  const full = (a: number, b: number) => ~(a + b > 0xffff ? a + b - 0xffff : a + b) & 0xffff;
  let wrong = 0;
  for (let rest = 1; rest <= 0xffff; rest++) {
    for (const from of words) {
      for (const to of words) {
        if (update16(full(rest, from), from, to) !== full(rest, to)) wrong++;
      }
    }
  }
  t.is(wrong, 0);
});

test('the example of RFC 1624 section 4', (t) => {
  t.is(update16(0xdd2f, 0x5555, 0x3285), 0x0000);
});

test('update32 is two update16, and the full checksum, signed or unsigned', (t) => {
  const long = fc.tuple(word16, word16).map(([high, low]) => (high << 16) | low);
  fc.assert(
    fc.property(long, long, fc.integer({ min: 1, max: 0xffff }), (from, to, rest) => {
      const before = checksumOfWords([rest, from >>> 16, from & 0xffff]);
      const after = checksumOfWords([rest, to >>> 16, to & 0xffff]);
      t.is(update32(before, from, to), after);
      t.is(update32(before, from >>> 0, to >>> 0), after);
      t.is(update16(update16(before, from >>> 16, to >>> 16), from & 0xffff, to & 0xffff), after);
    }),
    { numRuns: 2000 },
  );
});

test('a chain of random changes ends at the full checksum', (t) => {
  const change = fc.tuple(fc.nat(), fc.integer(), fc.boolean());
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 8, maxLength: 64 }),
      fc.array(change, { maxLength: 30 }),
      (data, changes) => {
        data[0] = 0x45;
        const bytes = view(data);
        let check = checksum(bytes, 0, data.length);
        for (const [position, value, wide] of changes) {
          const at = 2 + ((position * 2) % (((data.length - 6) & ~1) + 2));
          if (wide && at + 4 <= data.length) {
            check = update32(check, bytes.getInt32(at), value);
            bytes.setInt32(at, value);
          } else {
            check = update16(check, bytes.getUint16(at), value & 0xffff);
            bytes.setUint16(at, value);
          }
        }
        t.is(check, checksum(bytes, 0, data.length));
      },
    ),
  );
});

test('pseudo headers: the transport checksums of frames that Linux sent come out 0', (t) => {
  t.is(finish(sumBytes(view(TCP_RESET), 34, 20, pseudoSum4(view(TCP_RESET), 14, 6, 20))), 0);
  t.is(finish(sumBytes(view(TCP6_SYN), 54, 20, pseudoSum6(view(TCP6_SYN), 14, 6, 20))), 0);
  t.is(finish(sumBytes(view(UDP6_HELLO), 54, 13, pseudoSum6(view(UDP6_HELLO), 14, 17, 13))), 0);
});

test('the pseudo header of IPv6 has 32 bits of length', (t) => {
  const header = view(new Uint8Array(40));
  t.is(fold(pseudoSum6(header, 0, 6, 0x12345)), fold(0x1 + 0x2345 + 6));
});

test('a UDP checksum that comes out 0 is sent as 0xffff', (t) => {
  t.is(finishUdp(0xffff), 0xffff);
  t.is(finishUdp(0x1fffe), 0xffff);
  t.is(finishUdp(1), 0xfffe);
});

function checksumOfWords(words: readonly number[]): number {
  return naiveChecksum(new Uint8Array(words.flatMap((word) => [word >>> 8, word & 255])));
}
