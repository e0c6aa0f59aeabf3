/** Run by a test as a worker: adopts a queue of a device, says so, sends one frame, and ends or goes on as told. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Device, DeviceTransfer } from '../../../src/devices/device.ts';
import type { AdopterEnd } from './adopter.ts';
import { batchOf, experimentalFrame, receiveAll } from './batch.ts';

const { transfer, end } = workerData as { transfer: DeviceTransfer; end: AdopterEnd };
const { [transfer.export]: kind } = await import(transfer.module);
const device: Device = kind.adopt(transfer.data);
if (end === 'polling') device.open(() => parentPort!.postMessage(receiveAll(device).length), console.error);
parentPort!.postMessage({
  name: device.name,
  mac: device.mac,
  sent: device.transmit(batchOf([experimentalFrame(60), new Uint8Array(5)])),
});
if (end === 'close') device.close();
if (end === 'throw') throw new Error('the worker dies');
