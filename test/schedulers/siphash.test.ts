import test from 'ava';
import fc from 'fast-check';
import { parseAddress } from '../../src/address.ts';
import { SipHash13 } from '../../src/schedulers/siphash.ts';
import { sipHash13 } from './naive.ts';

test('SipHash-1-3 of the reference key, cut to 32 bits', (t) => {
  const hash = new SipHash13(0x07060504, 0x03020100, 0x0f0e0d0c, 0x0b0a0908);
  t.is(hash.hash(0, 0), 0x050fc4dc);
  t.is(hash.hash(0x00, 1), 0x7d57ca93);
  t.is(hash.hash(0x0100, 2), 0x4dc7d44d);
});

test('it is the 64-bit algorithm, for any key and word', (t) => {
  const word = fc.integer({ min: 0, max: 0xffffffff });
  fc.assert(
    fc.property(word, word, word, word, word, (a, b, c, d, value) => {
      const key0 = (BigInt(a) << 32n) | BigInt(b);
      const key1 = (BigInt(c) << 32n) | BigInt(d);
      t.is(new SipHash13(a, b, c, d).hash(value | 0, 4), sipHash13(value, key0, key1));
    }),
  );
});

test('where three servers stand in the table of mh', (t) => {
  const offset = new SipHash13(0, 2654435761, 0, 2654435761);
  const skip = new SipHash13(0, 2654446892, 0, 2654446892);
  const place = (address: string) => {
    const key = (parseAddress(address, 'address').words[0] + 80) | 0;
    return [offset.hash(key, 4) % 4093, (skip.hash(key, 4) % 4092) + 1];
  };
  t.deepEqual(place('10.0.0.13'), [2586, 2286]);
  t.deepEqual(place('10.0.0.12'), [870, 874]);
  t.deepEqual(place('10.0.0.11'), [4032, 1541]);
});
