/**
 * The frame path allocates nothing: a million packets of each kind pass without a single garbage collection, in a
 * process whose young generation is 4 MiB, so that any object a packet, of 12 bytes at least, would show.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';

const PROGRAM = fileURLToPath(new URL('./allocation-run.js', import.meta.url));
const FLAGS = ['--expose-gc', '--min-semi-space-size=4', '--max-semi-space-size=4'];
const run = promisify(execFile);

for (const kind of [
  'masq 4 tcp request',
  'masq 4 tcp reply',
  'masq 4 udp request',
  'masq 4 udp reply',
  'route 4 tcp request',
  'route 4 udp request',
  'ipip 4 tcp request',
  'gre 4 tcp request',
  'gue 4 udp request',
  'masq 6 tcp request',
  'masq 6 tcp reply',
  'route 6 tcp request',
  'ipip 6 tcp request',
  'masq 4 tcp request uncut',
  'masq 6 tcp reply uncut',
  'route 4 tcp request uncut',
]) {
  test.serial(kind, async (t) => {
    const { stdout } = await run(process.execPath, [...FLAGS, PROGRAM, ...kind.split(' ')]);
    t.deepEqual(JSON.parse(stdout), { sent: 1_000_000, collections: 0 });
  });
}
