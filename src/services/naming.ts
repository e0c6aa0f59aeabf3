/** Services and servers by the names that people read: in logs, metrics and on screens. */
import type { DestinationKey, ServiceEntry, ServiceKey } from './config.ts';

/** `tcp 192.0.2.100:80`, `udp [2001:db8::53]:53`, `fwmark 1`, `fwmark 1 IPv6`. */
export function serviceName(key: ServiceKey): string {
  if (!('address' in key)) return `fwmark ${key.fwmark}${key.family === 6 ? ' IPv6' : ''}`;
  return `${key.protocol} ${destinationName(key)}`;
}

/** `192.0.2.11:80`, `[2001:db8::11]:80`; without a port the address alone. */
export function destinationName({ address, port }: DestinationKey): string {
  const host = address.includes(':') ? `[${address}]` : address;
  return port === undefined ? host : `${host}:${port}`;
}

/** What names a listed service. */
export function keyOf({ protocol, address, port, fwmark, family }: ServiceEntry): ServiceKey {
  return protocol === 'fwm' ? { fwmark, family } : { protocol, address, port };
}
