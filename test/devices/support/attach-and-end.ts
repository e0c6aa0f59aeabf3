/** Run by a test: attaches to an interface and ends, in the way that it is told. */
import { PacketDevice } from '../../../src/devices/packet.ts';

const [, , namespace, way, how] = process.argv;
const device = PacketDevice.open({ interface: 'wire0', namespace: namespace!, promiscuous: true, ...JSON.parse(way!) });
console.log('opened');
device.open(
  () => {},
  (error) => {
    throw error;
  },
);
if (how === 'exit') setImmediate(() => process.exit(0));
if (how === 'kill') setImmediate(() => process.kill(process.pid, 'SIGKILL'));
if (how === 'close-later') {
  // Nothing but the device keeps the process alive here.
  const timer = setTimeout(() => {
    device.close();
    console.log('closed');
  }, 50);
  timer.unref();
}
