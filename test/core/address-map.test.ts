import test from 'ava';
import { AddressMap } from '../../src/host/address-map.ts';
import { Random } from '../oracle/random.ts';

test('an address is there from when it is set until it is deleted, however often it is asked for', (t) => {
  const map = new AddressMap<string>(1);
  const known = new Set<number>();
  const random = new Random(1);
  for (let i = 0; i < 20_000; i++) {
    // Few addresses, so that they come again: 0.0.0.0, 255.255.255.255 and those around them.
    const address = random.int(-32, 31);
    if (i % 7 === 0) {
      map.set(Int32Array.of(address), 0, `of ${address}`);
      known.add(address);
    } else if (i % 11 === 0) {
      map.delete(Int32Array.of(address), 0);
      known.delete(address);
    }
    t.is(map.has4(address), known.has(address));
    t.is(map.has4(address), known.has(address));
    t.is(map.get4(address), known.has(address) ? `of ${address}` : null);
  }
  t.is(map.size, known.size);
});
