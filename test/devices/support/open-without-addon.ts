/** Run by a test: tries to open a TAP where that cannot be, and prints what it is told. */
import { TapDevice } from '../../../src/devices/tap.ts';
import type { DirectorError } from '../../../src/errors.ts';

if (process.argv[2] === 'elsewhere') Object.defineProperty(process, 'platform', { value: 'darwin' });
try {
  TapDevice.open();
} catch (error) {
  console.log(`${(error as DirectorError).code} ${(error as DirectorError).message}`);
}
