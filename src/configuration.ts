/** What a director is made of: the options of its constructor, checked before anything is built. */
import {
  type Address,
  type Family,
  formatAddress,
  inPrefix,
  type Mac,
  type Prefix,
  parseAddress,
  parseMac,
  parsePrefix,
  tryParseAddress,
} from './address.ts';
import type { Clock } from './clock.ts';
import type { Device } from './devices/device.ts';
import { invalidOption } from './errors.ts';
import { isOwnModule, type OwnModule, type OwnModuleName, ownModuleName } from './own-module.ts';
import type { SchedulerFactory } from './schedulers/scheduler.ts';
import type { PersistenceEngine } from './services/engines/engine.ts';
import { integer, optionsOf, ownEngine, ownScheduler } from './services/settings.ts';

/** A network interface of the director's. */
export interface InterfaceOptions {
  readonly device: Device;
  /** Default: the device's name, with `.VLAN` when there is one. */
  readonly name?: string;
  /** 802.1Q VLAN id, 1 .. 4094: the interface is that VLAN of the device. Default: untagged frames. */
  readonly vlan?: number;
  /** Own addresses with prefix lengths: `192.168.50.31/24`. */
  readonly addresses?: readonly string[];
}

/** A route, as `ip route add` takes it. */
export interface RouteOptions {
  /** A network, or `default`. */
  readonly to: string;
  /** The gateway; without one the network is on the link of `dev`. */
  readonly via?: string;
  /** The interface's name. Default: the one whose network the gateway is in. */
  readonly dev?: string;
}

/** A neighbour whose MAC address is known for good. */
export interface NeighbourOptions {
  readonly ip: string;
  readonly mac: string;
  /** The interface's name. */
  readonly dev: string;
}

export interface DirectorOptions {
  /** At least one. */
  readonly interfaces: readonly InterfaceOptions[];
  readonly routes?: readonly RouteOptions[];
  readonly neighbours?: readonly NeighbourOptions[];
  /** Whether packets for others are routed, as `net.ipv4.ip_forward`: NAT needs it for the servers' replies. Default false. */
  readonly forwarding?: boolean;
  /**
   * Whether the address of a service becomes the director's own, so that ARP is answered for it. Default true. When
   * false a service on an address that no interface has gets no packets, as with Linux.
   */
  readonly claimVips?: boolean;
  /** Connections and templates that there may be, for each of IPv4 and IPv6. Default 262144 (2^18). */
  readonly maxConnections?: number;
  /** ICMP errors that may be sent per second; 0 sends none, Infinity knows no limit. Default 1000. */
  readonly icmpErrorsPerSecond?: number;
  /** Default: the machine's monotonic clock. */
  readonly clock?: Clock;
  /** Numbers in [0, 1) for `twos` and the hash of the connection table. Default `Math.random`. */
  readonly random?: () => number;
  /** Schedulers of your own, for use by name (`-s NAME`): themselves, or by their modules. */
  readonly schedulers?: readonly (SchedulerFactory | OwnModule)[];
  /** Persistence engines of your own, for use by name (`--pe NAME`): themselves, or by their modules. */
  readonly engines?: readonly (PersistenceEngine | OwnModule)[];
  /**
   * In how many worker threads the director works, 0 .. 16; each has one queue of every device.
   * Default 0: in the thread that makes it. In other threads devices must be ones that can be handed over
   * (`Device.transfer`: TapDevice, PacketDevice, MemoryDevice), and schedulers and engines of your own are given by their modules.
   */
  readonly threads?: number;
  /**
   * Whether the director looks for frames without ever sleeping, many times a turn of its event loop, in which timers and the
   * user's code get their turn: a frame does not wait for the thread to be woken. The cost is one processor, always,
   * for each thread that it works in, and that the program does not end before {@link Director.stop}. Default false: it
   * sleeps until a device has something.
   */
  readonly spin?: boolean;
}

export interface InterfaceConfiguration {
  readonly device: Device;
  readonly name: string;
  readonly vlan: number;
  readonly mac: Mac;
  readonly mtu: number;
  /** The longest frame that the device may hand over, in bytes; 0 where the MTU says it. */
  readonly largestFrame: number;
  readonly addresses: readonly Prefix[];
}

