/**
 * The services and their real servers, found the way the kernel finds them (kernel behaviour: ip_vs_ctl.c).
 */
import { type Address, type Family, sameAddress, type Words, wordsOf } from '../address.ts';
import { MASQ, TUNNEL } from '../conntrack/forward-method.ts';
import { DirectorError } from '../errors.ts';
import { PROTO_TCP } from '../packet/ipv4.ts';
import type { SchedulerContext, SchedulerFactory } from '../schedulers/scheduler.ts';
import { Destination } from './destination.ts';
import type { PersistenceEngine } from './engines/engine.ts';
import { Service, SVC_ONEPACKET, SVC_PERSISTENT } from './service.ts';
import type { DestinationSettings, ServiceName, ServiceSettings } from './settings.ts';
import type { SharedCounts } from './shared-counts.ts';

const BUCKETS = 256;
export const FTP_PORT = 21;
export const FTP_DATA_PORT = 20;
/** Ports from here on may be those of FTP data connections. */
const FIRST_UNPRIVILEGED_PORT = 1024;
/** A deleted destination that nothing refers to any more is kept this long, in case it comes back. */
const TRASH_MS = 120_000;

/** Told of changes, when somebody wants to know. */
export interface RegistryObserver {
  /** The destination's id may be given to another from now on. */
  destinationFreed(id: number): void;
}

interface Trashed {
  readonly destination: Destination;
  /** What its service was, to tell whether it comes back to the same one. */
  readonly service: Service;
  /** Since when nothing has referred to it; -1 while something does. */
  idleSinceMs: number;
}

export class Registry {
  /** Destinations by id; connection rows hold these ids. */
  readonly destinations: (Destination | null)[] = [];
  readonly #buckets: Service[][] = Array.from({ length: BUCKETS }, () => []);
  readonly #marks: Service[][] = Array.from({ length: BUCKETS }, () => []);
  readonly #trash: Trashed[] = [];
  readonly #freeIds: number[] = [];
  readonly #context: SchedulerContext;
  readonly #observer: RegistryObserver;
  /** Where servers' connections are counted; null: each for itself. */
  readonly #counts: SharedCounts | null;
  #nextServiceId = 0;
  #nextSequence = 0;
  /** How many services there are on port 0, and on port 21: only then are the extra look-ups worth making. */
  #anyPort = 0;
  #services4 = 0;
  #services6 = 0;
  #ftp = 0;
  /** How many services there are whose servers may begin connections. */
  #connectingServices = 0;

  constructor(context: SchedulerContext, observer: RegistryObserver, counts: SharedCounts | null = null) {
    this.#context = context;
    this.#observer = observer;
    this.#counts = counts;
  }

  /** Looks at what other threads have counted of a service's servers, before one is chosen. */
  refresh(service: Service): void {
    if (this.#counts === null) return;
    for (const destination of service.destinations) destination.refresh();
  }

  /** All services: by address in hash order, then by firewall mark; within a bucket the newest first. */
  *services(): Generator<Service> {
    for (const bucket of this.#buckets) yield* bucket;
    for (const bucket of this.#marks) yield* bucket;
  }

  #bucket(family: Family, protocol: number, words: Words, at: number, port: number): Service[] {
    let fold = words[at];
    if (family === 6) fold ^= words[at + 1] ^ words[at + 2] ^ words[at + 3];
    return this.#buckets[(protocol ^ fold ^ (port >> 8) ^ port) & (BUCKETS - 1)];
  }

  #exact(family: Family, protocol: number, words: Words, at: number, port: number): Service | null {
    const bucket = this.#bucket(family, protocol, words, at, port);
    for (let i = 0; i < bucket.length; i++) {
      const service = bucket[i];
      if (
        service.family === family &&
        service.protocol === protocol &&
        service.port === port &&
        sameAddress(wordsOf(family), service.words, 0, words, at)
      ) {
        return service;
      }
    }
    return null;
  }

  #marked(family: Family, fwmark: number): Service | null {
    const bucket = this.#marks[fwmark & (BUCKETS - 1)];
    for (let i = 0; i < bucket.length; i++) {
      if (bucket[i].fwmark === fwmark && bucket[i].family === family) return bucket[i];
    }
    return null;
  }

