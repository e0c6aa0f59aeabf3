import { EventEmitter } from 'node:events';
import { Duplex } from 'node:stream';
import test, { type ExecutionContext } from 'ava';
import { type FrameStream, StreamDevice, type StreamDeviceOptions } from '../../src/devices/stream.ts';
import { DirectorError } from '../../src/errors.ts';
import { batchOf, experimentalFrame, makeBatch, receiveAll } from './support/batch.ts';
import { failOnError } from './support/errors.ts';
import { turns, until } from './support/until.ts';

/** What tuntap2 looks like from outside: an emitter with these properties. */
class FakeTap extends EventEmitter {
  readonly name = 'tap7';
  mtu: number | undefined = 1400;
  readonly written: Uint8Array[] = [];
  released = 0;
  answer: unknown = true;

  /** tuntap2's is the address of the kernel's interface, and throws a string while that is down. */
  get mac(): string {
    throw 'you must set isUp = true in order to access this method';
  }

  write(frame: Uint8Array): unknown {
    this.written.push(frame);
    return this.answer;
  }

  release(done: () => void): void {
    this.released++;
    done();
  }
}

function openFake(t: ExecutionContext, options: StreamDeviceOptions = {}) {
  const tap = new FakeTap();
  const device = new StreamDevice(tap as FrameStream, options);
  const state = { wakes: 0, errors: [] as Error[] };
  device.open(
    () => state.wakes++,
    (error) => state.errors.push(error),
  );
  t.teardown(() => device.close());
  return { tap, device, state };
}

test('takes name and MTU from the stream, and an address of its own', (t) => {
  const device = new StreamDevice(new FakeTap() as FrameStream);
  t.is(device.name, 'tap7');
  t.is(device.mtu, 1400);
  t.regex(device.mac, /^[0-9a-f][26ae](:[0-9a-f]{2}){5}$/);
  t.is(device.mac, new StreamDevice(new FakeTap() as FrameStream).mac);

  const bare = new FakeTap();
  bare.mtu = undefined;
  t.is(new StreamDevice(bare as FrameStream).mtu, 1500);
  const set = new StreamDevice(new FakeTap() as FrameStream, { mac: '02:00:00:00:00:AB', mtu: 9000 });
  t.deepEqual([set.mac, set.mtu], ['02:00:00:00:00:ab', 9000]);
});

test('refuses what is no such stream, and options that cannot be', (t) => {
  const tap = new FakeTap() as FrameStream;
  const like = (properties: object) => Object.defineProperties({}, Object.getOwnPropertyDescriptors(properties));
  const shape = { name: 'x', on() {}, write() {}, release() {} };
  const cases: [unknown, object, string][] = [
    [undefined, {}, 'stream'],
    [7, {}, 'stream'],
    [{}, {}, 'stream.on'],
    [like({ ...shape, write: undefined }), {}, 'stream.write'],
    [like({ ...shape, release: 1 }), {}, 'stream.release'],
    [like({ ...shape, name: '' }), {}, 'stream.name'],
    [like({ ...shape, mtu: 'large' }), {}, 'mtu'],
    [like({ ...shape, mac: '02:00:00:00:00:0A' }), { mac: '02:00:00:00:00:0a' }, 'mac'],
    [tap, { mac: '01:00:00:00:00:00' }, 'mac'],
    [tap, { mtu: 10 }, 'mtu'],
    [tap, { queueFrames: 0 }, 'queueFrames'],
    [tap, { backlogBytes: -1 }, 'backlogBytes'],
    [tap, { colour: 'red' }, 'colour'],
  ];
  for (const [stream, options, option] of cases) {
    const error = t.throws(() => new StreamDevice(stream as FrameStream, options), { instanceOf: DirectorError });
    t.is(error.code, 'ERR_INVALID_OPTION');
    t.is(error.option, option);
  }
});

test('hands over copies of the frames that the stream emits, in order, and wakes once for all of a turn', async (t) => {
  const { tap, device, state } = openFake(t);
  const reused = Buffer.alloc(60);
  for (let i = 0; i < 5; i++) tap.emit('data', reused.fill(i));
  t.is(state.wakes, 0);
  await until(() => state.wakes > 0, 'the wake-up');
  t.deepEqual(
    receiveAll(device).map((frame) => frame[0]),
    [0, 1, 2, 3, 4],
  );
  await turns(3);
  t.is(state.wakes, 1);
});

test('wakes again as long as something waits', async (t) => {
  const { tap, device } = openFake(t);
  tap.emit('data', experimentalFrame(60));
  tap.emit('data', experimentalFrame(61));
  t.is(device.receive(makeBatch(1)), 1);
  t.is(device.receive(makeBatch(1)), 1);
  t.is(device.receive(makeBatch(1)), 0);
  const another = new FakeTap();
  const slow = new StreamDevice(another as FrameStream);
  let taken = 0;
  slow.open(() => (taken += slow.receive(makeBatch(1))), failOnError);
  for (let i = 0; i < 10; i++) another.emit('data', experimentalFrame(60));
  await until(() => taken === 10, 'all frames');
  slow.close();
});

