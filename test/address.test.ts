import test from 'ava';
import fc from 'fast-check';
import { formatAddress, tryParseAddress } from '../src/address.ts';

const word = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }), fc.integer());
const words = fc.tuple(word, word, word, word).map((values) => Int32Array.from(values));

test('every IPv6 address reads back from its text', (t) => {
  fc.assert(
    fc.property(words, (address) => {
      t.deepEqual(tryParseAddress(formatAddress(6, address)), { family: 6, words: address });
    }),
  );
});

test('IPv6 text shortens the first of the longest runs of zeros, never a single one', (t) => {
  const cases: readonly [text: string, shortest: string][] = [
    ['0:0:0:0:0:0:0:0', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['1:2:3:4:5:6:7:0', '1:2:3:4:5:6:7:0'],
    ['1:2:3:4:5:6:0:0', '1:2:3:4:5:6::'],
    ['0:0:3:4:5:6:7:8', '::3:4:5:6:7:8'],
  ];
  for (const [text, shortest] of cases) t.is(formatAddress(6, tryParseAddress(text)!.words), shortest);
});

test('IPv4 addresses inside IPv6 ones are dotted', (t) => {
  for (const text of ['::ffff:10.0.0.1', '::10.0.0.1', '::255.255.0.1']) {
    t.is(formatAddress(6, tryParseAddress(text)!.words), text);
  }
  t.is(formatAddress(6, tryParseAddress('64:ff9b::10.0.0.1')!.words), '64:ff9b::a00:1');
  for (const text of ['::10.0.0', '::10.0.0.256', '::1.2.3.4:5', '10.0.0.1:80']) t.is(tryParseAddress(text), undefined);
});
