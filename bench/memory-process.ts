/**
 * One process of the memory benchmark: opens N connections, lets all of them expire in the same second, and prints as JSON
 * what that took of memory and how long the event loop was held up. Argument: N.
 */
import { PerformanceObserver } from 'node:perf_hooks';
import { setImmediate } from 'node:timers/promises';
import { Director, SystemClock } from '../src/index.ts';
import * as traffic from './traffic.ts';

const POLL = 512;
/** Frames made at once; a whole number of polls. */
const CHUNK = 8192;
const WARM_UP = 8 * CHUNK;
/** Counting connections lists services, which is work of its own. */
const TURNS_PER_COUNT = 100;
/** Longer than any connection lives. */
const LATER_MS = 3_600_000;

/** A clock that can be set forward. */
class SettableClock extends SystemClock {
  #aheadMs = 0;
  override now(): number {
    return super.now() + this.#aheadMs;
  }
  setForward(ms: number): void {
    this.#aheadMs += ms;
  }
}

/** The longest turn of the event loop, but for what {@link Turns.pause} leaves out. */
class Turns {
  longestMs = 0;
  #at = performance.now();

  /** Lets the loop turn once. */
  async next(): Promise<void> {
    await setImmediate();
    const now = performance.now();
    this.longestMs = Math.max(this.longestMs, now - this.#at);
    this.#at = now;
  }

  /** What was done since the last turn was the benchmark's own work. */
  pause(): void {
    this.#at = performance.now();
  }
}

const connections = Number(process.argv[2]);
const collections: number[] = [];
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) collections.push(duration);
}).observe({ entryTypes: ['gc'] });

const clock = new SettableClock();
const device = new traffic.ReplayDevice();
const frames = traffic.makeFrames(CHUNK, 'request', new Uint8Array(CHUNK));
device.frames = frames;
const before = process.memoryUsage.rss();
const director = new Director({
  interfaces: [{ device, addresses: ['10.0.0.1/24'] }],
  neighbours: traffic.SERVERS.map((ip, i) => ({ ip, mac: `02:00:00:00:01:0${i + 1}`, dev: device.name })),
  clock,
  maxConnections: connections,
});
const service = { protocol: 'tcp', address: traffic.VIP, port: traffic.VIRTUAL_PORT } as const;
director.addService(service, { scheduler: 'rr' });
for (const address of traffic.SERVERS) director.addDestination(service, { address }, { method: 'route' });
director.start();

function count(): number {
  let sum = 0;
  for (const { activeConns, inactConns } of director.services()[0].destinations) sum += activeConns + inactConns;
  return sum;
}

async function open(connections: number, turns: Turns): Promise<void> {
  for (let first = 0; first < connections; first += CHUNK) {
    traffic.fillFrames(frames, first);
    turns.pause();
    for (const flags of [traffic.SYN, traffic.ACK]) {
      device.flags = flags;
      device.next = 0;
      for (let left = Math.min(CHUNK, connections - first); left > 0; left -= POLL) {
        device.waiting = Math.min(left, POLL);
        director.poll();
        await turns.next();
      }
    }
  }
}

async function expire(turns: Turns): Promise<void> {
  clock.setForward(LATER_MS);
  turns.pause();
  while (count() > 0) for (let i = 0; i < TURNS_PER_COUNT; i++) await turns.next();
}

// A program that has run for a moment is measured, not one whose code is still being compiled.
await open(WARM_UP, new Turns());
await expire(new Turns());

const opening = new Turns();
const start = performance.now();
await open(connections, opening);
const openMs = performance.now() - start;
if (count() !== connections) throw new Error('not all connections were opened');
const rss = process.memoryUsage.rss();
const expiring = new Turns();
await expire(expiring);
director.stop();
console.log(
  JSON.stringify({
    rss,
    bytesPerConnection: (rss - before) / connections,
    openNs: (openMs * 1e6) / connections,
    longestOpeningMs: opening.longestMs,
    longestExpiringMs: expiring.longestMs,
    collections: collections.length,
    longestCollectionMs: Math.max(0, ...collections),
  }),
);
