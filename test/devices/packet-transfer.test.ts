/** PacketDevices with several queues, and PacketDevices on their way to another thread, on real veth pairs. */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { openDevice } from '../../src/daemon/devices.ts';
import { type DetachedPacket, PacketDevice } from '../../src/devices/packet.ts';
import type { DirectorError } from '../../src/errors.ts';
import { buildFrame } from '../../src/packet/build.ts';
import { employAdopter } from './support/adopter.ts';
import { batchOf, experimentalFrame, isExperimental, makeBatch, receiveAll } from './support/batch.ts';
import { causeOf, failOnError } from './support/errors.ts';
import { failDirectors } from './support/failing-director.ts';
import { type Namespace, testWithTaps as test } from './support/namespace.ts';
import { until } from './support/until.ts';
import { connect, open } from './support/veth.ts';

const WAYS = ['af_packet', 'af_xdp'] as const;

const descriptors = (): number => readdirSync('/proc/self/fd').length;

/** What a device sends to `count` threads, as it arrives there. */
function detach(device: PacketDevice, count: number): DetachedPacket[] {
  return device.transfer(count).map(({ data }) => structuredClone(data) as DetachedPacket);
}

/** What the kernel keeps for those who are attached: whether an XDP program runs, and how often all groups were asked for. */
function attachments(namespace: Namespace): [program: boolean, groups: number] {
  const link = JSON.parse(namespace.ip('-json', '-d', 'link', 'show', 'wire0'))[0];
  return [link.xdp !== undefined, link.allmulti];
}

/** How many frames the interface has received. */
function arrivals(namespace: Namespace): number {
  return JSON.parse(namespace.ip('-json', '-s', 'link', 'show', 'wire0'))[0].stats64.rx.packets;
}

/** Flows of many ports: their hash spreads them. */
const FLOWS = Array.from({ length: 200 }, (_, i) =>
  buildFrame({
    ethernet: { source: '02:00:00:00:00:77', destination: 'ff:ff:ff:ff:ff:ff' },
    ip: { source: '198.51.100.1', destination: '198.51.100.2' },
    udp: { sourcePort: 40000 + i, destinationPort: 80 },
  }),
);

test('each queue gets a part of the flows, every frame once, and none that the device has sent', (t) => {
  const [near, far] = connect(t);
  const device = open(t, near, { queues: 3 });
  t.throws(() => device.open(() => {}, failOnError), { code: 'ERR_DEVICE', message: /has 3 queues/ });
  t.throws(() => device.transfer(2), {
    code: 'ERR_INVALID_OPTION',
    message: /queues: 3 is not the number of threads, 2/,
  });
  const queues = detach(device, 3).map((data) => PacketDevice.adopt(data));
  t.teardown(() => {
    for (const queue of queues) queue.close();
  });
  // Another group on the interface gets everything too.
  const others = detach(open(t, near, { queues: 2 }), 2).map((data) => PacketDevice.adopt(data));
  const from = open(t, far, { interface: 'wire1' });
  for (const each of [...queues, ...others]) receiveAll(each);

  for (const queue of queues) {
    t.deepEqual([queue.name, queue.mac, queue.mtu, queue.io], ['wire0', device.mac, 1500, 'af_packet']);
    t.is(queue.segmentation, device.segmentation);
    t.is(queue.transmit(batchOf([experimentalFrame(60)])), 1);
  }
  t.is(receiveAll(from).filter(isExperimental).length, 3);
  for (const each of [...queues, ...others]) t.deepEqual(receiveAll(each), []);

  t.is(from.transmit(batchOf(FLOWS)), 200);
  const taken = queues.map((queue) => receiveAll(queue));
  const shares = taken.map((frames) => frames.length);
  t.true(Math.min(...shares) > 20, `${shares}`);
  const inOrder = (frames: readonly Uint8Array[]) => frames.map((frame) => Buffer.from(frame).toString('hex')).sort();
  t.deepEqual(inOrder(taken.flat()), inOrder(FLOWS));
  t.deepEqual(inOrder(others.flatMap((each) => receiveAll(each))), inOrder(FLOWS));
  // A flow stays where it is.
  from.transmit(batchOf(FLOWS));
  t.deepEqual(
    queues.map((queue) => receiveAll(queue)),
    taken,
  );

  // What is left takes the flows of one that is closed.
  for (const each of others) each.close();
  queues[0]!.close();
  queues[1]!.close();
  from.transmit(batchOf(FLOWS));
  t.is(receiveAll(queues[2]!).length, 200);
  queues[2]!.transmit(batchOf([new Uint8Array(5)]));
  t.is(device.drops.invalid, 1);
});

