import test from 'ava';
import { parseAddress } from '../../src/address.ts';
import { AddressCache } from '../../src/schedulers/address-cache.ts';

const MINUTE = 60_000;
const DAY_SECONDS = 86_400;

function ipv4(n: number): Int32Array {
  return Int32Array.of(0x0a000000 + n, 0, 0, 0);
}

function filled(count: number, nowMs = 0): AddressCache<number> {
  const cache = new AddressCache<number>(4, nowMs);
  for (let n = 0; n < count; n++) cache.add(ipv4(n), n, nowMs);
  return cache;
}

test('finds what was added, by all words of an IPv6 address', (t) => {
  const cache = new AddressCache<string>(6, 0);
  const texts = ['2001:db8::1', '2001:db8:1::', '2001:db8::1:0:0', '::2001:db8:0:1', '1::2001:db8'];
  for (const text of texts) cache.add(parseAddress(text, 'address').words, text, 0);
  for (const text of texts) t.is(cache.find(parseAddress(text, 'address').words)?.value, text);
  t.is(cache.find(parseAddress('2001:db8::2', 'address').words), null);
});

test('looks at the first word only of an IPv4 address', (t) => {
  const cache = new AddressCache<string>(4, 0);
  cache.add(Int32Array.of(1, 2, 3, 4), 'here', 0);
  t.is(cache.find(Int32Array.of(1, 9, 9, 9))?.value, 'here');
});

test('sweeps every thirty minutes what has not been used for the expiration', (t) => {
  const cache = filled(100);
  cache.find(ipv4(7))!.lastUsedMs = 10 * MINUTE;
  for (let minute = 1; minute < 30; minute++) cache.tick(minute * MINUTE, 25 * 60);
  t.is(cache.size, 100);
  cache.tick(30 * MINUTE, 25 * 60);
  t.is(cache.size, 1);
  t.is(cache.find(ipv4(7))?.value, 7);
  t.is(cache.find(ipv4(8)), null);
});

test('a cache that is not crowded keeps idle entries', (t) => {
  const cache = filled(16_384);
  cache.tick(7 * MINUTE, DAY_SECONDS);
  t.is(cache.size, 16_384);
});

test('a crowded one drops some that were idle for six minutes', (t) => {
  const cache = filled(16_384 + 3000);
  for (let minute = 1; minute < 6; minute++) cache.tick(minute * MINUTE, DAY_SECONDS);
  t.is(cache.size, 19_384);
  cache.tick(6 * MINUTE, DAY_SECONDS);
  t.true(cache.size <= 19_384 - 4000);
  t.true(cache.size > 19_384 - 4000 - 100, 'not many more than the goal');
});

test('never drops more than about half of its size at once', (t) => {
  const cache = filled(65_536);
  cache.tick(6 * MINUTE, DAY_SECONDS);
  t.true(cache.size <= 65_536 - 8192 && cache.size > 65_536 - 8192 - 200);
});

test('takes no more than 65536 addresses', (t) => {
  const cache = filled(70_000);
  t.is(cache.size, 65_536);
  t.is(cache.find(ipv4(69_999)), null);
  t.is(cache.find(ipv4(0))?.value, 0);
});
