/** Builds the host from its configuration: interfaces on their devices, addresses, routes, known neighbours. */
import { formatAddress, inPrefix, linkLocal } from '../address.ts';
import type { Configuration, RouteConfiguration } from '../configuration.ts';
import type { Device } from '../devices/device.ts';
import { invalidOption } from '../errors.ts';
import type { Host } from './host.ts';
import { Interface, type Port } from './interface.ts';
import { Route } from './routes.ts';
import type { Wire } from './wire.ts';

/** A device in use and the interfaces on it. */
export interface Line {
  readonly port: Port;
  readonly interfaces: Interface[];
  alive: boolean;
}

/**
 * Gives `host` what the configuration says.
 * @returns the devices in use.
 * @throws DirectorError ERR_INVALID_OPTION for a gateway that no interface reaches.
 */
export function assembleHost(host: Host, wire: Wire, configuration: Configuration): Line[] {
  const lines = new Map<Device, Line>();
  for (const { device, name, vlan, mac, mtu, addresses } of configuration.interfaces) {
    const line = lines.get(device) ?? { port: wire.addPort(device), interfaces: [], alive: true };
    lines.set(device, line);
    const added = new Interface(host.interfaces.length, name, line.port, vlan, mac, mtu);
    host.interfaces.push(added);
    line.interfaces.push(added);
    for (const address of addresses) host.addAddress(added, address);
    // Neighbour discovery speaks from a link-local address.
    if (addresses.some(({ family }) => family === 6)) host.addAddress(added, linkLocal(mac));
  }
  configuration.routes.forEach((route, i) => {
    host.addRoute(new Route(route.prefix, interfaceFor(host, route, i), route.gateway?.words ?? null));
  });
  for (const { address, mac, dev } of configuration.neighbours) {
    const on = host.interfaces.find(({ name }) => name === dev)!;
    host.neighbours.setPermanent(on, address.family, address.words, mac.high, mac.low, 0);
  }
  return [...lines.values()];
}

/** The interface of a route: the one named, or the one whose network the gateway is in. */
function interfaceFor(host: Host, { gateway, dev }: RouteConfiguration, i: number): Interface {
  const on =
    dev !== null
      ? host.interfaces.find(({ name }) => name === dev)
      : host.interfaces.find(({ addresses }) =>
          addresses.some((own) => own.family === gateway!.family && inPrefix(own, gateway!.words, 0)),
        );
  if (on === undefined) {
    const text = formatAddress(gateway!.family, gateway!.words);
    throw invalidOption(`routes[${i}].via`, text, "in an interface's network");
  }
  return on;
}
