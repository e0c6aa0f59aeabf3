/** How listings and saved commands name the parts of a service. */
import type { DestinationEntry, ServiceEntry } from '../services/config.ts';
import { SVC_SCHED1, SVC_SCHED2, SVC_SCHED3 } from '../services/service.ts';
import { formatEndpoint } from './endpoints.ts';
import type { Names } from './names.ts';

/** The names of a service's scheduler flags, separated by commas; empty where it has none that its scheduler knows. */
export function schedulerFlagNames(service: ServiceEntry): string {
  const isHash = service.scheduler === 'sh' || service.scheduler === 'mh';
  const names = isHash
    ? [`${service.scheduler}-fallback`, `${service.scheduler}-port`]
    : ['flag-1', 'flag-2', 'flag-3'];
  return [SVC_SCHED1, SVC_SCHED2, SVC_SCHED3]
    .map((flag, i) => (service.flags & flag ? names[i] : undefined))
    .filter((name) => name !== undefined)
    .join(',');
}

/** Whether a service has scheduler flags at all, known or not. */
export function hasSchedulerFlags(service: ServiceEntry): boolean {
  return (service.flags & (SVC_SCHED1 | SVC_SCHED2 | SVC_SCHED3)) !== 0;
}

/** The persistence mask of a service where it is not the default one, else empty. */
export function netmaskName(service: ServiceEntry): string {
  if (service.family === 6) return service.netmaskLength === 128 ? '' : String(service.netmaskLength);
  return service.netmask === '255.255.255.255' ? '' : service.netmask;
}

/** The number of a firewall mark as ipvsadm prints it: signed. */
export function fwmarkNumber(service: ServiceEntry): number {
  return service.fwmark | 0;
}

/** `address:port` of a service; not for firewall marks. */
export function serviceEndpoint(service: ServiceEntry, names: Names | undefined): string {
  const { protocol, family, address, port } = service;
  return formatEndpoint(family, address, port, protocol === 'fwm' ? undefined : protocol, names);
}

/** `address:port` of a server. Ports of firewall-mark services have no protocol, and so no names. */
export function serverEndpoint(service: ServiceEntry, server: DestinationEntry, names: Names | undefined): string {
  const { protocol } = service;
  return formatEndpoint(server.family, server.address, server.port, protocol === 'fwm' ? undefined : protocol, names);
}
