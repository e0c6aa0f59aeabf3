/** Builds the host from its configuration: interfaces on their devices, addresses, routes, known neighbours. */
import { linkLocal } from '../address.ts';
import type { Configuration } from '../configuration.ts';
import type { Device } from '../devices/device.ts';
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
  const named = (dev: string) => host.interfaces.find(({ name }) => name === dev)!;
  for (const { prefix, gateway, dev } of configuration.routes) {
    host.addRoute(new Route(prefix, named(dev), gateway?.words ?? null));
  }
  for (const { address, mac, dev } of configuration.neighbours) {
    host.neighbours.setPermanent(named(dev), address.family, address.words, mac.high, mac.low, 0);
  }
  return [...lines.values()];
}
