/**
 * A director's whole state for its successor, by the calls of any engine: services and servers as they are now, timeouts,
 * sync daemons, counters, what the host has learned, and every connection and template.
 *
 * Each piece is written in one go and is right for its moment. A director that goes on working while it writes (a
 * snapshot) may change between pieces: what begins behind the pen is missing, what ends before it is still in there and
 * ends by its timer.
 */
import { DirectorError } from '../../errors.ts';
import { keyOfEntry, optionsOfEntry, optionsOfService } from '../../listing.ts';
import type { DaemonEntry, ServiceEntry, ServiceKey, Timeouts } from '../../services/config.ts';
import type { StatsSnapshot } from '../../services/stats.ts';
import { TICK_MS } from '../../ticks.ts';
import type { Engine } from '../engine.ts';
import {
  damaged,
  formatBlock,
  formatEnd,
  formatHeader,
  type ReadBytes,
  ROWS_BLOCK,
  readBlocks,
  STATE_BLOCK,
} from './blocks.ts';
import type { HostState } from './host-state.ts';
import type { PlantedCounts } from './planting.ts';
import { FIRST_ROWS, type RowsCursor } from './rows.ts';

/** Counters of services and servers, as they are taken over. */
export interface CountersState {
  readonly total: StatsSnapshot;
  readonly services: readonly {
    readonly key: ServiceKey;
    readonly stats: StatsSnapshot;
    readonly destinations: readonly {
      readonly address: string;
      readonly port: number;
      readonly stats: StatsSnapshot;
    }[];
  }[];
}

interface State {
  /** When it was written, in milliseconds since 1970. */
  readonly at: number;
  readonly services: readonly ServiceEntry[];
  readonly total: StatsSnapshot;
  readonly timeouts: Timeouts;
  readonly daemons: readonly DaemonEntry[];
  readonly host: HostState;
  readonly note: unknown;
}

/** What {@link takeOver} has found. */
export interface TakenOver extends PlantedCounts {
  /** How old it was, in milliseconds. */
  readonly ageMs: number;
  readonly services: number;
  /** What could not be taken over, in words. */
  readonly problems: readonly string[];
}

/** Where a handover is read from. */
export interface HandoverSource {
  /** When it was written, in milliseconds since 1970. */
  readonly at: number;
  /** What whoever wrote it has put in. */
  readonly note: unknown;
}

/**
 * Writes a handover, piece by piece, each within a few milliseconds.
 * @param services lists them as they are to be.
 * @param note anything that JSON can hold, for whoever takes it over.
 */
export function* handOver(engine: Engine, services: () => ServiceEntry[], note: unknown): Generator<Uint8Array, void> {
  yield formatHeader();
  const state: State = {
    at: Date.now(),
    services: services(),
    total: engine.statistics(),
    timeouts: engine.getTimeouts(),
    daemons: engine.daemons(),
    host: engine.exportHost(),
    note,
  };
  yield* formatBlock(STATE_BLOCK, Buffer.from(JSON.stringify(state)));
  let count = 1;
  for (let cursor: RowsCursor | null = FIRST_ROWS; cursor !== null; count++) {
    const { payload, next } = engine.exportRows(cursor);
    yield* formatBlock(ROWS_BLOCK, payload);
    cursor = next;
  }
  yield* formatEnd(count);
}

/**
 * Reads a handover through, to its end, and changes nothing.
 * @throws DirectorError ERR_HANDOVER when it is not whole.
 */
export function inspectHandover(read: ReadBytes): HandoverSource {
  let found: HandoverSource | undefined;
  for (const { kind, payload } of readBlocks(read)) {
    if (found === undefined) {
      if (kind !== STATE_BLOCK) throw damaged('it does not begin with the state');
      const { at, note } = readState(payload);
      found = { at, note };
    } else if (kind !== ROWS_BLOCK) throw damaged('it has a block of an unknown kind');
  }
  if (found === undefined) throw damaged('it is empty');
  return found;
}

/**
 * Takes over what a predecessor has written. Services, servers and connections that are here already stay as they are;
 * what does not fit is left out, and said. {@link inspectHandover} tells beforehand whether it is whole.
 * @throws DirectorError ERR_HANDOVER when it is not; what came before the damage is taken over then.
 */
export function takeOver(engine: Engine, read: ReadBytes): TakenOver {
  const problems: string[] = [];
  const attempt = (what: string, action: () => void, fine?: string) => {
    try {
      action();
    } catch (error) {
      if (!(error instanceof DirectorError)) throw error;
      if (error.code !== fine) problems.push(`${what}: ${error.message}`);
    }
  };
  let state: State | undefined;
  let passedTicks = 0;
  for (const { kind, payload } of readBlocks(read)) {
    if (state === undefined) {
      if (kind !== STATE_BLOCK) throw damaged('it does not begin with the state');
      state = readState(payload);
      passedTicks = Math.max(0, Math.floor((Date.now() - state.at) / TICK_MS));
      restoreState(engine, state, passedTicks, attempt);
    } else engine.importRows(payload, passedTicks);
  }
  if (state === undefined) throw damaged('it is empty');
  const counts = engine.endImport();
  return { ...counts, ageMs: passedTicks * TICK_MS, services: state.services.length, problems };
}

type Attempt = (what: string, action: () => void, fine?: string) => void;

function restoreState(engine: Engine, state: State, passedTicks: number, attempt: Attempt): void {
  attempt('timeouts', () => engine.setTimeouts(state.timeouts));
  // Listings have the newest first.
  for (const entry of [...state.services].reverse()) {
    const key = keyOfEntry(entry);
    attempt('service', () => engine.addService(key, optionsOfService(entry)), 'ERR_SERVICE_EXISTS');
    for (const one of [...entry.destinations].reverse()) {
      const { address, port } = one;
      attempt(
        'server',
        () => engine.addDestination(key, { address, port }, optionsOfEntry(one)),
        'ERR_DESTINATION_EXISTS',
      );
    }
  }
  attempt('counters', () => engine.importCounters(countersOf(state)));
  for (const daemon of state.daemons) attempt('sync daemon', () => engine.startDaemon(daemon), 'ERR_DAEMON_RUNNING');
  engine.importHost(state.host, passedTicks);
}

function countersOf({ services, total }: State): CountersState {
  return {
    total,
    services: services.map((entry) => ({
      key: keyOfEntry(entry),
      stats: entry.stats,
      destinations: entry.destinations.map(({ address, port, stats }) => ({ address, port, stats })),
    })),
  };
}

/** @throws DirectorError ERR_HANDOVER for what has another form; what is in it the engine's calls check. */
function readState(payload: Uint8Array): State {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(payload).toString('utf8'));
  } catch {
    throw damaged('its state is not JSON');
  }
  if (!isObject(value)) throw damaged('its state is no object');
  const { at, services, daemons } = value as Partial<State>;
  const isEntry = (one: unknown) => {
    if (!isObject(one)) return false;
    const { destinations } = one as { destinations?: unknown };
    return Array.isArray(destinations) && destinations.every(isObject);
  };
  const isRight =
    Number.isFinite(at) &&
    Array.isArray(services) &&
    services.every(isEntry) &&
    Array.isArray(daemons) &&
    daemons.every(isObject);
  if (!isRight) throw damaged('its state cannot be read');
  return value as State;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
