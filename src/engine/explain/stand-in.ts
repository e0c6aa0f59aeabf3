/** A copy of an engine's state in which one frame's way can be tried: nothing of it is shared with what works. */
import type { Words } from '../../address.ts';
import { ManualClock } from '../../clock.ts';
import type { InterfaceConfiguration } from '../../configuration.ts';
import type { Connections } from '../../conntrack/connections.ts';
import { CADDR, CONTROL, EXPIRES, META, N_CONTROL, PORTS } from '../../conntrack/layout.ts';
import { copyApplication, plant } from '../../conntrack/transplant.ts';
import type { Device, FrameBatch } from '../../devices/device.ts';
import type { Host } from '../../host/host.ts';
import type { Neighbour, WaitingPacket } from '../../host/neighbours.ts';
import type { Reasoning } from '../../schedulers/reasoning.ts';
import type { ScheduledPacket, SchedulerFactory } from '../../schedulers/scheduler.ts';
import { Destination } from '../../services/destination.ts';
import { type Service, SVC_ONEPACKET, SVC_PERSISTENT } from '../../services/service.ts';
import { assemble, type Parts } from '../parts.ts';

/** A frame that would be sent. */
export interface SentFrame {
  /** The device's name. */
  readonly device: string;
  readonly frame: Uint8Array;
}

/** A scheduler was asked, and this is what it said. */
export interface Asked {
  readonly service: Service;
  /** Null for a scheduler of the user's own that cannot be asked without effect. */
  readonly reasoning: Reasoning | null;
  /** The server that the rehearsal goes on with; an example where chance or the user's own code decides. */
  readonly chosen: Destination | null;
}

/** The copy, and what was heard of it. */
export interface StandIn {
  readonly parts: Parts;
  readonly sent: SentFrame[];
  readonly asked: Asked[];
  /** The rows of the copied connections. */
  readonly copied4: ReadonlySet<number>;
  readonly copied6: ReadonlySet<number>;
  /** The packets that waited for a MAC address before. */
  readonly waited: ReadonlySet<WaitingPacket>;
}

/** Stands in for a device: takes what is sent and has nothing to receive but one frame. */
export class StandInDevice implements Device {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly #sent: SentFrame[];
  waiting: Uint8Array | null = null;

  constructor(device: Device, sent: SentFrame[]) {
    this.name = device.name;
    this.mac = device.mac;
    this.mtu = device.mtu;
    this.#sent = sent;
  }

  open(): void {}
  close(): void {}

  receive(batch: FrameBatch): number {
    const frame = this.waiting;
    this.waiting = null;
    if (frame === null || frame.length > batch.room) return 0;
    batch.memory.set(frame, batch.offsets[0]);
    batch.lengths[0] = frame.length;
    batch.partial[0] = 0;
    batch.segments[0] = 0;
    return 1;
  }

  transmit(batch: FrameBatch): number {
    for (let i = 0; i < batch.count; i++) {
      const at = batch.offsets[i];
      this.#sent.push({ device: this.name, frame: batch.memory.slice(at, at + batch.lengths[i]) });
    }
    return batch.count;
  }
}

/** Rows beside those copied: what one packet can make. */
const SPARE_ROWS = 16;

/**
 * Copies what matters for a packet with these addresses.
 * @param words addresses of the family, four words each.
 */
