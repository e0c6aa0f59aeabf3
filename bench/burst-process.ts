/**
 * One process of the burst benchmark: a Director with N established connections by one forward method. Arguments: mode
 * and number of flows. Every line read is a number of packets; the answer is a line with the CPU time in nanoseconds per
 * packet that they took. The first line written is the digest of what was sent for one packet of each of the first flows.
 */
import { createInterface } from 'node:readline';
import { Director, ManualClock } from '../src/index.ts';
import * as traffic from './traffic.ts';

const POLL = 512;
const DIGESTED = 1024;
const METHODS = { dr: 'route', 'nat-request': 'masq', 'nat-reply': 'masq', tun: 'tunnel' } as const;

const mode = process.argv[2] as keyof typeof METHODS;
const flows = Number(process.argv[3]);
const device = new traffic.ReplayDevice();
const clock = new ManualClock();
const server = (address: string) => ({ address, port: METHODS[mode] === 'masq' ? traffic.SERVER_PORT : 0 });

const director = new Director({
  interfaces: [{ device, addresses: ['10.0.0.1/24'] }],
  neighbours: [
    ...traffic.SERVERS.map((ip, i) => ({ ip, mac: `02:00:00:00:01:0${i + 1}`, dev: device.name })),
    { ip: traffic.GATEWAY, mac: traffic.GATEWAY_MAC, dev: device.name },
  ],
  routes: [{ to: '0.0.0.0/0', via: traffic.GATEWAY, dev: device.name }],
  forwarding: true,
  clock,
  maxConnections: flows,
});
const service = { protocol: 'tcp', address: traffic.VIP, port: traffic.VIRTUAL_PORT } as const;
director.addService(service, { scheduler: 'rr' });
for (const address of traffic.SERVERS) director.addDestination(service, server(address), { method: METHODS[mode] });
director.start();

function play(packets: number): void {
  for (let left = packets; left > 0; left -= POLL) {
    device.waiting = Math.min(left, POLL);
    director.poll();
  }
}

const order = traffic.shuffled(flows);
// Round robin begins with the destination that was added last.
const last = traffic.SERVERS.length - 1;
const serverOf = new Uint8Array(flows);
for (let k = 0; k < flows; k++) serverOf[order[k]] = last - (k % (last + 1));

device.frames = traffic.makeFrames(flows, 'request', serverOf);
device.order = order;
device.flags = traffic.SYN;
play(flows);
device.order = null;
device.flags = traffic.ACK;
play(flows);
if (mode === 'nat-reply') device.frames = traffic.makeFrames(flows, 'reply', serverOf);
if (director.services()[0].destinations.reduce((sum, { activeConns }) => sum + activeConns, 0) !== flows) {
  throw new Error('not all connections were established');
}

device.next = 0;
device.digesting = true;
play(DIGESTED);
device.digesting = false;
play(1_000_000);
console.log(device.digest >>> 0);

for await (const line of createInterface({ input: process.stdin })) {
  const packets = Number(line);
  clock.advance(10);
  const sentBefore = device.sent;
  const start = process.cpuUsage();
  play(packets);
  const { user, system } = process.cpuUsage(start);
  const ns = (user + system) * 1000;
  if (device.sent - sentBefore !== packets) throw new Error('packets were lost');
  console.log(ns / packets);
}
director.stop();
