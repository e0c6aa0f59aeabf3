/** The ways to write to a TAP: they do the same, and the one stands in for the other where the kernel refuses it. */
import { spawnSync } from 'node:child_process';
import { closeSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { TapDevice, type TapIo, type TapOptions } from '../../src/devices/tap.ts';
import { batchOf, experimentalFrame, isExperimental, receiveAll } from './support/batch.ts';
import { IO_URING_ENTER, IO_URING_REGISTER, IO_URING_SETUP, makeFilter, PWRITEV2 } from './support/filter.ts';
import { Namespace, testWithTaps as test } from './support/namespace.ts';

const WAYS: readonly TapIo[] = ['io_uring', 'burst'];

/** Whether this kernel lets anybody use io_uring; where it does not, the tests of it have nothing to say. */
function hasRings(namespace: Namespace): boolean {
  const device = TapDevice.open({ namespace: namespace.name });
  device.close();
  return device.io === 'io_uring';
}

function open(t: ExecutionContext, namespace: Namespace, options: TapOptions = {}): TapDevice {
  const device = TapDevice.open({ namespace: namespace.name, ...options });
  t.teardown(() => device.close());
  return device;
}

/** Descriptors of rings that this process has. */
function rings(): number[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === 'anon_inode:[io_uring]' ? [Number(fd)] : [];
    } catch {
      return []; // the directory's own descriptor
    }
  });
}

test('says which way is in use, and why not the other', (t) => {
  const namespace = new Namespace(t);
  const burst = open(t, namespace, { io: 'burst' });
  t.is(burst.io, 'burst');
  t.is(burst.ioRefusal, undefined);
  const auto = open(t, namespace);
  t.is(auto.io, auto.ioRefusal === undefined ? 'io_uring' : 'burst');
});

test('both ways send the same frames and lose the same', (t) => {
  const namespace = new Namespace(t);
  if (!hasRings(namespace)) return t.pass('no io_uring here');
  const senders = WAYS.map((io) => open(t, namespace, { io }));
  const to = open(t, namespace, { io: 'burst' });
  namespace.bridge(to.name, ...senders.map((device) => device.name));
  const frame = fc
    .tuple(fc.integer({ min: 0, max: 1514 }), fc.integer({ min: 0, max: 255 }))
    .map(([length, fill]) => (length < 14 ? new Uint8Array(length) : experimentalFrame(length, fill)));
  receiveAll(to);
  fc.assert(
    fc.property(fc.array(frame, { minLength: 0, maxLength: 300 }), (frames) => {
      const valid = frames.filter(isExperimental);
      for (const device of senders) {
        const before = device.drops.invalid;
        t.is(device.transmit(batchOf(frames)), valid.length);
        t.is(device.drops.invalid - before, frames.length - valid.length);
        t.deepEqual(receiveAll(to).filter(isExperimental), valid);
        for (const other of senders) receiveAll(other);
      }
    }),
    { numRuns: 30, seed: 3 },
  );
  return undefined;
});

