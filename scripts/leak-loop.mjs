/**
 * Opens TAPs and lets them go in every way there is, and fails when descriptors are left. Run by asan.sh on compiled
 * code in build/, where LeakSanitizer looks for memory that is left when the process ends.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { TapDevice } from '../build/src/devices/tap.js';

const namespace = `tapvs-leak-${process.pid}`;

/** A TAP that is closed idle, polled, a turn of the event loop later, or not at all; and one that cannot be had. */
function useOne(way) {
  const device = TapDevice.open({ namespace });
  if (way > 0) device.open(() => {}, console.error);
  if (way < 2) device.close();
  if (way === 2) setImmediate(() => device.close());
  if (way === 3) TapDevice.open({ namespace }); // never started, never closed: collected
  if (way === 3) device.close();
  // Several queues, handed on, adopted and closed or collected.
  const [first, second] = TapDevice.open({ namespace, queues: 2, offload: true }).transfer(2);
  TapDevice.adopt(first.data).close();
  TapDevice.adopt(second.data);
  try {
    TapDevice.open({ name: 'none0', existing: true, namespace });
  } catch {
    // The way out of an error must leave nothing behind either.
  }
}

const descriptors = () => readdirSync('/proc/self/fd').length;

async function round() {
  for (let i = 0; i < 40; i++) useOne(i % 4);
  // What was collected is closed in a later turn of the event loop.
  for (let i = 0; i < 5; i++) {
    globalThis.gc();
    await pause(5);
  }
  return descriptors();
}

execFileSync('ip', ['netns', 'add', namespace]);
try {
  const first = await round();
  const second = await round();
  console.log(`descriptors after the first round ${first}, after the second ${second}`);
  if (second > first) process.exitCode = 1;
} finally {
  execFileSync('ip', ['netns', 'del', namespace]);
}
