/** How a service's servers are told apart, however they are written. */
import type { ForwardMethod } from '../conntrack/forward-method.ts';
import type { DestinationKey } from '../services/config.ts';
import { destinationName, type ServiceName } from '../services/settings.ts';
import type { CheckedServer } from './config.ts';

/** A server of a service, and a text that no other server of it has. */
export interface ServerName extends CheckedServer {
  readonly id: string;
}

/** Names a server of one service, by its forward method where that is known. @throws DirectorError ERR_INVALID_OPTION */
export type NameServer = (key: DestinationKey, method?: ForwardMethod) => ServerName;

/**
 * For DR and tunnels under an address service the port is the service's, whatever was asked.
 * @returns what names the servers of that service.
 */
export function namer(service: ServiceName): NameServer {
  return (key, method) => {
    const { text: address, port } = destinationName(service, key);
    const isFixed = method !== undefined && method !== 'masq' && service.fwmark === 0;
    return named(address, isFixed ? service.port : port);
  };
}

function named(address: string, port: number): ServerName {
  return { id: `${address} ${port}`, address, port };
}

/** The name of a server as it is listed. */
export function nameOf({ address, port }: CheckedServer): ServerName {
  return named(address, port);
}
