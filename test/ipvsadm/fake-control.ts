import { tryParseAddress } from '../../src/address.ts';
import { DirectorError, type DirectorErrorCode, invalidOption } from '../../src/errors.ts';
import type { Control } from '../../src/ipvsadm/control.ts';
import type {
  ConnectionEntry,
  DaemonEntry,
  DaemonOptions,
  DaemonRole,
  DestinationEntry,
  DestinationKey,
  DestinationOptions,
  SchedulerFlag,
  ServiceEntry,
  ServiceKey,
  ServiceOptions,
  Timeouts,
} from '../../src/services/config.ts';
import { NO_HANDSHAKES } from '../core/handshakes.ts';

const SCHEDULERS = 'none rr wrr lc wlc sed nq sh dh lblc lblcr fo ovf mh twos'.split(' ');
const INTERFACES = ['eth0', 'eth1'];
const METHODS = { masq: 0, tunnel: 2, route: 3 } as const;
const TUNNEL_TYPES = { ipip: 0, gue: 1, gre: 2 } as const;
const TUNNEL_CHECKSUMS = { none: 0, csum: 1, remcsum: 2 } as const;
const FLAGS: Readonly<Record<SchedulerFlag, number>> = {
  'flag-1': 8,
  'sh-fallback': 8,
  'mh-fallback': 8,
  'flag-2': 16,
  'sh-port': 16,
  'mh-port': 16,
  'flag-3': 32,
};
const NO_STATS = { conns: 0, inPkts: 0, outPkts: 0, inBytes: 0, outBytes: 0 };
const NO_RATES = { cps: 0, inPps: 0, outPps: 0, inBps: 0, outBps: 0 };

function refuse(code: DirectorErrorCode): DirectorError {
  return new DirectorError(code, code);
}

function keyText(key: ServiceKey): string {
  return 'fwmark' in key ? `${key.fwmark} ${key.family ?? 4}` : `${key.protocol} ${key.address} ${key.port}`;
}

function isUnicast(address: string): boolean {
  const parsed = tryParseAddress(address)!;
  if (parsed.family === 4) return !/^(?:0|2[2-5]\d)\./.test(address) || /^22[0-3]\./.test(address);
  const [a, b, c] = parsed.words;
  return !(address === '::' || a! >>> 24 === 0xff || a! >>> 16 === 0xfe80 || (a === 0 && b === 0 && c === 0xffff));
}

interface FakeService {
  readonly key: ServiceKey;
  readonly family: 4 | 6;
  options: ServiceOptions;
  destinations: DestinationEntry[];
}

/** A {@link Control} that keeps a table and refuses what the kernel refuses, in the kernel's order, and forwards nothing. */
export class FakeControl implements Control {
  readonly #services = new Map<string, FakeService>();
  readonly #daemons = new Map<DaemonRole, DaemonEntry>();
  #timeouts: Timeouts = { tcp: 900, tcpfin: 120, udp: 300 };
  connectionEntries: readonly ConnectionEntry[] = [];

