/**
 * What works behind a director: devices, tables, timers and the frame path. Everything that crosses this interface is plain
 * data that can be cloned, so that an engine may run in another thread than the director that is asked.
 *
 * A new call is a method here, in local.ts, and of `Director`.
 */
import type { HealthChange } from '../health/config.ts';
import type {
  ConnectionEntry,
  DaemonEntry,
  DaemonOptions,
  DaemonRole,
  DestinationEntry,
  DestinationKey,
  DestinationOptions,
  ServiceEntry,
  ServiceKey,
  ServiceOptions,
  Timeouts,
} from '../services/config.ts';
import type { MarkRule } from '../services/marks.ts';
import type { RateSnapshot, StatsSnapshot } from '../services/stats.ts';
import type { SyncCounters } from '../sync/daemons.ts';
import type { VerdictName } from '../verdicts.ts';
import type { Captured } from './capture/captures.ts';
import type { CaptureOptions } from './capture/options.ts';
import type { DrainProgress } from './drains.ts';
import type { ExplainOptions, Explanation } from './explain/explanation.ts';
import type { CountersState } from './handover/handover.ts';
import type { HostState } from './handover/host-state.ts';
import type { PlantedCounts } from './handover/planting.ts';
import type { RowsCursor } from './handover/rows.ts';
import type { Workload, WorkloadOptions } from './workload.ts';

/** What a director tells those who listen (`director.on(...)`). Nothing is built for events that nobody listens to. */
export interface DirectorEvents {
  connectionCreated: (connection: ConnectionEntry) => void;
  connectionExpired: (connection: ConnectionEntry) => void;
  /** A destination reached its upper threshold (`overloaded`), or is below it again, or was given a higher one. */
  destinationOverload: (service: ServiceEntry, destination: DestinationEntry) => void;
  /** A service had no server for a packet. */
  noDestination: (service: ServiceEntry) => void;
  /** A server that is being drained has fewer connections, or is done; see {@link Director.drain}. */
  drain: (progress: DrainProgress) => void;
  /** A device died; it is not used any more. */
  deviceError: (interfaceName: string, error: Error) => void;
  /** Something about the health of a service that is watched has changed: see `Director.watch`. */
  health: (change: HealthChange) => void;
}

/** What an engine tells its director. */
export interface EngineEvents extends DirectorEvents {
  /** A frame that is for nobody here, and the name of the interface it came by: see `Director.onPassed`. */
  passed: (frame: Uint8Array, interfaceName: string) => void;
}

export type EngineEvent = keyof EngineEvents;

/** Hears what an engine tells. */
export type EngineListener = <E extends EngineEvent>(event: E, ...told: Parameters<EngineEvents[E]>) => void;

/** What the director counts beside the services' own statistics. */
export interface DirectorCounters {
  /** Frames read: the sum of all verdicts. */
  readonly received: number;
  /** Frames handed to devices. */
  readonly sent: number;
  /** Frames that devices did not take. */
  readonly lost: number;
  /** Packets dropped while they waited for a neighbour's MAC address. */
  readonly neighbourDrops: number;
  /** With several threads: frames that one received and handed on to the one they were for, and those lost on that way. */
  readonly handedOn: number;
  readonly handOnLost: number;
  /** What the sync daemons have sent and received. */
  readonly sync: SyncCounters;
  /** What became of the frames read, by the names of {@link VERDICT_TEXTS}. */
  readonly verdicts: Readonly<Record<VerdictName, number>>;
}

/** The calls of an engine; `Director`, whose methods they serve, says what each does and throws. */
export interface Engine {
  start(): void;
  stop(): void;
  poll(): number;
  /** Whether anybody wants to be told of this event. Nothing is told before it was asked for. */
  listen(event: EngineEvent, wanted: boolean): void;

  addService(key: ServiceKey, options?: ServiceOptions): void;
  editService(key: ServiceKey, options?: ServiceOptions): void;
  deleteService(key: ServiceKey): void;
  flush(): void;
  zero(key?: ServiceKey): void;
  /**
   * @param place where its connections are counted among those of other threads, as the first of them was answered.
   * @returns that place.
   */
  addDestination(key: ServiceKey, destination: DestinationKey, options?: DestinationOptions, place?: number): number;
  editDestination(key: ServiceKey, destination: DestinationKey, options?: DestinationOptions): void;
  deleteDestination(key: ServiceKey, destination: DestinationKey): void;
  /** Ends what a server has of connections and templates. */
  expireConnections(key: ServiceKey, destination: DestinationKey): void;
  addMark(rule: MarkRule): void;
  clearMarks(): void;

  setTimeouts(timeouts: Partial<Timeouts>): void;
  getTimeouts(): Timeouts;
  getSysctl(name: string): number;
  sysctlText(name: string): string;
  setSysctl(name: string, value: number | string): void;

  services(): ServiceEntry[];
  service(key: ServiceKey): ServiceEntry;
  connections(): ConnectionEntry[];
  statistics(): StatsSnapshot;
  rates(): RateSnapshot;
  counters(): DirectorCounters;
  workload(options?: WorkloadOptions): Workload;
  /** @returns the capture's number. */
  startCapture(options: CaptureOptions): number;
  takeCaptured(capture: number): Captured;
  stopCapture(capture: number): Captured;
  explain(packet: string | Uint8Array, options?: ExplainOptions): Explanation;

  /** Leaves frames where they are from now on: the tables stay as they are, but for timers. */
  pause(): void;
  /** What the host has learned, for a successor. */
  exportHost(): HostState;
  /** @param state what {@link exportHost} has answered, unchecked. @param passedTicks how long ago. */
  importHost(state: unknown, passedTicks: number): void;
  /** Connections from a place in the tables on, and where the next ones begin; null at the end. */
  exportRows(cursor: RowsCursor): { payload: Uint8Array; next: RowsCursor | null };
  /** @throws DirectorError ERR_HANDOVER */
  importRows(payload: Uint8Array, passedTicks: number): void;
  /** All rows are imported: says what became of them. */
  endImport(): PlantedCounts;
  /** @throws DirectorError ERR_INVALID_OPTION */
  importCounters(counters: CountersState): void;

  startDaemon(options: DaemonOptions): void;
  stopDaemon(role: DaemonRole): void;
  daemons(): DaemonEntry[];
}