export interface RouteConfiguration {
  readonly prefix: Prefix;
  readonly gateway: Address | null;
  /** The name of its interface. */
  readonly dev: string;
}

export interface NeighbourConfiguration {
  readonly address: Address;
  readonly mac: Mac;
  readonly dev: string;
}

/** {@link DirectorOptions}, checked and with every default filled in. */
export interface Configuration {
  readonly interfaces: readonly InterfaceConfiguration[];
  readonly routes: readonly RouteConfiguration[];
  readonly neighbours: readonly NeighbourConfiguration[];
  readonly forwarding: boolean;
  readonly claimVips: boolean;
  readonly maxConnections: number;
  readonly icmpErrorsPerSecond: number;
  /** null: the machine's. */
  readonly clock: Clock | null;
  readonly random: () => number;
  readonly schedulers: readonly (SchedulerFactory | OwnModuleName)[];
  readonly engines: readonly (PersistenceEngine | OwnModuleName)[];
  readonly threads: number;
  readonly spin: boolean;
}

const DIRECTOR_OPTIONS = [
  'interfaces',
  'routes',
  'neighbours',
  'forwarding',
  'claimVips',
  'maxConnections',
  'icmpErrorsPerSecond',
  'clock',
  'random',
  'schedulers',
  'engines',
  'threads',
  'spin',
];
/** An IP packet as long as can be, and room to tell that a frame is too long. */
const MAX_FRAME = 65535 + 32;
const INTERFACE_OPTIONS = ['device', 'name', 'vlan', 'addresses'];
const ROUTE_OPTIONS = ['to', 'via', 'dev'];
const NEIGHBOUR_OPTIONS = ['ip', 'mac', 'dev'];
const MAX_CONNECTIONS = 2 ** 25;
const MAX_THREADS = 16;

function list<T>(option: string, value: readonly T[] | undefined): readonly T[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw invalidOption(option, value, 'an array');
  return value;
}

function boolean(option: string, value: boolean | undefined, otherwise: boolean): boolean {
  if (value === undefined) return otherwise;
  if (typeof value !== 'boolean') throw invalidOption(option, value, 'a boolean');
  return value;
}

/** Checks what a constructor was given. @throws DirectorError ERR_INVALID_OPTION */
export function configure(options: DirectorOptions): Configuration {
  optionsOf('options', options, DIRECTOR_OPTIONS);
  const interfaces = list('interfaces', options.interfaces).map(configureInterface);
  if (interfaces.length === 0)
    throw invalidOption('interfaces', options.interfaces, 'an array of at least one interface');
  interfaces.forEach((one, i) => {
    const same = interfaces.findIndex(
      (other) => other.name === one.name || (other.device === one.device && other.vlan === one.vlan),
    );
    if (same !== i)
      throw invalidOption(`interfaces[${i}].name`, one.name, 'unique: one interface per name, and per device and VLAN');
  });
  const names = interfaces.map(({ name }) => name);
  return {
    interfaces,
    routes: list('routes', options.routes).map((route, i) => configureRoute(route, `routes[${i}]`, interfaces)),
    neighbours: list('neighbours', options.neighbours).map((one, i) =>
      configureNeighbour(one, `neighbours[${i}]`, names),
    ),
    forwarding: boolean('forwarding', options.forwarding, false),
    claimVips: boolean('claimVips', options.claimVips, true),
    maxConnections: integer('maxConnections', options.maxConnections, 1, MAX_CONNECTIONS, 2 ** 18),
    icmpErrorsPerSecond: icmpErrors(options.icmpErrorsPerSecond),
    clock: clock(options.clock),
    random: random(options.random),
    schedulers: list('schedulers', options.schedulers).map((one, i) => own(`schedulers[${i}]`, one, ownScheduler)),
    engines: list('engines', options.engines).map((one, i) => own(`engines[${i}]`, one, ownEngine)),
    threads: integer('threads', options.threads, 0, MAX_THREADS, 0),
    spin: boolean('spin', options.spin, false),
  };
}

