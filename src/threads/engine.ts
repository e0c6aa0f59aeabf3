/**
 * An engine in worker threads: each has one queue of every device and an engine of its own. What is set is set in all of
 * them, in the same order; what is listed is put together of what they list.
 *
 * A new call of the engine's is one line here: `#everywhere` for what changes something, `#first` for what is the same in
 * all threads, `#listing` with what makes one answer of many.
 */
import type { Configuration } from '../configuration.ts';
import type { Device } from '../devices/device.ts';
import type { Captured } from '../engine/capture/captures.ts';
import type { CaptureOptions } from '../engine/capture/options.ts';
import type { DirectorCounters, Engine, EngineEvent, EngineListener } from '../engine/engine.ts';
import type { ExplainOptions, Explanation } from '../engine/explain/explanation.ts';
import type { CountersState } from '../engine/handover/handover.ts';
import type { HostState } from '../engine/handover/host-state.ts';
import type { PlantedCounts } from '../engine/handover/planting.ts';
import { FIRST_ROWS, type RowsCursor } from '../engine/handover/rows.ts';
import type { Workload, WorkloadOptions } from '../engine/workload.ts';
import { DirectorError } from '../errors.ts';
import type { FrameRing } from '../packet/frame-ring.ts';
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
import type { RateSnapshot, StatsSnapshot } from '../services/stats.ts';
import { refuseCode, refuseConfiguration, refuseDaemon, refuseLocalMark, refuseSharing } from './limits.ts';
import { WorkerLink } from './link.ts';
import { memberships, ringsOf } from './membership.ts';
import { mergeCaptured, mergeCounters, mergeService, mergeServices, mergeWorkloads, sum } from './merge.ts';
import { type EnginePlan, type PackedError, type Told, unpackError } from './messages.ts';

/** How long a thread may take for one call. The longest listings take seconds. */
const ANSWER_WITHIN_MS = 30_000;
/** How often a clock of the user's own tells the threads that their timers are due: as often as they look at them. */
const TIMER_PERIOD_MS = 50;
/** How often all threads are asked, at most, whether they have read something that others have handed them. */
const MAX_ROUNDS = 8;

export class ThreadedEngine implements Engine {
  readonly #configuration: Configuration;
  readonly #listener: EngineListener;
  readonly #devices: readonly Device[];
  /** Those that threads have, or are about to get. */
  readonly #handedOn: Device[] = [];
  readonly #keepsAlive: boolean;
  readonly #links: readonly WorkerLink[];
  /** Those between the threads. */
  readonly #rings: readonly FrameRing[];
  /** What there was when it was stopped; null before. */
  #final: ReadonlyMap<string, unknown> | null = null;
  #stopTimer: (() => void) | null = null;
  /** Whether a thread has ended by itself. */
  #isLost = false;
  #calling = 0;
  /** What the user's code threw when it was told of something during a call. */
  #thrown: { readonly error: unknown } | null = null;
  readonly #heard = new Set<string>();
  /** The interfaces whose devices were said to have died. */
  readonly #dead = new Set<string>();

