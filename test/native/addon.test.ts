/** The addon on its own: what no caller of TapDevice can do to it, and it must bear all the same. */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { loadBinding, TAP_ANY, type TapBinding, type TapHandle, XDP_ANY } from '../../src/native/binding.ts';
import { Namespace, testWithTaps as test } from '../devices/support/namespace.ts';
import { until } from '../devices/support/until.ts';

const NO_MAC = new Uint8Array(0);
const run = promisify(execFile);

/** Opens a TAP, with a ring where the kernel gives one. */
function openIn(namespace: Namespace, offload = false): { native: TapBinding; handle: TapHandle; name: string } {
  const native = loadBinding();
  const path = `/var/run/netns/${namespace.name}`;
  const { handles, name } = native.open('', path, TAP_ANY, NO_MAC, 0, true, offload, 0);
  const handle = handles[0]!;
  callWith(native, 'useRing', [handle]);
  return { native, handle, name };
}

/** Calls a function of the addon as JavaScript may: with anything. Returns what is thrown. */
function callWith(native: TapBinding, name: keyof TapBinding, values: readonly unknown[]): unknown {
  try {
    (native[name] as (...values: readonly unknown[]) => unknown)(...values);
    return undefined;
  } catch (error) {
    return error;
  }
}

const descriptors = (): number => readdirSync('/proc/self/fd').length;

