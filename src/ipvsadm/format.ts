/** The listings of services, timeouts and daemons, byte for byte as ipvsadm 1.31 prints them. */
import { FORWARD_NAMES, TUNNEL } from '../conntrack/forward-method.ts';
import type { DaemonEntry, DestinationEntry, ServiceEntry, Timeouts } from '../services/config.ts';
import { TUNNEL_CSUM, TUNNEL_GRE, TUNNEL_GUE, TUNNEL_REMCSUM } from '../services/destination.ts';
import { SVC_ONEPACKET, SVC_PERSISTENT } from '../services/service.ts';
import type { Names } from './names.ts';
import {
  fwmarkNumber,
  hasSchedulerFlags,
  netmaskName,
  schedulerFlagNames,
  serverEndpoint,
  serviceEndpoint,
} from './naming.ts';
import type { ServiceView } from './request.ts';
import { sortDestinations, sortServices } from './sort.ts';

/** The version of IPVS that listings name. */
const IPVS_VERSION = '1.2.1';
/** Connection table size of a kernel that was not told otherwise. */
const DEFAULT_TABLE_SIZE = 4096;
/** How much of an IPv4 address or host name with its port fits the column; IPv6 ones push what follows aside. */
const SERVICE_WIDTH = 33;
const SERVER_WIDTH = 28;

/** How to list services. */
export interface ServicesFormat {
  /** Columns. Default: forward method, weight, connections. */
  readonly view?: ServiceView;
  /** Print counters in full instead of shortening them with K, M, G, T (`--exact`). Default false. */
  readonly exact?: boolean;
  /** Sort as ipvsadm does; false keeps the given order (`--nosort`). Default true. */
  readonly sorted?: boolean;
  /** Print addresses and ports by these names. Default: numbers (`-n`). */
  readonly names?: Names;
  /** Start with the version line, as listings of all services do. Default true. */
  readonly heading?: boolean;
  /** Size of the connection table that the version line tells. Default 4096. */
  readonly tableSize?: number;
}

function row(
  name: string,
  width: number,
  columns: readonly (readonly [text: string | number, width: number])[],
): string {
  return [name.padEnd(width), ...columns.map(([text, columnWidth]) => String(text).padEnd(columnWidth))].join(' ');
}

function countersHeader(...titles: string[]): string {
  return ['Prot LocalAddress:Port'.padEnd(SERVICE_WIDTH), ...titles.map((title) => title.padStart(8))].join(' ');
}

const SERVER_HEADER = '  -> RemoteAddress:Port';
const DEFAULT_HEADER = 'Prot LocalAddress:Port Scheduler Flags';

const HEADERS: Readonly<Record<ServiceView, readonly [string, string]>> = {
  default: [DEFAULT_HEADER, `${SERVER_HEADER}           Forward Weight ActiveConn InActConn`],
  'tun-info': [DEFAULT_HEADER, `${SERVER_HEADER}           Forward TunnelInfo    Weight ActiveConn InActConn`],
  stats: [countersHeader('Conns', 'InPkts', 'OutPkts', 'InBytes', 'OutBytes'), SERVER_HEADER],
  rate: [countersHeader('CPS', 'InPPS', 'OutPPS', 'InBPS', 'OutBPS'), SERVER_HEADER],
  thresholds: [
    row('Prot LocalAddress:Port', SERVICE_WIDTH, [
      ['Uthreshold', 10],
      ['Lthreshold', 10],
      ['ActiveConn', 10],
      ['InActConn', 10],
    ]),
    SERVER_HEADER,
  ],
  'persistent-conn': [
    row('Prot LocalAddress:Port', SERVICE_WIDTH, [
      ['Weight', 9],
      ['PersistConn', 11],
      ['ActiveConn', 10],
      ['InActConn', 10],
    ]),
    SERVER_HEADER,
  ],
};

/** A counter in its column of 9: in full while it has up to 8 digits, then in thousands, millions and so on, cut off. */
export function formatCounter(value: number, exact = false): string {
  if (exact) return value < 1e8 ? String(value).padStart(9) : ` ${value}`;
  if (value < 1e8) return String(value).padStart(9);
  const [divisor, unit] =
    value < 1e9 ? [1e3, 'K'] : value < 1e11 ? [1e6, 'M'] : value < 1e14 ? [1e9, 'G'] : [1e12, 'T'];
  return String(Math.floor(value / divisor)).padStart(8) + unit;
}

function serviceName(service: ServiceEntry, names: Names | undefined): string {
  if (service.protocol === 'fwm') return `FWM  ${fwmarkNumber(service)}${service.family === 6 ? ' IPv6' : ''}`;
  const name = `${service.protocol.toUpperCase().padEnd(4)} ${serviceEndpoint(service, names)}`;
  return service.family === 4 ? name.slice(0, SERVICE_WIDTH) : name;
}

function serverName(service: ServiceEntry, server: DestinationEntry, names: Names | undefined): string {
  const name = serverEndpoint(service, server, names);
  return `  -> ${(server.family === 4 ? name.slice(0, SERVER_WIDTH) : name).padEnd(SERVER_WIDTH)}`;
}

