/**
 * The director: what a program makes, configures, starts, listens to and stops. What works behind it is an engine
 * (engine/); what happens to a packet is in pipeline.ts.
 */

import { Capture } from './capture.ts';
import { SystemClock } from './clock.ts';
import { configure, type DirectorOptions } from './configuration.ts';
import { DirectorEmitter } from './emitter.ts';
import type { CaptureOptions } from './engine/capture/options.ts';
import { type Drain, type DrainOptions, Drains } from './engine/drains.ts';
import type { DirectorCounters, DirectorEvents, Engine, EngineListener } from './engine/engine.ts';
import type { ExplainOptions, Explanation } from './engine/explain/explanation.ts';
import type { ReadBytes } from './engine/handover/blocks.ts';
import { handOver, type TakenOver, takeOver } from './engine/handover/handover.ts';
import { LocalEngine } from './engine/local.ts';
import type { Workload, WorkloadOptions } from './engine/workload.ts';
import { invalidOption } from './errors.ts';
import type { HealthOptions, ServiceHealthEntry } from './health/config.ts';
import { Health } from './health/health.ts';
import type { Control } from './ipvsadm/control.ts';
import { type IpvsadmResult, ipvsadm } from './ipvsadm/ipvsadm.ts';
import { keyOfEntry } from './listing.ts';
import type { PassedHandler } from './pipeline.ts';
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
} from './services/config.ts';
import type { Marks } from './services/marks.ts';
import type { RateSnapshot, StatsSnapshot } from './services/stats.ts';
import { type Sysctl, sysctlNames } from './sysctl.ts';
import { ThreadedEngine } from './threads/engine.ts';

/**
 * A Linux Virtual Server director in user space.
 *
 * ```ts
 * const director = new Director({ interfaces: [{ device, addresses: ['192.0.2.1/24'] }] });
 * director.ipvsadm('-A -t 192.0.2.100:80 -s rr');
 * director.ipvsadm('-a -t 192.0.2.100:80 -r 192.0.2.11 -g');
 * director.start();
 * ```
 */
export class Director extends DirectorEmitter implements Control {
  /** The tunables of /proc/sys/net/ipv4/vs. */
  readonly sysctl: Sysctl;
  /** Rules that give packets firewall marks. */
  readonly marks: Marks;

  readonly #engine: Engine;
  readonly #health: Health;
  readonly #drains: Drains;
  #onPassed: PassedHandler | null = null;

