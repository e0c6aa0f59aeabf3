/** Run by a test inside a user namespace: opens a TAP in a network namespace that belongs to it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { TapDevice } from '../../../src/devices/tap.ts';

// Lives, and so does its namespace, until its input ends.
const holder = spawn('unshare', ['--net', 'sh', '-c', 'echo ready; cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
await once(holder.stdout, 'data');
const device = TapDevice.open({ name: 'wire0', namespace: `/proc/${holder.pid}/ns/net` });
console.log(`opened ${device.name}`);
device.close();
holder.stdin.end();
