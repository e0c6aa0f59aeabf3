/** TAPs with several queues, and TAPs on their way to another thread. */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { type DetachedTap, TapDevice, type TapOptions } from '../../src/devices/tap.ts';
import { buildFrame } from '../../src/packet/build.ts';
import { employAdopter } from './support/adopter.ts';
import { batchOf, experimentalFrame, isExperimental, receiveAll } from './support/batch.ts';
import { failOnError } from './support/errors.ts';
import { failDirectors } from './support/failing-director.ts';
import { Namespace, testWithTaps as test } from './support/namespace.ts';
import { until } from './support/until.ts';

const descriptors = (): number => readdirSync('/proc/self/fd').length;

function open(t: ExecutionContext, namespace: Namespace, options: TapOptions = {}): TapDevice {
  const device = TapDevice.open({ namespace: namespace.name, ...options });
  t.teardown(() => device.close());
  return device;
}

/** What a device sends to `count` threads, as it arrives there. */
function detach(device: TapDevice, count: number): DetachedTap[] {
  return device.transfer(count).map(({ data }) => structuredClone(data) as DetachedTap);
}

test('each queue gets a part of the flows and sends, and the interface goes with the last', (t) => {
  const namespace = new Namespace(t);
  const device = open(t, namespace, { name: 'wire0', queues: 2, offload: true });
  t.throws(() => device.open(() => {}, failOnError), { code: 'ERR_DEVICE', message: /has 2 queues/ });
  const queues = detach(device, 2).map((data) => TapDevice.adopt(data));
  const from = open(t, namespace);
  namespace.bridge('wire0', from.name);
  for (const queue of queues) receiveAll(queue);
  for (const queue of queues) {
    t.deepEqual([queue.name, queue.mac, queue.mtu], ['wire0', device.mac, 1500]);
    t.is(queue.segmentation, device.segmentation);
    t.is(queue.transmit(batchOf([experimentalFrame(60)])), 1);
  }
  t.is(receiveAll(from).filter(isExperimental).length, 2);

  // Flows of many ports: their hash spreads them.
  const ethernet = { source: '02:00:00:00:00:77', destination: 'ff:ff:ff:ff:ff:ff' };
  const ip = { source: '198.51.100.1', destination: '198.51.100.2' };
  const flows = Array.from({ length: 200 }, (_, i) =>
    buildFrame({ ethernet, ip, udp: { sourcePort: 40000 + i, destinationPort: 80 } }),
  );
  from.transmit(batchOf(flows));
  const shares = queues.map((queue) => receiveAll(queue).length);
  t.is(shares[0]! + shares[1]!, 200);
  t.true(Math.min(...shares) > 20, String(shares));

  queues[0]!.close();
  t.true(namespace.links().includes('wire0'));
  from.transmit(batchOf(flows));
  t.is(receiveAll(queues[1]!).length, 200);
  queues[1]!.close();
  t.deepEqual(namespace.links().sort(), ['br0', from.name].sort());
});

test('an interface with one queue is not one with several', (t) => {
  const namespace = new Namespace(t);
  namespace.ip('tuntap', 'add', 'dev', 'one0', 'mode', 'tap');
  namespace.ip('tuntap', 'add', 'dev', 'many0', 'mode', 'tap', 'multi_queue');
  const opened = (options: TapOptions) => () => TapDevice.open({ namespace: namespace.name, ...options }).close();
  t.throws(opened({ name: 'one0', queues: 1 }), { code: 'ERR_DEVICE', message: /or has one queue/ });
  t.throws(opened({ name: 'many0' }), { code: 'ERR_DEVICE', message: /or has one queue/ });
  t.notThrows(opened({ name: 'many0', queues: 4 }));
  const before = descriptors();
  t.notThrows(opened({ name: 'new%d', existing: false, queues: 256 }));
  t.is(descriptors(), before);
  t.deepEqual(namespace.links().sort(), ['many0', 'one0']);
});

