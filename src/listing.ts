/** Services, real servers and connections as listings show them: plain objects, made when somebody asks; and the way back. */
import { formatAddress } from './address.ts';
import type { Connections } from './conntrack/connections.ts';
import { LOCAL, MASQ, TUNNEL } from './conntrack/forward-method.ts';
import * as handshakes from './conntrack/handshakes.ts';
import { CADDR, ELSEWHERE, EXPIRES, FLAGS, META, PORTS } from './conntrack/layout.ts';
import { stateName } from './conntrack/protocols.ts';
import type {
  ConnectionEntry,
  DestinationEntry,
  DestinationOptions,
  HandshakeCounts,
  ServiceEntry,
  ServiceKey,
  ServiceOptions,
} from './services/config.ts';
import { type Destination, TUNNEL_CSUM, TUNNEL_GRE, TUNNEL_GUE, TUNNEL_REMCSUM } from './services/destination.ts';
import { type Service, SVC_ONEPACKET, SVC_PERSISTENT, SVC_SCHED1, SVC_SCHED2, SVC_SCHED3 } from './services/service.ts';
import { TICKS_PER_SECOND } from './ticks.ts';

const PROTOCOL_NAMES: Record<number, ServiceEntry['protocol']> = { 0: 'fwm', 6: 'tcp', 17: 'udp', 132: 'sctp' };

export function serviceEntry(service: Service): ServiceEntry {
  return {
    protocol: PROTOCOL_NAMES[service.protocol],
    family: service.family,
    address: service.address,
    port: service.port,
    fwmark: service.fwmark >>> 0,
    scheduler: service.factory?.name ?? 'none',
    flags: service.flags,
    persistent: (service.flags & SVC_PERSISTENT) !== 0 ? service.timeout : 0,
    netmaskLength: service.netmaskLength,
    netmask: service.family === 4 ? formatAddress(4, service.netmask) : '',
    engine: service.engine?.name ?? '',
    stats: service.stats.snapshot(),
    rates: service.stats.rates(),
    destinations: service.destinations.map(destinationEntry),
  };
}

export function destinationEntry(destination: Destination): DestinationEntry {
  destination.refresh();
  const { family, address, port, method, weight, upperThreshold, lowerThreshold, overloaded } = destination;
  const { activeConns, inactConns, persistConns, tunnelType, tunnelPort, tunnelFlags } = destination;
  return {
    family,
    address,
    port,
    method,
    weight,
    upperThreshold,
    lowerThreshold,
    activeConns,
    inactConns,
    persistConns,
    overloaded,
    tunnelType,
    tunnelPort,
    tunnelFlags,
    handshakes: handshakeCounts(destination.handshakes),
    stats: destination.stats.snapshot(),
    rates: destination.stats.rates(),
  };
}

function handshakeCounts(counts: Float64Array): HandshakeCounts {
  return {
    started: counts[handshakes.STARTED],
    completed: counts[handshakes.COMPLETED],
    answered: counts[handshakes.ANSWERED],
    timed: counts[handshakes.TIMED],
    timedSeconds: counts[handshakes.TIMED_TICKS] / TICKS_PER_SECOND,
    repeated: counts[handshakes.REPEATED],
    refused: counts[handshakes.REFUSED],
    reset: counts[handshakes.RESET],
    expired: counts[handshakes.EXPIRED],
  };
}

export function connectionEntry(connections: Connections, row: number, tick: number): ConnectionEntry {
  const { table, family } = connections;
  const { rows } = table;
  const left = (rows[row + EXPIRES] - tick) | 0;
  const isElsewhere = (rows[row + FLAGS] & ELSEWHERE) !== 0;
  const destination = isElsewhere ? null : connections.destinationOf(row);
  const identity = connections.engines.of(row);
  const ports = rows[row + PORTS];
  const meta = rows[row + META];
  return {
    family,
    protocol: (meta >>> 16) & 0xff,
    state: stateName(rows, row),
    expiresInSeconds: Math.max(0, Math.floor(left / TICKS_PER_SECOND)),
    clientAddress: formatAddress(family, rows, row + CADDR),
    clientPort: ports >>> 16,
    virtualAddress: formatAddress(family, rows, row + table.vaddr),
    virtualPort: ports & 0xffff,
    destinationFamily: destination?.family ?? family,
    destinationAddress: destination?.address ?? formatAddress(family, rows, row + table.daddr),
    destinationPort: meta & 0xffff,
    flags: rows[row + FLAGS],
    engine: identity?.engine ?? '',
    engineData: identity?.data ?? '',
  };
}

/** The key of a service that a listing shows. */
export function keyOfEntry({ protocol, address, port, fwmark, family }: ServiceEntry): ServiceKey {
  return protocol === 'fwm' ? { fwmark, family } : { protocol, address, port };
}

/** The options of a service that a listing shows. */
export function optionsOfService(entry: ServiceEntry): ServiceOptions {
  const { scheduler, persistent, netmask, netmaskLength, engine, flags, family } = entry;
  const schedulerFlags = (
    [
      [SVC_SCHED1, 'flag-1'],
      [SVC_SCHED2, 'flag-2'],
      [SVC_SCHED3, 'flag-3'],
    ] as const
  ).flatMap(([bit, name]) => ((flags & bit) !== 0 ? [name] : []));
  return {
    scheduler,
    persistent,
    engine,
    netmask: family === 4 ? netmask : netmaskLength,
    onePacket: (flags & SVC_ONEPACKET) !== 0,
    schedulerFlags,
  };
}

/** The options of a server that a listing shows. */
export function optionsOfEntry(entry: DestinationEntry): DestinationOptions {
  const { method, weight, upperThreshold, lowerThreshold, tunnelType, tunnelPort, tunnelFlags } = entry;
  const thresholds = { weight, upperThreshold, lowerThreshold };
  // A server on the director itself has a port of its own, as with NAT.
  if (method !== TUNNEL) return { method: method === MASQ || method === LOCAL ? 'masq' : 'route', ...thresholds };
  const type = tunnelType === TUNNEL_GUE ? 'gue' : tunnelType === TUNNEL_GRE ? 'gre' : 'ipip';
  const checksum = tunnelFlags === TUNNEL_CSUM ? 'csum' : tunnelFlags === TUNNEL_REMCSUM ? 'remcsum' : 'none';
  return { method: 'tunnel', ...thresholds, tunnel: { type, port: tunnelPort, checksum } };
}