  /** @throws DirectorError ERR_INVALID_OPTION */
  constructor(options: DirectorOptions) {
    super((event, wanted) => this.#engine.listen(event, wanted));
    const configuration = configure(options);
    const listener: EngineListener = (event, ...told) => {
      if (event === 'passed') this.#onPassed?.(...(told as Parameters<PassedHandler>));
      else this.emit(event, ...(told as Parameters<DirectorEvents[keyof DirectorEvents]>));
    };
    const engine: Engine =
      configuration.threads === 0
        ? new LocalEngine(configuration, listener)
        : new ThreadedEngine(configuration, listener);
    this.#engine = engine;
    const clock = configuration.clock ?? new SystemClock();
    const { random } = configuration;
    this.#health = new Health(engine, clock, random, (change) => this.emit('health', change));
    this.#drains = new Drains(this.#health.asConfigured(), clock, (progress) => this.emit('drain', progress));
    this.sysctl = {
      names: sysctlNames,
      get: (name) => engine.getSysctl(name),
      text: (name) => engine.sysctlText(name),
      set: (name, value) => engine.setSysctl(name, value),
    };
    this.marks = { add: (rule) => engine.addMark(rule), clear: () => engine.clearMarks() };
  }

  // ---- Life -------------------------------------------------------------------------------------------------------

  /**
   * Takes the devices and starts to work.
   * @throws DirectorError ERR_CLOSED after {@link stop}; ERR_DEVICE when a device cannot be used, and then none is.
   */
  start(): this {
    this.#engine.start();
    this.#health.start();
    return this;
  }

  /** Closes the devices. The tables can still be listed; the director cannot be started again. */
  stop(): void {
    this.#health.stop();
    this.#drains.stop();
    this.#engine.stop();
  }

  /**
   * Handles what the devices have waiting. Called by itself whenever a device has something; call it where that is too
   * late: in a simulation, or in a loop of your own.
   * @returns how many frames were read.
   */
  poll(): number {
    return this.#engine.poll();
  }

  /**
   * Takes every frame that is for no service and for nothing that the director does as a host (ARP, ICMP, routing): a
   * copy of the frame and the name of the interface. Without a handler such frames are refused or dropped, and counted.
   */
  set onPassed(handler: PassedHandler | null) {
    if (handler !== null && typeof handler !== 'function')
      throw invalidOption('onPassed', handler, 'a function or null');
    this.#onPassed = handler;
    this.#engine.listen('passed', handler !== null);
  }

  get onPassed(): PassedHandler | null {
    return this.#onPassed;
  }

  // ---- Services and real servers ----------------------------------------------------------------------------------

  /** @throws DirectorError ERR_INVALID_OPTION, ERR_SERVICE_EXISTS, ERR_UNKNOWN_SCHEDULER, ERR_UNKNOWN_ENGINE */
  addService(key: ServiceKey, options?: ServiceOptions): void {
    this.#engine.addService(key, options);
  }

  /**
   * Gives a service exactly these options: what is not given returns to its default. Its servers and connections stay.
   * @throws DirectorError ERR_INVALID_OPTION, ERR_NO_SUCH_SERVICE, ERR_UNKNOWN_SCHEDULER, ERR_UNKNOWN_ENGINE
   */
  editService(key: ServiceKey, options?: ServiceOptions): void {
    this.#engine.editService(key, options);
  }

  /** Removes a service and its servers. @throws DirectorError ERR_INVALID_OPTION, ERR_NO_SUCH_SERVICE */
  deleteService(key: ServiceKey): void {
    this.#health.deleteService(key);
  }

  /** Removes all services. Connections stay until they expire. */
  flush(): void {
    this.#health.flush();
  }

  /** Zeroes the counters of one service, or all of them. @throws DirectorError ERR_NO_SUCH_SERVICE */
  zero(key?: ServiceKey): void {
    this.#engine.zero(key);
  }

  /** @throws DirectorError ERR_INVALID_OPTION, ERR_NO_SUCH_SERVICE, ERR_DESTINATION_EXISTS */
  addDestination(key: ServiceKey, destination: DestinationKey, options?: DestinationOptions): void {
    this.#health.addDestination(key, destination, options);
  }

  /**
   * Gives a real server exactly these options: what is not given returns to its default. Existing connections keep their
   * forward method.
   * @throws DirectorError ERR_INVALID_OPTION, ERR_NO_SUCH_SERVICE, ERR_NO_SUCH_DESTINATION
   */
  editDestination(key: ServiceKey, destination: DestinationKey, options?: DestinationOptions): void {
    this.#health.editDestination(key, destination, options);
  }

  /** @throws DirectorError ERR_INVALID_OPTION, ERR_NO_SUCH_SERVICE, ERR_NO_SUCH_DESTINATION */
  deleteDestination(key: ServiceKey, destination: DestinationKey): void {
    this.#health.deleteDestination(key, destination);
  }

  /**
   * Takes a real server out of service without breaking a connection: gives it weight 0 and lets the connections and
   * templates that it has go on until they end, or until the deadline. Tells by the event `drain`.
   * @throws DirectorError ERR_INVALID_OPTION, ERR_NO_SUCH_SERVICE, ERR_NO_SUCH_DESTINATION; ERR_DRAINING for one that is
   *   being drained already
   */
  drain(key: ServiceKey, destination: DestinationKey, options?: DrainOptions): Drain {
    return this.#drains.start(key, destination, options);
  }

  /** The drain of a server; undefined when it is not being drained. @throws DirectorError ERR_INVALID_OPTION */
  drainOf(key: ServiceKey, destination: DestinationKey): Drain | undefined {
    return this.#drains.of(key, destination);
  }

  /** The servers that are being drained. */
  drains(): Drain[] {
    return this.#drains.list();
  }

  // ---- Health -----------------------------------------------------------------------------------------------------

  /**
   * Watches the servers of a service from now on, those too that are added later, or watches them in another way: checks them
   * while the director is started, and lets their weights follow. What is set by hand is a server's configured weight, of
   * which it has in the table what its health allows. Every change is told as the event `health`.
   * @throws DirectorError ERR_INVALID_OPTION, ERR_NO_SUCH_SERVICE
   */
  watch(key: ServiceKey, options: HealthOptions): void {
    this.#health.watch(key, options);
  }

  /**
   * Watches a service no more: all its servers get their configured weights back.
   * @throws DirectorError ERR_INVALID_OPTION, ERR_NO_SUCH_SERVICE when it is not watched
   */
  unwatch(key: ServiceKey): void {
    this.#health.unwatch(key);
  }

  /** The health of the services that are watched. */
  health(): ServiceHealthEntry[] {
    return this.#health.entries();
  }

  // ---- Timeouts, statistics, listings -----------------------------------------------------------------------------

  /** Sets the timeouts of `--set`, in seconds; 0 or absent leaves one as it is. @throws DirectorError ERR_INVALID_OPTION */
  setTimeouts(timeouts: Partial<Timeouts>): void {
    this.#engine.setTimeouts(timeouts);
  }

  getTimeouts(): Timeouts {
    return this.#engine.getTimeouts();
  }

  services(): ServiceEntry[] {
    return this.#engine.services();
  }

  /** @throws DirectorError ERR_INVALID_OPTION, ERR_NO_SUCH_SERVICE */
  service(key: ServiceKey): ServiceEntry {
    return this.#engine.service(key);
  }

  /** All connections and templates, in no order. */
  connections(): ConnectionEntry[] {
    return this.#engine.connections();
  }

  /** What was counted since the start, over all services. */
  statistics(): StatsSnapshot {
    return this.#engine.statistics();
  }

  /** Rates per second, over all services. */
  rates(): RateSnapshot {
    return this.#engine.rates();
  }

  counters(): DirectorCounters {
    return this.#engine.counters();
  }

  /**
   * How busy it is: connections by state, how full the tables are, how large bursts, how late timers. Costs a look at every
   * connection: for once in a while, not for every packet.
   */
  workload(options?: WorkloadOptions): Workload {
    return this.#engine.workload(options);
  }

  /**
   * Starts to keep copies of frames as they come in and go out: of all, or of chosen connections, of these on both sides. It
   * ends at the first bound that it reaches, or when it is stopped; fetch often what it has seen. It costs the frame path
   * nothing but while it runs; then it looks at every frame.
   * @throws DirectorError ERR_INVALID_OPTION, ERR_TOO_MANY_CAPTURES; ERR_CLOSED after {@link stop}
   */
  capture(options: CaptureOptions = {}): Capture {
    return new Capture(this.#engine, options);
  }

  /**
   * Says what would happen to a packet now, and why, without sending or changing anything: where IPVS meets it, the
   * connection, service, template and server that it finds or would get, what the scheduler compares, and the frames that
   * would be sent. Costs a look at every connection: it is for people, not for every packet.
   * @param packet a frame, as bytes or in hexadecimal, or a packet in a line: `tcp 192.0.2.1:40000 > 10.0.0.100:80 S`.
   * @throws DirectorError ERR_INVALID_OPTION
   */
  explain(packet: string | Uint8Array, options?: ExplainOptions): Explanation {
    return this.#engine.explain(packet, options);
  }

  // ---- Handing over ----------------------------------------------------------------------------------------------

  /**
   * Writes down all that a successor needs to go on: services and servers as they are, timeouts, sync daemons, counters,
   * neighbours, path MTUs, and every connection and template with its state and timer. Each piece takes a few milliseconds
   * at most; the director goes on working in between, unless {@link pause} has stopped it.
   * @param note anything that JSON can hold, for whoever takes it over.
   */
  handOver(note: unknown = null): Generator<Uint8Array, void> {
    const configured = this.#health.asConfigured();
    // Weights as they were set: what health makes of them the successor finds out by itself.
    const services = () => this.#engine.services().map((entry) => configured.service(keyOfEntry(entry)));
    return handOver(this.#engine, services, note);
  }

  /**
   * Goes on with what a predecessor has written. Services, servers and connections that are here already stay as they
   * are. What does not fit is left out, and said: nothing in it is trusted.
   * @param read gives so many of its bytes, fewer at the end. {@link inspectHandover} tells beforehand whether it is whole.
   * @throws DirectorError ERR_HANDOVER when it is damaged; what came before the damage is taken over then.
   */
  takeOver(read: ReadBytes): TakenOver {
    return takeOver(this.#engine, read);
  }

  /** Leaves frames to the devices from now on, for a successor. Everything else goes on until {@link stop}. */
  pause(): void {
    this.#engine.pause();
  }

  // ---- ipvsadm ----------------------------------------------------------------------------------------------------

  /**
   * Does what the command `ipvsadm` does with these arguments, and answers with its exit status and what it prints.
   * @param commandLine what follows the word `ipvsadm`.
   * @param stdin what `-R` reads.
   */
  ipvsadm(commandLine: string | readonly string[], stdin?: string): IpvsadmResult {
    return ipvsadm(this, commandLine, stdin);
  }

  // ---- Sync daemons -----------------------------------------------------------------------------------------------

  /**
   * Starts to tell other directors of connections (`master`), or to take over what a master tells (`backup`). Both may
   * run.
   * @throws DirectorError ERR_DAEMON_RUNNING, ERR_INVALID_OPTION; ERR_CLOSED after {@link stop}
   */
  startDaemon(options: DaemonOptions): void {
    this.#engine.startDaemon(options);
  }

  /** @throws DirectorError ERR_NO_DAEMON, ERR_INVALID_OPTION */
  stopDaemon(role: DaemonRole): void {
    this.#engine.stopDaemon(role);
  }

  daemons(): DaemonEntry[] {
    return this.#engine.daemons();
  }
}
