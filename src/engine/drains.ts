/**
 * Draining real servers: weight 0, so that no new connections come, while those that there are go on until they end or
 * the time is over. Works on any engine by its calls alone.
 */
import { formatAddress, parseAddress } from '../address.ts';
import type { Clock } from '../clock.ts';
import { DirectorError, invalidOption } from '../errors.ts';
import { optionsOfEntry } from '../listing.ts';
import type { DestinationEntry, DestinationKey, ServiceKey } from '../services/config.ts';
import { integer, optionsOf, serviceName } from '../services/settings.ts';
import type { Engine as WholeEngine } from './engine.ts';

/** How long a server may take to run dry, and what happens then. */
export interface DrainOptions {
  /** Seconds after which it is over, whatever is left. Default: however long it takes. */
  readonly deadline?: number;
  /** Whether the connections and templates that are left at the deadline end then. Default false: they go on. */
  readonly expire?: boolean;
  /** Whether the server is removed in the end, drained or not. Default false: it stays, with weight 0. */
  readonly remove?: boolean;
}

/**
 * How a drain stands: `draining`; or how it ended: `drained`, nothing is left; `deadline`, the time was over; `cancelled`,
 * the server has its weight again; `overruled`, somebody has given it a weight or removed it; `stopped`, with the director.
 */
export type DrainState = 'draining' | 'drained' | 'deadline' | 'cancelled' | 'overruled' | 'stopped';

/** What the event `drain` tells, whenever it changes. */
export interface DrainProgress {
  readonly service: ServiceKey;
  readonly destination: Required<DestinationKey>;
  readonly state: DrainState;
  /** What the server still has: active connections, others, persistence templates. */
  readonly activeConns: number;
  readonly inactConns: number;
  readonly persistConns: number;
  /** Seconds until the deadline, rounded up; null without one. */
  readonly secondsLeft: number | null;
}

/** A server that is being drained. */
export interface Drain {
  readonly progress: DrainProgress;
  /** Resolves when it is over, with how it ended. */
  readonly ended: Promise<DrainProgress>;
  /** Gives the server its weight back; nothing happens when it is over. */
  cancel(): void;
}

/** What of an engine it takes. */
type Engine = Pick<WholeEngine, 'service' | 'editDestination' | 'deleteDestination' | 'expireConnections'>;

/** How often to look, in milliseconds. */
const LOOK_MS = 250;
const LONGEST_SECONDS = 31 * 86_400;

interface Place {
  readonly service: ServiceKey;
  readonly destination: Required<DestinationKey>;
  /** The same for all ways to write it. */
  readonly id: string;
}

class ServerDrain implements Drain {
  readonly place: Place;
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #tell: (progress: DrainProgress) => void;
  readonly #options: DrainOptions;
  /** The weight that it had. */
  readonly #weight: number;
  readonly #deadlineMs: number;
  readonly #stopTimer: () => void;
  readonly #resolve: (progress: DrainProgress) => void;
  readonly ended: Promise<DrainProgress>;
  progress: DrainProgress;

  constructor(
    place: Place,
    entry: DestinationEntry,
    options: DrainOptions,
    engine: Engine,
    clock: Clock,
    tell: (progress: DrainProgress) => void,
  ) {
    this.place = place;
    this.#engine = engine;
    this.#clock = clock;
    this.#tell = tell;
    this.#options = options;
    this.#weight = entry.weight;
    this.#deadlineMs = clock.now() + (options.deadline ?? Number.POSITIVE_INFINITY) * 1000;
    let resolve: (progress: DrainProgress) => void = () => {};
    this.ended = new Promise((settle) => {
      resolve = settle;
    });
    this.#resolve = resolve;
    this.progress = this.#progressOf('draining', entry);
    this.#setWeight(entry, 0);
    this.#stopTimer = clock.every(LOOK_MS, () => this.look());
  }

