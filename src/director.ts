/**
 * The director: what a program makes, configures, starts, listens to and stops. The control plane is here; what happens to
 * a packet is in pipeline.ts.
 */
import { EventEmitter } from 'eventemitter3';
import type { Address } from './address.ts';
import type { Clock } from './clock.ts';
import { type Configuration, configure, type DirectorOptions } from './configuration.ts';
import { type ConnectionObserver, Connections } from './conntrack/connections.ts';
import { DropEntry, dropUnavailable } from './conntrack/drop-entry.ts';
import { MASQ, TUNNEL } from './conntrack/forward-method.ts';
import { ProtocolTimeouts } from './conntrack/protocols.ts';
import { NORMAL_TABLE, SECURE_TABLE } from './conntrack/tcp-state.ts';
import { DirectorError, invalidOption } from './errors.ts';
import { assembleHost, type Line } from './host/assembly.ts';
import { tellReassemblyTimeout } from './host/errors.ts';
import { Groups } from './host/groups.ts';
import { Host } from './host/host.ts';
import { IcmpLimit } from './host/icmp.ts';
import { Neighbours } from './host/neighbours.ts';
import { Reassembly } from './host/reassembly.ts';
import { neighbourActions, tellSenderOf } from './host/resolution.ts';
import { Wire } from './host/wire.ts';
import type { Control } from './ipvsadm/control.ts';
import { type IpvsadmResult, ipvsadm } from './ipvsadm/ipvsadm.ts';
import { connectionEntry, destinationEntry, serviceEntry } from './listing.ts';
import { BURST, FramePool } from './packet/pool.ts';
import { type PassedHandler, Pipeline } from './pipeline.ts';
import { SCHEDULERS } from './schedulers/index.ts';
import { none } from './schedulers/none.ts';
import type { SchedulerContext } from './schedulers/scheduler.ts';
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
} from './services/config.ts';
import { Defence } from './services/defence.ts';
import type { Destination } from './services/destination.ts';
import { sip } from './services/engines/sip.ts';
import { FirewallMarks } from './services/marks.ts';
import { Registry } from './services/registry.ts';
import { type Service, SVC_ONEPACKET } from './services/service.ts';
import {
  destinationName,
  destinationSettings,
  integer,
  type Known,
  optionsOf,
  serviceName,
  serviceSettings,
} from './services/settings.ts';
import { ESTIMATE_PERIOD_MS, type RateSnapshot, type StatsSnapshot } from './services/stats.ts';
import { type SyncCounters, SyncDaemons } from './sync/daemons.ts';
import { GroupTransport } from './sync/group.ts';
import type { SyncTransport } from './sync/transport.ts';
import { Sysctl, SysctlValues } from './sysctl.ts';
import { TICK_MS } from './ticks.ts';
import { VERDICT_NAMES, type VerdictName } from './verdicts.ts';

/** Bursts that one wake-up may handle per device before timers and the user's own code get their turn. */
const MAX_ROUNDS = 8;
/** How often timers are looked at, in milliseconds. */
const TIMER_PERIOD_MS = 50;
/** Connections that one look at the timers may end or file again: a few milliseconds' work. */
const EXPIRE_BUDGET = 20_000;
const SECOND_MS = 1000;
const TRASH_PERIOD_MS = 60_000;

/** What a director tells those who listen (`director.on(...)`). Nothing is built for events that nobody listens to. */
export interface DirectorEvents {
  connectionCreated: (connection: ConnectionEntry) => void;
  connectionExpired: (connection: ConnectionEntry) => void;
  /** A destination reached its upper threshold (`overloaded`), or is below it again, or was given a higher one. */
  destinationOverload: (service: ServiceEntry, destination: DestinationEntry) => void;
  /** A service had no server for a packet. */
  noDestination: (service: ServiceEntry) => void;
  /** A device died; it is not used any more. */
  deviceError: (interfaceName: string, error: Error) => void;
}

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
  /** What the sync daemons have sent and received. */
  readonly sync: SyncCounters;
  /** What became of the frames read, by the names of {@link VERDICT_TEXTS}. */
  readonly verdicts: Readonly<Record<VerdictName, number>>;
}

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
export class Director extends EventEmitter<DirectorEvents> implements Control {
  /** The tunables of /proc/sys/net/ipv4/vs. */
  readonly sysctl: Sysctl;
  /** Rules that give packets firewall marks. */
  readonly marks: FirewallMarks = new FirewallMarks();

