/**
 * Balances a million packets of established connections by one forward method (the argument) and prints, as JSON, how
 * many packets were sent and how many garbage collections that took. Run by allocation.test.ts in a process of its own.
 */
import { PerformanceObserver } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import type { Device, FrameBatch } from '../../src/devices/device.ts';
import { CUTS_TCP4, CUTS_TCP6, Director, ManualClock, SEGMENT_TCP4, SEGMENT_TCP6 } from '../../src/index.ts';
import { buildFrame } from '../../src/packet/build.ts';
import type { DestinationOptions } from '../../src/services/config.ts';
import { GATEWAY_MAC, MACS, rsMac } from './lab.ts';

const PACKETS = 1_000_000;
const WARM_UP = 200_000;
const CONNECTIONS = 64;

/** Replays the same frames for ever, in bursts. */
class ReplayDevice implements Device {
  readonly name = 'eth0';
  readonly mac: string = MACS.eth0!;
  readonly mtu = 1500;
  readonly checksumOffload: boolean;
  readonly segmentation: number;
  frames: readonly Uint8Array[] = [];
  left = 0;
  sent = 0;

  /** What is left to do of every frame. */
  readonly #partial: number;
  readonly #segments: number;

  constructor(partial = 0, segments = 0) {
    this.checksumOffload = partial !== 0;
    this.segmentation = partial !== 0 ? CUTS_TCP4 | CUTS_TCP6 : 0;
    this.#partial = partial;
    this.#segments = segments;
  }

  open(): void {}
  close(): void {}

  receive(batch: FrameBatch): number {
    const count = Math.min(this.left, batch.count);
    for (let i = 0; i < count; i++) {
      const frame = this.frames[i % this.frames.length]!;
      batch.memory.set(frame, batch.offsets[i]!);
      batch.lengths[i] = frame.length;
      batch.partial[i] = this.#partial;
      batch.segments[i] = this.#segments;
    }
    this.left -= count;
    return count;
  }

  transmit(batch: FrameBatch): number {
    this.sent += batch.count;
    return batch.count;
  }
}

const METHODS: Readonly<Record<string, DestinationOptions>> = {
  masq: { method: 'masq' },
  route: { method: 'route' },
  ipip: { method: 'tunnel' },
  gre: { method: 'tunnel', tunnel: { type: 'gre', checksum: 'csum' } },
  gue: { method: 'tunnel', tunnel: { type: 'gue', port: 6080, checksum: 'csum' } },
};

async function main(): Promise<void> {
  const [, , method = '', family = '4', protocol = 'tcp', direction = 'request', uncut = ''] = process.argv;
  const [own, vip, server, gateway, network] =
    family === '4'
      ? ['10.0.0.1', '10.0.0.100', '10.0.0.11', '10.0.0.254', '192.0.2.']
      : ['2001:db8::1', '2001:db8::100', '2001:db8::b', '2001:db8::fe', '2001:db8:c::'];
  // Uncut: every frame stands for segments of 100 bytes, and its TCP checksum is only begun.
  const transport = family === '4' ? 34 : 54;
  const device =
    uncut === 'uncut'
      ? new ReplayDevice(
          (transport << 16) | (transport + 16),
          ((family === '4' ? SEGMENT_TCP4 : SEGMENT_TCP6) << 16) | 100,
        )
      : new ReplayDevice();
  const clock = new ManualClock();
  const director = new Director({
    interfaces: [{ device, addresses: [`${own}/${family === '4' ? 24 : 64}`] }],
    neighbours: [
      { ip: server, mac: rsMac(11), dev: 'eth0' },
      { ip: gateway, mac: GATEWAY_MAC, dev: 'eth0' },
    ],
    routes: [{ to: family === '4' ? '0.0.0.0/0' : '::/0', via: gateway, dev: 'eth0' }],
    forwarding: true,
    clock,
    maxConnections: 1024,
  });
  const key = { protocol: protocol as 'tcp' | 'udp', address: vip, port: 80 };
  director.addService(key, { scheduler: 'rr' });
  director.addDestination(key, { address: server, port: 8080 }, METHODS[method]);
  director.start();

  const ethernet = { source: GATEWAY_MAC, destination: MACS.eth0! };
  const clients = Array.from({ length: CONNECTIONS }, (_, i) => `${network}${i + 1}`);
  const packet = (from: string, fromPort: number, to: string, toPort: number, flags: string) => {
    const ends = { sourcePort: fromPort, destinationPort: toPort, data: 'x'.repeat(200) };
    const ip = { source: from, destination: to };
    return protocol === 'tcp'
      ? buildFrame({ ethernet, ip, tcp: { ...ends, flags } })
      : buildFrame({ ethernet, ip, udp: ends });
  };
  const requests = (flags: string) => clients.map((client) => packet(client, 40000, vip, 80, flags));
  const replies = (flags: string) => clients.map((client) => packet(server, 8080, client, 40000, flags));

  const run = (frames: readonly Uint8Array[], packets: number) => {
    device.frames = frames;
    device.left = packets;
    while (device.left > 0) {
      director.poll();
      clock.advance(1);
    }
  };
  run(requests('S'), CONNECTIONS);
  if (method === 'masq') run(replies('SA'), CONNECTIONS);
  run(requests('A'), CONNECTIONS);
  const frames = direction === 'reply' ? replies('A') : requests('A');
  run(frames, WARM_UP);

  let collections = 0;
  const observer = new PerformanceObserver((list) => {
    collections += list.getEntries().length;
  });
  await setTimeout(50);
  globalThis.gc?.(); // what setting up and warming up left behind
  observer.observe({ entryTypes: ['gc'] });
  const before = device.sent;
  run(frames, PACKETS);
  const sent = device.sent - before;
  // The observer is told in a later turn of the loop.
  await setTimeout(50);
  observer.disconnect();
  console.log(JSON.stringify({ sent, collections }));
  director.stop();
}

await main();
