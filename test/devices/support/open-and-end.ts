/** Run by a test: opens a TAP and ends, in the way that it is told. */
import { TapDevice } from '../../../src/devices/tap.ts';

const [, , namespace, how] = process.argv;
const device = TapDevice.open({ namespace: namespace! });
console.log('opened');
if (how !== 'nothing-started') {
  device.open(
    () => {},
    (error) => {
      throw error;
    },
  );
}
if (how === 'exit') setImmediate(() => process.exit(0));
if (how === 'close-later') {
  // Nothing but the device keeps the process alive here.
  const timer = setTimeout(() => {
    device.close();
    console.log('closed');
  }, 50);
  timer.unref();
}