test('arguments of the wrong number, kind or range are named', (t) => {
  const namespace = new Namespace(t);
  const { native, handle } = openIn(namespace);
  const memory = new Uint8Array(100);
  const array = new Int32Array(2);
  const ten = Int32Array.of(10, 10);
  const most = 2 ** 31 - 1;
  const OUT_OF_RANGE = 'ERR_OUT_OF_RANGE';
  const { handle: offloading } = openIn(namespace, true);
  const wake = () => {};
  const cases: [keyof TapBinding, unknown[], string, RegExp][] = [
    ['open', [], 'ERR_MISSING_ARGS', /8 arguments expected, 0 given/],
    ['open', [1, '', 0, NO_MAC, 0, true, false, 0], 'ERR_INVALID_ARG_TYPE', /name must be a string/],
    ['open', ['0123456789abcdef', '', 0, NO_MAC, 0, true, false, 0], 'ERR_OUT_OF_RANGE', /name must be shorter/],
    ['open', ['a\0b', '', 0, NO_MAC, 0, true, false, 0], 'ERR_OUT_OF_RANGE', /without NUL/],
    ['open', ['', 'x'.repeat(5000), 0, NO_MAC, 0, true, false, 0], 'ERR_OUT_OF_RANGE', /namespacePath must be shorter/],
    ['open', ['', '', 3, NO_MAC, 0, true, false, 0], 'ERR_OUT_OF_RANGE', /existence must be .* from 0 to 2, not 3/],
    ['open', ['', '', 0, new Uint8Array(5), 0, true, false, 0], 'ERR_INVALID_ARG_TYPE', /mac must be/],
    ['open', ['', '', 0, new Int8Array(6), 0, true, false, 0], 'ERR_INVALID_ARG_TYPE', /mac must be/],
    ['open', ['', '', 0, NO_MAC, -1, true, false, 0], 'ERR_OUT_OF_RANGE', /mtu/],
    ['open', ['', '', 0, NO_MAC, 0, 1, false, 0], 'ERR_INVALID_ARG_TYPE', /up must be a boolean/],
    ['open', ['', '', 0, NO_MAC, 0, true, 1, 0], 'ERR_INVALID_ARG_TYPE', /offload must be a boolean/],
    ['open', ['', '', 0, NO_MAC, 0, true, false, 257], 'ERR_OUT_OF_RANGE', /queues must be .* from 0 to 256, not 257/],
    ['openPacket', ['', '', NO_MAC, true, 0], 'ERR_OUT_OF_RANGE', /queues must be .* from 1 to 256, not 0/],
    ['openPacket', ['', '', NO_MAC, true, 257], 'ERR_OUT_OF_RANGE', /queues must be .* from 1 to 256, not 257/],
    ['notify', ['/x'], 'ERR_MISSING_ARGS', /2 arguments/],
    ['notify', [1, ''], 'ERR_INVALID_ARG_TYPE', /path must be a string/],
    ['notify', [`/${'x'.repeat(107)}`, ''], 'ERR_OUT_OF_RANGE', /path must be shorter than 108 bytes/],
    ['notify', ['/x', 'x'.repeat(1024)], 'ERR_OUT_OF_RANGE', /message must be shorter than 1024 bytes/],
    ['notify', ['/nowhere/at/all', 'READY=1'], 'ENOENT', /sendto/],
    ['registerMemory', [handle], 'ERR_MISSING_ARGS', /2 arguments/],
    ['registerMemory', [handle, array], 'ERR_INVALID_ARG_TYPE', /memory must be a Uint8Array/],
    ['start', [handle], 'ERR_MISSING_ARGS', /2 arguments/],
    ['start', [handle, {}], 'ERR_INVALID_ARG_TYPE', /wake must be a function/],
    ['receive', [handle, [], array, array, array, array, 1, 10], 'ERR_INVALID_ARG_TYPE', /memory must be a Uint8Array/],
    [
      'receive',
      [handle, memory, memory, array, array, array, 1, 10],
      'ERR_INVALID_ARG_TYPE',
      /offsets must be an Int32/,
    ],
    ['receive', [handle, memory, array, new Float32Array(2), array, array, 1, 10], 'ERR_INVALID_ARG_TYPE', /lengths/],
    ['receive', [offloading, memory, array, array, memory, array, 1, 10], 'ERR_INVALID_ARG_TYPE', /partial must be/],
    ['receive', [offloading, memory, array, array, array, null, 1, 10], 'ERR_INVALID_ARG_TYPE', /segments must be/],
    ['receive', [offloading, memory, array, array, array, array, 1, 90], 'ERR_OUT_OF_RANGE', /frame 0 lies outside/],
    ['receive', [offloading, memory, Int32Array.of(9), array, array, array, 1, 10], 'ERR_OUT_OF_RANGE', /frame 0/],
    [
      'receive',
      [handle, memory, array, array, array, array, 3, 10],
      'ERR_OUT_OF_RANGE',
      /count must be .* to 2, not 3/,
    ],
    ['receive', [offloading, memory, array, array, array, ten.subarray(1), 2, 10], 'ERR_OUT_OF_RANGE', /to 1, not 2/],
    ['receive', [handle, memory, array, array, array, array, 1.5, 10], 'ERR_OUT_OF_RANGE', /count/],
    ['receive', [handle, memory, array, array, array, array, Number.NaN, 10], 'ERR_OUT_OF_RANGE', /count/],
    ['receive', [handle, memory, array, array, array, array, 1, -1], 'ERR_OUT_OF_RANGE', /room/],
    [
      'receive',
      [handle, memory, array, array, array, array, 1, 101],
      'ERR_OUT_OF_RANGE',
      /frame 0 lies outside of the me/,
    ],
    ['receive', [handle, memory, array, array, array, array, 1n, 10], 'ERR_INVALID_ARG_TYPE', /count must be a number/],
    [
      'transmit',
      [handle, memory, Int32Array.of(0, 90), Int32Array.of(0, 11), array, array, 2],
      OUT_OF_RANGE,
      /frame 1/,
    ],
    ['transmit', [handle, memory, Int32Array.of(-1), Int32Array.of(0), array, array, 1], OUT_OF_RANGE, /frame 0/],
    ['transmit', [handle, memory, Int32Array.of(0), Int32Array.of(-1), array, array, 1], OUT_OF_RANGE, /frame 0/],
    ['transmit', [handle, memory, Int32Array.of(most), Int32Array.of(most), array, array, 1], OUT_OF_RANGE, /frame 0/],
    ['transmit', [offloading, memory, Int32Array.of(9), Int32Array.of(60), array, array, 1], OUT_OF_RANGE, /frame 0/],
    ['transmit', [offloading, memory, ten, ten, ten, array.subarray(1), 2], OUT_OF_RANGE, /to 1, not 2/],
    ['adopt', [0], OUT_OF_RANGE, /ticket must be .* from 1/],
    ['adopt', ['1'], 'ERR_INVALID_ARG_TYPE', /ticket must be a number/],
    ['close', [], 'ERR_MISSING_ARGS', /1 arguments/],
  ];
  for (const [name, values, code, message] of cases) {
    const error = callWith(native, name, values) as Error & { code: string };
    t.is(error?.code, code, `${name} ${message}`);
    t.regex(error.message, message);
  }
  for (const stranger of [undefined, null, 1, 'x', {}, [], wake, Object.create(handle), new Proxy(handle, {})]) {
    for (const [name, rest] of [
      ['start', [wake]],
      ['receive', [memory, array, array, array, array, 1, 10]],
      ['transmit', [memory, array, array, array, array, 1]],
      ['drops', []],
      ['detach', []],
      ['useRing', []],
      ['close', []],
    ] as const) {
      const error = callWith(native, name, [stranger, ...rest]) as Error;
      t.true(error instanceof TypeError);
      t.is(error.message, "handle must be a device's");
    }
  }
  t.throws(() => structuredClone(handle), { any: true, name: 'DataCloneError' });
  for (const each of [handle, offloading]) native.close(each);
});

