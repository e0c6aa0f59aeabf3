/** What the options of one command line say, gathered one by one, each checked as it comes. */
import type { Family } from '../address.ts';
import type { ForwardMethod } from '../conntrack/forward-method.ts';
import type { DaemonOptions, DestinationKey, ServiceProtocol, TunnelOptions } from '../services/config.ts';
import { parseEndpoint, parseIpv4, parseIpv6 } from './endpoints.ts';
import { usageError } from './exit.ts';
import type { Names } from './names.ts';
import { leadingNumber, parseFwmark, parseNumber } from './numbers.ts';
import type { OptionName } from './options.ts';

/** Persistence timeout of `-p` without a value, in seconds. (The C program's manual says so too; its code says 360.) */
const DEFAULT_PERSISTENCE = 300;
/** The longest timeout that can be asked for, in seconds: 31 days. */
const MAX_TIMEOUT = 31 * 24 * 60 * 60;
const MAX_INT = 0x7fff_ffff;
/** Bytes that fit into one UDP datagram. */
const MAX_SYNC_MAXLEN = 65_507;
/** The longest name of an interface. */
const MAX_INTERFACE_NAME = 15;

/** The options seen so far. Everything starts at ipvsadm's default. */
export interface Draft {
  readonly names: Names;
  readonly given: Set<OptionName>;
  family: Family;
  /** Unknown until a service was named: port names mean nothing until then. */
  protocol: ServiceProtocol | undefined;
  address: string;
  port: number;
  fwmark: number;
  scheduler: string;
  persistent: number;
  netmask: string | number | undefined;
  engine: string;
  onePacket: boolean;
  schedulerFlags: string;
  serverFamily: Family;
  server: Required<DestinationKey>;
  method: ForwardMethod;
  weight: number;
  upperThreshold: number;
  lowerThreshold: number;
  tunnel: Required<TunnelOptions>;
  readonly daemon: { -readonly [K in keyof Omit<DaemonOptions, 'role'>]: DaemonOptions[K] };
}

/** A draft of a line without options. */
export function emptyDraft(names: Names): Draft {
  return {
    names,
    given: new Set(),
    family: 4,
    protocol: undefined,
    address: '',
    port: 0,
    fwmark: 0,
    scheduler: '',
    persistent: 0,
    netmask: undefined,
    engine: '',
    onePacket: false,
    schedulerFlags: '',
    serverFamily: 4,
    server: { address: '', port: 0 },
    method: 'route',
    weight: 1,
    upperThreshold: 0,
    lowerThreshold: 0,
    tunnel: { type: 'ipip', port: 0, checksum: 'none' },
    daemon: {},
  };
}

/** What a switch does: which option it counts as (each may be given once), and what it writes into the draft. */
interface Effect {
  readonly option?: OptionName;
  apply?(draft: Draft, value: string): void;
  /** Instead of `apply`, where the value was left out. */
  applyDefault?(draft: Draft): void;
}

function demand<T>(value: T | undefined, reason: string): T {
  if (value === undefined) throw usageError(reason);
  return value;
}

/** A timeout in seconds, `min` .. 31 days. @throws Exit (2) */
export function demandTimeout(text: string, min: number): number {
  return demand(parseNumber(text, min, MAX_TIMEOUT), `invalid timeout value \`${text}' specified`);
}

function service(protocol: ServiceProtocol): Effect {
  return {
    option: 'service-address',
    apply(draft, value) {
      draft.protocol = protocol;
      const endpoint = demand(
        parseEndpoint(value, protocol, draft.names),
        'illegal virtual server address[:port] specified',
      );
      draft.family = endpoint.family;
      draft.address = endpoint.address;
      draft.port = endpoint.port ?? 0;
      // A mask given before the address was read as an IPv4 one.
      if (draft.family === 6) draft.netmask = undefined;
    },
  };
}

function fwmark(draft: Draft, value: string): void {
  draft.fwmark = demand(parseFwmark(value), `invalid fwmark value \`${value}' specified`);
  draft.protocol = 'tcp';
}

function ipv6(draft: Draft): void {
  if (draft.fwmark === 0) throw usageError('-6 used before -f\n');
  draft.family = 6;
  draft.netmask = undefined;
}

function netmask(draft: Draft, value: string): void {
  if (draft.family === 4) {
    draft.netmask = demand(parseIpv4(value), 'illegal virtual server persistent mask specified');
    return;
  }
  const length = leadingNumber(value);
  if (length < 1 || length > 128) throw usageError('illegal ipv6 netmask specified');
  draft.netmask = length;
}

function realServer(draft: Draft, value: string): void {
  const endpoint = demand(
    parseEndpoint(value, draft.protocol, draft.names),
    'illegal real server address[:port] specified',
  );
  draft.serverFamily = endpoint.family;
  draft.server = { address: endpoint.address, port: endpoint.port ?? draft.port };
}

function mcastGroup(draft: Draft, value: string): void {
  const version = value.includes(':') ? 6 : 4;
  const isMulticast =
    version === 6
      ? parseIpv6(value)?.startsWith('ff')
      : /^\d+\.\d+\.\d+\.\d+$/.test(value) && /^(?:22[4-9]|23\d)\./.test(parseIpv4(value) ?? '');
  if (!isMulticast) throw usageError(`invalid IPv${version} mcast-group \`${value}'`);
  draft.daemon.mcastGroup = value;
}

