/** Run by a test as a worker: adopts a queue of a TAP, says so, sends one frame, and ends or goes on as told. */
import { parentPort, workerData } from 'node:worker_threads';
import { type DetachedTap, TapDevice } from '../../../src/devices/tap.ts';
import { batchOf, experimentalFrame, receiveAll } from './batch.ts';

const { data, end } = workerData as { data: DetachedTap; end: 'idle' | 'polling' | 'close' | 'throw' };
const device = TapDevice.adopt(data);
if (end === 'polling') device.open(() => parentPort!.postMessage(receiveAll(device).length), console.error);
parentPort!.postMessage({
  name: device.name,
  mac: device.mac,
  sent: device.transmit(batchOf([experimentalFrame(60), new Uint8Array(5)])),
});
if (end === 'close') device.close();
if (end === 'throw') throw new Error('the worker dies');
