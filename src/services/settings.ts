/**
 * The border of the control plane: checks what users pass as options and turns it into the numbers that the tables hold.
 * Every error names the option and the value.
 */
import {
  type Address,
  type Family,
  formatAddress,
  maskWords,
  parseAddress,
  tryParseAddress,
  type Words,
} from '../address.ts';
import { type ForwardMethod, type ForwardMethodNumber, MASQ, ROUTE, TUNNEL } from '../conntrack/forward-method.ts';
import { DirectorError, invalidOption } from '../errors.ts';
import { PROTO_SCTP, PROTO_TCP, PROTO_UDP } from '../packet/ipv4.ts';
import type { SchedulerFactory } from '../schedulers/scheduler.ts';
import type { DestinationKey, DestinationOptions, SchedulerFlag, ServiceKey, ServiceOptions } from './config.ts';
import { TUNNEL_CSUM, TUNNEL_GRE, TUNNEL_GUE, TUNNEL_IPIP, TUNNEL_NOCSUM, TUNNEL_REMCSUM } from './destination.ts';
import type { PersistenceEngine } from './engines/engine.ts';
import { type Service, SVC_SCHED1, SVC_SCHED2, SVC_SCHED3 } from './service.ts';
import type { StatsSnapshot } from './stats.ts';

/** A service's key, as numbers. */
export interface ServiceName extends Address {
  readonly protocol: number;
  readonly address: string;
  readonly port: number;
  readonly fwmark: number;
  /** For messages: `tcp 10.0.0.100:80`. */
  readonly text: string;
}

export interface ServiceSettings {
  readonly factory: SchedulerFactory;
  /** Seconds; 0 is not persistent. */
  readonly timeout: number;
  readonly netmask: Words;
  readonly netmaskLength: number;
  readonly engine: PersistenceEngine | null;
  readonly onePacket: boolean;
  readonly schedulerFlags: number;
}

export interface DestinationSettings {
  readonly method: ForwardMethodNumber;
  readonly weight: number;
  readonly upperThreshold: number;
  readonly lowerThreshold: number;
  readonly tunnelType: number;
  readonly tunnelPort: number;
  readonly tunnelFlags: number;
}

export const PROTOCOLS: Record<string, number> = { tcp: PROTO_TCP, udp: PROTO_UDP, sctp: PROTO_SCTP };
const METHODS: Record<ForwardMethod, ForwardMethodNumber> = { masq: MASQ, tunnel: TUNNEL, route: ROUTE };
const TUNNEL_TYPES: Record<string, number> = { ipip: TUNNEL_IPIP, gue: TUNNEL_GUE, gre: TUNNEL_GRE };
const TUNNEL_CHECKSUMS: Record<string, number> = { none: TUNNEL_NOCSUM, csum: TUNNEL_CSUM, remcsum: TUNNEL_REMCSUM };
const FLAGS: Record<SchedulerFlag, number> = {
  'sh-fallback': SVC_SCHED1,
  'mh-fallback': SVC_SCHED1,
  'flag-1': SVC_SCHED1,
  'sh-port': SVC_SCHED2,
  'mh-port': SVC_SCHED2,
  'flag-2': SVC_SCHED2,
  'flag-3': SVC_SCHED3,
};

const SERVICE_OPTIONS = ['scheduler', 'persistent', 'netmask', 'engine', 'onePacket', 'schedulerFlags'];
const DESTINATION_OPTIONS = ['method', 'weight', 'upperThreshold', 'lowerThreshold', 'tunnel'];
const TUNNEL_OPTIONS = ['type', 'port', 'checksum'];
const MAX_PERSISTENCE = 31 * 86400;
const MAX_INT = 2 ** 31 - 1;

/** An integer option within bounds, or its default when it is not given. */
export function integer(
  option: string,
  value: number | undefined,
  min: number,
  max: number,
  otherwise: number,
): number {
  if (value === undefined) return otherwise;
  if (!Number.isInteger(value) || value < min || value > max) {
    throw invalidOption(option, value, `an integer from ${min} to ${max}`);
  }
  return value;
}

/** One of a few words, or the default when none is given. */
export function choice<T>(option: string, value: string | undefined, choices: Record<string, T>, otherwise: T): T {
  if (value === undefined) return otherwise;
  if (typeof value !== 'string' || !Object.hasOwn(choices, value)) {
    throw invalidOption(option, value, `one of ${Object.keys(choices).join(', ')}`);
  }
  return choices[value];
}

export function object(option: string, value: unknown): void {
  if (typeof value !== 'object' || value === null) throw invalidOption(option, value, 'an object');
}

