/**
 * The director of the wire benchmark, in a process of its own: `node director-process.js JSON`, the JSON being {@link Task}. Says
 * `ready`, answers each line of its standard input with a {@link DirectorReport} as JSON, and stops when that ends.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import {
  Director,
  type DirectorCounters,
  type DirectorOptions,
  type ForwardMethod,
  PacketDevice,
  type PacketOptions,
  TapDevice,
  type TapOptions,
} from '../../src/index.ts';
import { CLIENT_ADDRESS, CONTENDER_MAC, DIRECTOR_ADDRESS, type Ends, SERVER_ADDRESS, VIP } from './arena.ts';
import { TimedDevice } from './timed-device.ts';

/** What the process is told. */
export interface Task {
  readonly tap: string;
  readonly method: ForwardMethod;
  readonly ends: Ends;
  readonly maxConnections: number;
  /** Whether to watch how long the director works, and how late timers are. */
  readonly watched: boolean;
  /** Further options of the TAP, and of the director. */
  readonly tapOptions: TapOptions;
  /** Attach to an interface that is there, in this way, instead of making a TAP. */
  readonly packetOptions?: Partial<PacketOptions>;
  readonly directorOptions: Partial<DirectorOptions>;
  /** Whether the program around the director computes for 50 of every 60 ms. */
  readonly computes: boolean;
}

/** What the process knows of its run. */
export interface DirectorReport extends DirectorCounters {
  /**
   * What was done between receiving a burst and handing on what came of it; null when it was not watched, and in threads, where
   * it is not seen.
   */
  readonly worked: { readonly ms: number; readonly frames: number; readonly bursts: number } | null;
  /** How late the program's own timers were, in milliseconds; 0 when it was not watched. */
  readonly timersLate: { readonly p50: number; readonly p99: number };
}

const COMPUTE_MS = 50;
const COMPUTE_EVERY_MS = 60;
const TIMER_MS = 10;
const NS_PER_MS = 1e6;

/** Of frames and probes, and of iperf3. */
const PORTS = [80, 5201];

const task = JSON.parse(process.argv[2]) as Task;
const { ends, method } = task;
const device =
  task.packetOptions === undefined
    ? TapDevice.open({ name: task.tap, mac: CONTENDER_MAC, ...task.tapOptions })
    : PacketDevice.open({ interface: task.tap, ...task.packetOptions });
// Devices that go to threads cannot be wrapped.
const timed = task.watched && task.directorOptions.threads === undefined ? new TimedDevice(device) : null;
const director = new Director({
  interfaces: [{ device: timed ?? device, addresses: [`${DIRECTOR_ADDRESS}/24`] }],
  routes: [{ to: 'default', via: CLIENT_ADDRESS }],
  neighbours: [
    { ip: CLIENT_ADDRESS, mac: ends.from, dev: device.name },
    { ip: SERVER_ADDRESS, mac: ends.to, dev: device.name },
  ],
  forwarding: true,
  maxConnections: task.maxConnections,
  ...task.directorOptions,
});
for (const protocol of ['tcp', 'udp'] as const) {
  for (const port of PORTS) {
    director.addService({ protocol, address: VIP, port }, { scheduler: 'rr' });
    director.addDestination({ protocol, address: VIP, port }, { address: SERVER_ADDRESS }, { method });
  }
}
// Whoever's SYN got lost while this process was not warm is established by what follows.
director.sysctl.set('sloppy_tcp', 1);
director.start();
if (task.computes) {
  setInterval(() => {
    const end = performance.now() + COMPUTE_MS;
    while (performance.now() < end);
  }, COMPUTE_EVERY_MS);
}
const timers = monitorEventLoopDelay({ resolution: TIMER_MS });
if (task.watched) timers.enable();

function report(): DirectorReport {
  const late = (percentile: number) => Math.max(0, timers.percentile(percentile) / NS_PER_MS - TIMER_MS);
  const worked = timed === null ? null : { ms: timed.workedMs, frames: timed.frames, bursts: timed.bursts };
  return { ...director.counters(), worked, timersLate: { p50: late(50), p99: late(99) } };
}

console.log('ready');
createInterface({ input: process.stdin })
  .on('line', () => console.log(JSON.stringify(report())))
  .on('close', () => director.stop());
