/** Run by a test, under a filter of system calls: opens a TAP and prints how frames are written, and whether they are. */
import { TapDevice, type TapIo } from '../../../src/devices/tap.ts';
import { DirectorError } from '../../../src/errors.ts';
import { batchOf, experimentalFrame } from './batch.ts';

const [namespace, io] = process.argv.slice(2) as [string, TapIo | 'auto'];
try {
  const device = TapDevice.open({ namespace, io });
  const sent = device.transmit(batchOf(Array.from({ length: 64 }, () => experimentalFrame(60))));
  const how = device.memoryRegistered ? `${device.io} with registered memory` : device.io;
  console.log(`${how}, ${device.ioRefusal?.message ?? 'not refused'}, ${sent} sent`);
  device.close();
} catch (error) {
  console.log(error instanceof DirectorError ? `${error.code} ${error.message}` : error);
}
