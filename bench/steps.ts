/** The single steps of a packet's way that are measured: reading, summing, looking up, choosing a server, rewriting. */
import { parseAddress } from '../src/address.ts';
import { CADDR, META, PORTS } from '../src/conntrack/layout.ts';
import { ConnectionTable } from '../src/conntrack/table.ts';
import { SCHEDULERS } from '../src/index.ts';
import { DESTINATION, rewriteEnd } from '../src/modes/rewrite.ts';
import { tableMemory } from '../src/native/table-memory.ts';
import { checksum } from '../src/packet/checksum.ts';
import { dissectIpv4, Packet } from '../src/packet/dissect.ts';
import * as ethernet from '../src/packet/ethernet.ts';
import { buildFrame } from '../src/packet/index.ts';
import * as ipv4 from '../src/packet/ipv4.ts';
import { Destination } from '../src/services/destination.ts';
import { Service } from '../src/services/service.ts';
import type { Case } from './suite.ts';
import { VIP } from './traffic.ts';

const BURST = 64;
const SERVERS = 16;

/** Sizes of tables, with what people call them. */
export const SIZES: ReadonlyMap<number, string> = new Map([
  [1_000, '1 k'],
  [100_000, '100 k'],
  [1_000_000, '1 M'],
  [10_000_000, '10 M'],
]);

/** What one frame goes through. */
function packetSteps(): Map<string, () => Case['run']> {
  const frame = buildFrame({
    ethernet: { source: '02:00:00:00:fe:fe', destination: '02:00:00:00:00:01' },
    ip: { source: '192.0.2.1', destination: VIP },
    tcp: { sourcePort: 1024, destinationPort: 80, flags: 'A' },
  });
  // With room for an outer header in front, and the IP header where the pool has it.
  const memory = new Uint8Array(2048);
  const view = new DataView(memory.buffer);
  const ip = 80;
  const length = frame.length - ethernet.ETHERNET_HEADER;
  memory.set(frame, ip - ethernet.ETHERNET_HEADER);
  const packet = new Packet();
  dissectIpv4(packet, view, ip, length);
  const server = parseAddress('10.0.0.11', 'server').words;
  let port = 0;
  return new Map<string, () => Case['run']>([
    ['dissect IPv4 and TCP', () => () => dissectIpv4(packet, view, ip, length)],
    ['checksum of 20 bytes', () => () => checksum(view, ip, 20)],
    ['checksum of 1460 bytes', () => () => checksum(view, 256, 1460)],
    [
      'write a link header (DR)',
      () => () => {
        ethernet.setDst(view, ip - 14, 0x0200, 0x010b);
        ethernet.setSrc(view, ip - 14, 0x0200, 0x0001);
        ethernet.setEtherType(view, ip - 14, ethernet.ETHERTYPE_IPV4);
      },
    ],
    [
      'rewrite address and port (NAT)',
      () => () => rewriteEnd(view, packet, false, DESTINATION, server, 0, ++port & 0xffff),
    ],
    [
      'write an outer header (TUN)',
      () => () => ipv4.writeHeader(view, ip - 20, 0, length + 20, 0, ipv4.DF, 64, ipv4.PROTO_IPIP, server[0], ++port),
    ],
  ]);
}

/** Looking up connections of a table, a burst of them, in an order that the cache cannot guess. */
function lookup(connections: number): Case['run'] {
  const table = new ConnectionTable(1, connections, 1, tableMemory);
  const words = new Int32Array(8);
  words[4] = parseAddress(VIP, 'VIP').words[0];
  const clientOf = (i: number) => Math.imul(i, 0x9e3779b1) | 0;
  for (let i = 0; i < connections; i++) {
    const row = table.allocate();
    table.rows[row + PORTS] = (1024 << 16) | 80;
    table.rows[row + META] = ipv4.PROTO_TCP << 16;
    table.rows[row + CADDR] = clientOf(i);
    table.rows[row + table.vaddr] = words[4];
    table.hash(row);
  }
  let i = 0;
  return () => {
    for (let k = 0; k < BURST; k++) {
      i = (i + 7919) % connections;
      words[0] = clientOf(i);
      if (table.lookupIn(ipv4.PROTO_TCP, words, 0, 1024, 4, 80) === 0) throw new Error('not found');
    }
  };
}

/** One pick among sixteen servers of four weights. */
function pick(name: string): Case['run'] {
  const context = { random: Math.random, now: () => 0, sysctl: () => 86400 };
  const service = new Service(0, 4, ipv4.PROTO_TCP, new Int32Array(4), VIP, 80, 0);
  for (let i = 0; i < SERVERS; i++) {
    const address = `10.0.1.${i + 1}`;
    const destination = new Destination(i, service, 4, parseAddress(address, 'address').words, address, 80);
    destination.weight = destination.lastWeight = 1 + (i & 3);
    service.destinations.unshift(destination);
  }
  const scheduler = SCHEDULERS.get(name)!.create(service, context);
  const packet = {
    family: 4 as const,
    protocol: ipv4.PROTO_TCP,
    source: new Int32Array(4),
    destination: Int32Array.of(1, 0, 0, 0),
    sourcePort: 1024,
    destinationPort: 80,
    inverse: false,
  };
  return () => {
    packet.source[0]++;
    scheduler.schedule(packet);
  };
}

/** All steps by name: each makes what it needs when it is called, and gives what is measured. */
export function steps(quick: boolean): Map<string, () => Case> {
  const single = ([name, make]: [string, () => Case['run']]): [string, () => Case] => [
    name,
    () => ({ name, operations: 1, run: make() }),
  ];
  const sizes = [...SIZES].slice(0, quick ? 1 : SIZES.size);
  return new Map([
    ...Array.from(packetSteps(), single),
    ...sizes.map(([size, text]): [string, () => Case] => {
      const name = `look up one of ${text} connections`;
      return [name, () => ({ name, operations: BURST, run: lookup(size) })];
    }),
    ...Array.from(SCHEDULERS.keys(), (name) => single([`pick by ${name}`, () => pick(name)])),
  ]);
}
