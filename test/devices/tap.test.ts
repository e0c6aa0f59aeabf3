import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ava, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { TapDevice, type TapOptions } from '../../src/devices/tap.ts';
import type { DirectorError } from '../../src/errors.ts';
import {
  batchOf,
  experimentalFrame,
  framesOf,
  isExperimental,
  makeBatch,
  receiveAll,
  UNTOUCHED,
} from './support/batch.ts';
import { causeOf, failOnError, errorOf as thrownBy } from './support/errors.ts';
import { Namespace, testWithTaps as test } from './support/namespace.ts';
import { Responder } from './support/responder.ts';
import { turns, until } from './support/until.ts';

/** Opens a TAP that is closed, at the latest, when the test is over. */
function open(t: ExecutionContext, namespace: Namespace, options: TapOptions = {}): TapDevice {
  const device = TapDevice.open({ namespace: namespace.name, ...options });
  t.teardown(() => device.close());
  return device;
}

/** Two TAPs connected by a bridge, nothing waiting on them. */
function openPair(t: ExecutionContext): [from: TapDevice, to: TapDevice] {
  const namespace = new Namespace(t);
  const pair: [TapDevice, TapDevice] = [open(t, namespace), open(t, namespace)];
  namespace.bridge(pair[0].name, pair[1].name);
  receiveAll(pair[1]);
  return pair;
}

/** What `TapDevice.open` throws. */
const errorOf = (options: TapOptions): DirectorError => thrownBy(() => TapDevice.open(options));

test('opens an interface of the name, addresses and MTU that were asked for, and brings it up', (t) => {
  const namespace = new Namespace(t);
  const device = open(t, namespace, {
    name: 'wire0',
    mac: '02:00:00:00:00:AA',
    kernelMac: '02:00:00:00:00:bb',
    mtu: 1280,
  });
  t.deepEqual(
    [device.name, device.mac, device.kernelMac, device.mtu],
    ['wire0', '02:00:00:00:00:aa', '02:00:00:00:00:bb', 1280],
  );
  const link = namespace.link('wire0');
  t.is(link.address, '02:00:00:00:00:bb');
  t.is(link.mtu, 1280);
  t.true(link.flags.includes('UP'));
  device.close();
  t.deepEqual(namespace.links(), []);
});

test('lets the kernel choose a name, wholly or by a pattern, and leaves the interface down when asked', (t) => {
  const namespace = new Namespace(t);
  const any = open(t, namespace, { up: false });
  const first = open(t, namespace, { name: 'lvs%d' });
  const second = open(t, namespace, { name: 'lvs%d' });
  t.deepEqual([any.name, first.name, second.name], ['tap0', 'lvs0', 'lvs1']);
  t.false(namespace.link('tap0').flags.includes('UP'));
  t.is(any.mtu, 1500);
  t.not(first.mac, second.mac);
});

test("the director's address is the same every time, locally administered, and not the kernel's", (t) => {
  const namespace = new Namespace(t);
  const device = open(t, namespace, { name: 'wire0' });
  t.regex(device.mac, /^[0-9a-f][26ae](:[0-9a-f]{2}){5}$/);
  t.not(device.mac, device.kernelMac);
  device.close();
  const again = open(t, namespace, { name: 'wire0' });
  t.is(again.mac, device.mac);
  again.close();
  const error = errorOf({
    name: 'wire0',
    namespace: namespace.name,
    mac: '02:00:00:00:00:01',
    kernelMac: '02:00:00:00:00:01',
  });
  t.is(error.code, 'ERR_INVALID_OPTION');
  t.is(error.option, 'mac');
  t.deepEqual(namespace.links(), []);
});

test('attaches to an interface that is there, and leaves it there', (t) => {
  const namespace = new Namespace(t);
  namespace.ip('tuntap', 'add', 'dev', 'kept0', 'mode', 'tap');
  namespace.ip('link', 'set', 'kept0', 'mtu', '1400');
  for (const options of [{}, { existing: true }]) {
    const device = open(t, namespace, { name: 'kept0', ...options });
    t.is(device.mtu, 1400);
    t.is(device.kernelMac, namespace.link('kept0').address);
    device.close();
    t.deepEqual(namespace.links(), ['kept0']);
  }
  t.is(causeOf(errorOf({ name: 'kept0', namespace: namespace.name, existing: false })).code, 'EBUSY');
});

