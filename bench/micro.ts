/**
 * `npm run bench -- micro`: what the steps of a packet's way cost in memory, without any device: reading a header, a checksum, a
 * connection look-up, a scheduler's pick, and whole bursts by each forward method.
 */
import { parseAddress } from '../src/address.ts';
import { CADDR, META, PORTS } from '../src/conntrack/layout.ts';
import { ConnectionTable } from '../src/conntrack/table.ts';
import { Director, type ForwardMethod, ManualClock, SCHEDULERS } from '../src/index.ts';
import { checksum } from '../src/packet/checksum.ts';
import { dissectIpv4, Packet } from '../src/packet/dissect.ts';
import { buildFrame } from '../src/packet/index.ts';
import { PROTO_TCP } from '../src/packet/ipv4.ts';
import { Destination } from '../src/services/destination.ts';
import { Service } from '../src/services/service.ts';
import { type Bench, type Context, type Row, rowOf } from './bench.ts';
import { ReplayDevice } from './replay-device.ts';
import { type Case, measure } from './suite.ts';

const BURST = 64;
const FLOWS = 1024;
const VIP = '10.0.0.100';
const SERVER = '10.0.0.11';

function frameOf(flow: number, flags: string): Uint8Array {
  return buildFrame({
    ethernet: { source: '02:00:00:00:fe:fe', destination: '02:00:00:00:00:01' },
    ip: { source: `192.0.2.${flow & 255}`, destination: VIP },
    tcp: { sourcePort: 1024 + flow, destinationPort: 80, flags },
  });
}

/** Headers and checksums of one frame. */
function packetCases(): Case[] {
  const frame = frameOf(1, 'A');
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const data = new DataView(new ArrayBuffer(1460));
  const packet = new Packet();
  return [
    { name: 'dissect IPv4 + TCP', operations: 1, run: () => dissectIpv4(packet, view, 14, frame.length - 14) },
    { name: 'checksum of 20 bytes', operations: 1, run: () => checksum(view, 14, 20) },
    { name: 'checksum of 1460 bytes', operations: 1, run: () => checksum(data, 0, 1460) },
  ];
}

/** Looking up every connection of a table once, in an order that the cache cannot guess. */
function lookupCase(connections: number): Case {
  const table = new ConnectionTable(1, connections, 1);
  const words = new Int32Array(8);
  words[4] = parseAddress(VIP, 'VIP').words[0];
  const clientOf = (i: number) => Math.imul(i, 0x9e3779b1) | 0;
  for (let i = 0; i < connections; i++) {
    const row = table.allocate();
    table.rows[row + PORTS] = (1024 << 16) | 80;
    table.rows[row + META] = PROTO_TCP << 16;
    table.rows[row + CADDR] = clientOf(i);
    table.rows[row + table.vaddr] = words[4];
    table.hash(row);
  }
  let i = 0;
  return {
    name: `look up one of ${connections} connections`,
    operations: BURST,
    run: () => {
      for (let k = 0; k < BURST; k++) {
        i = (i + 7919) % connections;
        words[0] = clientOf(i);
        if (table.lookupIn(PROTO_TCP, words, 0, 1024, 4, 80) === 0) throw new Error('not found');
      }
    },
  };
}

/** One pick among sixteen servers. */
function schedulerCases(): Case[] {
  const context = { random: Math.random, now: () => 0, sysctl: () => 86400 };
  return Array.from(SCHEDULERS.values(), (factory) => {
    const service = new Service(0, 4, PROTO_TCP, new Int32Array(4), VIP, 80, 0);
    for (let i = 0; i < 16; i++) {
      const address = `10.0.1.${i + 1}`;
      const destination = new Destination(i, service, 4, parseAddress(address, 'address').words, address, 80);
      destination.weight = destination.lastWeight = 1 + (i & 3);
      service.destinations.unshift(destination);
    }
    const scheduler = factory.create(service, context);
    const packet = {
      family: 4 as const,
      protocol: PROTO_TCP,
      source: new Int32Array(4),
      destination: Int32Array.of(1, 0, 0, 0),
      sourcePort: 1024,
      destinationPort: 80,
      inverse: false,
    };
    return {
      name: `pick by ${factory.name}`,
      operations: 1,
      run: () => {
        packet.source[0]++;
        scheduler.schedule(packet);
      },
    };
  });
}

/** Whole bursts of established connections through a Director. */
function burstCase(method: ForwardMethod): Case {
  const flows = Array.from({ length: FLOWS }, (_, flow) => flow);
  const frames = [...flows.map((flow) => frameOf(flow, 'S')), ...flows.map((flow) => frameOf(flow, 'A'))];
  const device = new ReplayDevice(frames);
  const service = { protocol: 'tcp', address: VIP, port: 80 } as const;
  const director = new Director({
    interfaces: [{ device, addresses: ['10.0.0.1/24'] }],
    neighbours: [{ ip: SERVER, mac: '02:00:00:00:01:0b', dev: device.name }],
    clock: new ManualClock(),
  });
  director.addService(service, { scheduler: 'rr' });
  director.addDestination(service, { address: SERVER }, { method });
  director.start();
  return {
    name: `burst of ${BURST} by ${method}, ${FLOWS} flows`,
    operations: BURST,
    run: () => {
      device.waiting = BURST;
      director.poll();
    },
  };
}

const SECONDS = 1;
const QUICK_SECONDS = 0.05;

async function* run({ quick, selects, progress }: Context): AsyncGenerator<Row, void> {
  const bench = { bench: 'micro', subject: 'tapvs', figure: 'time', unit: 'ns', better: 'less' } as const;
  const sizes = quick ? [1_000] : [1_000, 100_000, 1_000_000];
  const makers = [
    ...packetCases().map((made) => ({ name: made.name, make: () => made })),
    ...sizes.map((size) => ({ name: `look up one of ${size} connections`, make: () => lookupCase(size) })),
    ...schedulerCases().map((made) => ({ name: made.name, make: () => made })),
    ...(['route', 'masq', 'tunnel'] as const).map((method) => ({
      name: `burst of ${BURST} by ${method}, ${FLOWS} flows`,
      make: () => burstCase(method),
    })),
  ];
  for (const { name, make } of makers) {
    if (!selects(name)) continue;
    progress(name);
    yield rowOf({ ...bench, case: name, samples: measure(make(), quick ? QUICK_SECONDS : SECONDS) });
  }
}

/** Steps of a packet's way in memory. */
export const micro: Bench = { name: 'micro', about: 'what the steps of a packet cost in memory, per packet', run };