function tunnelType(draft: Draft, value: string): void {
  if (value !== 'ipip' && value !== 'gue' && value !== 'gre') throw usageError('illegal tunnel type specified');
  draft.tunnel = { ...draft.tunnel, type: value };
}

/** A switch with a number; `what` is how messages call it. */
function number(
  option: OptionName,
  what: string,
  min: number,
  max: number,
  write: (draft: Draft, value: number) => void,
): Effect {
  return {
    option,
    apply: (draft, value) => write(draft, demand(parseNumber(value, min, max), `illegal ${what} specified`)),
  };
}

function method(name: ForwardMethod): Effect {
  return { option: 'forwarding-method', apply: (draft) => void (draft.method = name) };
}

function checksum(option: OptionName, name: Required<TunnelOptions>['checksum']): Effect {
  return { option, apply: (draft) => void (draft.tunnel = { ...draft.tunnel, checksum: name }) };
}

/** What each switch that is no command does, by its long form. */
const EFFECTS: Readonly<Record<string, Effect>> = {
  'tcp-service': service('tcp'),
  'udp-service': service('udp'),
  'sctp-service': service('sctp'),
  'fwmark-service': { option: 'service-address', apply: fwmark },
  ipv6: { apply: ipv6 },
  scheduler: { option: 'scheduler', apply: (draft, value) => void (draft.scheduler = value) },
  persistent: {
    option: 'persistent',
    apply: (draft, value) => void (draft.persistent = demandTimeout(value, 1)),
    applyDefault: (draft) => void (draft.persistent = DEFAULT_PERSISTENCE),
  },
  netmask: { option: 'netmask', apply: netmask },
  ops: { option: 'ops', apply: (draft) => void (draft.onePacket = true) },
  pe: { option: 'pe', apply: (draft, value) => void (draft.engine = value) },
  'sched-flags': { option: 'sched-flags', apply: (draft, value) => void (draft.schedulerFlags = value) },
  'real-server': { option: 'real-server', apply: realServer },
  gatewaying: method('route'),
  masquerading: method('masq'),
  ipip: method('tunnel'),
  weight: number('weight', 'weight', 0, MAX_INT, (draft, value) => void (draft.weight = value)),
  'u-threshold': number(
    'u-threshold',
    'u_threshold',
    0,
    MAX_INT,
    (draft, value) => void (draft.upperThreshold = value),
  ),
  'l-threshold': number(
    'l-threshold',
    'l_threshold',
    0,
    MAX_INT,
    (draft, value) => void (draft.lowerThreshold = value),
  ),
  'tun-type': { option: 'tun-type', apply: tunnelType },
  'tun-port': number(
    'tun-port',
    'tunnel port',
    1,
    0xffff,
    (draft, port) => void (draft.tunnel = { ...draft.tunnel, port }),
  ),
  'tun-nocsum': checksum('tun-nocsum', 'none'),
  'tun-csum': checksum('tun-csum', 'csum'),
  'tun-remcsum': checksum('tun-remcsum', 'remcsum'),
  'mcast-interface': {
    option: 'mcast-interface',
    apply(draft, value) {
      if (value !== '') draft.daemon.mcastInterface = value.slice(0, MAX_INTERFACE_NAME);
    },
  },
  syncid: number('syncid', 'syncid', 0, 255, (draft, value) => void (draft.daemon.syncId = value)),
  'sync-maxlen': number(
    'sync-maxlen',
    'sync-maxlen',
    1,
    MAX_SYNC_MAXLEN,
    (draft, value) => void (draft.daemon.syncMaxlen = value),
  ),
  'mcast-group': { option: 'mcast-group', apply: mcastGroup },
  'mcast-port': number('mcast-port', 'mcast-port', 1, 0xffff, (draft, value) => void (draft.daemon.mcastPort = value)),
  'mcast-ttl': number('mcast-ttl', 'mcast-ttl', 1, 255, (draft, value) => void (draft.daemon.mcastTtl = value)),
  numeric: { option: 'numeric' },
  connection: { option: 'connection' },
  timeout: { option: 'timeout' },
  daemon: { option: 'daemon' },
  stats: { option: 'stats' },
  rate: { option: 'rate' },
  thresholds: { option: 'thresholds' },
  'persistent-conn': { option: 'persistent-conn' },
  nosort: { option: 'nosort' },
  exact: { option: 'exact' },
  'tun-info': { option: 'tun-info' },
  // Listings are sorted anyway.
  sort: {},
};

/**
 * Adds one switch to the draft.
 * @returns false when the switch is none that may follow a command.
 * @throws Exit (2) when its option was given before or its value is wrong.
 */
export function applySwitch(draft: Draft, long: string, value: string | undefined): boolean {
  const effect = EFFECTS[long];
  if (effect === undefined) return false;
  if (effect.option !== undefined) {
    if (draft.given.has(effect.option)) throw usageError(`multiple '${effect.option}' options specified`);
    draft.given.add(effect.option);
  }
  if (value === undefined && effect.applyDefault !== undefined) effect.applyDefault(draft);
  else effect.apply?.(draft, value ?? '');
  return true;
}