test('a closed TAP, and one started before, say so', (t) => {
  const namespace = new Namespace(t);
  const { native, handle } = openIn(namespace);
  const wake = () => {};
  native.start(handle, wake);
  t.throws(() => native.start(handle, wake), { code: 'ERR_INVALID_STATE' });
  native.close(handle);
  native.close(handle);
  const array = new Int32Array(1);
  t.throws(() => native.start(handle, wake), { code: 'ERR_CLOSED' });
  t.throws(() => native.receive(handle, new Uint8Array(9), array, array, array, array, 1, 9), { code: 'ERR_CLOSED' });
  t.throws(() => native.transmit(handle, new Uint8Array(9), array, array, array, array, 1), { code: 'ERR_CLOSED' });
  t.throws(() => native.detach(handle), { code: 'ERR_CLOSED' });
  t.throws(() => native.useRing(handle), { code: 'ERR_CLOSED' });
  t.deepEqual(native.drops(handle), { oversize: 0, noBuffer: 0, linkDown: 0, invalid: 0, offload: 0 });
});

/** A socket at one end of a wire in the namespace; `name` is the other end. */
function attachIn(namespace: Namespace, way: 'openPacket' | 'openXdp'): { handle: TapHandle; name: string } {
  namespace.ip('link', 'add', 'wire0', 'type', 'veth', 'peer', 'name', 'wire1');
  for (const name of ['wire0', 'wire1']) namespace.ip('link', 'set', name, 'up');
  const at = ['wire1', `/var/run/netns/${namespace.name}`, NO_MAC, false] as const;
  const native = loadBinding();
  const { handles } = way === 'openPacket' ? native.openPacket(...at, 1) : native.openXdp(...at, -1, XDP_ANY);
  return { handle: handles[0]!, name: 'wire0' };
}

/** Bursts of nonsense at a device; `least` entries in each, and about as many of them said to be frames. */
function fuzzBursts(
  t: ExecutionContext,
  openIt: (namespace: Namespace) => { handle: TapHandle; name: string },
  least = 0,
): void {
  const namespace = new Namespace(t);
  const from = openIn(namespace);
  const to = openIt(namespace);
  const { native } = from;
  namespace.bridge(from.name, to.name);
  const integer = fc.oneof(
    fc.integer({ min: -5, max: 400 }),
    fc.constantFrom(-(2 ** 31), 2 ** 31 - 1, 2 ** 31 - 60, 0xffff, 2 ** 32, 1.5, Number.NaN, Number.POSITIVE_INFINITY),
  );
  const array = fc.array(integer, { minLength: least, maxLength: least + 6 }).map((values) => Int32Array.from(values));
  const counts = least === 0 ? integer : fc.integer({ min: least - 3, max: least + 6 });
  // The memory that is handed in is the middle of a larger one: what lies around it must stay as it is.
  const around = new Uint8Array(1000);
  const memory = new Uint8Array(around.buffer, 300, 400);
  const zeros = new Int32Array(3);
  const frame = new Uint8Array(60).fill(0xff);
  frame.set([2, 0, 0, 0, 0, 1, 0x88, 0xb5], 6);
  fc.assert(
    fc.property(array, array, counts, integer, fc.boolean(), (offsets, lengths, count, room, aliased) => {
      around.fill(0xa5);
      native.transmit(from.handle, frame, zeros, Int32Array.of(60, 60, 60), zeros, zeros, 3);
      // The arrays may even lie in the memory, and be written over by the frames.
      const inMemory = new Int32Array(around.buffer, 300 + 40, Math.max(4, least));
      const arrays = aliased ? [inMemory, inMemory, inMemory, inMemory] : [offsets, lengths, lengths, offsets];
      if (aliased) inMemory.set(offsets.subarray(0, inMemory.length));
      callWith(native, 'receive', [to.handle, memory, ...arrays, count, room]);
      callWith(native, 'transmit', [to.handle, memory, ...arrays, count]);
      t.true(around.subarray(0, 300).every((byte) => byte === 0xa5));
      t.true(around.subarray(700).every((byte) => byte === 0xa5));
    }),
    { numRuns: 2000, seed: 11 },
  );
  for (const { handle } of [from, to]) native.close(handle);
}

