/** Run by a test: writes a burst to the TAP `wire0` of a network namespace, and is killed while it has it open. */
import { TapDevice } from '../../../src/devices/tap.ts';
import { batchOf, experimentalFrame } from './batch.ts';

const device = TapDevice.open({ namespace: process.argv[2]!, name: 'wire0', existing: true, io: 'io_uring' });
const sent = device.transmit(batchOf(Array.from({ length: 64 }, () => experimentalFrame(60))));
process.stdout.write(`${device.io}, ${sent} sent\n`, () => process.kill(process.pid, 'SIGKILL'));
