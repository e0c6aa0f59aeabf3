/** Run by a test: throws from wake, twice, and prints what arrives as an uncaught exception. */
import { execFileSync } from 'node:child_process';
import { loadBinding, TAP_ANY } from '../../../src/native/binding.ts';

const namespace = process.argv[2]!;
const native = loadBinding();
const [from, to] = ['wire0', 'wire1'].map((name) => {
  const tap = native.open(name, `/var/run/netns/${namespace}`, TAP_ANY, new Uint8Array(0), 0, true, false, 0);
  return tap.handles[0]!;
});
for (const args of [
  ['link', 'add', 'br0', 'type', 'bridge'],
  ['link', 'set', 'br0', 'up'],
  ['link', 'set', 'wire0', 'master', 'br0'],
  ['link', 'set', 'wire1', 'master', 'br0'],
]) {
  execFileSync('ip', ['-n', namespace, ...args]);
}

const one = new Int32Array(1);
const words = ['first', 'second'];
process.on('uncaughtException', (error) => {
  console.log(`caught ${error.message}`);
  // Receiving one of the frames asks to be called for the others.
  if (words.length > 0) native.receive(to!, new Uint8Array(60), one, one, one, one, 1, 60);
  else for (const handle of [from, to]) native.close(handle!);
});
native.start(to!, () => {
  throw new Error(words.shift());
});

const frame = new Uint8Array(60).fill(0xff);
frame.set([2, 0, 0, 0, 0, 1, 0x88, 0xb5], 6);
native.transmit(from!, frame, new Int32Array(8), new Int32Array(8).fill(60), new Int32Array(8), new Int32Array(8), 8);