test('no arguments whatsoever make it write outside of the memory', (t) => {
  fuzzBursts(t, openIn);
});
test('no arguments whatsoever make it write outside of the memory, with offload', (t) => {
  fuzzBursts(t, (namespace) => openIn(namespace, true));
});
test('no arguments whatsoever make it write outside of the memory, in bursts that go by io_uring', (t) => {
  fuzzBursts(t, (namespace) => openIn(namespace, true), 40);
});
for (const way of ['openPacket', 'openXdp'] as const) {
  test(`no arguments whatsoever make it write outside of the memory, ${way}`, (t) => {
    fuzzBursts(t, (namespace) => attachIn(namespace, way));
    fuzzBursts(t, (namespace) => attachIn(namespace, way), 40);
  });

  test(`of a burst that leaves the memory, what lies before is sent, and the frame is named, ${way}`, async (t) => {
    const namespace = new Namespace(t);
    const { handle, name } = attachIn(namespace, way);
    const native = loadBinding();
    const { handles } = native.openPacket(name, `/var/run/netns/${namespace.name}`, NO_MAC, true, 1);
    const to = handles[0]!;
    const memory = new Uint8Array(100).fill(0xff);
    const zeros = new Int32Array(3);
    const lengths = Int32Array.of(60, 3, 60);
    t.throws(() => native.transmit(handle, memory, Int32Array.of(40, 40, 41), lengths, zeros, zeros, 3), {
      code: 'ERR_OUT_OF_RANGE',
      message: 'frame 2 lies outside of the memory',
    });
    t.is(native.drops(handle).invalid, 1);
    const arrived = new Uint8Array(400);
    const receive = () =>
      native.receive(to, arrived, Int32Array.of(10), lengths, new Int32Array(1), new Int32Array(1), 1, 300);
    const first = memory.subarray(40, 100).toString();
    await until(() => receive() === 1 && arrived.subarray(10, 70).toString() === first, 'the first frame');
    for (const each of [handle, to]) native.close(each);
  });
}

test('memory that is shared, detached or shrunk is treated as what it is', (t) => {
  const namespace = new Namespace(t);
  const { native, handle } = openIn(namespace);
  const array = new Int32Array(1);
  const detached = new Uint8Array(100);
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  // Resizable buffers are younger than the language version that the types are of.
  const buffer: ArrayBuffer & { resize(bytes: number): void } = Reflect.construct(ArrayBuffer, [
    100,
    { maxByteLength: 200 },
  ]);
  const shrunk = new Uint8Array(buffer);
  buffer.resize(10);
  for (const memory of [detached, shrunk]) {
    const error = callWith(native, 'receive', [handle, memory, array, array, array, array, 1, 100]) as Error & {
      code: string;
    };
    t.is(error.code, 'ERR_OUT_OF_RANGE');
  }
  const shared = new Uint8Array(new SharedArrayBuffer(100));
  t.true(native.receive(handle, shared, array, array, array, array, 1, 100) >= 0);
  native.close(handle);
});

test('what wake throws is an uncaught exception, and the TAP goes on', async (t) => {
  const script = fileURLToPath(new URL('./support/throw-in-wake.js', import.meta.url));
  const namespace = new Namespace(t);
  const { stdout } = await run(process.execPath, [script, namespace.name], { timeout: 20_000 });
  t.is(stdout, 'caught first\ncaught second\n');
});

test('a handle that nobody holds any more closes its TAP', async (t) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const namespace = new Namespace(t);
  const before = descriptors();
  for (let i = 0; i < 20; i++) openIn(namespace);
  t.is(namespace.links().length, 20);
  await until(() => {
    collect();
    return descriptors() === before;
  }, 'the descriptors to be closed');
  t.deepEqual(namespace.links(), []);
});

test('worker threads open, poll and end with TAPs in every state', async (t) => {
  // In a process of its own: a handle that outlives its loop aborts the process.
  const script = fileURLToPath(new URL('./support/workers.js', import.meta.url));
  const namespace = new Namespace(t);
  const { stdout } = await run(process.execPath, [script, namespace.name], { timeout: 60_000 });
  t.is(stdout, 'descriptors left over: 0\n');
  t.deepEqual(namespace.links(), []);
});