test('for a director in several threads the daemon opens as many queues', (t) => {
  const [near] = connect(t);
  const configuration = { type: 'packet', name: 'wire0', namespace: near.name } as const;
  const device = openDevice({ ...configuration, io: 'af_packet' }, 2);
  for (const { data } of device.transfer!(2)) PacketDevice.adopt(data as DetachedPacket).close();
  const xdp = { ...configuration, io: 'af_xdp' } as const;
  t.throws(() => openDevice(xdp, 2), {
    code: 'ERR_INVALID_OPTION',
    message: /^io: 'af_xdp' is not possible in several/,
  });
  openDevice(xdp, 1).close();
});

test('queues that cannot all be had leave nothing open', (t) => {
  const [near] = connect(t);
  near.ip('tuntap', 'add', 'dev', 'tunnel0', 'mode', 'tun');
  const before = descriptors();
  t.throws(() => open(t, near, { interface: 'tunnel0', queues: 2 }), { code: 'ERR_DEVICE' });
  open(t, near, { queues: 16 }).close();
  t.is(descriptors(), before);
});

for (const io of WAYS) {
  test(`what was handed on has one owner, who gets what was waiting: ${io}`, (t) => {
    const [near, far] = connect(t);
    const nothing = attachments(near);
    const from = open(t, far, { interface: 'wire1' });
    const before = descriptors();
    const device = open(t, near, { io });
    const held = attachments(near);
    t.throws(() => device.transfer(2), { code: 'ERR_INVALID_OPTION', message: /queues/ });
    receiveAll(device);
    const frames = [60, 61, 62].map((length) => experimentalFrame(length));
    from.transmit(batchOf(frames));
    const [data] = detach(device, 1);
    t.throws(() => device.transfer(1), { code: 'ERR_DEVICE', message: /handed on/ });
    t.throws(() => device.open(() => {}, failOnError), { code: 'ERR_DEVICE', message: /handed on/ });
    t.throws(() => device.receive(makeBatch(1)), { code: 'ERR_DEVICE' });
    const adopted = PacketDevice.adopt(data!);
    device.close();
    t.is(device.receive(makeBatch(1)), 0);
    t.deepEqual(attachments(near), held);
    t.throws(() => PacketDevice.adopt(data!), { code: 'ERR_DEVICE', message: /adopted before/ });
    t.throws(() => PacketDevice.adopt({ ...data!, ticket: 0 }), { code: 'ERR_INVALID_OPTION' });
    t.throws(() => PacketDevice.adopt({ ...data!, ticket: 2 ** 31 - 1 }), { code: 'ERR_DEVICE' });
    t.deepEqual(
      [adopted.name, adopted.mac, adopted.interfaceMac, adopted.mtu, adopted.io, adopted.xdpMode],
      [device.name, device.mac, device.interfaceMac, device.mtu, io, device.xdpMode],
    );
    t.is(adopted.largestFrame, device.largestFrame);
    t.deepEqual(receiveAll(adopted), frames);
    // It may be handed on again.
    const again = PacketDevice.adopt(detach(adopted, 1)[0]!);
    adopted.close();
    again.transmit(batchOf([new Uint8Array(5), ...frames]));
    t.is(device.drops.invalid, 1);
    t.deepEqual(receiveAll(from).filter(isExperimental), frames);
    again.close();
    t.deepEqual(attachments(near), nothing);
    t.is(descriptors(), before);
    const used = open(t, near, { io });
    used.open(() => {}, failOnError);
    t.throws(() => used.transfer(1), { code: 'ERR_DEVICE', message: /in use/ });
    used.close();
    t.throws(() => used.transfer(1), { code: 'ERR_DEVICE', message: /closed/ });
  });

  test(`what was handed on and nobody has adopted is closed with the device: ${io}`, (t) => {
    const [near] = connect(t);
    const nothing = attachments(near);
    const before = descriptors();
    const device = open(t, near, { io });
    const [data] = detach(device, 1);
    device.close();
    t.deepEqual(attachments(near), nothing);
    t.is(descriptors(), before);
    t.throws(() => PacketDevice.adopt(data!), { code: 'ERR_DEVICE', message: /adopted before/ });
    device.close();
    open(t, near, { io }).close();
  });

  test(`a director that cannot be made lets go of what it was given: ${io}`, async (t) => {
    const [near] = connect(t);
    const nothing = attachments(near);
    const before = descriptors();
    await failDirectors(
      t,
      () => open(t, near, { io }),
      () => isDeepStrictEqual(attachments(near), nothing),
    );
    await until(() => descriptors() === before, 'the end of the threads');
  });

  test(`the losses of what was handed on are known here, too: ${io}`, async (t) => {
    const [near, far] = connect(t);
    const from = open(t, far, { interface: 'wire1' });
    const device = open(t, near, { io });
    receiveAll(device);
    const before = arrivals(near);
    // What the veth loses in between did not arrive, and nobody missed it.
    const arrived = () => arrivals(near) - before;
    const [transfer] = device.transfer(1);
    // More than its rings hold, while nobody takes any.
    const burst = batchOf(Array.from({ length: 100 }, () => experimentalFrame(1500)));
    const send = () => {
      for (let i = 0; i < 40; i++) {
        const refused = from.drops.noBuffer;
        const sent = from.transmit(burst);
        t.is(sent + from.drops.noBuffer - refused, 100);
      }
    };
    send();
    t.is(device.drops.missed, 0);
    const worker = employAdopter(transfer!, 'polling');
    t.teardown(() => worker.terminate());
    let received = 0;
    worker.on('message', (told: unknown) => {
      if (typeof told === 'number') received += told;
    });
    await until(() => received >= 2000, 'the frames that found room');
    await until(() => received + device.drops.missed === arrived(), 'the count of the others');
    t.true(device.drops.missed > 0);
    t.is(device.drops.invalid, 1);
    // It asks the kernel again while it goes on, and when it ends.
    send();
    await until(() => received + device.drops.missed === arrived(), 'the others');
    await worker.terminate();
    t.is(received + device.drops.missed, arrived());
  });

  test(`that the interface is gone is known where the device was handed on to: ${io}`, async (t) => {
    const [near] = connect(t);
    const device = open(t, near, { io });
    near.ip('link', 'del', 'wire0');
    receiveAll(device);
    const adopted = PacketDevice.adopt(detach(device, 1)[0]!);
    t.teardown(() => adopted.close());
    const errors: Error[] = [];
    adopted.open(
      () => receiveAll(adopted),
      (error) => errors.push(error),
    );
    await until(() => errors.length > 0, 'the failure');
    t.is(causeOf(errors[0] as DirectorError).code, 'ENODEV');
  });

  test(`a worker that ends, however, closes what it adopted: ${io}`, async (t) => {
    const [near, far] = connect(t);
    const nothing = attachments(near);
    for (const end of ['idle', 'close', 'throw', 'polling', 'terminate'] as const) {
      const device = open(t, near, { io });
      const worker = employAdopter(device.transfer(1)[0]!, end === 'terminate' ? 'polling' : end);
      const ended = new Promise((resolve) => worker.once('exit', resolve));
      worker.on('error', (error) => t.is(error.message, 'the worker dies'));
      const [hello] = await once(worker, 'message');
      t.deepEqual(hello, { name: 'wire0', mac: device.mac, sent: 1 });
      if (end === 'polling') {
        t.notDeepEqual(attachments(near), nothing);
        const from = open(t, far, { interface: 'wire1' });
        from.transmit(batchOf([experimentalFrame(60)]));
        await once(worker, 'message');
        from.close();
      }
      if (end === 'polling' || end === 'terminate') await worker.terminate();
      await ended;
      t.deepEqual(attachments(near), nothing, end);
      t.is(device.drops.invalid, 1);
    }
  });
}
