/** The engine in the thread that it is called from. */
import type { Configuration } from '../configuration.ts';
import { connectionEntry, serviceEntry } from '../listing.ts';
import type {
  ConnectionEntry,
  DaemonEntry,
  DaemonOptions,
  DaemonRole,
  DestinationKey,
  DestinationOptions,
  ServiceEntry,
  ServiceKey,
  ServiceOptions,
  Timeouts,
} from '../services/config.ts';
import type { MarkRule } from '../services/marks.ts';
import { checkStats, destinationName, integer, optionsOf } from '../services/settings.ts';
import type { RateSnapshot, StatsSnapshot } from '../services/stats.ts';
import { VERDICT_NAMES, type VerdictName } from '../verdicts.ts';
import { type Captured, Captures } from './capture/captures.ts';
import type { CaptureOptions } from './capture/options.ts';
import { Catalogue } from './catalogue.ts';
import type { CrossingDevice } from './crossing.ts';
import type { DirectorCounters, Engine, EngineEvent, EngineListener } from './engine.ts';
import { explain } from './explain/explain.ts';
import type { ExplainOptions, Explanation } from './explain/explanation.ts';
import type { CountersState } from './handover/handover.ts';
import { exportHost, type HostState, importHost } from './handover/host-state.ts';
import { type PlantedCounts, Planting } from './handover/planting.ts';
import { exportRows, type RowsCursor } from './handover/rows.ts';
import { Loop } from './loop.ts';
import { assemble, type Parts } from './parts.ts';
import { Steering } from './steering.ts';
import type { Team } from './team.ts';
import { countStates, type Workload, type WorkloadOptions } from './workload.ts';

const LONGEST_TIMEOUT = 31 * 86400;

export class LocalEngine implements Engine {
  readonly #parts: Parts;
  readonly #catalogue: Catalogue;
  readonly #loop: Loop;
  readonly #captures: Captures;
  #steering: Steering | null = null;
  /** Which of several threads this is. */
  readonly #index: number;
  /** While connections of a predecessor are taken over. */
  #planting: Planting | null = null;
  #crossings: readonly CrossingDevice[] = [];

  /**
   * @param team what is shared with other threads, if the director works in several: then its devices are crossings.
   * @throws DirectorError ERR_INVALID_OPTION for a module that cannot be loaded.
   */
  constructor(configuration: Configuration, listener: EngineListener, team: Team | null = null) {
    this.#parts = assemble(configuration, listener, team);
    this.#catalogue = new Catalogue(this.#parts);
    this.#loop = new Loop(this.#parts, this.#catalogue);
    this.#captures = new Captures(this.#parts);
    this.#index = team?.index ?? 0;
    if (team !== null) this.#cross(team);
  }

