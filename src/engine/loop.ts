/** An engine's life: it takes its devices, handles their bursts when they have something, and lets time pass. */
import type { Connections } from '../conntrack/connections.ts';
import { DropEntry } from '../conntrack/drop-entry.ts';
import { DirectorError } from '../errors.ts';
import type { Line } from '../host/assembly.ts';
import { tellReassemblyTimeout } from '../host/errors.ts';
import { tellSenderOf } from '../host/resolution.ts';
import { BURST } from '../packet/pool.ts';
import { SVC_ONEPACKET } from '../services/service.ts';
import { ESTIMATE_PERIOD_MS } from '../services/stats.ts';
import type { Catalogue } from './catalogue.ts';
import { type Parts, updateDefence } from './parts.ts';
import { type Histogram, Lag } from './workload.ts';

/** Bursts that one wake-up may handle per device before timers and the user's own code get their turn. */
const MAX_ROUNDS = 8;
/**
 * Looks for frames that a spinning director takes in a row before the program has its turn: with one TAP about 50 us when
 * there are none. One look each turn would make garbage of a megabyte in a few milliseconds, for the turn itself is an object,
 * and whoever collects it holds frames up.
 */
const SPINS = 32;
/** How often timers are looked at, in milliseconds. */
const TIMER_PERIOD_MS = 50;
/** Connections that one look at the timers may end or file again: a few milliseconds' work, most of it waiting for memory. */
const EXPIRE_BUDGET = 2_000;
const SECOND_MS = 1000;
const TRASH_PERIOD_MS = 60_000;

export class Loop {
  readonly #parts: Parts;
  readonly #catalogue: Catalogue;
  readonly #dropEntry: DropEntry;
  #lag: Lag;
  #stopTimer: (() => void) | null = null;
  #state: 'new' | 'running' | 'stopped' = 'new';
  #nextSecondMs = 0;
  #nextEstimateMs = 0;
  #nextTrashMs = 0;
  #polling = false;
  #paused = false;
  #continuing = false;
  #advancingSoon = false;

  constructor(parts: Parts, catalogue: Catalogue) {
    this.#parts = parts;
    this.#catalogue = catalogue;
    this.#dropEntry = new DropEntry(parts.configuration.random);
    this.#lag = new Lag(TIMER_PERIOD_MS, 0);
  }

  start(): void {
    if (this.#state === 'running') return;
    this.refuseStopped();
    const { lines, time } = this.#parts;
    try {
      for (const line of lines) {
        line.port.device.open(
          () => this.poll(),
          (error) => this.#lose(line, error),
        );
      }
    } catch (error) {
      this.stop();
      throw error;
    }
    this.#state = 'running';
    const elapsedMs = time.elapsedMs();
    this.#nextSecondMs = elapsedMs + SECOND_MS;
    this.#nextEstimateMs = elapsedMs + ESTIMATE_PERIOD_MS;
    this.#nextTrashMs = elapsedMs + TRASH_PERIOD_MS;
    this.#lag = new Lag(TIMER_PERIOD_MS, elapsedMs);
    this.#stopTimer = time.clock.every(TIMER_PERIOD_MS, () => {
      this.#lag.came(time.elapsedMs());
      this.#advance();
    });
    if (this.#parts.configuration.spin) this.#continueSoon();
  }