  addService(key: ServiceKey, options: ServiceOptions = {}): void {
    if (this.#services.has(keyText(key))) throw refuse('ERR_SERVICE_EXISTS');
    this.#checkOptions(options);
    const family = 'fwmark' in key ? (key.family ?? 4) : tryParseAddress(key.address)!.family;
    this.#services.set(keyText(key), { key, family, options, destinations: [] });
  }

  editService(key: ServiceKey, options: ServiceOptions = {}): void {
    const service = this.#find(key);
    this.#checkOptions(options);
    service.options = options;
  }

  deleteService(key: ServiceKey): void {
    if (!this.#services.delete(keyText(key))) throw refuse('ERR_NO_SUCH_SERVICE');
  }

  flush(): void {
    this.#services.clear();
  }

  zero(key?: ServiceKey): void {
    if (key !== undefined) this.#find(key);
  }

  addDestination(key: ServiceKey, destination: DestinationKey, options: DestinationOptions = {}): void {
    const service = this.#find(key);
    this.#checkThresholds(options);
    if (this.#findServer(service, destination) >= 0) throw refuse('ERR_DESTINATION_EXISTS');
    if (!isUnicast(destination.address)) throw invalidOption('address', destination.address, 'unicast');
    const family = tryParseAddress(destination.address)!.family;
    if (family !== service.family && this.#daemons.size > 0) {
      throw invalidOption('address', destination.address, `of family ${service.family} while a sync daemon runs`);
    }
    service.destinations.unshift(this.#server(destination, options));
  }

  editDestination(key: ServiceKey, destination: DestinationKey, options: DestinationOptions = {}): void {
    const service = this.#find(key);
    this.#checkThresholds(options);
    const index = this.#findServer(service, destination);
    if (index < 0) throw refuse('ERR_NO_SUCH_DESTINATION');
    service.destinations[index] = this.#server(destination, options);
  }

  deleteDestination(key: ServiceKey, destination: DestinationKey): void {
    const service = this.#find(key);
    const index = this.#findServer(service, destination);
    if (index < 0) throw refuse('ERR_NO_SUCH_DESTINATION');
    service.destinations.splice(index, 1);
  }

  setTimeouts(timeouts: Partial<Timeouts>): void {
    this.#timeouts = { ...this.#timeouts, ...timeouts };
  }

  getTimeouts(): Timeouts {
    return this.#timeouts;
  }

  services(): ServiceEntry[] {
    return [...this.#services.values()].map((service) => this.#entry(service));
  }

  service(key: ServiceKey): ServiceEntry {
    return this.#entry(this.#find(key));
  }

  connections(): Iterable<ConnectionEntry> {
    return this.connectionEntries;
  }

  startDaemon(options: DaemonOptions): void {
    if (this.#daemons.has(options.role)) throw refuse('ERR_DAEMON_RUNNING');
    const { role, mcastInterface = 'eth0', mcastGroup = '224.0.0.81' } = options;
    const isMixed = ({ family, destinations }: FakeService) => destinations.some((server) => server.family !== family);
    if ([...this.#services.values()].some(isMixed)) throw invalidOption('role', role, 'possible with mixed families');
    if (!INTERFACES.includes(mcastInterface)) throw invalidOption('mcastInterface', mcastInterface, 'an interface');
    const room = mcastGroup.includes(':') ? 1452 : 1472;
    this.#daemons.set(role, {
      role,
      mcastInterface,
      mcastGroup,
      syncId: options.syncId ?? 0,
      syncMaxlen: Math.max(options.syncMaxlen ?? room, role === 'backup' ? 1024 : 1),
      mcastPort: options.mcastPort ?? 8848,
      mcastTtl: options.mcastTtl ?? 1,
    });
  }

  stopDaemon(role: DaemonRole): void {
    if (!this.#daemons.delete(role)) throw refuse('ERR_NO_DAEMON');
  }

  daemons(): DaemonEntry[] {
    return [...this.#daemons.values()];
  }

  #find(key: ServiceKey): FakeService {
    const service = this.#services.get(keyText(key));
    if (service === undefined) throw refuse('ERR_NO_SUCH_SERVICE');
    return service;
  }

  #findServer(service: FakeService, { address, port }: DestinationKey): number {
    return service.destinations.findIndex((server) => server.address === address && server.port === port);
  }

  #checkOptions({ scheduler = 'wlc', engine = '' }: ServiceOptions): void {
    if (!SCHEDULERS.includes(scheduler as string)) throw refuse('ERR_UNKNOWN_SCHEDULER');
    if (engine !== '' && engine !== 'sip') throw refuse('ERR_UNKNOWN_ENGINE');
  }

  #checkThresholds({ upperThreshold = 0, lowerThreshold = 0 }: DestinationOptions): void {
    if (lowerThreshold > upperThreshold) throw invalidOption('lowerThreshold', lowerThreshold, 'at most the upper one');
  }

  #server({ address, port = 0 }: DestinationKey, options: DestinationOptions): DestinationEntry {
    const { type = 'ipip', checksum = 'none', port: tunnelPort = 0 } = options.tunnel ?? {};
    return {
      family: tryParseAddress(address)!.family,
      address,
      port,
      method: METHODS[options.method ?? 'route'],
      weight: options.weight ?? 1,
      upperThreshold: options.upperThreshold ?? 0,
      lowerThreshold: options.lowerThreshold ?? 0,
      activeConns: 0,
      inactConns: 0,
      persistConns: 0,
      overloaded: false,
      tunnelType: TUNNEL_TYPES[type],
      tunnelPort,
      tunnelFlags: TUNNEL_CHECKSUMS[checksum],
      handshakes: NO_HANDSHAKES,
      stats: NO_STATS,
      rates: NO_RATES,
    };
  }

  #entry({ key, family, options, destinations }: FakeService): ServiceEntry {
    const { scheduler = 'wlc', persistent = 0, netmask, engine = '', onePacket = false, schedulerFlags = [] } = options;
    const flags = schedulerFlags.reduce((sum, flag) => sum | FLAGS[flag], 0);
    return {
      protocol: 'fwmark' in key ? 'fwm' : key.protocol,
      family,
      address: 'fwmark' in key ? '' : key.address,
      port: 'fwmark' in key ? 0 : key.port,
      fwmark: 'fwmark' in key ? key.fwmark : 0,
      scheduler: scheduler as string,
      flags: flags | (persistent > 0 ? 1 : 0) | (onePacket ? 4 : 0),
      persistent,
      netmaskLength: typeof netmask === 'number' ? netmask : 128,
      netmask: family === 6 ? '' : ((netmask as string | undefined) ?? '255.255.255.255'),
      engine,
      stats: NO_STATS,
      rates: NO_RATES,
      destinations,
    };
  }
}