test('what was handed on has one owner: here it can only be closed, and nobody can adopt it twice', (t) => {
  const namespace = new Namespace(t);
  const before = descriptors();
  const device = open(t, namespace, { name: 'wire0' });
  t.throws(() => device.transfer(2), { code: 'ERR_INVALID_OPTION', message: /queues/ });
  const [data] = detach(device, 1);
  t.throws(() => device.transfer(1), { code: 'ERR_DEVICE', message: /handed on/ });
  t.throws(() => device.open(() => {}, failOnError), { code: 'ERR_DEVICE', message: /handed on/ });
  t.throws(() => device.transmit(batchOf([experimentalFrame(60)])), { code: 'ERR_DEVICE' });
  const adopted = TapDevice.adopt(data!);
  device.close();
  t.deepEqual(namespace.links(), ['wire0']);
  t.throws(() => TapDevice.adopt(data!), { code: 'ERR_DEVICE', message: /adopted before/ });
  t.throws(() => TapDevice.adopt({ ...data!, ticket: 0 }), { code: 'ERR_INVALID_OPTION' });
  t.throws(() => TapDevice.adopt({ ...data!, ticket: 2 ** 31 - 1 }), { code: 'ERR_DEVICE' });
  // It may be handed on again.
  const again = TapDevice.adopt(detach(adopted, 1)[0]!);
  adopted.close();
  again.transmit(batchOf([new Uint8Array(5)]));
  t.is(device.drops.invalid, 1);
  again.close();
  t.deepEqual(namespace.links(), []);
  t.is(descriptors(), before);
  const used = open(t, namespace);
  used.open(() => {}, failOnError);
  t.throws(() => used.transfer(1), { code: 'ERR_DEVICE', message: /in use/ });
  used.close();
  t.throws(() => used.transfer(1), { code: 'ERR_DEVICE', message: /closed/ });
});

test('what was handed on and nobody has adopted is closed with the device', (t) => {
  const namespace = new Namespace(t);
  const before = descriptors();
  const device = open(t, namespace, { name: 'wire0', queues: 2 });
  const [data, left] = detach(device, 2);
  const adopted = TapDevice.adopt(data!);
  device.close();
  t.throws(() => TapDevice.adopt(left!), { code: 'ERR_DEVICE', message: /adopted before/ });
  t.is(adopted.transmit(batchOf([experimentalFrame(60)])), 1);
  adopted.close();
  t.deepEqual(namespace.links(), []);
  t.is(descriptors(), before);
});

test('a director that cannot be made lets go of what it was given', async (t) => {
  const namespace = new Namespace(t);
  const before = descriptors();
  await failDirectors(
    t,
    () => open(t, namespace, { name: 'wire0' }),
    () => namespace.links().length === 0,
  );
  await until(() => descriptors() === before, 'the end of the threads');
});

test('a worker that ends, however, closes what it adopted', async (t) => {
  const namespace = new Namespace(t);
  for (const end of ['idle', 'close', 'throw', 'polling', 'terminate'] as const) {
    const device = open(t, namespace, { name: 'wire0' });
    const worker = employAdopter(device.transfer(1)[0]!, end === 'terminate' ? 'polling' : end);
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    worker.on('error', (error) => t.is(error.message, 'the worker dies'));
    const [hello] = await once(worker, 'message');
    t.deepEqual(hello, { name: 'wire0', mac: device.mac, sent: 1 });
    if (end === 'polling') {
      t.deepEqual(namespace.links(), ['wire0']);
      const from = open(t, namespace);
      namespace.bridge('wire0', from.name);
      from.transmit(batchOf([experimentalFrame(60)]));
      await once(worker, 'message');
      from.close();
      namespace.ip('link', 'del', 'br0');
    }
    if (end === 'polling' || end === 'terminate') await worker.terminate();
    await ended;
    t.deepEqual(namespace.links(), [], end);
    t.is(device.drops.invalid, 1);
  }
});
