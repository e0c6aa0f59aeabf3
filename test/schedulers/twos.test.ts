import test from 'ava';
import { twos } from '../../src/schedulers/index.ts';
import { Bench, seededRandom } from './fixture.ts';

function draw(bench: Bench, count: number): number[] {
  const picked = new Map(bench.service.destinations.map((destination) => [destination, 0]));
  for (let i = 0; i < count; i++) {
    const destination = bench.pick()!;
    picked.set(destination, picked.get(destination)! + 1);
  }
  return bench.service.destinations.map((destination) => picked.get(destination)! / count);
}

test('two idle servers: the first draw decides, with one chance more for the newest', (t) => {
  const bench = new Bench(twos);
  bench.add('10.0.0.1', 7);
  bench.add('10.0.0.2', 2);
  const [newest, oldest] = draw(bench, 40_000) as [number, number];
  t.true(Math.abs(newest - 3 / 10) < 0.01, String(newest));
  t.true(Math.abs(oldest - 7 / 10) < 0.01, String(oldest));
});

test('a busy server is chosen only when both draws fall on it', (t) => {
  const bench = new Bench(twos);
  bench.source = seededRandom(5);
  bench.add('10.0.0.1', 3);
  bench.add('10.0.0.2', 3).activeConns = 100;
  const [busy] = draw(bench, 40_000) as [number];
  t.true(Math.abs(busy - (4 / 7) ** 2) < 0.01, String(busy));
});

test('connections that stay spread by weight, far more evenly than by chance', (t) => {
  const bench = new Bench(twos);
  const weights = [1, 2, 3, 4, 10];
  for (const [n, weight] of weights.entries()) bench.add(`10.0.0.${n + 1}`, weight);
  const count = 20_000;
  for (let i = 0; i < count; i++) bench.pick()!.activeConns++;
  for (const { weight, activeConns } of bench.service.destinations) {
    const share = (count * weight) / 20;
    t.true(Math.abs(activeConns - share) < 20, `weight ${weight}: ${activeConns} of ${share}`);
  }
});

test('any number in [0, 1) finds a server, its ends too', (t) => {
  const bench = new Bench(twos);
  const last = bench.add('10.0.0.1', 3);
  const first = bench.add('10.0.0.2', 3);
  bench.source = () => 0;
  t.is(bench.pick(), first);
  bench.source = () => 1 - Number.EPSILON;
  t.is(bench.pick(), last);
});

test('the same seed gives the same servers', (t) => {
  const names = () => {
    const bench = new Bench(twos);
    bench.source = seededRandom(9);
    for (let n = 1; n < 6; n++) bench.add(`10.0.0.${n}`, n);
    return Array.from({ length: 50 }, () => bench.pick()!.address).join();
  };
  t.is(names(), names());
});
