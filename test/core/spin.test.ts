/** A director that looks for frames without being woken. */
import { setTimeout as pause } from 'node:timers/promises';
import test from 'ava';
import { Director } from '../../src/director.ts';
import { buildFrame } from '../../src/packet/build.ts';
import { FakeDevice } from '../devices/support/fake-device.ts';
import { until } from '../devices/support/until.ts';

const PING = buildFrame({
  ethernet: { source: '02:00:00:00:00:fe', destination: '02:00:00:00:00:01' },
  ip: { source: '192.0.2.9', destination: '192.0.2.1' },
  icmp: { type: 8 },
});

function make(spin: boolean): { device: FakeDevice; director: Director } {
  const device = new FakeDevice();
  const director = new Director({
    interfaces: [{ device, name: 'eth0', addresses: ['192.0.2.1/24'] }],
    neighbours: [{ ip: '192.0.2.9', mac: '02:00:00:00:00:fe', dev: 'eth0' }],
    spin,
  });
  return { device, director };
}

test('frames are found without a wake-up, timers and others get their turn, and stop ends it', async (t) => {
  const { device, director } = make(true);
  t.teardown(() => director.stop());
  director.start();
  for (let i = 1; i <= 3; i++) {
    device.incoming.push(PING);
    await until(() => device.outgoing.length === i, 'the answer');
    await pause(1);
  }
  director.stop();
  device.incoming.push(PING);
  await pause(20);
  t.is(device.outgoing.length, 3);
  t.is(device.incoming.length, 1);
});

test('without spinning it waits to be woken', async (t) => {
  const { device, director } = make(false);
  t.teardown(() => director.stop());
  director.start();
  device.incoming.push(PING);
  await pause(20);
  t.is(device.outgoing.length, 0);
  director.poll();
  t.is(device.outgoing.length, 1);
});