/** What follows a service's name in listings that show how it is set up. */
function serviceSettings(service: ServiceEntry): string {
  let text = ` ${service.scheduler}`;
  if (hasSchedulerFlags(service)) text += ` (${schedulerFlagNames(service)})`;
  if (service.flags & SVC_PERSISTENT) {
    text += ` persistent ${service.persistent}`;
    const netmask = netmaskName(service);
    if (netmask !== '') text += ` mask ${netmask}`;
    if (service.engine !== '') text += ` pe ${service.engine}`;
  }
  if (service.flags & SVC_ONEPACKET) text += ' ops';
  return text;
}

function tunnelInfo(server: DestinationEntry): string {
  if (server.method !== TUNNEL) return 'n/a';
  const checksum = server.tunnelFlags === TUNNEL_CSUM ? '+c' : server.tunnelFlags === TUNNEL_REMCSUM ? 'r+c' : '-c';
  if (server.tunnelType === TUNNEL_GUE) return `gue:${server.tunnelPort}:${checksum}`;
  return server.tunnelType === TUNNEL_GRE ? `gre:${checksum}` : 'ipip';
}

function serviceRow(service: ServiceEntry, format: ServicesFormat): string {
  const name = serviceName(service, format.names);
  const counter = (value: number) => formatCounter(value, format.exact);
  if (format.view === 'stats') {
    const { conns, inPkts, outPkts, inBytes, outBytes } = service.stats;
    return name.padEnd(SERVICE_WIDTH) + [conns, inPkts, outPkts, inBytes, outBytes].map(counter).join('');
  }
  if (format.view === 'rate') {
    const { cps, inPps, outPps, inBps, outBps } = service.rates;
    return name.padEnd(SERVICE_WIDTH) + [cps, inPps, outPps, inBps, outBps].map(counter).join('');
  }
  return name + serviceSettings(service);
}

function serverRow(service: ServiceEntry, server: DestinationEntry, format: ServicesFormat): string {
  const name = serverName(service, server, format.names);
  const counter = (value: number) => formatCounter(value, format.exact);
  const conns = [
    [server.activeConns, 10],
    [server.inactConns, 10],
  ] as const;
  switch (format.view) {
    case 'stats': {
      const { conns: total, inPkts, outPkts, inBytes, outBytes } = server.stats;
      return name + [total, inPkts, outPkts, inBytes, outBytes].map(counter).join('');
    }
    case 'rate': {
      const { cps, inPps, outPps, inBps, outBps } = server.rates;
      const perSecond = [cps, inPps, outPps].map((rate) => ` ${String(rate).padStart(8)}`).join('');
      return name + perSecond + counter(inBps) + counter(outBps);
    }
    case 'thresholds':
      return row(name, 0, [[server.upperThreshold, 10], [server.lowerThreshold, 10], ...conns]);
    case 'persistent-conn':
      return row(name, 0, [[server.weight, 9], [server.persistConns, 11], ...conns]);
    case 'tun-info': {
      const method = FORWARD_NAMES[server.method];
      return row(name, 0, [[method, 7], [tunnelInfo(server), 13], [server.weight, 6], ...conns]);
    }
    default:
      return row(name, 0, [[FORWARD_NAMES[server.method], 7], [server.weight, 6], ...conns]);
  }
}

/** The listing of services and their servers, as `ipvsadm -L` prints it. */
export function formatServices(services: readonly ServiceEntry[], format: ServicesFormat = {}): string {
  const { sorted = true, heading = true, tableSize = DEFAULT_TABLE_SIZE } = format;
  const lines: string[] = [];
  if (heading) lines.push(`IP Virtual Server version ${IPVS_VERSION} (size=${tableSize})`);
  lines.push(...HEADERS[format.view ?? 'default']);
  for (const service of sorted ? sortServices(services) : services) {
    lines.push(serviceRow(service, format));
    const servers = sorted ? sortDestinations(service.destinations) : service.destinations;
    for (const server of servers) lines.push(serverRow(service, server, format));
  }
  return `${lines.join('\n')}\n`;
}

/** The line that `ipvsadm -L --timeout` prints. */
export function formatTimeouts({ tcp, tcpfin, udp }: Timeouts): string {
  return `Timeout (tcp tcpfin udp): ${tcp} ${tcpfin} ${udp}\n`;
}

/** The lines that `ipvsadm -L --daemon` prints: none where no daemon runs, the master before the backup. */
export function formatDaemons(daemons: readonly DaemonEntry[]): string {
  return (['master', 'backup'] as const)
    .flatMap((role) => daemons.filter((daemon) => daemon.role === role))
    .map(
      ({ role, mcastInterface, syncId, syncMaxlen, mcastGroup, mcastPort, mcastTtl }) =>
        `${role} sync daemon (mcast=${mcastInterface}, syncid=${syncId}, maxlen=${syncMaxlen}, ` +
        `group=${mcastGroup}, port=${mcastPort}, ttl=${mcastTtl})\n`,
    )
    .join('');
}
