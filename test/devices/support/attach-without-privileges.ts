/** Run by a test with few privileges: tries to attach to an interface, and prints what it is told. */
import { PacketDevice } from '../../../src/devices/packet.ts';
import type { DirectorError } from '../../../src/errors.ts';

try {
  PacketDevice.open({ interface: 'wire0', io: process.argv[2] as 'af_packet' | 'af_xdp' }).close();
  console.log('opened');
} catch (error) {
  console.log(`${(error as DirectorError).code} ${(error as DirectorError).message}`);
}