  /**
   * @param answerWithinMs how long a thread may take for one call before it is given up.
   * @throws DirectorError ERR_INVALID_OPTION for what cannot be handed to a thread, ERR_DEVICE for a device in use.
   */
  constructor(configuration: Configuration, listener: EngineListener, answerWithinMs: number = ANSWER_WITHIN_MS) {
    refuseConfiguration(configuration);
    this.#configuration = configuration;
    this.#listener = listener;
    this.#devices = [...new Set(configuration.interfaces.map(({ device }) => device))];
    const link = {
      told: (events: readonly Told[]) => this.#hear(events),
      ended: (why: DirectorError) => this.#lose(why),
    };
    this.#links = Array.from({ length: configuration.threads }, () => new WorkerLink(link, answerWithinMs));
    try {
      const { interfaces, clock, random: _, ...rest } = configuration;
      this.#all('prepare', { schedulers: rest.schedulers, engines: rest.engines });
      const transfers = this.#devices.map((device) => {
        const queues = device.transfer!(configuration.threads);
        this.#handedOn.push(device);
        return queues;
      });
      this.#keepsAlive = transfers.some((queues) => queues.some(({ keepsAlive }) => keepsAlive));
      const places = interfaces.map((one) => ({ ...one, device: this.#devices.indexOf(one.device) }));
      const members = memberships(configuration.threads, this.#devices.length);
      this.#rings = ringsOf(members);
      const ids = this.#links.map((one, i) => {
        const devices = transfers.map((queues) => queues[i]);
        const plan: EnginePlan = {
          configuration: rest,
          interfaces: places,
          devices: devices.map(({ transferList: _ports, ...device }) => device),
          isToldTime: clock !== null,
          membership: members[i],
        };
        const wakers = members[i]?.ports.filter((port) => port !== null) ?? [];
        const ports = [...devices.flatMap(({ transferList = [] }) => transferList), ...wakers];
        return one.send('build', [plan], this.#now(), ports);
      });
      this.#links.forEach((one, i) => void one.answer(ids[i]));
    } catch (error) {
      // What a thread has adopted is closed when it ends; the rest is taken back here.
      for (const one of this.#links) one.close();
      for (const device of this.#handedOn) device.close();
      throw error;
    }
  }

  #now(): number | null {
    return this.#configuration.clock?.now() ?? null;
  }

  // ---- Calls ------------------------------------------------------------------------------------------------------

  /** Asks all threads at once. */
  #all(method: string, ...args: readonly unknown[]): unknown[] {
    return this.#during(() => {
      const ids = this.#links.map((link) => link.send(method, args, this.#now()));
      return this.#links.map((link, i) => link.answer(ids[i]));
    });
  }

  /** Asks the first thread. */
  #first(method: string, ...args: readonly unknown[]): unknown {
    return this.#final?.get(method) ?? this.#ask(0, method, ...args);
  }

  #ask(thread: number, method: string, ...args: readonly unknown[]): unknown {
    return this.#during(() => this.#answer(thread, method, args));
  }

  #answer(thread: number, method: string, args: readonly unknown[]): unknown {
    const link = this.#links[thread];
    return link.answer(link.send(method, args, this.#now()));
  }

  /**
   * Lets all threads do what changes something. The first one's answer decides: what it refuses, nobody does; and as all
   * are in the same state, the others do what it did. Events wait until all have done it: whoever is told of one may
   * change something in turn, and that must come in the same order everywhere.
   * @returns the first one's answer.
   */
  #everywhere(method: string, ...args: readonly unknown[]): unknown {
    args.forEach(refuseCode);
    return this.#during(() => {
      const answer = this.#answer(0, method, args);
      this.#others(method, args);
      return answer;
    });
  }

  #others(method: string, args: readonly unknown[]): void {
    const [, ...others] = this.#links;
    const ids = others.map((link) => link.send(method, args, this.#now()));
    for (const [i, link] of others.entries()) {
      try {
        link.answer(ids[i]);
      } catch (cause) {
        const disagreement = new DirectorError('ERR_WORKER', `the threads disagree about ${method}`, { cause });
        for (const one of this.#links) one.fail(disagreement);
        throw disagreement;
      }
    }
  }

  /** Makes one answer of those of all threads. */
  #listing<T>(method: string, merge: (parts: readonly T[]) => T, ...args: readonly unknown[]): T {
    const final = this.#final?.get(method);
    if (final !== undefined) return final as T;
    return merge(this.#all(method, ...args) as T[]);
  }

  /** After a call everything that came of it is handed on, as it would be without threads. */
  #during<T>(call: () => T): T {
    this.#calling++;
    try {
      return call();
    } finally {
      for (const link of this.#links) link.drain();
      this.#guard(() => {
        for (const device of this.#devices) device.collect?.();
      });
      this.#calling--;
      if (this.#calling === 0 && this.#thrown !== null) setImmediate(() => this.#throwAgain());
    }
  }

  #guard(code: () => void): void {
    try {
      code();
    } catch (error) {
      this.#thrown ??= { error };
    }
  }

  #throwAgain(): void {
    const thrown = this.#thrown;
    if (thrown === null) return;
    this.#thrown = null;
    throw thrown.error;
  }

  // ---- Events -----------------------------------------------------------------------------------------------------

  #hear(events: readonly Told[]): void {
    for (const [event, ...told] of events) {
      this.#guard(() => {
        if (event === 'thrown') throw unpackError(told[0] as PackedError);
        if (event === 'deviceError') {
          // Each thread tells of its own queue.
          if (this.#dead.has(told[0] as string)) return;
          this.#dead.add(told[0] as string);
          told[1] = unpackError(told[1] as PackedError);
        }
        if (this.#heard.has(event))
          this.#listener(event, ...(told as Parameters<EngineListener> extends [unknown, ...infer A] ? A : never));
      });
    }
    if (this.#calling === 0) this.#throwAgain();
  }

  /** A thread has ended by itself: its queues are gone, and with them what the devices are good for. */
  #lose(reason: DirectorError): void {
    if (this.#isLost) return;
    this.#isLost = true;
    for (const link of this.#links) link.fail(reason);
    this.#stopTimer?.();
    // If it has ended before it took them, they are still whoever's they were.
    for (const device of this.#handedOn) device.close();
    if (!this.#heard.has('deviceError')) return;
    for (const { name } of this.#configuration.interfaces)
      this.#guard(() => this.#listener('deviceError', name, reason));
    if (this.#calling === 0) this.#throwAgain();
  }

  listen(event: EngineEvent, wanted: boolean): void {
    if (wanted) this.#heard.add(event);
    else this.#heard.delete(event);
    // A listener for once is taken off before it is called: also when it is to hear that a thread was lost.
    if (this.#final === null && !this.#isLost) this.#all('listen', event, wanted);
  }

  // ---- Life -------------------------------------------------------------------------------------------------------

  start(): void {
    try {
      this.#all('start');
    } catch (error) {
      this.stop();
      throw error;
    }
    if (this.#keepsAlive) for (const link of this.#links) link.keepAlive();
    this.#stopTimer ??=
      this.#configuration.clock?.every(TIMER_PERIOD_MS, () => {
        this.#all('advance');
        this.#throwAgain();
      }) ?? null;
  }

  stop(): void {
    if (this.#final !== null) return;
    this.#stopTimer?.();
    if (this.#isLost) {
      this.#final = new Map();
      return;
    }
    this.#all('stop');
    this.#final = new Map<string, unknown>([
      ['services', this.services()],
      ['statistics', this.statistics()],
      ['rates', this.rates()],
      ['counters', this.counters()],
      ['workload', this.workload()],
      ['getTimeouts', this.getTimeouts()],
      ['daemons', this.daemons()],
    ]);
    for (const link of this.#links) link.close();
    for (const device of this.#devices) device.close();
  }

  /** How many frames the threads have handed to each other, so that a difference tells. */
  #handed(): number {
    return this.#rings.reduce((total, ring) => (total + ring.pushed) | 0, 0);
  }

  poll(): number {
    if (this.#final !== null || this.#calling > 0) return 0;
    let read = 0;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const handed = this.#handed();
      const now = (this.#all('poll') as number[]).reduce((total, part) => total + part, 0);
      read += now;
      if (this.#handed() === handed && (now === 0 || this.#links.length === 1)) break;
    }
    this.#throwAgain();
    return read;
  }

  // ---- Services and real servers ----------------------------------------------------------------------------------

  addService(key: ServiceKey, options?: ServiceOptions): void {
    if (this.#links.length > 1) refuseSharing(key, options);
    this.#everywhere('addService', key, options);
  }

  editService(key: ServiceKey, options?: ServiceOptions): void {
    if (this.#links.length > 1) refuseSharing(key, options);
    this.#everywhere('editService', key, options);
  }

  deleteService(key: ServiceKey): void {
    this.#everywhere('deleteService', key);
  }

  flush(): void {
    this.#everywhere('flush');
  }

  zero(key?: ServiceKey): void {
    this.#everywhere('zero', key);
  }

  addDestination(key: ServiceKey, destination: DestinationKey, options?: DestinationOptions): number {
    const args = [key, destination, options];
    args.forEach(refuseCode);
    return this.#during(() => {
      const place = this.#answer(0, 'addDestination', args) as number;
      this.#others('addDestination', [...args, place]);
      return place;
    });
  }

  editDestination(key: ServiceKey, destination: DestinationKey, options?: DestinationOptions): void {
    this.#everywhere('editDestination', key, destination, options);
  }

  deleteDestination(key: ServiceKey, destination: DestinationKey): void {
    this.#everywhere('deleteDestination', key, destination);
  }

  expireConnections(key: ServiceKey, destination: DestinationKey): void {
    this.#everywhere('expireConnections', key, destination);
  }

  addMark(rule: MarkRule): void {
    if (this.#links.length > 1) refuseLocalMark(rule);
    this.#everywhere('addMark', rule);
  }

  clearMarks(): void {
    this.#everywhere('clearMarks');
  }

  // ---- Timeouts and tunables --------------------------------------------------------------------------------------

  setTimeouts(timeouts: Partial<Timeouts>): void {
    this.#everywhere('setTimeouts', timeouts);
  }

  getTimeouts(): Timeouts {
    return this.#first('getTimeouts') as Timeouts;
  }

  getSysctl(name: string): number {
    return this.#first('getSysctl', name) as number;
  }

  sysctlText(name: string): string {
    return this.#first('sysctlText', name) as string;
  }

  setSysctl(name: string, value: number | string): void {
    this.#everywhere('setSysctl', name, value);
  }

  // ---- Listings ---------------------------------------------------------------------------------------------------

  services(): ServiceEntry[] {
    return this.#listing('services', mergeServices);
  }

  service(key: ServiceKey): ServiceEntry {
    return this.#listing('service', mergeService, key);
  }

  connections(): ConnectionEntry[] {
    return this.#listing('connections', (parts: readonly ConnectionEntry[][]) => parts.flat());
  }

  statistics(): StatsSnapshot {
    return this.#listing('statistics', sum<StatsSnapshot>);
  }

  rates(): RateSnapshot {
    return this.#listing('rates', sum<RateSnapshot>);
  }

  counters(): DirectorCounters {
    return this.#listing('counters', mergeCounters);
  }

  workload(options?: WorkloadOptions): Workload {
    return this.#listing('workload', mergeWorkloads, options);
  }

  startCapture(options: CaptureOptions): number {
    return this.#everywhere('startCapture', options) as number;
  }

  takeCaptured(capture: number): Captured {
    return this.#listing('takeCaptured', mergeCaptured, capture);
  }

  stopCapture(capture: number): Captured {
    return this.#listing('stopCapture', mergeCaptured, capture);
  }

  explain(packet: string | Uint8Array, options?: ExplainOptions): Explanation {
    const explained = this.#first('explain', packet, options) as Explanation;
    if (this.#links.length === 1) return explained;
    const owner = this.#first('ownerOf', explained.frame) as number;
    return this.#ask(owner, 'explain', packet, options) as Explanation;
  }

  // ---- Handing over ----------------------------------------------------------------------------------------------

  pause(): void {
    this.#all('pause');
  }

  exportHost(): HostState {
    return this.#first('exportHost') as HostState;
  }

  importHost(state: unknown, passedTicks: number): void {
    this.#everywhere('importHost', state, passedTicks);
  }

  exportRows(cursor: RowsCursor): { payload: Uint8Array; next: RowsCursor | null } {
    const { thread } = cursor;
    const exported = this.#ask(thread, 'exportRows', cursor) as ReturnType<Engine['exportRows']>;
    if (exported.next !== null || thread + 1 === this.#links.length) return exported;
    return { ...exported, next: { ...FIRST_ROWS, thread: thread + 1 } };
  }

  /** Each takes those whose clients are its own. */
  importRows(payload: Uint8Array, passedTicks: number): void {
    this.#all('importRows', payload, passedTicks);
  }

  endImport(): PlantedCounts {
    return sum(this.#all('endImport') as PlantedCounts[]);
  }

  /** What was counted before was counted by none of these threads: one of them keeps it. */
  importCounters(counters: CountersState): void {
    this.#first('importCounters', counters);
  }

  // ---- Sync daemons -----------------------------------------------------------------------------------------------

  startDaemon(options: DaemonOptions): void {
    if (this.#links.length > 1) refuseDaemon(options);
    this.#everywhere('startDaemon', options);
  }

  stopDaemon(role: DaemonRole): void {
    this.#everywhere('stopDaemon', role);
  }

  daemons(): DaemonEntry[] {
    return this.#first('daemons') as DaemonEntry[];
  }
}