/** Code of the user's: checked if it is here, and if it is a module when that is loaded. */
function own<T extends object>(
  option: string,
  value: T | OwnModule,
  check: (option: string, value: T) => T,
): T | OwnModuleName {
  return isOwnModule(value) ? ownModuleName(option, value) : check(option, value);
}

function icmpErrors(value = 1000): number {
  if (typeof value !== 'number' || !(value >= 0))
    throw invalidOption('icmpErrorsPerSecond', value, 'a number of at least 0');
  return value;
}

function clock(value: Clock | undefined): Clock | null {
  if (value === undefined) return null;
  if (typeof value?.now !== 'function' || typeof value.every !== 'function') {
    throw invalidOption('clock', value, 'a clock');
  }
  return value;
}

function random(value: () => number = Math.random): () => number {
  if (typeof value !== 'function') throw invalidOption('random', value, 'a function');
  return value;
}

function configureInterface(options: InterfaceOptions, i: number): InterfaceConfiguration {
  const at = `interfaces[${i}]`;
  optionsOf(at, options, INTERFACE_OPTIONS, `${at}.`);
  const { device } = options;
  if (typeof device?.receive !== 'function' || typeof device.transmit !== 'function') {
    throw invalidOption(`${at}.device`, device, 'a device');
  }
  const vlan = integer(`${at}.vlan`, options.vlan, 1, 4094, 0);
  const { name = vlan === 0 ? device.name : `${device.name}.${vlan}` } = options;
  if (typeof name !== 'string' || name === '') throw invalidOption(`${at}.name`, name, 'a non-empty string');
  return {
    device,
    name,
    vlan,
    mac: parseMac(device.mac, `${at}.device.mac`),
    mtu: integer(`${at}.device.mtu`, device.mtu, 68, 65535, 1500),
    largestFrame: integer(`${at}.device.largestFrame`, device.largestFrame, 0, MAX_FRAME, 0),
    addresses: list(`${at}.addresses`, options.addresses).map((text, k) => parsePrefix(text, `${at}.addresses[${k}]`)),
  };
}

function configureRoute(
  options: RouteOptions,
  at: string,
  interfaces: readonly InterfaceConfiguration[],
): RouteConfiguration {
  optionsOf(at, options, ROUTE_OPTIONS, `${at}.`);
  const gateway = options.via === undefined ? null : parseAddress(options.via, `${at}.via`);
  const family: Family = gateway?.family ?? 4;
  const prefix = parsePrefix(options.to, `${at}.to`, family);
  if (gateway !== null && gateway.family !== prefix.family) {
    throw invalidOption(`${at}.via`, options.via, 'of the same family as the network');
  }
  if (options.dev !== undefined) {
    const names = interfaces.map(({ name }) => name);
    return { prefix, gateway, dev: knownName(`${at}.dev`, options.dev, names) };
  }
  if (gateway === null) throw invalidOption(`${at}.dev`, options.dev, 'given: a route needs via or dev');
  const on = interfaces.find(({ addresses }) =>
    addresses.some((one) => one.family === gateway.family && inPrefix(one, gateway.words, 0)),
  );
  if (on === undefined) {
    throw invalidOption(`${at}.via`, formatAddress(gateway.family, gateway.words), "in an interface's network");
  }
  return { prefix, gateway, dev: on.name };
}

function configureNeighbour(options: NeighbourOptions, at: string, names: readonly string[]): NeighbourConfiguration {
  optionsOf(at, options, NEIGHBOUR_OPTIONS, `${at}.`);
  const address = tryParseAddress(options.ip);
  if (address === undefined) throw invalidOption(`${at}.ip`, options.ip, 'an address');
  return { address, mac: parseMac(options.mac, `${at}.mac`), dev: knownName(`${at}.dev`, options.dev, names) };
}

function knownName(option: string, name: string, names: readonly string[]): string {
  if (!names.includes(name)) throw invalidOption(option, name, `the name of an interface (${names.join(', ')})`);
  return name;
}
