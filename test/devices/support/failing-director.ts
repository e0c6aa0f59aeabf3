import type { ExecutionContext } from 'ava';
import type { Device } from '../../../src/devices/device.ts';
import { Director, MemoryDevice } from '../../../src/index.ts';
import { until } from './until.ts';

/**
 * Gives a device to directors in a thread that cannot be made, opening it anew for each, and checks that every time all that
 * it held is let go of.
 */
export async function failDirectors(t: ExecutionContext, open: () => Device, isClosed: () => boolean): Promise<void> {
  const fail = (devices: readonly Device[], code: string) =>
    t.throws(() => new Director({ threads: 1, interfaces: devices.map((device) => ({ device })) }), { code });
  const used = new MemoryDevice({ name: 'used0' });
  used.open(() => {});
  fail([open(), used], 'ERR_DEVICE');
  t.true(isClosed(), 'no thread was given it');

  const lost = new MemoryDevice({ name: 'lost0' });
  lost.transfer = () => [{ module: 'file:///nowhere.js', export: 'Nobody', data: null, keepsAlive: false }];
  fail([lost, open()], 'ERR_INVALID_OPTION');
  t.true(isClosed(), 'the thread did not come to it');
  fail([open(), lost], 'ERR_INVALID_OPTION');
  await until(isClosed, 'the end of the thread that had adopted it');
}