export function standInFor(live: Parts, family: 4 | 6, words: readonly Words[]): StandIn {
  const sent: SentFrame[] = [];
  const asked: Asked[] = [];
  const devices = new Map<Device, StandInDevice>();
  const interfaces = live.configuration.interfaces.map((one): InterfaceConfiguration => {
    const device = devices.get(one.device) ?? new StandInDevice(one.device, sent);
    devices.set(one.device, device);
    return { ...one, device };
  });
  const rows4 = family === 4 ? rowsFor(live, live.connections4, words) : [];
  const rows6 = family === 6 ? rowsFor(live, live.connections6, words) : [];
  const clock = new ManualClock();
  const maxConnections = Math.max(rows4.length, rows6.length) + SPARE_ROWS;
  const parts = assemble({ ...live.configuration, interfaces, maxConnections, clock }, () => {});

  Object.assign(parts.sysctl, live.sysctl);
  for (const name of ['tcp', 'udp', 'sctp'] as const) parts.timeouts[name].set(live.timeouts[name]);
  parts.marks.mimic(live.marks);
  copyHost(live, parts);
  copyServices(live, parts, asked);
  parts.pipeline.groups!.mimic(live.pipeline.groups!, parts.host.interfaces);
  parts.pipeline.isBackup = live.pipeline.isBackup;
  if (live.pipeline.onPassed !== null) parts.pipeline.onPassed = () => {};
  const tick = live.time.tick();
  return {
    parts,
    sent,
    asked,
    copied4: copyRows(live.connections4, parts.connections4, rows4, tick),
    copied6: copyRows(live.connections6, parts.connections6, rows6, tick),
    waited: new Set(neighboursOf(parts.host).flatMap(({ waiting }) => waiting)),
  };
}

/** The neighbours of all its interfaces. */
export function neighboursOf({ interfaces }: Host): Neighbour[] {
  return interfaces.flatMap((on) => [...on.neighbours4.values(), ...on.neighbours6.values()]);
}

function copyHost(live: Parts, parts: Parts): void {
  const { host } = parts;
  if (live.configuration.claimVips) {
    for (const service of live.registry.services()) if (service.fwmark === 0) host.claim(service);
  }
  for (const [i, on] of live.host.interfaces.entries()) copyNeighbours(on, host, i);
  host.mimicPathMtus(live.host);
}

function copyNeighbours(on: Host['interfaces'][number], host: Host, i: number): void {
  for (const family of [4, 6] as const) {
    for (const { words, macHigh, macLow, state, since, used, probes, waiting } of on.neighbours(family).values()) {
      const copy = host.neighbours.find(host.interfaces[i], family, words, 0);
      if (copy === null) continue;
      Object.assign(copy, { macHigh, macLow, state, since, used, probes, waiting: [...waiting] });
    }
  }
}

/** Services with their servers, the deleted ones that connections still have too; schedulers that tell what they are asked. */
function copyServices(live: Parts, parts: Parts, asked: Asked[]): void {
  const copies = new Map<Service, Service>();
  // Each goes in front of those of its bucket that are there already.
  for (const service of [...live.registry.services()].reverse()) {
    const { family, protocol, words, address, port, fwmark, timeout, netmask, netmaskLength, engine, flags } = service;
    const copy = parts.registry.addService({ family, protocol, words, address, port, fwmark, text: '' }, () => ({
      factory: foretelling(service, parts, asked),
      timeout: (flags & SVC_PERSISTENT) !== 0 ? timeout : 0,
      netmask,
      netmaskLength,
      engine,
      onePacket: (flags & SVC_ONEPACKET) !== 0,
      schedulerFlags: flags & ~(SVC_PERSISTENT | SVC_ONEPACKET),
    }));
    copies.set(service, copy);
  }
  live.registry.destinations.forEach((destination, id) => {
    parts.registry.destinations[id] = destination === null ? null : copyOf(destination, copies);
  });
  for (const [service, copy] of copies) {
    copy.destinations.push(...service.destinations.map(({ id }) => parts.registry.destinations[id]!));
  }
}

function copyOf(destination: Destination, copies: ReadonlyMap<Service, Service>): Destination {
  const { id, service, family, words, address, port } = destination;
  const copy = new Destination(id, copies.get(service) ?? service, family, words, address, port);
  const { method, weight, lastWeight, upperThreshold, lowerThreshold, tunnelType, tunnelPort, tunnelFlags } =
    destination;
  Object.assign(copy, {
    method,
    weight,
    lastWeight,
    upperThreshold,
    lowerThreshold,
    tunnelType,
    tunnelPort,
    tunnelFlags,
  });
  const { activeConns, inactConns, persistConns, available, overloaded, sequence, references } = destination;
  return Object.assign(copy, { activeConns, inactConns, persistConns, available, overloaded, sequence, references });
}