test('says what is wrong when an interface cannot be had', (t) => {
  const namespace = new Namespace(t);
  const there = { namespace: namespace.name };
  open(t, namespace, { name: 'wire0' });
  namespace.ip('link', 'add', 'br0', 'type', 'bridge');
  const cases: [TapOptions, string, string, RegExp][] = [
    [{ name: 'wire0', ...there }, 'EBUSY', 'ioctl TUNSETIFF', /wire0 in namespace tapvs-.*in use/],
    [{ name: 'none0', existing: true, ...there }, 'ENODEV', 'ioctl SIOCGIFINDEX', /no interface of this name/],
    [{ name: 'br0', ...there }, 'EINVAL', 'ioctl TUNSETIFF', /is no TAP, or has one queue/],
    [{ namespace: 'tapvs-there-is-none' }, 'ENOENT', 'open', /no such network namespace/],
    [{ namespace: '/proc/version' }, 'EINVAL', 'setns', /not a network namespace/],
    [{ namespace: '/proc/self/ns/mnt' }, 'EINVAL', 'setns', /not a network namespace/],
  ];
  for (const [options, code, syscall, message] of cases) {
    const error = errorOf(options);
    t.is(error.code, 'ERR_DEVICE');
    t.regex(error.message, message);
    const cause = causeOf(error);
    t.deepEqual([cause.code, cause.syscall, cause.device], [code, syscall, options.name ?? '']);
  }
  t.deepEqual(namespace.links().sort(), ['br0', 'wire0']);
});

ava('refuses options that cannot be', (t) => {
  const cases: [object, string][] = [
    [{ nmae: 'tap0' }, 'nmae'],
    [{ name: 7 }, 'name'],
    [{ name: 'a-name-too-long0' }, 'name'],
    [{ name: 'a/b' }, 'name'],
    [{ name: 'a b' }, 'name'],
    [{ name: '..' }, 'name'],
    [{ name: 'tap%s' }, 'name'],
    [{ name: 'tap%d%d' }, 'name'],
    [{ name: 'tap\0' }, 'name'],
    [{ existing: true }, 'name'],
    [{ name: 'tap%d', existing: true }, 'name'],
    [{ existing: 'yes' }, 'existing'],
    [{ namespace: '' }, 'namespace'],
    [{ namespace: '..' }, 'namespace'],
    [{ namespace: 3 }, 'namespace'],
    [{ mac: 'nonsense' }, 'mac'],
    [{ mac: '01:00:5e:00:00:01' }, 'mac'],
    [{ mac: '00:00:00:00:00:00' }, 'mac'],
    [{ kernelMac: 'ff:ff:ff:ff:ff:ff' }, 'kernelMac'],
    [{ mtu: 67 }, 'mtu'],
    [{ mtu: 65522 }, 'mtu'],
    [{ mtu: 1500.5 }, 'mtu'],
    [{ mtu: '1500' }, 'mtu'],
    [{ up: 1 }, 'up'],
    [{ offload: 'yes' }, 'offload'],
    [{ queues: 0 }, 'queues'],
    [{ io: 'fast' }, 'io'],
    [{ queues: 257 }, 'queues'],
  ];
  for (const [options, option] of cases) {
    const error = errorOf(options);
    t.is(error.code, 'ERR_INVALID_OPTION', option);
    t.is(error.option, option);
  }
});

test('opens in a namespace by path, and the calling thread stays in its own', (t) => {
  const namespace = new Namespace(t);
  const before = readlinkSync('/proc/thread-self/ns/net');
  const device = TapDevice.open({ name: 'wire0', namespace: `/var/run/netns/${namespace.name}` });
  t.is(readlinkSync('/proc/thread-self/ns/net'), before);
  t.deepEqual(namespace.links(), ['wire0']);
  device.close();
  errorOf({ name: 'br0', namespace: namespace.name, existing: true });
  t.is(readlinkSync('/proc/thread-self/ns/net'), before);
});