  /**
   * The service that a packet is for, or null: first by firewall mark, then by protocol, address and port, then (TCP) the
   * FTP service whose data connection it may be, then a service on all ports.
   */
  find(family: Family, fwmark: number, protocol: number, words: Words, at: number, port: number): Service | null {
    if (fwmark !== 0) {
      const service = this.#marked(family, fwmark);
      if (service !== null) return service;
    }
    let service = this.#exact(family, protocol, words, at, port);
    if (
      service === null &&
      this.#ftp !== 0 &&
      protocol === PROTO_TCP &&
      (port === FTP_DATA_PORT || port >= FIRST_UNPRIVILEGED_PORT)
    ) {
      service = this.#exact(family, protocol, words, at, FTP_PORT);
    }
    if (service === null && this.#anyPort !== 0) service = this.#exact(family, protocol, words, at, 0);
    return service;
  }

  #get(name: ServiceName): Service | null {
    return name.fwmark !== 0
      ? this.#marked(name.family, name.fwmark)
      : this.#exact(name.family, name.protocol, name.words, 0, name.port);
  }

  /** @throws DirectorError ERR_NO_SUCH_SERVICE */
  get(name: ServiceName): Service {
    const service = this.#get(name);
    if (service === null) throw new DirectorError('ERR_NO_SUCH_SERVICE', `no such service: ${name.text}`);
    return service;
  }

  /**
   * The tunnel destination with this address and tunnel port (0 for all but GUE): the one added last, if there are
   * several.
   */
  findTunnel(family: Family, words: Words, tunnelPort: number): Destination | null {
    let found: Destination | null = null;
    for (const service of this.services()) {
      for (const destination of service.destinations) {
        if (
          destination.method === TUNNEL &&
          destination.family === family &&
          destination.tunnelPort === tunnelPort &&
          sameAddress(wordsOf(family), destination.words, 0, words, 0) &&
          (found === null || destination.sequence > found.sequence)
        ) {
          found = destination;
        }
      }
    }
    return found;
  }

  /**
   * The NAT server with this address and port, of a service of this protocol, or null: the one added last, if there are
   * several.
   */
  findMasqServer(family: Family, protocol: number, words: Words, at: number, port: number): Destination | null {
    let found: Destination | null = null;
    for (const service of this.services()) {
      if (service.family !== family || (service.fwmark === 0 && service.protocol !== protocol)) continue;
      for (const destination of service.destinations) {
        if (
          destination.method === MASQ &&
          destination.port === port &&
          destination.family === family &&
          sameAddress(wordsOf(family), destination.words, 0, words, at) &&
          (found === null || destination.sequence > found.sequence)
        ) {
          found = destination;
        }
      }
    }
    return found;
  }