/** A scheduler that chooses as the live service's would, and remembers that it was asked. */
function foretelling(service: Service, parts: Parts, asked: Asked[]): SchedulerFactory {
  const schedule = (packet: ScheduledPacket): Destination | null => {
    const reasoning = service.scheduler?.explain?.(packet) ?? null;
    const fit = service.destinations.find(({ weight, overloaded }) => weight > 0 && !overloaded) ?? null;
    const chosen = reasoning === null || reasoning.choice === undefined ? fit : reasoning.choice;
    asked.push({ service, reasoning, chosen });
    return chosen === null ? null : parts.registry.destinations[chosen.id];
  };
  return { name: service.factory?.name ?? 'none', create: () => ({ schedule }) };
}

/** Connections and templates that one of the addresses may lead to: as a client's, or as one of a client's network. */
function rowsFor(live: Parts, connections: Connections, words: readonly Words[]): number[] {
  const { table, family } = connections;
  const masks: Words[] = [Int32Array.of(-1, -1, -1, -1)];
  for (const service of live.registry.services()) {
    if (service.family === family && (service.flags & SVC_PERSISTENT) !== 0) masks.push(service.netmask);
  }
  const clients = new Set(
    masks.flatMap((mask) =>
      words.map((address) =>
        key(
          address.map((word, i) => word & mask[i]),
          0,
          table.width,
        ),
      ),
    ),
  );
  const rows: number[] = [];
  table.forEach((row) => {
    if (clients.has(key(table.rows, row + CADDR, table.width))) rows.push(row);
  });
  // What they hang on comes first, so that it is there when they are copied.
  const controlling = new Set(rows.map((row) => table.rows[row + CONTROL]).filter((row) => row !== 0));
  // Of several with the same ends the newest is found; copied last, its copy is.
  const isFound = (row: number): boolean => foundFor(connections, row) === row;
  const others = rows.filter((row) => !controlling.has(row));
  return [...controlling, ...others.filter((row) => !isFound(row)), ...others.filter(isFound)];
}

/** The connection that a client's packet finds which has the ends of the one at `row`. */
function foundFor({ table }: Connections, row: number): number {
  const { rows, vaddr } = table;
  const ends = new Int32Array(8);
  for (let i = 0; i < table.width; i++) {
    ends[i] = rows[row + CADDR + i];
    ends[4 + i] = rows[row + vaddr + i];
  }
  return table.lookupIn(
    (rows[row + META] >>> 16) & 0xff,
    ends,
    0,
    rows[row + PORTS] >>> 16,
    4,
    rows[row + PORTS] & 0xffff,
  );
}

function key(words: Words, at: number, width: number): string {
  return words.subarray(at, at + width).join();
}

/** Copies rows, their time left unchanged; returns their new places. */
function copyRows(from: Connections, to: Connections, rows: readonly number[], tick: number): Set<number> {
  const places = new Map<number, number>();
  for (const row of rows) {
    const source = from.table.rows;
    const left = (source[row + EXPIRES] - tick) | 0;
    const copy = plant(to, source, row, left, from.engines.of(row) ?? null);
    to.table.rows[copy + CONTROL] = places.get(source[row + CONTROL]) ?? 0;
    to.table.rows[copy + N_CONTROL] = source[row + N_CONTROL];
    const application = from.applicationOf(row);
    if (application !== undefined) copyApplication(application, to.makeApplication(copy));
    places.set(row, copy);
  }
  to.tcpTable = from.tcpTable;
  return new Set(places.values());
}