test('drops and counts what finds no room', (t) => {
  const { tap, device } = openFake(t, { queueFrames: 2, mtu: 100 });
  tap.emit('data', experimentalFrame(60));
  tap.emit('data', experimentalFrame(124));
  tap.emit('data', experimentalFrame(70));
  tap.emit('data', experimentalFrame(60));
  const batch = makeBatch(4, 64);
  t.is(device.receive(batch), 1);
  t.is(batch.lengths[0], 60);
  t.deepEqual(device.drops, { queueFull: 1, oversize: 2, backlog: 0, refused: 0 });
});

test('writes a copy of each frame on its own', (t) => {
  const { tap, device } = openFake(t);
  const frames = [experimentalFrame(60, 1), experimentalFrame(1414, 2)];
  const batch = batchOf(frames);
  t.is(device.transmit(batch), 2);
  batch.memory.fill(0);
  t.deepEqual(
    tap.written.map((frame) => new Uint8Array(frame)),
    frames,
  );
  t.true(tap.written.every((frame) => Buffer.isBuffer(frame)));
});

test('a stream that does not keep up gets no more than the backlog until it drains', (t) => {
  const { tap, device } = openFake(t, { backlogBytes: 200 });
  tap.answer = false;
  const batch = batchOf(Array.from({ length: 5 }, () => experimentalFrame(100)));
  t.is(device.transmit(batch), 2);
  t.is(device.drops.backlog, 3);
  tap.answer = true;
  tap.emit('drain');
  t.is(device.transmit(batch), 5);
});

test('a stream that throws loses the frame only', (t) => {
  const { tap, device } = openFake(t);
  tap.write = () => {
    throw 'not now';
  };
  t.is(device.transmit(batchOf([experimentalFrame(60)])), 0);
  t.is(device.drops.refused, 1);
});

test('an error or the end of the stream is the death of the device, told once', async (t) => {
  for (const [event, message] of [
    ['error', /tap7: has failed: boom/],
    ['close', /tap7: has failed: the stream was closed/],
  ] as const) {
    const { tap, device, state } = openFake(t);
    tap.emit(event, new Error('boom'));
    tap.emit('close');
    await until(() => state.errors.length > 0, 'the failure');
    await turns(2);
    t.is(state.errors.length, 1);
    t.is((state.errors[0] as DirectorError).code, 'ERR_DEVICE');
    t.regex(state.errors[0]!.message, message);
    t.is(device.transmit(batchOf([experimentalFrame(60)])), 0);
  }
});

test('close releases the stream once, and nothing that it emits matters then', async (t) => {
  const { tap, device, state } = openFake(t);
  tap.emit('data', experimentalFrame(60));
  device.close();
  device.close();
  t.is(tap.released, 1);
  tap.emit('data', experimentalFrame(60));
  tap.emit('error', new Error('released'));
  tap.emit('close');
  await turns(3);
  t.deepEqual([state.wakes, state.errors.length], [0, 0]);
  t.is(device.receive(makeBatch(1)), 0);
  t.is(device.transmit(batchOf([experimentalFrame(60)])), 0);
  t.throws(() => device.open(() => {}, failOnError), { code: 'ERR_DEVICE', message: /is closed/ });

  const { tap: grumpy, device: another } = openFake(t);
  grumpy.release = () => {
    throw 'a string';
  };
  t.notThrows(() => another.close());
  const { device: third } = openFake(t);
  t.throws(() => third.open(() => {}, failOnError), { code: 'ERR_DEVICE', message: /is in use/ });
});

test('a real Duplex will do', async (t) => {
  const written: Buffer[] = [];
  const duplex = new Duplex({
    objectMode: true,
    read() {},
    write(frame: Buffer, _encoding, done) {
      written.push(frame);
      setImmediate(done);
    },
  });
  const stream = Object.assign(duplex, { name: 'duplex0', release: (done: () => void) => duplex.destroy() && done() });
  const device = new StreamDevice(stream as unknown as FrameStream);
  const received: Uint8Array[] = [];
  device.open(() => received.push(...receiveAll(device)), failOnError);
  const frames = Array.from({ length: 40 }, (_, i) => experimentalFrame(60 + i));
  for (const frame of frames) duplex.push(Buffer.from(frame));
  device.transmit(batchOf(frames));
  await until(() => received.length === 40 && written.length === 40, 'all frames');
  t.deepEqual(received, frames);
  t.deepEqual(
    written.map((frame) => new Uint8Array(frame)),
    frames,
  );
  device.close();
});
