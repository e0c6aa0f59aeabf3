import test from 'ava';
import { ManualClock } from '../../src/clock.ts';
import type { Device } from '../../src/devices/device.ts';
import { FaultDevice, type FaultOptions } from '../../src/devices/fault.ts';
import { DirectorError } from '../../src/errors.ts';
import { batchOf, experimentalFrame, makeBatch, receiveAll } from './support/batch.ts';
import { FakeDevice } from './support/fake-device.ts';
import { until } from './support/until.ts';

/** Frames that tell their number. */
function numbered(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => {
    const frame = experimentalFrame(60);
    new DataView(frame.buffer).setUint32(14, i);
    return frame;
  });
}

const numbersOf = (frames: readonly Uint8Array[]): number[] =>
  frames.map((frame) => new DataView(frame.buffer, frame.byteOffset).getUint32(14));

/** How many bits of two frames differ. */
function wrongBits(a: Uint8Array, b: Uint8Array): number {
  let wrong = 0;
  for (const [i, byte] of a.entries()) for (let x = byte ^ b[i]!; x !== 0; x &= x - 1) wrong++;
  return wrong;
}

/** What comes out of `frames` on the way to the director, and on the way from it. */
function pass(options: FaultOptions, frames: readonly Uint8Array[]) {
  const fake = new FakeDevice();
  const device = new FaultDevice(fake, { clock: new ManualClock(), ...options });
  fake.incoming.push(...frames);
  const received = receiveAll(device);
  device.transmit(batchOf(frames));
  return { device, received, sent: fake.outgoing };
}

test('without faults it is a wire', (t) => {
  const frames = numbered(500);
  const { device, received, sent } = pass({}, frames);
  t.deepEqual(received, frames);
  t.deepEqual(sent, frames);
  t.deepEqual(device.received, { lost: 0, duplicated: 0, reordered: 0, corrupted: 0 });
});

test('loses, doubles, reorders and corrupts about as often as asked, and counts it', (t) => {
  const frames = numbered(4000);
  const rates = { loss: 0.1, duplication: 0.2, reordering: 0.3, corruption: 0.05 };
  const { device } = pass({ receive: rates, transmit: rates, seed: 42 }, frames);
  for (const counts of [device.received, device.transmitted]) {
    t.true(Math.abs(counts.lost / 4000 - 0.1) < 0.02);
    t.true(Math.abs(counts.duplicated / (4000 * 0.9) - 0.2) < 0.03);
    t.true(counts.reordered > 500);
    t.true(Math.abs(counts.corrupted / (4000 * 0.9) - 0.05) < 0.02);
  }
});

test('each fault is what its name says', (t) => {
  const frames = numbered(1000);
  const one = (name: string) => pass({ receive: { [name]: 0.25 }, transmit: { [name]: 0.25 } }, frames);

  const lossy = one('loss');
  for (const [seen, counts] of [
    [lossy.received, lossy.device.received],
    [lossy.sent, lossy.device.transmitted],
  ] as const) {
    t.is(seen.length, 1000 - counts.lost);
    const numbers = numbersOf(seen);
    t.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
    );
  }

  const doubling = one('duplication');
  t.is(doubling.received.length, 1000 + doubling.device.received.duplicated);
  t.deepEqual([...new Set(numbersOf(doubling.received))], numbersOf(frames));

  const reordering = one('reordering');
  const numbers = numbersOf(reordering.received);
  t.notDeepEqual(numbers, numbersOf(frames));
  // Nobody is more than one place late; the last may still be waiting for a follower.
  t.true(numbers.every((number, i) => Math.abs(number - i) <= 1));
  t.true(numbers.length >= 999);

  const corrupting = one('corruption');
  const wrong = corrupting.received.map((frame, i) => wrongBits(frame, frames[i]!));
  t.true(wrong.every((bits) => bits <= 1));
  t.is(wrong.filter((bits) => bits === 1).length, corrupting.device.received.corrupted);
});

test('the same seed does the same, another one something else', (t) => {
  const frames = numbered(300);
  const rates = { loss: 0.2, duplication: 0.2, reordering: 0.2, corruption: 0.2 };
  const run = (seed: number) => pass({ seed, receive: rates, transmit: rates }, frames);
  t.deepEqual(run(5).received, run(5).received);
  t.deepEqual(run(5).sent, run(5).sent);
  t.notDeepEqual(run(5).received, run(6).received);
  t.notDeepEqual(run(5).received, run(5).sent);
});

test('a reordered frame that nothing follows comes late', (t) => {
  const fake = new FakeDevice();
  const clock = new ManualClock();
  const device = new FaultDevice(fake, { clock, holdMs: 20, receive: { reordering: 1 }, transmit: { reordering: 1 } });
  let wakes = 0;
  device.open(
    () => wakes++,
    () => {},
  );
  const [frame] = numbered(1);
  fake.incoming.push(frame!);
  t.deepEqual(receiveAll(device), []);
  device.transmit(batchOf([frame!]));
  t.deepEqual(fake.outgoing, []);
  clock.advance(19);
  t.is(wakes, 0);
  clock.advance(1);
  t.is(wakes, 1);
  t.deepEqual(receiveAll(device), [frame]);
  t.deepEqual(fake.outgoing, [frame]);
  device.close();
  t.is(fake.closed, 1);
});

test('wakes for what waits in it while the device has nothing', async (t) => {
  const fake = new FakeDevice();
  const device = new FaultDevice(fake, { receive: { duplication: 1 } });
  let received = 0;
  device.open(
    () => (received += device.receive(makeBatch(1))),
    () => {},
  );
  fake.incoming.push(...numbered(10));
  fake.wake();
  await until(() => received === 20, 'all frames twice');
  t.is(device.received.duplicated, 10);
  device.close();
});

test('a frame longer than the device carries is lost; refuses options that cannot be', (t) => {
  const { device, sent } = pass({}, [experimentalFrame(1600)]);
  t.is(device.transmitted.lost, 1);
  t.is(sent.length, 0);
  const cases: [object, string][] = [
    [{ seed: -1 }, 'seed'],
    [{ holdMs: 0 }, 'holdMs'],
    [{ receive: { loss: 1.1 } }, 'receive.loss'],
    [{ transmit: { corruption: 'often' } }, 'transmit.corruption'],
    [{ transmit: { los: 0.1 } }, 'los'],
    [{ both: {} }, 'both'],
  ];
  for (const [options, option] of cases) {
    const error = t.throws(() => new FaultDevice(new FakeDevice(), options), { instanceOf: DirectorError });
    t.is(error.option, option);
  }
  t.throws(() => new FaultDevice({} as Device), { code: 'ERR_INVALID_OPTION' });
});