  /** @throws DirectorError ERR_CLOSED after {@link stop} */
  refuseStopped(): void {
    if (this.#state === 'stopped') throw new DirectorError('ERR_CLOSED', 'this director was stopped');
  }

  stop(): void {
    if (this.#state === 'stopped') return;
    this.#state = 'stopped';
    this.#stopTimer?.();
    const { sync, wire, lines } = this.#parts;
    sync.close();
    wire.flush();
    for (const line of lines) line.port.device.close();
  }

  /** Leaves frames where they are: devices keep them for whoever opens them next. */
  pause(): void {
    this.#paused = true;
  }

  /** Handles what the devices have waiting; returns how many frames were read. */
  poll(): number {
    // A handler that was called from a burst may not start another: there is one packet at hand at a time.
    if (this.#state !== 'running' || this.#polling || this.#paused) return 0;
    this.#polling = true;
    let read: number;
    try {
      read = this.#pollDevices();
    } finally {
      this.#polling = false;
    }
    this.#parts.tellings.throwAgain();
    return read;
  }

  #pollDevices(): number {
    const { time, pipeline, lines, sync, wire } = this.#parts;
    const tick = time.tick();
    this.#catalogue.dropRemoved(tick);
    let read = 0;
    let more = true;
    for (let round = 0; round < MAX_ROUNDS && more; round++) {
      more = false;
      for (const line of lines) {
        if (!line.alive) continue;
        const frames = pipeline.processBurst(line.port, line.interfaces, tick);
        read += frames;
        if (frames === BURST) more = true;
      }
    }
    if (read > 0) {
      sync.afterBurst(tick);
      wire.flush();
    }
    if (more) this.#continueSoon();
    return read;
  }

  /** Goes on after timers and the user's own code had their turn. */
  #continueSoon(): void {
    if (this.#continuing) return;
    this.#continuing = true;
    setImmediate(() => {
      this.#continuing = false;
      if (this.#parts.configuration.spin && this.#state === 'running') this.#spin();
      else this.poll();
    });
  }

  #spin(): void {
    // Before anything else: what is called may throw.
    this.#continueSoon();
    const most = Math.max(1, SPINS / this.#parts.lines.length);
    for (let spins = 0; spins < most && this.poll() === 0; spins++);
  }

  #lose(line: Line, error: Error): void {
    const { tellings } = this.#parts;
    line.alive = false;
    line.port.device.close();
    if (tellings.wants('deviceError')) tellings.tell('deviceError', line.interfaces[0].name, error);
    tellings.throwAgain();
  }

  /** Lets time pass: everything that happens without a packet. */
  #advance(): void {
    const { time, pipeline, sync, connections4, connections6, host, reassembly, registry } = this.#parts;
    const elapsedMs = time.elapsedMs();
    const tick = time.tick();
    pipeline.tick = tick;
    sync.advance(tick);
    const everySecond = elapsedMs >= this.#nextSecondMs;
    for (const connections of [connections4, connections6]) {
      if (!connections.advance(tick, EXPIRE_BUDGET)) this.#advanceSoon();
      if (everySecond && this.#parts.defence.dropEntry) this.#dropEntries(connections, tick);
    }
    this.#catalogue.dropRemoved(tick);
    host.neighbours.advance(tick);
    if (everySecond) {
      this.#nextSecondMs = following(this.#nextSecondMs, SECOND_MS, elapsedMs);
      reassembly.advance(tick, (bytes) =>
        tellSenderOf(pipeline, { bytes, partial: 0, segments: 0 }, tellReassemblyTimeout),
      );
      registry.tick();
      host.advance(tick);
      updateDefence(this.#parts);
    }
    if (elapsedMs >= this.#nextEstimateMs) {
      this.#nextEstimateMs = following(this.#nextEstimateMs, ESTIMATE_PERIOD_MS, elapsedMs);
      if (this.#parts.sysctl.run_estimation !== 0) this.#estimate();
    }
    if (elapsedMs >= this.#nextTrashMs) {
      this.#nextTrashMs = following(this.#nextTrashMs, TRASH_PERIOD_MS, elapsedMs);
      registry.emptyTrash(elapsedMs);
    }
    this.#parts.wire.flush();
    this.#parts.tellings.throwAgain();
  }

  #advanceSoon(): void {
    if (this.#advancingSoon) return;
    this.#advancingSoon = true;
    setImmediate(() => {
      this.#advancingSoon = false;
      if (this.#state === 'running') this.#advance();
    });
  }

  #estimate(): void {
    this.#parts.pipeline.stats.estimate();
    for (const service of this.#parts.registry.services()) {
      service.stats.estimate();
      for (const destination of service.destinations) destination.stats.estimate();
    }
  }

  #dropEntries(connections: Connections, tick: number): void {
    this.#dropEntry.run(connections, tick, (row) => {
      const service = connections.destinationOf(row)?.service;
      return service !== undefined && (service.flags & SVC_ONEPACKET) !== 0;
    });
  }

  /** How late timers were looked at. */
  lag(): Histogram {
    return this.#lag.snapshot();
  }

  /** Ends what was over before this moment, so that it is not listed or counted. */
  settle(): void {
    // A listener that lists within a burst must not end the connection of the packet at hand.
    if (this.#polling) return;
    const { time, connections4, connections6 } = this.#parts;
    this.#catalogue.dropRemoved(time.tick());
    connections4.settle(time.tick());
    connections6.settle(time.tick());
  }
}

/** When something periodic is due again; what a stalled program has missed is left out. */
function following(dueMs: number, periodMs: number, nowMs: number): number {
  return Math.max(dueMs + periodMs, nowMs + periodMs / 2);
}
