import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { DeviceTransfer } from '../../../src/devices/device.ts';

/** How a worker that has adopted a device ends, or that it goes on, telling how many frames each wake-up brought. */
export type AdopterEnd = 'idle' | 'polling' | 'close' | 'throw';

/** A worker that adopts a queue of a device; see adopt.ts. */
export function employAdopter(transfer: DeviceTransfer, end: AdopterEnd): Worker {
  return new Worker(fileURLToPath(new URL('./adopt.js', import.meta.url)), { workerData: { transfer, end } });
}