  /** The same, if it is a server that may begin connections: its service's engine says so, and has one port to show. */
  findConnectingServer(family: Family, protocol: number, words: Words, at: number, port: number): Destination | null {
    if (this.#connectingServices === 0) return null;
    const destination = this.findMasqServer(family, protocol, words, at, port);
    if (destination === null) return null;
    const { engine, fwmark, port: virtualPort } = destination.service;
    return connects(engine) !== 0 && fwmark === 0 && virtualPort !== 0 ? destination : null;
  }

  /**
   * The destination of a connection that a sync master told of, or null (kernel behaviour: ip_vs_find_dest). The key is
   * the connection's: a firewall-mark service's servers are known by port 0 unless it is NAT.
   * @param virtualAt where the virtual address is in `words`; the server's is at `serverAt`.
   */
  findDestination(
    family: Family,
    fwmark: number,
    protocol: number,
    words: Words,
    virtualAt: number,
    virtualPort: number,
    serverAt: number,
    serverPort: number,
    method: number,
  ): Destination | null {
    const service = this.find(family, fwmark, protocol, words, virtualAt, virtualPort);
    if (service === null) return null;
    const port = fwmark !== 0 && method !== MASQ ? 0 : serverPort;
    return (
      serverAmong(service.destinations, family, words, serverAt, port) ??
      serverAmong(service.destinations, family, words, serverAt, port ^ serverPort)
    );
  }

  /** Whether any service has a server of another family than its own. */
  hasMixedFamilies(): boolean {
    for (const { family, destinations } of this.services()) {
      if (destinations.some((destination) => destination.family !== family)) return true;
    }
    return false;
  }

  /** @throws DirectorError ERR_SERVICE_EXISTS */
  addService(name: ServiceName, resolve: () => ServiceSettings): Service {
    if (this.#get(name) !== null) throw new DirectorError('ERR_SERVICE_EXISTS', `service exists: ${name.text}`);
    const settings = resolve();
    const { family, protocol, words, address, port, fwmark } = name;
    const service = new Service(this.#nextServiceId++, family, protocol, words, address, port, fwmark);
    this.#apply(service, settings);
    if (fwmark !== 0) this.#marks[fwmark & (BUCKETS - 1)].unshift(service);
    else this.#bucket(family, protocol, words, 0, port).unshift(service);
    this.#count(service, 1);
    return service;
  }

  /**
   * Whether there are services of the family. While there are none, IPVS is not in the packets' way at all, and
   * connections that are left wait for their timers (kernel behaviour: ip_vs_register_hooks).
   */
  isActive(family: Family): boolean {
    return (family === 4 ? this.#services4 : this.#services6) !== 0;
  }

  #count(service: Service, change: number): void {
    if (service.family === 4) this.#services4 += change;
    else this.#services6 += change;
    if (service.fwmark !== 0) return;
    if (service.port === 0) this.#anyPort += change;
    if (service.port === FTP_PORT) this.#ftp += change;
  }

  editService(service: Service, settings: ServiceSettings): void {
    this.#apply(service, settings);
  }

  #apply(service: Service, settings: ServiceSettings): void {
    const { factory } = settings;
    if (service.scheduler === null || service.factory !== factory) {
      service.scheduler = this.#bindScheduler(service, factory);
      service.factory = factory;
    }
    service.flags =
      settings.schedulerFlags | (settings.timeout > 0 ? SVC_PERSISTENT : 0) | (settings.onePacket ? SVC_ONEPACKET : 0);
    service.timeout = settings.timeout;
    service.netmask.set(settings.netmask);
    service.netmaskLength = settings.netmaskLength;
    this.#connectingServices += connects(settings.engine) - connects(service.engine);
    service.engine = settings.engine;
  }

  #bindScheduler(service: Service, factory: SchedulerFactory): Service['scheduler'] {
    return factory.create(service, this.#context);
  }

  deleteService(service: Service): void {
    for (const destination of [...service.destinations]) this.#trashDestination(service, destination);
    service.destinations.length = 0;
    const bucket =
      service.fwmark !== 0
        ? this.#marks[service.fwmark & (BUCKETS - 1)]
        : this.#bucket(service.family, service.protocol, service.words, 0, service.port);
    this.#connectingServices -= connects(service.engine);
    bucket.splice(bucket.indexOf(service), 1);
    this.#count(service, -1);
  }

  #find(service: Service, address: Address, port: number): Destination | undefined {
    return service.destinations.find((destination) => isAt(destination, address, port));
  }

  /** @throws DirectorError ERR_NO_SUCH_DESTINATION */
  destination(service: Service, address: Address, port: number, text: string): Destination {
    const destination = this.#find(service, address, port);
    if (destination === undefined) {
      throw new DirectorError('ERR_NO_SUCH_DESTINATION', `no such destination: ${text}`);
    }
    return destination;
  }

  /**
   * Adds a real server at the head of the list. One that was deleted and still has connections comes back with them.
   * @param place with shared counts, the server's place among them, if another thread has taken one already; else 0.
   * @returns that place; 0 without shared counts.
   * @throws DirectorError ERR_DESTINATION_EXISTS, ERR_UNSUPPORTED when there is no place left
   */
  addDestination(
    service: Service,
    address: Address,
    port: number,
    text: string,
    settings: DestinationSettings,
    place = 0,
  ): number {
    if (this.#find(service, address, port) !== undefined) {
      throw new DirectorError('ERR_DESTINATION_EXISTS', `destination exists: ${text}`);
    }
    const at = place !== 0 || this.#counts === null ? place : this.#counts.take();
    const trashed = this.#trash.findIndex(
      (entry) => isAt(entry.destination, address, port) && sameKey(entry.service, service),
    );
    let destination: Destination;
    if (trashed >= 0) {
      destination = this.#trash.splice(trashed, 1)[0].destination;
      if (destination.service !== service) destination.stats.zero();
      destination.service = service;
      destination.available = true;
    } else {
      const id = this.#freeIds.pop() ?? this.destinations.length;
      destination = new Destination(id, service, address.family, address.words, text, port);
      this.destinations[id] = destination;
    }
    if (this.#counts !== null) destination.share(this.#counts.words, at);
    destination.sequence = this.#nextSequence++;
    this.#update(destination, settings, true);
    service.destinations.unshift(destination);
    service.scheduler?.added?.(destination);
    return at;
  }

  editDestination(destination: Destination, settings: DestinationSettings): void {
    this.#update(destination, settings, false);
    destination.service.scheduler?.updated?.(destination);
  }

  #update(destination: Destination, settings: DestinationSettings, adding: boolean): void {
    if (settings.upperThreshold === 0 || settings.upperThreshold > destination.upperThreshold) {
      destination.setOverloaded(false);
    }
    destination.method = settings.method;
    destination.weight = settings.weight;
    if (adding || settings.weight !== 0) destination.lastWeight = settings.weight;
    destination.upperThreshold = settings.upperThreshold;
    destination.lowerThreshold = settings.lowerThreshold;
    destination.tunnelType = settings.tunnelType;
    destination.tunnelPort = settings.tunnelPort;
    destination.tunnelFlags = settings.tunnelFlags;
  }