/** Kilobytes of this process's memory that the kernel holds where they are. */
function pinned(): number {
  return Number(/^VmPin:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
}

test('the memory that is written from is registered with the ring, as long as it is this one and the device is open', (t) => {
  const namespace = new Namespace(t);
  if (!hasRings(namespace)) return t.pass('no io_uring here');
  const before = pinned();
  const device = open(t, namespace, { io: 'io_uring' });
  const to = open(t, namespace, { io: 'burst' });
  namespace.bridge(to.name, device.name);
  const arrive = (frames: readonly Uint8Array[]) => {
    const received = receiveAll(to).filter(isExperimental);
    t.deepEqual(received, frames);
  };
  receiveAll(to);
  t.false(device.memoryRegistered);
  const frames = Array.from({ length: 100 }, (_, i) => experimentalFrame(1514, i));
  const batch = batchOf(frames);
  t.is(device.transmit(batch), 100);
  t.true(device.memoryRegistered);
  t.true(pinned() - before >= batch.memory.length / 1024);
  arrive(frames);
  // What is written from it is what it holds by then.
  const changed = frames.map((frame) => frame.map((byte, i) => (i < 14 ? byte : byte ^ 0xff)));
  changed.forEach((frame, i) => {
    batch.memory.set(frame, batch.offsets[i]);
  });
  t.is(device.transmit(batch), 100);
  arrive(changed);
  // Other memory takes its place, whole or as a view of the same bytes.
  const others = [batchOf(frames), { ...batch, memory: batch.memory.subarray(0) }, batchOf(frames.slice(0, 40))];
  for (const other of others) {
    t.is(device.transmit(other), other.count);
    t.true(device.memoryRegistered);
  }
  arrive([...frames, ...changed, ...frames.slice(0, 40)]);
  t.true(pinned() - before <= 8 + others[2]!.memory.length / 1024);
  // What went to somebody else is written from no more, however it is registered.
  const gone = batchOf(frames);
  t.is(device.transmit(gone), 100);
  const buffer = gone.memory.buffer as ArrayBuffer;
  structuredClone(buffer, { transfer: [buffer] });
  t.throws(() => device.transmit(gone), { code: 'ERR_DEVICE', message: /frame 0 lies outside/ });
  arrive(frames);
  t.is(device.transmit({ ...batch, memory: new Uint8Array(0), count: 0 }), 0);
  t.false(device.memoryRegistered);
  t.is(device.transmit(batch), 100);
  device.close();
  t.false(device.memoryRegistered);
  t.is(pinned(), before);
  t.is(to.transmit(batch), 100);
  t.false(to.memoryRegistered);
  return undefined;
});

test('both ways carry frames of 64 KiB', (t) => {
  const namespace = new Namespace(t);
  if (!hasRings(namespace)) return t.pass('no io_uring here');
  const to = open(t, namespace, { mtu: 65521, offload: true });
  const frames = Array.from({ length: 70 }, (_, i) => experimentalFrame(65535 - i, i));
  const senders = WAYS.map((io) => open(t, namespace, { io, offload: true, mtu: 65521 }));
  namespace.bridge(to.name, ...senders.map((device) => device.name));
  namespace.ip('link', 'set', 'br0', 'mtu', '65521');
  receiveAll(to);
  for (const device of senders) {
    t.is(device.transmit(batchOf(frames)), frames.length);
    const received = receiveAll(to, 64, 65535).filter(isExperimental);
    t.true(received.every((frame, i) => Buffer.compare(frame, frames[i]!) === 0));
    t.is(received.length, frames.length);
  }
  return undefined;
});

test('an interface that is down, or gone, and entries outside of the memory are the same both ways', (t) => {
  const namespace = new Namespace(t);
  if (!hasRings(namespace)) return t.pass('no io_uring here');
  const seen = WAYS.map((io) => {
    const device = open(t, namespace, { name: 'wire0', io });
    const frames = Array.from({ length: 200 }, () => experimentalFrame(60));
    const outside = batchOf(frames);
    outside.offsets[150] = 1e9;
    const refused = t.throws(() => device.transmit(outside), { code: 'ERR_DEVICE' })!.message;
    const stats = namespace.ip('-s', 'link', 'show', 'wire0');
    const arrived = /RX:.*\n\s+\d+\s+(\d+)/.exec(stats)?.[1];
    namespace.ip('link', 'set', 'wire0', 'down');
    const whenDown = device.transmit(batchOf(frames));
    namespace.ip('link', 'set', 'wire0', 'up');
    const whenUp = device.transmit(batchOf(frames));
    namespace.ip('link', 'del', 'wire0');
    const whenGone = device.transmit(batchOf(frames));
    const { drops } = device;
    device.close();
    return { refused, arrived, whenDown, whenUp, whenGone, drops };
  });
  t.deepEqual(seen[0], seen[1]);
  t.regex(seen[0]!.refused, /frame 150 lies outside/);
  t.deepEqual(
    { ...seen[0], refused: '' },
    {
      refused: '',
      arrived: '150',
      whenDown: 0,
      whenUp: 200,
      whenGone: 0,
      drops: { oversize: 0, noBuffer: 0, linkDown: 400, invalid: 0, offload: 0 },
    },
  );
  return undefined;
});

test('a ring goes with its device, in every state, and leaves the interface to nobody', (t) => {
  const namespace = new Namespace(t);
  if (!hasRings(namespace)) return t.pass('no io_uring here');
  const before = rings().length;
  const devices = [0, 1, 2].map(() => open(t, namespace, { io: 'io_uring' }));
  t.is(rings().length, before + 3);
  const [idle, polled, used] = devices as [TapDevice, TapDevice, TapDevice];
  polled.open(() => {}, t.log);
  used.transmit(batchOf(Array.from({ length: 64 }, () => experimentalFrame(60))));
  for (const device of [idle, polled, used]) device.close();
  t.deepEqual(namespace.links(), []);
  t.is(rings().length, before);
  const [handed] = open(t, namespace, { io: 'io_uring' }).transfer(1);
  t.is(rings().length, before);
  const adopted = TapDevice.adopt(structuredClone(handed!.data) as never);
  t.is(adopted.io, 'io_uring');
  t.is(rings().length, before + 1);
  adopted.close();
  t.is(rings().length, before);
  return undefined;
});

test('a TAP that stays can be opened again as soon as the process that wrote to it by a ring was killed', (t) => {
  const namespace = new Namespace(t);
  if (!hasRings(namespace)) return t.pass('no io_uring here');
  namespace.ip('tuntap', 'add', 'wire0', 'mode', 'tap');
  const script = fileURLToPath(new URL('./support/write-and-die.js', import.meta.url));
  for (let i = 0; i < 5; i++) {
    const died = spawnSync(process.execPath, [script, namespace.name], { encoding: 'utf8', timeout: 20_000 });
    t.deepEqual([died.signal, died.stdout], ['SIGKILL', 'io_uring, 64 sent\n'], died.stderr);
    open(t, namespace, { name: 'wire0', existing: true }).close();
  }
  return undefined;
});

test('frames that the kernel refuses to take from a ring are written one by one', (t) => {
  const namespace = new Namespace(t);
  if (!hasRings(namespace)) return t.pass('no io_uring here');
  const others = rings();
  const device = open(t, namespace, { io: 'io_uring' });
  const ring = rings().find((fd) => !others.includes(fd))!;
  const frames = Array.from({ length: 100 }, () => experimentalFrame(60));
  t.is(device.transmit(batchOf(frames)), 100);
  closeSync(ring);
  t.is(device.transmit(batchOf(frames)), 100);
  t.is(device.transmit(batchOf([...frames, new Uint8Array(3)])), 100);
  t.deepEqual(device.drops, { oversize: 0, noBuffer: 0, linkDown: 0, invalid: 1, offload: 0 });
  return undefined;
});

test('where a filter refuses io_uring, frames are written one by one, or opening says so', (t) => {
  const namespace = new Namespace(t);
  const filtered = makeFilter(t);
  const script = fileURLToPath(new URL('./support/open-with-io.js', import.meta.url));
  t.regex(
    filtered(IO_URING_SETUP, script, namespace.name, 'auto'),
    /^burst, EPERM: operation not permitted, io_uring_setup '.*', 64 sent\n$/,
  );
  t.is(filtered(IO_URING_SETUP, script, namespace.name, 'burst'), 'burst, not refused, 64 sent\n');
  t.regex(
    filtered(IO_URING_SETUP, script, namespace.name, 'io_uring'),
    /^ERR_DEVICE tap0: cannot be written to by io_uring: EPERM: operation not permitted, io_uring_setup/,
  );
  if (hasRings(namespace)) {
    t.regex(filtered(IO_URING_ENTER, script, namespace.name, 'auto'), /^burst, EPERM.*io_uring_enter.*, 64 sent\n$/);
    t.is(filtered(IO_URING_REGISTER, script, namespace.name, 'auto'), 'io_uring, not refused, 64 sent\n');
    // What kernels before Linux 6.4 refuse of a TAP: nothing that is written to it by a ring would arrive.
    t.regex(filtered(PWRITEV2, script, namespace.name, 'auto'), /^burst, EPERM.*pwritev2 RWF_NOWAIT.*, 64 sent\n$/);
  }
  t.deepEqual(namespace.links(), []);
});