/**
 * An object with no other options than these, so that a misspelt one does not go unnoticed.
 * @param prefix what errors put in front of an option's name.
 */
export function optionsOf(option: string, value: unknown, known: readonly string[], prefix = ''): void {
  object(option, value);
  for (const [key, given] of Object.entries(value as object)) {
    if (!known.includes(key)) throw invalidOption(prefix + key, given, `an option; there are ${known.join(', ')}`);
  }
}

/** What a listing gives may be used as a key: there a service by address has the mark 0. */
function isByMark(key: ServiceKey): key is Extract<ServiceKey, { readonly fwmark: number }> {
  return 'fwmark' in key && !(key.fwmark === 0 && 'address' in key);
}

export function serviceName(key: ServiceKey): ServiceName {
  object('service', key);
  if (isByMark(key)) {
    if (key.fwmark === undefined) throw invalidOption('fwmark', key.fwmark, 'an integer from 1 to 4294967295');
    const fwmark = integer('fwmark', key.fwmark, 1, 2 ** 32 - 1, 0) | 0;
    const { family = 4 } = key;
    if (family !== 4 && family !== 6) throw invalidOption('family', family, '4 or 6');
    return {
      family,
      words: new Int32Array(4),
      protocol: 0,
      address: '',
      port: 0,
      fwmark,
      text: `fwmark ${fwmark >>> 0}`,
    };
  }
  const protocol = choice('protocol', key.protocol, PROTOCOLS, 0);
  if (protocol === 0) throw invalidOption('protocol', key.protocol, `one of ${Object.keys(PROTOCOLS).join(', ')}`);
  const address = parseAddress(key.address, 'address');
  if (key.port === undefined) throw invalidOption('port', key.port, 'an integer from 0 to 65535');
  const port = integer('port', key.port, 0, 65535, 0);
  const canonical = formatAddress(address.family, address.words);
  const text = `${key.protocol} ${address.family === 6 ? `[${canonical}]` : canonical}:${port}`;
  return { ...address, protocol, address: canonical, port, fwmark: 0, text };
}

/** What {@link serviceSettings} needs to know of the director: the schedulers and engines there are. */
export interface Known {
  scheduler(name: string): SchedulerFactory | undefined;
  engine(name: string): PersistenceEngine | undefined;
}

export function serviceSettings(name: ServiceName, options: ServiceOptions, known: Known): ServiceSettings {
  optionsOf('options', options, SERVICE_OPTIONS);
  const { scheduler = 'wlc', onePacket = false, engine = '', schedulerFlags = [] } = options;
  const factory = schedulerFactory(scheduler, known);
  const timeout = integer('persistent', options.persistent, 0, MAX_PERSISTENCE, 0);
  if (name.fwmark === 0 && name.port === 0 && timeout === 0) {
    throw invalidOption('port', 0, 'a port: a service on all ports (0) must be persistent');
  }
  if (typeof onePacket !== 'boolean') throw invalidOption('onePacket', onePacket, 'a boolean');
  if (onePacket && name.fwmark === 0 && name.protocol !== PROTO_UDP) {
    throw invalidOption('onePacket', onePacket, 'possible for anything but UDP and firewall-mark services');
  }
  if (typeof engine !== 'string') throw invalidOption('engine', engine, 'a name');
  const flags = flagBits(schedulerFlags);
  return {
    factory,
    timeout,
    ...netmask(name.family, options.netmask),
    engine: engine === '' ? null : knownEngine(engine, known),
    onePacket,
    schedulerFlags: flags,
  };
}

function knownEngine(name: string, known: Known): PersistenceEngine {
  const engine = known.engine(name);
  if (engine === undefined) {
    throw new DirectorError('ERR_UNKNOWN_ENGINE', `engine: no persistence engine '${name}'`, {
      option: 'engine',
      value: name,
    });
  }
  return engine;
}

/** Checks a persistence engine of the user's own. */
export function ownEngine(option: string, engine: PersistenceEngine): PersistenceEngine {
  object(option, engine);
  if (typeof engine.name !== 'string' || !/^[!-~]{1,15}$/.test(engine.name)) {
    throw invalidOption(`${option}.name`, engine.name, 'a name of 1 to 15 printable characters');
  }
  if (typeof engine.identify !== 'function') throw invalidOption(`${option}.identify`, engine.identify, 'a function');
  return engine;
}

