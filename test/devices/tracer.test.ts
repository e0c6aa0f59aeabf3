import test from 'ava';
import { ManualClock } from '../../src/clock.ts';
import type { Device } from '../../src/devices/device.ts';
import { lineTracer, TracerDevice } from '../../src/devices/tracer.ts';
import { batchOf, experimentalFrame, framesOf, makeBatch, receiveAll } from './support/batch.ts';
import { FakeDevice } from './support/fake-device.ts';

test('shows every frame where it lies, in both directions, and passes it on unchanged', (t) => {
  const fake = new FakeDevice();
  const seen: [string, Uint8Array][] = [];
  const device = new TracerDevice(fake, (direction, memory, offset, length) => {
    seen.push([direction, memory.slice(offset, offset + length)]);
  });
  t.deepEqual([device.name, device.mac, device.mtu], [fake.name, fake.mac, fake.mtu]);
  const frames = [experimentalFrame(60, 1), experimentalFrame(61, 2)];
  fake.incoming.push(...frames);
  const batch = makeBatch(8);
  t.deepEqual(framesOf(batch, device.receive(batch)), frames);
  const sent = [experimentalFrame(62, 3)];
  t.is(device.transmit(batchOf(sent)), 1);
  t.deepEqual(fake.outgoing, sent);
  t.deepEqual(seen, [
    ['in', frames[0]!],
    ['in', frames[1]!],
    ['out', sent[0]!],
  ]);
});

test('passes wake-ups and failures on, and closes what it wraps', (t) => {
  const fake = new FakeDevice();
  const device = new TracerDevice(fake, () => {});
  const told: unknown[] = [];
  device.open(
    () => told.push('wake'),
    (error) => told.push(error),
  );
  fake.wake();
  const error = new Error('gone');
  fake.fail(error);
  t.deepEqual(told, ['wake', error]);
  device.close();
  t.is(fake.closed, 1);
});

test('prints a line for each frame, with time and direction', (t) => {
  const fake = new FakeDevice();
  const clock = new ManualClock(12_345.678);
  const lines: string[] = [];
  const device = new TracerDevice(
    fake,
    lineTracer((line) => lines.push(line), clock),
  );
  fake.incoming.push(experimentalFrame(60));
  receiveAll(device);
  clock.advance(1000);
  device.transmit(batchOf([experimentalFrame(60)]));
  t.is(lines.length, 2);
  t.regex(lines[0]!, /^12\.345678 in {2}02:00:00:00:00:77 > ff:ff:ff:ff:ff:ff /);
  t.regex(lines[1]!, /^13\.345678 out 02:00:00:00:00:77 > ff:ff:ff:ff:ff:ff /);
});

test('refuses what is no device and what is no function', (t) => {
  t.throws(() => new TracerDevice(undefined as never, () => {}), { code: 'ERR_INVALID_OPTION' });
  t.throws(() => new TracerDevice({} as Device, () => {}), { code: 'ERR_INVALID_OPTION' });
  t.throws(() => new TracerDevice(new FakeDevice(), 'print' as never), { code: 'ERR_INVALID_OPTION' });
});