test('opens in a namespace from which there is no way back', async (t) => {
  // A user namespace may enter the network namespaces that it made, but not the one that it came from.
  const script = fileURLToPath(new URL('./support/open-in-child-namespace.js', import.meta.url));
  const child = spawn('unshare', ['--user', '--map-root-user', process.execPath, script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (text) => (output += text));
  const [status] = await once(child, 'close');
  t.is(output, 'opened wire0\n');
  t.is(status, 0);
});

test('carries frames both ways: the kernel resolves the address of, and pings, a host behind the wire', async (t) => {
  const namespace = new Namespace(t);
  const device = open(t, namespace, { name: 'wire0' });
  namespace.ip('address', 'add', '198.51.100.1/24', 'dev', 'wire0');
  const responder = new Responder(device, '198.51.100.2');
  device.open(() => responder.wake(), failOnError);
  const output = await namespace.runAside('ping', '-c', '3', '-i', '0.5', '-s', '1400', '198.51.100.2');
  t.regex(output, /3 received, 0% packet loss/);
  t.regex(namespace.ip('neigh', 'show', '198.51.100.2'), new RegExp(`lladdr ${device.mac}`));
  t.true(responder.answered >= 4);
});

test('frames of every length arrive byte for byte, in order, and nothing is written beside them', (t) => {
  const [from, to] = openPair(t);
  const frame = fc
    .tuple(fc.integer({ min: 14, max: 1514 }), fc.integer({ min: 0, max: 255 }))
    .map(([length, fill]) => experimentalFrame(length, fill));
  fc.assert(
    fc.property(fc.array(frame, { minLength: 1, maxLength: 40 }), (frames) => {
      t.is(from.transmit(batchOf(frames)), frames.length);
      const batch = makeBatch(64);
      const count = to.receive(batch);
      const received = framesOf(batch, count);
      t.deepEqual(received.filter(isExperimental), frames);
      const expected = new Uint8Array(batch.memory.length).fill(UNTOUCHED);
      for (const [i, each] of received.entries()) expected.set(each, batch.offsets[i]);
      t.deepEqual(batch.memory, expected);
    }),
    { numRuns: 50, seed: 7 },
  );
});

test('drops and counts what is too long for the room, also in the last bytes of the memory', (t) => {
  const [from, to] = openPair(t);
  const lengths = [100, 101, 99, 1000, 100];
  from.transmit(batchOf(lengths.map((length) => experimentalFrame(length))));
  const exact = {
    memory: new Uint8Array(100),
    offsets: new Int32Array(1),
    lengths: new Int32Array(1),
    partial: new Int32Array(1),
    segments: new Int32Array(1),
    room: 100,
    count: 1,
  };
  const received = [];
  for (let calls = 0; calls < 10; calls++) if (to.receive(exact) === 1) received.push(exact.lengths[0]);
  t.deepEqual(received, [100, 99, 100]);
  t.is(to.drops.oversize, 2);

  from.transmit(batchOf([101, 100].map((length) => experimentalFrame(length))));
  const batch = makeBatch(4, 100);
  t.is(to.receive(batch), 1);
  t.is(batch.lengths[0], 100);
  t.is(to.drops.oversize, 3);
  to.close();
  t.is(to.drops.oversize, 3);
});

test('loses what cannot be sent, as a wire does, and counts it by reason', (t) => {
  const namespace = new Namespace(t);
  const device = open(t, namespace, { name: 'wire0' });
  const good = experimentalFrame(60);
  t.is(device.transmit(batchOf([good, new Uint8Array(13), new Uint8Array(0), good])), 2);
  t.deepEqual(device.drops, { oversize: 0, noBuffer: 0, linkDown: 0, invalid: 2, offload: 0 });
  namespace.ip('link', 'set', 'wire0', 'down');
  t.is(device.transmit(batchOf([good, good, good])), 0);
  t.deepEqual(device.drops, { oversize: 0, noBuffer: 0, linkDown: 3, invalid: 2, offload: 0 });
  namespace.ip('link', 'set', 'wire0', 'up');
  t.is(device.transmit(batchOf([good])), 1);
  namespace.ip('link', 'del', 'wire0');
  t.is(device.transmit(batchOf([good, good])), 0);
  t.is(device.drops.linkDown, 5);
  t.is(device.receive(makeBatch(4)), 0);
});

test('reports that the interface was deleted, once', async (t) => {
  const namespace = new Namespace(t);
  const device = open(t, namespace, { name: 'wire0' });
  const errors: Error[] = [];
  device.open(
    () => receiveAll(device),
    (error) => errors.push(error),
  );
  namespace.ip('link', 'del', 'wire0');
  await until(() => errors.length > 0, 'the failure');
  device.receive(makeBatch(1));
  await turns(5);
  t.is(errors.length, 1);
  const [error] = errors as DirectorError[];
  t.is(error!.code, 'ERR_DEVICE');
  t.is(causeOf(error!).code, 'ENODEV');
  t.is(causeOf(error!).device, 'wire0');
});

test('calls again until everything was taken, letting others have their turn, and is silent then', async (t) => {
  const [from, to] = openPair(t);
  let wakes = 0;
  let turnsBetween = 0;
  let taken = 0;
  to.open(() => {
    wakes++;
    setImmediate(() => turnsBetween++);
    taken += receiveOne(to);
  }, failOnError);
  from.transmit(batchOf(Array.from({ length: 50 }, () => experimentalFrame(60))));
  await until(() => taken >= 50, 'all frames');
  t.true(turnsBetween >= 49);
  const whenDone = wakes;
  await turns(20);
  t.is(wakes, whenDone);
});

/** Takes one frame; returns 1 when it was one of ours. */
function receiveOne(device: TapDevice): number {
  const batch = makeBatch(1);
  return framesOf(batch, device.receive(batch)).filter(isExperimental).length;
}

test('who was woken and does not receive is not woken again before it does', async (t) => {
  const [from, to] = openPair(t);
  let wakes = 0;
  to.open(() => wakes++, failOnError);
  const send = () => from.transmit(batchOf([experimentalFrame(60), experimentalFrame(60)]));
  send();
  await until(() => wakes > 0, 'the first wake-up');
  send();
  await turns(20);
  t.is(wakes, 1);
  to.receive(makeBatch(1));
  await until(() => wakes === 2, 'the second wake-up');
  await turns(20);
  t.is(wakes, 2);
  t.is(receiveAll(to).filter(isExperimental).length >= 3, true);
  send();
  await until(() => wakes === 3, 'the third wake-up');
});

test('closes in every state, also from inside its own wake-up, and says so afterwards', async (t) => {
  const namespace = new Namespace(t);
  const idle = open(t, namespace);
  idle.close();
  idle.close();
  t.is(idle.receive(makeBatch(1)), 0);
  t.is(idle.transmit(batchOf([experimentalFrame(60)])), 0);
  t.throws(() => idle.open(() => {}, failOnError), { code: 'ERR_DEVICE', message: /is closed/ });

  const polled = open(t, namespace);
  polled.open(() => {}, failOnError);
  t.throws(() => polled.open(() => {}, failOnError), { code: 'ERR_DEVICE', message: /is in use/ });
  polled.close();
  polled.close();

  const [from, to] = openPair(t);
  let wakes = 0;
  to.open(() => {
    wakes++;
    to.receive(makeBatch(1));
    to.close();
  }, failOnError);
  from.transmit(batchOf([experimentalFrame(60), experimentalFrame(60)]));
  await until(() => wakes > 0, 'the wake-up');
  await turns(10);
  t.is(wakes, 1);
  t.deepEqual(namespace.links(), []);
});

test('a batch that lies is refused, whatever it says', (t) => {
  const namespace = new Namespace(t);
  const device = open(t, namespace);
  const batch = makeBatch(2);
  for (const lie of [
    { count: 3 },
    { count: -1 },
    { room: 1e9 },
    { offsets: new Int32Array([-1, 0]) },
    { memory: [] as never },
  ]) {
    t.throws(() => device.receive({ ...batch, ...lie }), { code: 'ERR_DEVICE' });
  }
  for (const lie of [{ count: 3 }, { lengths: new Int32Array([-1, 0]) }, { offsets: new Int32Array([1e9, 0]) }]) {
    t.throws(() => device.transmit({ ...batch, ...lie }), { code: 'ERR_DEVICE' });
  }
});

test('opening and closing leaves no descriptors and no interfaces behind', async (t) => {
  const namespace = new Namespace(t);
  const descriptors = () => readdirSync('/proc/self/fd').length;
  const cycle = (rounds: number) => {
    for (let i = 0; i < rounds; i++) {
      const device = TapDevice.open({ name: 'wire0', namespace: namespace.name });
      if (i % 2 === 0) device.open(() => {}, failOnError);
      device.close();
      errorOf({ name: 'wire0', namespace: namespace.name, existing: true });
    }
  };
  cycle(2);
  await turns(5);
  const before = descriptors();
  cycle(100);
  await turns(5);
  t.is(descriptors(), before);
  t.deepEqual(namespace.links(), []);
});

test('an open device keeps the process alive until it is closed; a process may end with it open', (t) => {
  const namespace = new Namespace(t);
  const script = fileURLToPath(new URL('./support/open-and-end.js', import.meta.url));
  const run = (how: string) =>
    execFileSync(process.execPath, [script, namespace.name, how], { encoding: 'utf8', timeout: 20_000 });
  t.is(run('close-later'), 'opened\nclosed\n');
  t.is(run('exit'), 'opened\n');
  t.is(run('nothing-started'), 'opened\n');
  t.deepEqual(namespace.links(), []);
});

ava('without the native addon, and elsewhere than on Linux, opening says so', (t) => {
  const script = fileURLToPath(new URL('./support/open-without-addon.js', import.meta.url));
  const run = (how: string, env: object) =>
    execFileSync(process.execPath, [script, how], { encoding: 'utf8', env: { ...process.env, ...env } });
  t.regex(run('elsewhere', {}), /^ERR_UNSUPPORTED_PLATFORM TAP interfaces are supported on Linux only, not on darwin/);
  if (process.platform !== 'linux') return;
  t.regex(run('here', { TAPVS_PREBUILD: '/nonexistent' }), /^ERR_UNSUPPORTED_PLATFORM .*npm rebuild tapvs/);
});
