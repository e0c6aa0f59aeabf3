/** Services and real servers as they are added, edited and removed, with what that means for the host and its connections. */
import type { Address, Words } from '../address.ts';
import { dropOf, dropUnavailable } from '../conntrack/drop-entry.ts';
import { MASQ, TUNNEL } from '../conntrack/forward-method.ts';
import { invalidOption } from '../errors.ts';
import { isMulticast6 } from '../packet/ipv6.ts';
import type { DestinationKey, DestinationOptions, ServiceKey, ServiceOptions } from '../services/config.ts';
import type { Service } from '../services/service.ts';
import { destinationName, destinationSettings, serviceName, serviceSettings } from '../services/settings.ts';
import type { Parts } from './parts.ts';

export class Catalogue {
  readonly #parts: Parts;
  /** When servers were removed whose connections end with them (`expire_nodest_conn`). */
  #removedAt: number | null = null;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** @throws DirectorError ERR_INVALID_OPTION, ERR_NO_SUCH_SERVICE */
  get(key: ServiceKey): Service {
    return this.#parts.registry.get(serviceName(key));
  }

  addService(key: ServiceKey, options: ServiceOptions = {}): void {
    const { registry, known, configuration, host } = this.#parts;
    const name = serviceName(key);
    const service = registry.addService(name, () => serviceSettings(name, options, known));
    if (configuration.claimVips && service.fwmark === 0) host.claim(service);
  }

  editService(key: ServiceKey, options: ServiceOptions = {}): void {
    const { registry, known } = this.#parts;
    const name = serviceName(key);
    const service = registry.get(name);
    registry.editService(service, serviceSettings(name, options, known));
  }

  deleteService(key: ServiceKey): void {
    this.#delete(this.get(key));
  }

  flush(): void {
    for (const service of [...this.#parts.registry.services()]) this.#delete(service);
  }

  #delete(service: Service): void {
    const { registry, configuration, host } = this.#parts;
    const hadServers = service.destinations.length > 0;
    registry.deleteService(service);
    if (hadServers) this.#endConnectionsOfRemoved();
    if (!configuration.claimVips || service.fwmark !== 0) return;
    for (const other of registry.services()) if (other.address === service.address) return;
    host.disclaim(service);
  }

  addDestination(key: ServiceKey, destination: DestinationKey, options: DestinationOptions = {}, place = 0): number {
    const service = this.get(key);
    const settings = destinationSettings(options);
    const { address, text, port } = nameUnder(service, destination, settings.method);
    this.#checkFamily(service, address, text, settings.method);
    if (!this.#isHost(address)) throw invalidOption('destination.address', text, 'the address of a host');
    return this.#parts.registry.addDestination(service, address, port, text, settings, place);
  }

  editDestination(key: ServiceKey, destination: DestinationKey, options: DestinationOptions = {}): void {
    const { registry, tellings } = this.#parts;
    const service = this.get(key);
    const settings = destinationSettings(options);
    const { address, text, port } = nameUnder(service, destination, settings.method);
    this.#checkFamily(service, address, text, settings.method);
    const edited = registry.destination(service, address, port, text);
    edited.refresh();
    const { overloaded } = edited;
    registry.editDestination(edited, settings);
    if (edited.overloaded !== overloaded) tellings.overloadChanged(edited);
    tellings.throwAgain();
  }

  deleteDestination(key: ServiceKey, destination: DestinationKey): void {
    const { registry } = this.#parts;
    const service = this.get(key);
    const { address, text, port } = destinationName(service, destination);
    registry.deleteDestination(registry.destination(service, address, port, text));
    this.#endConnectionsOfRemoved();
  }

  /** Ends what a server has of connections and templates, as its removal would with `expire_nodest_conn`. */
  expireConnections(key: ServiceKey, destination: DestinationKey): void {
    const service = this.get(key);
    const { address, text, port } = destinationName(service, destination);
    const server = this.#parts.registry.destination(service, address, port, text);
    const { connections4, connections6, tellings } = this.#parts;
    for (const connections of [connections4, connections6]) dropOf(connections, (one) => one === server);
    tellings.throwAgain();
  }

  #checkFamily(service: Service, address: Address, text: string, method: number): void {
    if (address.family === service.family) return;
    if (method !== TUNNEL) {
      throw invalidOption('destination.address', text, "of the service's family: only tunnels may differ");
    }
    if (this.#parts.sync.entries().length > 0) {
      throw invalidOption('destination.address', text, "of the service's family: a sync daemon runs");
    }
  }

  #isHost(address: Address): boolean {
    const { words, family } = address;
    if (family === 6) return isUnicast6(words) || this.#parts.host.isOwn(6, words, 0);
    return words[0] !== 0 && words[0] >>> 28 !== 0xe && !this.#parts.host.isBroadcast4(words, 0);
  }

  #endConnectionsOfRemoved(): void {
    const { sysctl, time } = this.#parts;
    if (sysctl.expire_nodest_conn !== 0 && this.#removedAt === null) this.#removedAt = time.tick();
  }

  /** What is left of removed servers' connections ends a moment later, all at once (kernel behaviour: a delayed work). */
  dropRemoved(tick: number): void {
    if (this.#removedAt === null || ((tick - this.#removedAt) | 0) < 1) return;
    this.#removedAt = null;
    dropUnavailable(this.#parts.connections4);
    dropUnavailable(this.#parts.connections6);
  }
}

/** Of one host and any link (kernel behaviour: ipv6_addr_type): not ::, not ::ffff:0:0/96, not fe80::/10, no group. */
function isUnicast6(words: Words): boolean {
  const [first, second, third, last] = words;
  if (isMulticast6(words, 0) || first >>> 22 === LINK_LOCAL) return false;
  return (first | second) !== 0 || (third === 0 ? last !== 0 : third !== 0xffff);
}

/** fe80::/10. */
const LINK_LOCAL = 0xfe80 >>> 6;

/** For DR and tunnels under an address service the port cannot be changed: it is the service's. */
function nameUnder(service: Service, key: DestinationKey, method: number): ReturnType<typeof destinationName> {
  const name = destinationName(service, key);
  return method === MASQ || service.fwmark !== 0 ? name : { ...name, port: service.port };
}