  /** Lets frames go to the threads that they are for. */
  #cross({ count, seed }: Team): void {
    const { pipeline, lines } = this.#parts;
    const steering = new Steering(pipeline, count, seed);
    this.#steering = steering;
    this.#crossings = lines.map(({ port, interfaces }) => {
      const device = port.device as CrossingDevice;
      device.steering = steering;
      device.overhear = (frame, length) => pipeline.overhear(interfaces, frame, length);
      return device;
    });
  }

  /** Which of several threads would handle a frame: 0 where any would. */
  ownerOf(frame: Uint8Array): number {
    const { memory, jumbo } = this.#parts.wire.pool;
    memory.set(frame, jumbo);
    return Math.max(0, this.#steering?.ownerOf(jumbo, frame.length) ?? 0);
  }

  // ---- Life -------------------------------------------------------------------------------------------------------

  start(): void {
    this.#loop.start();
  }

  stop(): void {
    this.#loop.stop();
  }

  poll(): number {
    return this.#loop.poll();
  }

  listen(event: EngineEvent, wanted: boolean): void {
    const { tellings, pipeline } = this.#parts;
    tellings.listen(event, wanted);
    if (event !== 'passed') return;
    pipeline.onPassed = wanted ? (frame, name) => tellings.tell('passed', frame, name) : null;
  }

  // ---- Services and real servers ----------------------------------------------------------------------------------

  addService(key: ServiceKey, options?: ServiceOptions): void {
    this.#catalogue.addService(key, options);
  }

  editService(key: ServiceKey, options?: ServiceOptions): void {
    this.#catalogue.editService(key, options);
  }

  deleteService(key: ServiceKey): void {
    this.#catalogue.deleteService(key);
  }

  flush(): void {
    this.#catalogue.flush();
  }

  zero(key?: ServiceKey): void {
    const { registry, pipeline } = this.#parts;
    const services = key === undefined ? registry.services() : [this.#catalogue.get(key)];
    for (const service of services) {
      service.stats.zero();
      for (const destination of service.destinations) destination.stats.zero();
    }
    if (key === undefined) pipeline.stats.zero();
  }

  addDestination(key: ServiceKey, destination: DestinationKey, options?: DestinationOptions, place?: number): number {
    return this.#catalogue.addDestination(key, destination, options, place);
  }

  editDestination(key: ServiceKey, destination: DestinationKey, options?: DestinationOptions): void {
    this.#catalogue.editDestination(key, destination, options);
  }

  deleteDestination(key: ServiceKey, destination: DestinationKey): void {
    this.#catalogue.deleteDestination(key, destination);
  }

  expireConnections(key: ServiceKey, destination: DestinationKey): void {
    this.#catalogue.expireConnections(key, destination);
  }

  addMark(rule: MarkRule): void {
    this.#parts.marks.add(rule);
  }

  clearMarks(): void {
    this.#parts.marks.clear();
  }

  // ---- Timeouts and tunables --------------------------------------------------------------------------------------

  setTimeouts(timeouts: Partial<Timeouts>): void {
    optionsOf('timeouts', timeouts, ['tcp', 'tcpfin', 'udp']);
    for (const name of ['tcp', 'tcpfin', 'udp'] as const) integer(name, timeouts[name], 0, LONGEST_TIMEOUT, 0);
    this.#parts.timeouts.set(timeouts);
  }

  getTimeouts(): Timeouts {
    return this.#parts.timeouts.get();
  }

  getSysctl(name: string): number {
    return this.#parts.tunables.get(name);
  }

  sysctlText(name: string): string {
    return this.#parts.tunables.text(name);
  }

  setSysctl(name: string, value: number | string): void {
    this.#parts.tunables.set(name, value);
  }

  // ---- Listings ---------------------------------------------------------------------------------------------------

  services(): ServiceEntry[] {
    this.#loop.settle();
    return Array.from(this.#parts.registry.services(), serviceEntry);
  }

  service(key: ServiceKey): ServiceEntry {
    this.#loop.settle();
    return serviceEntry(this.#catalogue.get(key));
  }

  connections(): ConnectionEntry[] {
    this.#loop.settle();
    const { connections4, connections6, time } = this.#parts;
    const entries: ConnectionEntry[] = [];
    for (const connections of [connections4, connections6]) {
      connections.table.forEach((row) => {
        entries.push(connectionEntry(connections, row, time.tick()));
      });
    }
    return entries;
  }

  statistics(): StatsSnapshot {
    return this.#parts.pipeline.stats.snapshot();
  }

  rates(): RateSnapshot {
    return this.#parts.pipeline.stats.rates();
  }

  counters(): DirectorCounters {
    const { pipeline, wire, host, sync } = this.#parts;
    const { received, verdicts } = pipeline;
    return {
      received,
      sent: wire.sent,
      lost: wire.lost,
      neighbourDrops: host.neighbours.dropped,
      handedOn: this.#crossings.reduce((sum, crossing) => sum + crossing.handedOn, 0),
      handOnLost: this.#crossings.reduce((sum, crossing) => sum + crossing.handOnLost, 0),
      sync: sync.counters,
      verdicts: Object.fromEntries(VERDICT_NAMES.map((name, i) => [name, verdicts[i]])) as Record<VerdictName, number>,
    };
  }

  workload({ states = true }: WorkloadOptions = {}): Workload {
    this.#loop.settle();
    const { connections4, connections6, pipeline, configuration } = this.#parts;
    const both = [connections4, connections6];
    return {
      tables: both.map(({ family, table }) => ({
        family,
        entries: table.size,
        capacity: configuration.maxConnections,
      })),
      states: states ? both.flatMap(countStates) : [],
      bursts: Array.from(pipeline.bursts),
      lag: this.#loop.lag(),
    };
  }

  startCapture(options: CaptureOptions): number {
    this.#loop.refuseStopped();
    return this.#captures.start(options);
  }

  takeCaptured(capture: number): Captured {
    return this.#captures.take(capture);
  }

  stopCapture(capture: number): Captured {
    return this.#captures.stop(capture);
  }

  explain(packet: string | Uint8Array, options?: ExplainOptions): Explanation {
    this.#loop.settle();
    return explain(this.#parts, packet, options);
  }

  // ---- Handing over ----------------------------------------------------------------------------------------------

  pause(): void {
    this.#loop.pause();
  }

  exportHost(): HostState {
    return exportHost(this.#parts);
  }

  importHost(state: unknown, passedTicks: number): void {
    importHost(this.#parts, state, passedTicks);
  }

  exportRows(cursor: RowsCursor): { payload: Uint8Array; next: RowsCursor | null } {
    return exportRows(this.#parts, cursor);
  }

  importRows(payload: Uint8Array, passedTicks: number): void {
    this.#planting ??= new Planting(this.#parts, (words, at, width) => {
      const steering = this.#steering;
      return steering === null || steering.ownerOfClient(words, at, width) === this.#index;
    });
    this.#planting.take(payload, passedTicks);
  }

  endImport(): PlantedCounts {
    const planting = this.#planting ?? new Planting(this.#parts, () => true);
    this.#planting = null;
    const counts = planting.end();
    this.#parts.tellings.throwAgain();
    return counts;
  }

  importCounters({ total, services }: CountersState): void {
    const { registry, pipeline } = this.#parts;
    pipeline.stats.restore(checkStats(total));
    for (const { key, stats, destinations } of services) {
      const service = this.#catalogue.get(key);
      service.stats.restore(checkStats(stats));
      for (const { address, port, ...counted } of destinations) {
        const name = destinationName(service, { address, port });
        registry.destination(service, name.address, name.port, name.text).stats.restore(checkStats(counted.stats));
      }
    }
  }

  // ---- Sync daemons -----------------------------------------------------------------------------------------------

  startDaemon(options: DaemonOptions): void {
    this.#loop.refuseStopped();
    this.#parts.sync.start(options);
    this.#parts.wire.flush();
  }

  stopDaemon(role: DaemonRole): void {
    this.#parts.sync.stop(role);
    this.#parts.wire.flush();
  }

  daemons(): DaemonEntry[] {
    return this.#parts.sync.entries();
  }
}