function flagBits(flags: readonly SchedulerFlag[]): number {
  if (!Array.isArray(flags)) throw invalidOption('schedulerFlags', flags, 'an array');
  let bits = 0;
  flags.forEach((flag, i) => {
    const bit = choice(`schedulerFlags[${i}]`, flag, FLAGS, 0);
    if (bit === 0) throw invalidOption(`schedulerFlags[${i}]`, flag, `one of ${Object.keys(FLAGS).join(', ')}`);
    bits |= bit;
  });
  return bits;
}

/** Checks a scheduler of the user's own. */
export function ownScheduler(option: string, factory: SchedulerFactory): SchedulerFactory {
  object(option, factory);
  if (typeof factory.name !== 'string' || !/^[!-~]{1,15}$/.test(factory.name)) {
    throw invalidOption(`${option}.name`, factory.name, 'a name of 1 to 15 printable characters');
  }
  if (typeof factory.create !== 'function') throw invalidOption(`${option}.create`, factory.create, 'a function');
  return factory;
}

function schedulerFactory(given: string | SchedulerFactory, known: Known): SchedulerFactory {
  if (typeof given !== 'string') return ownScheduler('scheduler', given);
  const factory = known.scheduler(given);
  if (factory === undefined) {
    throw new DirectorError('ERR_UNKNOWN_SCHEDULER', `scheduler: no scheduler '${given}'`, {
      option: 'scheduler',
      value: given,
    });
  }
  return factory;
}

function netmask(family: Family, given: string | number | undefined): { netmask: Words; netmaskLength: number } {
  const bits = family === 4 ? 32 : 128;
  if (given === undefined) return { netmask: maskWords(bits), netmaskLength: bits };
  if (typeof given === 'number' || family === 6) {
    const length = typeof given === 'string' && /^\d{1,3}$/.test(given) ? Number(given) : given;
    if (typeof length !== 'number' || !Number.isInteger(length) || length < 1 || length > bits) {
      throw invalidOption('netmask', given, `a prefix length from 1 to ${bits}`);
    }
    return { netmask: maskWords(length), netmaskLength: length };
  }
  const mask = tryParseAddress(given);
  if (mask === undefined || mask.family !== 4)
    throw invalidOption('netmask', given, 'a dotted mask or a prefix length');
  const length = 32 - (mask.words[0] === 0 ? 32 : 31 - Math.clz32(mask.words[0] & -mask.words[0]));
  return { netmask: mask.words, netmaskLength: length };
}

/** Counters that were kept elsewhere. @throws DirectorError ERR_INVALID_OPTION */
export function checkStats(stats: StatsSnapshot): StatsSnapshot {
  object('stats', stats);
  for (const name of ['conns', 'inPkts', 'outPkts', 'inBytes', 'outBytes'] as const) {
    const value = stats[name];
    if (!(Number.isInteger(value) && value >= 0)) throw invalidOption(`stats.${name}`, value, 'a count');
  }
  return stats;
}

/** A real server's address and port: for DR and tunnels under an address service the port is the service's. */
export function destinationName(
  service: Pick<Service, 'port'>,
  key: DestinationKey,
): { address: Address; text: string; port: number } {
  object('destination', key);
  const address = parseAddress(key.address, 'destination.address');
  const port = integer('destination.port', key.port, 0, 65535, service.port);
  return { address, text: formatAddress(address.family, address.words), port };
}

export function destinationSettings(options: DestinationOptions): DestinationSettings {
  optionsOf('options', options, DESTINATION_OPTIONS);
  const { tunnel = {} } = options;
  optionsOf('tunnel', tunnel, TUNNEL_OPTIONS, 'tunnel.');
  const upperThreshold = integer('upperThreshold', options.upperThreshold, 0, MAX_INT, 0);
  const lowerThreshold = integer('lowerThreshold', options.lowerThreshold, 0, MAX_INT, 0);
  if (lowerThreshold > upperThreshold) {
    throw invalidOption('lowerThreshold', lowerThreshold, `at most upperThreshold (${upperThreshold})`);
  }
  const tunnelType = choice('tunnel.type', tunnel.type, TUNNEL_TYPES, TUNNEL_IPIP);
  const tunnelPort = integer('tunnel.port', tunnel.port, 0, 65535, 0);
  if (tunnelType === TUNNEL_GUE && tunnelPort === 0)
    throw invalidOption('tunnel.port', tunnel.port, 'a port: GUE needs one');
  return {
    method: choice<ForwardMethodNumber>('method', options.method, METHODS, ROUTE),
    weight: integer('weight', options.weight, 0, MAX_INT, 1),
    upperThreshold,
    lowerThreshold,
    tunnelType,
    tunnelPort,
    tunnelFlags: choice('tunnel.checksum', tunnel.checksum, TUNNEL_CHECKSUMS, TUNNEL_NOCSUM),
  };
}
