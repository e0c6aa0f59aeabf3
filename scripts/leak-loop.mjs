/**
 * Opens TAPs and interfaces and lets them go in every way there is, and fails when descriptors are left. Run by asan.sh on compiled
 * code in build/, where LeakSanitizer looks for memory that is left when the process ends.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { PacketDevice } from '../build/src/devices/packet.js';
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
  usePacket(way, { io: 'af_packet' });
  usePacket(way, { io: 'af_xdp' });
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

/** The same for an interface that is there. */
function usePacket(way, options) {
  const device = PacketDevice.open({ interface: 'wire0', namespace, ...options });
  if (way > 0) device.open(() => {}, console.error);
  if (way < 2) device.close();
  if (way > 1) setImmediate(() => device.close());
  try {
    PacketDevice.open({ interface: 'none0', namespace, ...options });
  } catch {
    // As above.
  }
}

const descriptors = () => readdirSync('/proc/self/fd').length;

async function round() {
  for (let i = 0; i < 40; i++) {
    useOne(i % 4);
    await pause(1);
  }
  // What was collected is closed in a later turn of the event loop.
  for (let i = 0; i < 5; i++) {
    globalThis.gc();
    await pause(5);
  }
  return descriptors();
}

/** Programs of others may leave behind what they like. */
const ip = (...words) => execFileSync('ip', words, { env: { ...process.env, LD_PRELOAD: '' } });

ip('netns', 'add', namespace);
try {
  ip('-n', namespace, 'link', 'add', 'wire0', 'type', 'veth', 'peer', 'name', 'wire1');
  for (const end of ['wire0', 'wire1']) ip('-n', namespace, 'link', 'set', end, 'up');
  const first = await round();
  const second = await round();
  console.log(`descriptors after the first round ${first}, after the second ${second}`);
  if (second > first) process.exitCode = 1;
} finally {
  ip('netns', 'del', namespace);
}