  deleteDestination(destination: Destination): void {
    const { service } = destination;
    const index = service.destinations.indexOf(destination);
    service.destinations.splice(index, 1);
    this.#trashDestination(service, destination);
    service.scheduler?.removed?.(destination, index);
  }

  #trashDestination(service: Service, destination: Destination): void {
    destination.available = false;
    if (this.#counts !== null) this.#counts.give(destination.unshare());
    this.#trash.push({ destination, service, idleSinceMs: -1 });
  }

  /** Empties the trash of what nothing has referred to for two minutes; called about every minute. */
  emptyTrash(nowMs: number): void {
    for (let i = this.#trash.length - 1; i >= 0; i--) {
      const entry = this.#trash[i];
      if (entry.destination.references > 0) continue;
      if (entry.idleSinceMs < 0) entry.idleSinceMs = nowMs;
      if (nowMs - entry.idleSinceMs < TRASH_MS) continue;
      this.#trash.splice(i, 1);
      const { id } = entry.destination;
      this.destinations[id] = null;
      this.#freeIds.push(id);
      this.#observer.destinationFreed(id);
    }
  }

  /** Lets every scheduler drop what has become old. */
  tick(): void {
    for (const service of this.services()) service.scheduler?.tick?.();
  }
}

function connects(engine: PersistenceEngine | null): number {
  return engine?.serversConnect === true ? 1 : 0;
}

function isAt(destination: Destination, address: Address, port: number): boolean {
  return (
    destination.port === port &&
    destination.family === address.family &&
    sameAddress(4, destination.words, 0, address.words, 0)
  );
}

function serverAmong(
  destinations: readonly Destination[],
  family: Family,
  words: Words,
  at: number,
  port: number,
): Destination | null {
  const width = wordsOf(family);
  for (const destination of destinations) {
    const { port: ownPort, family: ownFamily, words: ownWords } = destination;
    if (ownPort === port && ownFamily === family && sameAddress(width, ownWords, 0, words, at)) return destination;
  }
  return null;
}

function sameKey(a: Service, b: Service): boolean {
  return (
    a.family === b.family &&
    a.fwmark === b.fwmark &&
    a.protocol === b.protocol &&
    a.port === b.port &&
    sameAddress(4, a.words, 0, b.words, 0)
  );
}