  #setWeight(entry: DestinationEntry, weight: number): void {
    this.#engine.editDestination(this.place.service, this.place.destination, { ...optionsOfEntry(entry), weight });
  }

  #progressOf(state: DrainState, entry: DestinationEntry | undefined): DrainProgress {
    const { service, destination } = this.place;
    const { activeConns = 0, inactConns = 0, persistConns = 0 } = entry ?? {};
    const leftMs = this.#deadlineMs - this.#clock.now();
    const secondsLeft = leftMs === Number.POSITIVE_INFINITY ? null : Math.max(0, Math.ceil(leftMs / 1000));
    return { service, destination, state, activeConns, inactConns, persistConns, secondsLeft };
  }

  #entry(): DestinationEntry | undefined {
    return entryAt(this.#engine, this.place);
  }

  /** Looks how far it is. */
  look(): void {
    if (this.progress.state !== 'draining') return;
    const entry = this.#entry();
    if (entry === undefined || entry.weight !== 0) this.#end('overruled', entry);
    else if (entry.activeConns + entry.inactConns + entry.persistConns === 0) this.#finish('drained', entry);
    else if (this.#clock.now() >= this.#deadlineMs) this.#finish('deadline', entry);
    else this.#note(this.#progressOf('draining', entry));
  }

  #finish(state: 'drained' | 'deadline', entry: DestinationEntry): void {
    const { service, destination } = this.place;
    let left: DestinationEntry | undefined = entry;
    if (state === 'deadline' && this.#options.expire === true) {
      this.#engine.expireConnections(service, destination);
      left = this.#entry();
    }
    if (this.#options.remove === true) this.#engine.deleteDestination(service, destination);
    this.#end(state, left);
  }

  cancel(): void {
    if (this.progress.state !== 'draining') return;
    const entry = this.#entry();
    const isOverruled = entry === undefined || entry.weight !== 0;
    if (!isOverruled) this.#setWeight(entry, this.#weight);
    this.#end(isOverruled ? 'overruled' : 'cancelled', entry);
  }

  /** The director ends, and with it this. */
  stop(): void {
    if (this.progress.state === 'draining') this.#close({ ...this.progress, state: 'stopped' });
  }

  #end(state: DrainState, entry: DestinationEntry | undefined): void {
    this.#close(this.#progressOf(state, entry));
  }

  #close(progress: DrainProgress): void {
    this.#stopTimer();
    this.#resolve(progress);
    this.#note(progress);
  }

  #note(progress: DrainProgress): void {
    const { progress: before } = this;
    this.progress = progress;
    const isSame = (['state', 'activeConns', 'inactConns', 'persistConns'] as const).every(
      (name) => before[name] === progress[name],
    );
    if (!isSame) this.#tell(progress);
  }
}

export class Drains {
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #tell: (progress: DrainProgress) => void;
  readonly #drains = new Map<string, ServerDrain>();

  /** @param tell is told of every change. */
  constructor(engine: Engine, clock: Clock, tell: (progress: DrainProgress) => void) {
    this.#engine = engine;
    this.#clock = clock;
    this.#tell = tell;
  }

  /** @throws DirectorError ERR_INVALID_OPTION, ERR_NO_SUCH_SERVICE, ERR_NO_SUCH_DESTINATION, ERR_DRAINING */
  start(key: ServiceKey, destination: DestinationKey, options: DrainOptions = {}): Drain {
    const checked = checkOptions(options);
    const place = placeOf(key, destination);
    const { destinations } = this.#engine.service(key);
    const entry = destinations.find((one) => isAt(one, place));
    if (entry === undefined) {
      throw new DirectorError('ERR_NO_SUCH_DESTINATION', `no such destination: ${place.destination.address}`);
    }
    if (this.#drains.has(place.id)) {
      throw new DirectorError('ERR_DRAINING', `destination is being drained: ${place.destination.address}`);
    }
    const drain = new ServerDrain(place, entry, checked, this.#engine, this.#clock, (progress) => {
      if (progress.state !== 'draining') this.#drains.delete(place.id);
      this.#tell(progress);
    });
    this.#drains.set(place.id, drain);
    this.#tell(drain.progress);
    drain.look();
    return drain;
  }

  /** The drain of a server; undefined when there is none. @throws DirectorError ERR_INVALID_OPTION */
  of(key: ServiceKey, destination: DestinationKey): Drain | undefined {
    return this.#drains.get(placeOf(key, destination).id);
  }

  list(): Drain[] {
    return [...this.#drains.values()];
  }

  /** The director ends. */
  stop(): void {
    for (const drain of [...this.#drains.values()]) drain.stop();
  }
}

function checkOptions(options: DrainOptions): DrainOptions {
  optionsOf('options', options, ['deadline', 'expire', 'remove']);
  if (options.deadline !== undefined) integer('deadline', options.deadline, 0, LONGEST_SECONDS, 0);
  for (const name of ['expire', 'remove'] as const) {
    const value = options[name];
    if (value !== undefined && typeof value !== 'boolean') throw invalidOption(name, value, 'a boolean');
  }
  return { ...options };
}

function placeOf(key: ServiceKey, { address, port }: DestinationKey): Place {
  const { family, text, fwmark, ...name } = serviceName(key);
  // A listing's entry may be used as a key; what is told is the key alone.
  const service: ServiceKey =
    fwmark !== 0 || !('protocol' in key)
      ? { fwmark: fwmark >>> 0, family }
      : { protocol: key.protocol, address: name.address, port: name.port };
  const parsed = parseAddress(address, 'destination.address');
  const destination = {
    address: formatAddress(parsed.family, parsed.words),
    port: integer('destination.port', port, 0, 65535, name.port),
  };
  return { service, destination, id: `${family} ${text} ${destination.address} ${destination.port}` };
}

function isAt({ address, port }: DestinationEntry, { destination }: Place): boolean {
  return address === destination.address && port === destination.port;
}

/** The server as it is listed now; undefined when it, or its service, is gone. */
function entryAt(engine: Engine, place: Place): DestinationEntry | undefined {
  try {
    return engine.service(place.service).destinations.find((entry) => isAt(entry, place));
  } catch (error) {
    if (error instanceof DirectorError && error.code === 'ERR_NO_SUCH_SERVICE') return undefined;
    throw error;
  }
}
