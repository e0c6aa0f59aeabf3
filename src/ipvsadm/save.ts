/** `-S`: services and servers as the commands that would make them. */
import { MASQ, TUNNEL } from '../conntrack/forward-method.ts';
import type { DestinationEntry, ServiceEntry } from '../services/config.ts';
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
import { sortDestinations, sortServices } from './sort.ts';

const SERVICE_SWITCHES = { tcp: '-t', udp: '-u', sctp: '--sctp-service' } as const;

function serviceWords(service: ServiceEntry, names: Names | undefined): string {
  if (service.protocol === 'fwm') return `-f ${fwmarkNumber(service)}${service.family === 6 ? ' -6' : ''}`;
  return `${SERVICE_SWITCHES[service.protocol]} ${serviceEndpoint(service, names)}`;
}

function serviceLine(service: ServiceEntry, names: Names | undefined): string {
  let line = `-A ${serviceWords(service, names)} -s ${service.scheduler}`;
  if (service.flags & SVC_PERSISTENT) {
    line += ` -p ${service.persistent}`;
    const netmask = netmaskName(service);
    if (netmask !== '') line += ` -M ${netmask}`;
  }
  if (service.engine !== '') line += ` --pe ${service.engine}`;
  if (service.flags & SVC_ONEPACKET) line += ' -o';
  if (hasSchedulerFlags(service)) line += ` -b ${schedulerFlagNames(service)}`;
  return line;
}

function tunnelWords(server: DestinationEntry): string {
  const checksum =
    server.tunnelFlags === TUNNEL_CSUM
      ? '--tun-csum'
      : server.tunnelFlags === TUNNEL_REMCSUM
        ? '--tun-remcsum'
        : '--tun-nocsum';
  if (server.tunnelType === TUNNEL_GUE) return ` --tun-type gue --tun-port ${server.tunnelPort} ${checksum}`;
  return server.tunnelType === TUNNEL_GRE ? ` --tun-type gre ${checksum}` : ' --tun-type ipip';
}

function serverLine(service: ServiceEntry, server: DestinationEntry, names: Names | undefined): string {
  // A server that is the director itself cannot be asked for: it comes back by its address.
  const method = server.method === MASQ ? '-m' : server.method === TUNNEL ? '-i' : '-g';
  const line = `-a ${serviceWords(service, names)} -r ${serverEndpoint(service, server, names)} ${method} -w ${server.weight}`;
  return server.method === TUNNEL ? line + tunnelWords(server) : line;
}

/**
 * All services as command lines for `-R`, sorted. Thresholds are not saved: the real program does not either.
 * @param names prints addresses and ports by name; without it by number (`-n`).
 */
export function formatSave(services: readonly ServiceEntry[], names?: Names): string {
  const lines: string[] = [];
  for (const service of sortServices(services)) {
    lines.push(serviceLine(service, names));
    for (const server of sortDestinations(service.destinations)) lines.push(serverLine(service, server, names));
  }
  return lines.map((line) => `${line}\n`).join('');
}
