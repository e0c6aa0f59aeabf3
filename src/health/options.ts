/** Checks how a service is to be watched, and fills in the defaults. */
import { invalidOption } from '../errors.ts';
import type { DestinationKey, DestinationOptions } from '../services/config.ts';
import { choice, destinationSettings, integer, object, optionsOf } from '../services/settings.ts';
import type { Probe } from './checks/check.ts';
import { prepareCheck } from './checks.ts';
import type { HandshakeFailure, HealthOptions, PassiveOptions, SlowStartOptions } from './config.ts';
import { type AskLoad, prepareLoad } from './load.ts';
import type { NameServer, ServerName } from './name.ts';
import { number } from './number.ts';
import type { Rules } from './state.ts';

/** When a server's connections are held against it. */
export interface Suspicion {
  readonly windowMs: number;
  readonly connections: number;
  readonly failing: number;
  readonly count: readonly HandshakeFailure[];
}

/** {@link HealthOptions}, checked and with every default filled in. Times are milliseconds. */
export interface Settings {
  readonly check: Probe | null;
  /** Servers that are checked in another way, or not, by their names. */
  readonly checks: ReadonlyMap<string, Probe | null>;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly jitter: number;
  readonly load: { readonly ask: AskLoad; readonly intervalMs: number; readonly timeoutMs: number } | null;
  readonly sorry: { readonly server: ServerName; readonly options: DestinationOptions } | null;
  readonly suspicion: Suspicion | null;
  readonly rules: Rules;
}

const OPTIONS = [
  'check',
  'servers',
  'interval',
  'timeout',
  'rise',
  'fall',
  'jitter',
  'onFailure',
  'quorum',
  'sorryServer',
  'slowStart',
  'load',
  'passive',
];
const FAILURES: readonly HandshakeFailure[] = ['refused', 'repeated', 'reset'];
const SHORTEST = 0.1;
const DAY = 86_400;

/** @throws DirectorError ERR_INVALID_OPTION */
export function checkHealth(options: HealthOptions, name: NameServer): Settings {
  optionsOf('health', options, OPTIONS);
  const { servers = [], load, passive, sorryServer } = options;
  const interval = number('interval', options.interval, SHORTEST, DAY, 5);
  const timeout = number('timeout', options.timeout, SHORTEST, DAY, 2);
  if (!Array.isArray(servers)) throw invalidOption('servers', servers, 'an array');
  if (load !== undefined) optionsOf('load', load, ['from', 'interval', 'timeout', 'least', 'most'], 'load.');
  const least = number('load.least', load?.least, 0, 1, 0.1);
  const most = number('load.most', load?.most, least, 100, Math.max(1, least));
  return {
    check: options.check === undefined ? null : prepareCheck(options.check, 'check'),
    checks: new Map(
      servers.map((one, i) => {
        const at = `servers[${i}]`;
        optionsOf(at, one, ['address', 'port', 'check'], `${at}.`);
        const { check = options.check ?? null } = one;
        const given = one.check === undefined ? 'check' : `${at}.check`;
        return [name(one).id, check === null ? null : prepareCheck(check, given)];
      }),
    ),
    intervalMs: interval * 1000,
    timeoutMs: timeout * 1000,
    jitter: number('jitter', options.jitter, 0, 1, 0.1),
    load:
      load === undefined
        ? null
        : {
            ask: prepareLoad(load.from, 'load.from'),
            intervalMs: number('load.interval', load.interval, SHORTEST, DAY, interval) * 1000,
            timeoutMs: number('load.timeout', load.timeout, SHORTEST, DAY, timeout) * 1000,
          },
    sorry: sorryServer === undefined ? null : checkSorry(sorryServer, name),
    suspicion: passive === undefined ? null : checkPassive(passive),
    rules: {
      rise: integer('rise', options.rise, 1, 1000, 2),
      fall: integer('fall', options.fall, 1, 1000, 3),
      removes: choice('onFailure', options.onFailure, { quiesce: false, remove: true }, false),
      quorum: integer('quorum', options.quorum, 1, 65535, 1),
      hasSorryServer: sorryServer !== undefined,
      slowStart: options.slowStart === undefined ? null : checkSlowStart(options.slowStart),
      least,
      most,
      ejectMs: number('passive.eject', passive?.eject, SHORTEST, DAY, 30) * 1000,
    },
  };
}

function checkSorry(given: DestinationKey & DestinationOptions, name: NameServer): Settings['sorry'] {
  object('sorryServer', given);
  const { address: _, port: __, ...options } = given;
  destinationSettings(options);
  if (options.weight === 0) throw invalidOption('sorryServer.weight', 0, 'more than 0');
  return { server: name(given, options.method), options };
}

function checkSlowStart(given: SlowStartOptions): Rules['slowStart'] {
  optionsOf('slowStart', given, ['duration', 'from', 'steps'], 'slowStart.');
  if (given.duration === undefined) throw invalidOption('slowStart.duration', given.duration, 'a number of seconds');
  return {
    durationMs: number('slowStart.duration', given.duration, SHORTEST, DAY, 0) * 1000,
    from: number('slowStart.from', given.from, 0.001, 1, 0.1),
    steps: integer('slowStart.steps', given.steps, 1, 1000, 10),
  };
}

function checkPassive(given: PassiveOptions): Suspicion {
  optionsOf('passive', given, ['window', 'connections', 'failing', 'count', 'eject'], 'passive.');
  const { count = ['refused', 'repeated'] } = given;
  if (!Array.isArray(count) || count.length === 0 || !count.every((one) => FAILURES.includes(one))) {
    throw invalidOption('passive.count', count, `some of ${FAILURES.join(', ')}`);
  }
  return {
    windowMs: number('passive.window', given.window, SHORTEST, DAY, 10) * 1000,
    connections: integer('passive.connections', given.connections, 1, 2 ** 31 - 1, 10),
    failing: number('passive.failing', given.failing, 0.01, 1, 0.5),
    count,
  };
}