  readonly #configuration: Configuration;
  readonly #clock: Clock;
  readonly #startMs: number;
  readonly #timeouts = new ProtocolTimeouts();
  readonly #sysctlValues = new SysctlValues();
  readonly #defence = new Defence(this.#sysctlValues);
  readonly #dropEntry: DropEntry;
  readonly #registry: Registry;
  readonly #host: Host;
  readonly #wire: Wire;
  readonly #reassembly = new Reassembly();
  readonly #connections4: Connections;
  readonly #connections6: Connections;
  readonly #pipeline: Pipeline;
  readonly #groups: Groups;
  readonly #sync: SyncDaemons;
  readonly #lines: readonly Line[];
  readonly #known: Known;
  #stopTimer: (() => void) | null = null;
  #state: 'new' | 'running' | 'stopped' = 'new';
  #nextSecondMs = 0;
  #nextEstimateMs = 0;
  #nextTrashMs = 0;
  #onPassed: PassedHandler | null = null;
  /** What the user's code threw first, until the work at hand is done. */
  #thrown: { readonly error: unknown } | null = null;
  #polling = false;
  #continuing = false;
  #advancingSoon = false;
  /** When servers were removed whose connections end with them (`expire_nodest_conn`). */
  #removedAt: number | null = null;

  /** @throws DirectorError ERR_INVALID_OPTION */
  constructor(options: DirectorOptions) {
    super();
    const configuration = configure(options);
    this.#configuration = configuration;
    this.#clock = configuration.clock;
    this.#startMs = this.#clock.now();
    this.sysctl = new Sysctl(this.#sysctlValues, () => this.#updateDefence());

    this.#dropEntry = new DropEntry(configuration.random);
    const schedulers = new Map(SCHEDULERS).set(none.name, none);
    for (const factory of configuration.schedulers) schedulers.set(factory.name, factory);
    const engines = new Map([sip, ...configuration.engines].map((engine) => [engine.name, engine]));
    this.#known = { scheduler: (name) => schedulers.get(name), engine: (name) => engines.get(name) };
    const context: SchedulerContext = {
      random: configuration.random,
      now: () => this.#clock.now(),
      sysctl: (name) => this.sysctl.get(name),
    };
    this.#registry = new Registry(context, { destinationFreed: (id) => this.#host.forgetHop(id) });

    const pool = new FramePool(Math.max(...configuration.interfaces.map(({ mtu }) => mtu)));
    this.#wire = new Wire(pool);
    const actions = neighbourActions(() => this.#pipeline);
    this.#host = new Host((interfaces) => new Neighbours(interfaces, actions));
    this.#wire.neighbours = this.#host.neighbours;
    this.#lines = assembleHost(this.#host, this.#wire, configuration);

    const seed = () => Math.floor(configuration.random() * 2 ** 32);
    const observer = this.#observer();
    const makeConnections = (family: 4 | 6) =>
      new Connections(
        family,
        configuration.maxConnections,
        seed(),
        0,
        this.#registry.destinations,
        this.#timeouts,
        observer,
      );
    this.#connections4 = makeConnections(4);
    this.#connections6 = makeConnections(6);
    const perSecond = configuration.icmpErrorsPerSecond;
    this.#pipeline = new Pipeline({
      wire: this.#wire,
      host: this.#host,
      reassembly: this.#reassembly,
      icmpLimit: new IcmpLimit(perSecond, perSecond === 0 ? 0 : Math.max(1, perSecond / 20)),
      registry: this.#registry,
      marks: this.marks,
      connections4: this.#connections4,
      connections6: this.#connections6,
      sysctl: this.#sysctlValues,
      defence: this.#defence,
      listener: {
        noServer: (service) => this.#emitNoDestination(service),
        failed: (error) => this.#failed(error),
      },
    });
    this.#pipeline.forwarding = configuration.forwarding;
    this.#groups = new Groups(this.#wire);
    this.#pipeline.groups = this.#groups;
    this.#sync = new SyncDaemons({
      pipeline: this.#pipeline,
      registry: this.#registry,
      connections4: this.#connections4,
      connections6: this.#connections6,
      timeouts: this.#timeouts,
      sysctl: this.#sysctlValues,
      hasEngine: (name) => this.#known.engine(name) !== undefined,
      transport: (name) => this.#syncTransport(name),
      tick: () => this.#tick(),
    });
  }

  // ---- Life -------------------------------------------------------------------------------------------------------

  /**
   * Takes the devices and starts to work.
   * @throws DirectorError ERR_CLOSED after {@link stop}; ERR_DEVICE when a device cannot be used, and then none is.
   */
  start(): this {
    if (this.#state === 'running') return this;
    if (this.#state === 'stopped') throw new DirectorError('ERR_CLOSED', 'this director was stopped');
    try {
      for (const line of this.#lines) {
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
    const elapsedMs = this.#elapsedMs();
    this.#nextSecondMs = elapsedMs + SECOND_MS;
    this.#nextEstimateMs = elapsedMs + ESTIMATE_PERIOD_MS;
    this.#nextTrashMs = elapsedMs + TRASH_PERIOD_MS;
    this.#stopTimer = this.#clock.every(TIMER_PERIOD_MS, () => this.#advance());
    return this;
  }

  /** Closes the devices. The tables can still be listed; the director cannot be started again. */
  stop(): void {
    if (this.#state === 'stopped') return;
    this.#state = 'stopped';
    this.#stopTimer?.();
    this.#sync.close();
    this.#wire.flush();
    for (const line of this.#lines) line.port.device.close();
  }

  /**
   * Handles what the devices have waiting. Called by itself whenever a device has something; call it where that is too
   * late: in a simulation, or in a loop of your own.
   * @returns how many frames were read.
   */
  poll(): number {
    // A handler that was called from a burst may not start another: there is one packet at hand at a time.
    if (this.#state !== 'running' || this.#polling) return 0;
    this.#polling = true;
    let read: number;
    try {
      read = this.#pollDevices();
    } finally {
      this.#polling = false;
    }
    this.#throwAgain();
    return read;
  }

  #pollDevices(): number {
    const tick = this.#tick();
    this.#dropRemoved(tick);
    let read = 0;
    let more = true;
    for (let round = 0; round < MAX_ROUNDS && more; round++) {
      more = false;
      for (const line of this.#lines) {
        if (!line.alive) continue;
        const frames = this.#pipeline.processBurst(line.port, line.interfaces, tick);
        read += frames;
        if (frames === BURST) more = true;
      }
    }
    if (read > 0) {
      this.#sync.afterBurst(tick);
      this.#wire.flush();
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
      this.poll();
    });
  }

  #lose(line: Line, error: Error): void {
    line.alive = false;
    line.port.device.close();
    this.emit('deviceError', line.interfaces[0].name, error);
  }

  #elapsedMs(): number {
    return this.#clock.now() - this.#startMs;
  }

  #tick(): number {
    return Math.floor(this.#elapsedMs() / TICK_MS) | 0;
  }

  /** Lets time pass: everything that happens without a packet. */
  #advance(): void {
    const elapsedMs = this.#elapsedMs();
    const tick = this.#tick();
    this.#pipeline.tick = tick;
    this.#sync.advance(tick);
    const everySecond = elapsedMs >= this.#nextSecondMs;
    for (const connections of [this.#connections4, this.#connections6]) {
      if (!connections.advance(tick, EXPIRE_BUDGET)) this.#advanceSoon();
      if (everySecond && this.#defence.dropEntry) this.#dropEntries(connections, tick);
    }
    this.#dropRemoved(tick);
    if (everySecond) {
      this.#nextSecondMs = following(this.#nextSecondMs, SECOND_MS, elapsedMs);
      this.#host.neighbours.advance(tick);
      this.#reassembly.advance(tick, (fragment) => tellSenderOf(this.#pipeline, fragment, tellReassemblyTimeout));
      this.#registry.tick();
      this.#host.advance(tick);
      this.#updateDefence();
    }
    if (elapsedMs >= this.#nextEstimateMs) {
      this.#nextEstimateMs = following(this.#nextEstimateMs, ESTIMATE_PERIOD_MS, elapsedMs);
      if (this.#sysctlValues.run_estimation !== 0) this.#estimate();
    }
    if (elapsedMs >= this.#nextTrashMs) {
      this.#nextTrashMs = following(this.#nextTrashMs, TRASH_PERIOD_MS, elapsedMs);
      this.#registry.emptyTrash(elapsedMs);
    }
    this.#wire.flush();
    this.#throwAgain();
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
    this.#pipeline.stats.estimate();
    for (const service of this.#registry.services()) {
      service.stats.estimate();
      for (const destination of service.destinations) destination.stats.estimate();
    }
  }

  // ---- The host ---------------------------------------------------------------------------------------------------

  /**
   * Takes every frame that is for no service and for nothing that the director does as a host (ARP, ICMP, routing): a
   * copy of the frame and the name of the interface. Without a handler such frames are refused or dropped, and counted.
   */
  set onPassed(handler: PassedHandler | null) {
    if (handler !== null && typeof handler !== 'function')
      throw invalidOption('onPassed', handler, 'a function or null');
    this.#onPassed = handler;
    this.#pipeline.onPassed = handler === null ? null : (frame, name) => this.#call(() => handler(frame, name));
  }

  get onPassed(): PassedHandler | null {
    return this.#onPassed;
  }

  // ---- Services and real servers ----------------------------------------------------------------------------------

  /** @throws DirectorError ERR_INVALID_OPTION, ERR_SERVICE_EXISTS, ERR_UNKNOWN_SCHEDULER, ERR_UNKNOWN_ENGINE */
  addService(key: ServiceKey, options: ServiceOptions = {}): void {
    const name = serviceName(key);
    const service = this.#registry.addService(name, () => serviceSettings(name, options, this.#known));
    if (this.#configuration.claimVips && service.fwmark === 0) this.#host.claim(service);
  }

  /**
   * Gives a service exactly these options: what is not given returns to its default. Its servers and connections stay.
   * @throws DirectorError ERR_INVALID_OPTION, ERR_NO_SUCH_SERVICE, ERR_UNKNOWN_SCHEDULER, ERR_UNKNOWN_ENGINE
   */
  editService(key: ServiceKey, options: ServiceOptions = {}): void {
    const name = serviceName(key);
    const service = this.#registry.get(name);
    this.#registry.editService(service, serviceSettings(name, options, this.#known));
  }

  /** Removes a service and its servers. @throws DirectorError ERR_INVALID_OPTION, ERR_NO_SUCH_SERVICE */
  deleteService(key: ServiceKey): void {
    this.#delete(this.#registry.get(serviceName(key)));
  }

  #delete(service: Service): void {
    this.#registry.deleteService(service);
    this.#endConnectionsOfRemoved();
    if (!this.#configuration.claimVips || service.fwmark !== 0) return;
    for (const other of this.#registry.services()) if (other.address === service.address) return;
    this.#host.disclaim(service);
  }

  /** Removes all services. Connections stay until they expire. */
  flush(): void {
    for (const service of [...this.#registry.services()]) this.#delete(service);
  }

  /** Zeroes the counters of one service, or all of them. @throws DirectorError ERR_NO_SUCH_SERVICE */
  zero(key?: ServiceKey): void {
    const services = key === undefined ? this.#registry.services() : [this.#registry.get(serviceName(key))];
    for (const service of services) {
      service.stats.zero();
      for (const destination of service.destinations) destination.stats.zero();
    }
    if (key === undefined) this.#pipeline.stats.zero();
  }

  /** @throws DirectorError ERR_INVALID_OPTION, ERR_NO_SUCH_SERVICE, ERR_DESTINATION_EXISTS */
  addDestination(key: ServiceKey, destination: DestinationKey, options: DestinationOptions = {}): void {
    const service = this.#registry.get(serviceName(key));
    const settings = destinationSettings(options);
    const { address, text, port } = this.#destinationName(service, destination, settings.method);
    this.#checkFamily(service, address, text, settings.method);
    if (!this.#isHost(address)) throw invalidOption('destination.address', text, 'the address of a host');
    this.#registry.addDestination(service, address, port, text, settings);
  }

  /**
   * Gives a real server exactly these options: what is not given returns to its default. Existing connections keep their
   * forward method.
   * @throws DirectorError ERR_INVALID_OPTION, ERR_NO_SUCH_SERVICE, ERR_NO_SUCH_DESTINATION
   */
  editDestination(key: ServiceKey, destination: DestinationKey, options: DestinationOptions = {}): void {
    const service = this.#registry.get(serviceName(key));
    const settings = destinationSettings(options);
    const { address, text, port } = this.#destinationName(service, destination, settings.method);
    this.#checkFamily(service, address, text, settings.method);
    const edited = this.#registry.destination(service, address, port, text);
    const { overloaded } = edited;
    this.#registry.editDestination(edited, settings);
    if (edited.overloaded !== overloaded) this.#emitOverload(edited);
    this.#throwAgain();
  }

  #checkFamily(service: Service, address: Address, text: string, method: number): void {
    if (address.family === service.family) return;
    if (method !== TUNNEL) {
      throw invalidOption('destination.address', text, "of the service's family: only tunnels may differ");
    }
    if (this.#sync.entries().length > 0) {
      throw invalidOption('destination.address', text, "of the service's family: a sync daemon runs");
    }
  }

  /** @throws DirectorError ERR_INVALID_OPTION, ERR_NO_SUCH_SERVICE, ERR_NO_SUCH_DESTINATION */
  deleteDestination(key: ServiceKey, destination: DestinationKey): void {
    const service = this.#registry.get(serviceName(key));
    const { address, text, port } = destinationName(service, destination);
    this.#registry.deleteDestination(this.#registry.destination(service, address, port, text));
    this.#endConnectionsOfRemoved();
  }

  #endConnectionsOfRemoved(): void {
    if (this.#sysctlValues.expire_nodest_conn !== 0 && this.#removedAt === null) this.#removedAt = this.#tick();
  }

  /** What is left of removed servers' connections ends a moment later, all at once (kernel behaviour: a delayed work). */
  #dropRemoved(tick: number): void {
    if (this.#removedAt === null || ((tick - this.#removedAt) | 0) < 1) return;
    this.#removedAt = null;
    dropUnavailable(this.#connections4);
    dropUnavailable(this.#connections6);
  }

  /** For DR and tunnels under an address service the port cannot be changed: it is the service's. */
  #destinationName(service: Service, key: DestinationKey, method: number): ReturnType<typeof destinationName> {
    const name = destinationName(service, key);
    return method === MASQ || service.fwmark !== 0 ? name : { ...name, port: service.port };
  }

  #isHost(address: Address): boolean {
    const first = address.words[0];
    if (address.family === 6) return first >>> 24 !== 0xff;
    return first >>> 24 !== 0 && first >>> 28 !== 0xe && !this.#host.isBroadcast4(address.words, 0);
  }

  // ---- Timeouts, statistics, listings -----------------------------------------------------------------------------

  /** Sets the timeouts of `--set`, in seconds; 0 or absent leaves one as it is. @throws DirectorError ERR_INVALID_OPTION */
  setTimeouts(timeouts: Partial<Timeouts>): void {
    optionsOf('timeouts', timeouts, ['tcp', 'tcpfin', 'udp']);
    const max = 31 * 86400;
    for (const name of ['tcp', 'tcpfin', 'udp'] as const) integer(name, timeouts[name], 0, max, 0);
    this.#timeouts.set(timeouts);
  }

  getTimeouts(): Timeouts {
    return this.#timeouts.get();
  }

  /** Lets the defences against overload follow the tunables and the fill of the connection tables. */
  #updateDefence(): void {
    const tables = [this.#connections4.table, this.#connections6.table];
    this.#defence.update(Math.min(...tables.map((table) => table.capacity - table.size)));
    const tcpTable = this.#defence.secureTcp ? SECURE_TABLE : NORMAL_TABLE;
    this.#connections4.tcpTable = tcpTable;
    this.#connections6.tcpTable = tcpTable;
  }

  #dropEntries(connections: Connections, tick: number): void {
    this.#dropEntry.run(connections, tick, (row) => {
      const service = connections.destinationOf(row)?.service;
      return service !== undefined && (service.flags & SVC_ONEPACKET) !== 0;
    });
  }

  services(): ServiceEntry[] {
    this.#settle();
    return Array.from(this.#registry.services(), serviceEntry);
  }

  /** @throws DirectorError ERR_INVALID_OPTION, ERR_NO_SUCH_SERVICE */
  service(key: ServiceKey): ServiceEntry {
    this.#settle();
    return serviceEntry(this.#registry.get(serviceName(key)));
  }

  /** Ends what was over before this moment, so that it is not listed or counted. */
  #settle(): void {
    // A listener that lists within a burst must not end the connection of the packet at hand.
    if (this.#polling) return;
    this.#dropRemoved(this.#tick());
    this.#connections4.settle(this.#tick());
    this.#connections6.settle(this.#tick());
  }

  /** All connections and templates, in no order. */
  connections(): ConnectionEntry[] {
    this.#settle();
    const entries: ConnectionEntry[] = [];
    for (const connections of [this.#connections4, this.#connections6]) {
      connections.table.forEach((row) => {
        entries.push(connectionEntry(connections, row, this.#tick()));
      });
    }
    return entries;
  }

  /** What was counted since the start, over all services. */
  statistics(): StatsSnapshot {
    return this.#pipeline.stats.snapshot();
  }

  /** Rates per second, over all services. */
  rates(): RateSnapshot {
    return this.#pipeline.stats.rates();
  }

  counters(): DirectorCounters {
    const { received, verdicts } = this.#pipeline;
    return {
      received,
      sent: this.#wire.sent,
      lost: this.#wire.lost,
      neighbourDrops: this.#host.neighbours.dropped,
      sync: this.#sync.counters,
      verdicts: Object.fromEntries(VERDICT_NAMES.map((name, i) => [name, verdicts[i]])) as Record<VerdictName, number>,
    };
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
    if (this.#state === 'stopped') throw new DirectorError('ERR_CLOSED', 'this director was stopped');
    this.#sync.start(options);
    this.#wire.flush();
  }

  /** @throws DirectorError ERR_NO_DAEMON, ERR_INVALID_OPTION */
  stopDaemon(role: DaemonRole): void {
    this.#sync.stop(role);
    this.#wire.flush();
  }

  daemons(): DaemonEntry[] {
    return this.#sync.entries();
  }

  #syncTransport(name: string | undefined): SyncTransport {
    const on = name === undefined ? this.#host.interfaces[0] : this.#host.interfaces.find((one) => one.name === name);
    if (on === undefined) throw invalidOption('mcastInterface', name, 'the name of an interface');
    const { random } = this.#configuration;
    return new GroupTransport(on, { wire: this.#wire, groups: this.#groups, random, tick: () => this.#tick() });
  }

  // ---- Events -----------------------------------------------------------------------------------------------------

  #observer(): ConnectionObserver {
    return {
      created: (connections, row) => {
        this.#sync.created(connections, row);
        if (this.listenerCount('connectionCreated') > 0)
          this.#call(() => this.emit('connectionCreated', connectionEntry(connections, row, this.#tick())));
      },
      expired: (connections, row) => {
        if (this.listenerCount('connectionExpired') > 0)
          this.#call(() => this.emit('connectionExpired', connectionEntry(connections, row, this.#tick())));
      },
      held: (connections, row, tick) => this.#sync.held(connections, row, tick),
      overloadChanged: (destination) => this.#emitOverload(destination),
    };
  }

  #emitOverload(destination: Destination): void {
    if (this.listenerCount('destinationOverload') === 0) return;
    const { service } = destination;
    this.#call(() => this.emit('destinationOverload', serviceEntry(service), destinationEntry(destination)));
  }

  #emitNoDestination(service: Service): void {
    if (this.listenerCount('noDestination') > 0) this.#call(() => this.emit('noDestination', serviceEntry(service)));
  }

  /** Calls the user's code. What that throws must not leave a packet half handled: it is thrown when all is done. */
  #call(code: () => void): void {
    try {
      code();
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    this.#thrown ??= { error };
  }

  #throwAgain(): void {
    const thrown = this.#thrown;
    if (thrown === null) return;
    this.#thrown = null;
    throw thrown.error;
  }
}

/** When something periodic is due again; what a stalled program has missed is left out. */
function following(dueMs: number, periodMs: number, nowMs: number): number {
  return Math.max(dueMs + periodMs, nowMs + periodMs / 2);
}
