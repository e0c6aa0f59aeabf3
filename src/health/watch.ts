/**
 * One service that is watched: its servers' checks, what follows from them, and making it so.
 *
 * A server has two weights. The one that it was **configured** with is what users set, by whatever way: with objects, by
 * ipvsadm, by a reload. The one in the table is what of it health allows. So whatever is set by hand stays set (0 keeps a
 * server out of use however well it is), and no hand puts a server in use that is not well.
 */
import type { Engine } from '../engine/engine.ts';
import { DirectorError, invalidOption } from '../errors.ts';
import { optionsOfEntry } from '../listing.ts';
import type {
  DestinationEntry,
  DestinationKey,
  DestinationOptions,
  HandshakeCounts,
  ServiceKey,
} from '../services/config.ts';
import { destinationSettings, type ServiceName } from '../services/settings.ts';
import type { CheckCounts, HealthChange, HealthOptions, ServerHealthEntry, ServiceHealthEntry } from './config.ts';
import { type NameServer, nameOf, namer, type ServerName } from './name.ts';
import { checkHealth, type Settings } from './options.ts';
import { suspect } from './passive.ts';
import { Schedule } from './schedule.ts';
import { type Happening, look, reduce, type Servers, type View } from './state.ts';

/** What a watch works with. */
export interface Surroundings {
  readonly engine: Pick<Engine, 'service' | 'addDestination' | 'editDestination' | 'deleteDestination'>;
  now(): number;
  random(): number;
  tell(changes: readonly HealthChange[]): void;
}

/** What is kept of a server beside its state. */
class Watched {
  readonly name: ServerName;
  /** As it was configured. */
  options: DestinationOptions;
  /** Its weight in the table; null while it is not there. */
  weight: number | null;
  /** How it was listed last, once it has left the table. */
  listed: DestinationEntry | null = null;
  check: Schedule<unknown> | null = null;
  load: Schedule<number> | null = null;
  succeeded = 0;
  failed = 0;
  /** What had been counted of its handshakes when they were last looked at; null: nothing to compare with. */
  handshakes: HandshakeCounts | null = null;
  lastSeconds: number | null = null;
  lastFailure: string | null = null;

  constructor(name: ServerName, options: DestinationOptions) {
    this.name = name;
    this.options = options;
    this.weight = options.weight ?? 1;
  }

  get counts(): CheckCounts {
    const { succeeded, failed, lastSeconds, lastFailure } = this;
    return { succeeded, failed, lastSeconds, lastFailure };
  }

  stop(): void {
    this.check?.stop();
    this.load?.stop();
  }
}

export class Watch {
  readonly key: ServiceKey;
  readonly #around: Surroundings;
  readonly #name: NameServer;
  readonly #watched = new Map<string, Watched>();
  #settings: Settings;
  #servers: Servers = new Map();
  #view: View;
  /** Whether the sorry server is in the table. */
  #isSorry = false;
  /** When the servers' handshakes are to be looked at. */
  #lookMs = 0;

  /** @throws DirectorError ERR_INVALID_OPTION, ERR_NO_SUCH_SERVICE */
  constructor(service: ServiceName, key: ServiceKey, options: HealthOptions, around: Surroundings) {
    this.key = key;
    this.#around = around;
    this.#name = namer(service);
    this.#settings = checkHealth(options, this.#name);
    const { destinations } = around.engine.service(key);
    this.#refuseSorry(this.#settings, destinations.map(nameOf));
    this.#view = { state: 'served', inUse: 0, servers: new Map() };
    // Listings have the newest first.
    for (const entry of destinations.toReversed()) {
      const server = new Watched(nameOf(entry), optionsOfEntry(entry));
      this.#watched.set(server.name.id, server);
      this.#note({ what: 'configured', server: server.name.id, weight: entry.weight });
      this.#schedule(server);
    }
  }

  /** Makes what follows from the beginning. */
  begin(): void {
    this.#settle();
  }

  #refuseSorry({ sorry }: Settings, servers: readonly ServerName[]): void {
    if (sorry === null || servers.every(({ id }) => id !== sorry.server.id)) return;
    throw invalidOption('sorryServer', sorry.server.address, 'another server than those of the service');
  }

  /** Watches in another way from now on; what is known of the servers stays known. @throws DirectorError ERR_INVALID_OPTION */
  change(options: HealthOptions): void {
    const settings = checkHealth(options, this.#name);
    this.#refuseSorry(
      settings,
      Array.from(this.#watched.values(), ({ name }) => name),
    );
    this.#dismissSorry();
    this.#settings = settings;
    this.#lookMs = this.#around.now();
    for (const server of this.#watched.values()) {
      server.stop();
      this.#schedule(server);
      if (server.check === null) this.#note({ what: 'unchecked', server: server.name.id });
      if (server.load === null) this.#note({ what: 'load', server: server.name.id, load: null });
    }
    this.#settle();
  }

  /** Gives all servers what they were configured with, and watches no more. */
  end(): void {
    this.stop();
    this.#dismissSorry();
    for (const server of this.#watched.values()) this.#give(server, server.options.weight ?? 1);
  }

  /** Watches no more, and leaves all as it is. */
  stop(): void {
    for (const server of this.#watched.values()) server.stop();
  }

  // ---- What users set ---------------------------------------------------------------------------------------------

  /** @throws DirectorError as `Director.addDestination` */
  add(key: DestinationKey, options: DestinationOptions): void {
    destinationSettings(options);
    const name = this.#name(key, options.method ?? 'route');
    if (this.#watched.get(name.id)?.weight === null || this.#settings.sorry?.server.id === name.id) {
      throw new DirectorError('ERR_DESTINATION_EXISTS', `destination: ${name.address}:${name.port} is there already`);
    }
    this.#around.engine.addDestination(this.key, key, options);
    const server = new Watched(name, options);
    this.#watched.set(name.id, server);
    this.#note({ what: 'configured', server: name.id, weight: server.weight! });
    this.#schedule(server);
    this.#settle();
  }

  /** @throws DirectorError as `Director.editDestination` */
  edit(key: DestinationKey, options: DestinationOptions): void {
    destinationSettings(options);
    const name = this.#name(key, options.method ?? 'route');
    this.#refuseHand(name);
    const { engine } = this.#around;
    const server = this.#watched.get(name.id);
    if (server === undefined) {
      engine.editDestination(this.key, key, options);
      return;
    }
    const happening = { what: 'configured', server: name.id, weight: options.weight ?? 1 } as const;
    const weight = this.#after(happening).servers.get(name.id)!.weight;
    if (server.weight !== null) {
      engine.editDestination(this.key, name, { ...options, weight: weight ?? 0 });
      server.weight = weight ?? 0;
    } else {
      // Whether the director takes it shows when it is tried.
      engine.addDestination(this.key, name, { ...options, weight: 0 });
      this.#remove(server);
    }
    server.options = options;
    this.#note(happening);
    this.#settle();
  }

  /** @throws DirectorError as `Director.deleteDestination` */
  delete(key: DestinationKey): void {
    const name = this.#name(key);
    this.#refuseHand(name);
    const server = this.#watched.get(name.id);
    if (server?.weight !== null) this.#around.engine.deleteDestination(this.key, key);
    if (server === undefined) return;
    server.stop();
    this.#watched.delete(name.id);
    this.#note({ what: 'removed', server: name.id });
    this.#settle();
  }

  #refuseHand({ id, address }: ServerName): void {
    if (this.#settings.sorry?.server.id !== id) return;
    throw invalidOption('destination.address', address, 'a server to change by hand: it is the sorry server');
  }

  // ---- What happens -----------------------------------------------------------------------------------------------

  /** Lets time pass: checks that are due, weights that grow. */
  advance(nowMs: number): void {
    const now = () => this.#around.now();
    for (const { check, load } of [...this.#watched.values()]) {
      check?.advance(nowMs, now);
      load?.advance(nowMs, now);
    }
    if (nowMs >= this.#lookMs) this.#lookAtHandshakes(nowMs);
    this.#note({ what: 'time' });
    this.#settle();
  }

  #schedule(server: Watched): void {
    const { check, checks, load, intervalMs, timeoutMs, jitter } = this.#settings;
    const { id, address, port } = server.name;
    const { random, now } = this.#around;
    const probe = checks.has(id) ? checks.get(id)! : check;
    const asked = { address, port };
    server.check =
      probe &&
      new Schedule(
        (signal) => probe(asked, signal),
        { intervalMs, timeoutMs, jitter },
        now(),
        random,
        (outcome) => {
          const { failure, tookMs } = outcome;
          if (failure === null) server.succeeded++;
          else server.failed++;
          server.lastFailure = failure;
          server.lastSeconds = tookMs / 1000;
          this.#note({ what: 'checked', server: id, failure });
          this.#settle();
        },
      );
    server.load =
      load &&
      new Schedule(
        (signal) => load.ask(asked, signal),
        { ...load, jitter },
        now(),
        random,
        ({ value }) => {
          // A load that cannot be had is the last one known.
          if (value === undefined) return;
          this.#note({ what: 'load', server: id, load: value });
          this.#settle();
        },
      );
  }

  /** What clients' connections tell of the servers, since the last look. */
  #lookAtHandshakes(nowMs: number): void {
    const { suspicion } = this.#settings;
    this.#lookMs = suspicion === null ? Number.POSITIVE_INFINITY : nowMs + suspicion.windowMs;
    if (suspicion === null) return;
    const { destinations } = this.#around.engine.service(this.key);
    const now = new Map(destinations.map((entry) => [nameOf(entry).id, entry.handshakes]));
    for (const server of this.#watched.values()) {
      const before = server.handshakes;
      server.handshakes = now.get(server.name.id) ?? null;
      if (before === null || server.handshakes === null) continue;
      const reason = suspect(before, server.handshakes, suspicion);
      if (reason !== null) this.#note({ what: 'suspected', server: server.name.id, reason });
    }
  }

  #note(happening: Happening): void {
    this.#servers = reduce(this.#servers, happening, this.#around.now(), this.#settings.rules);
  }

  #after(happening: Happening): View {
    const nowMs = this.#around.now();
    const { rules } = this.#settings;
    return look(reduce(this.#servers, happening, nowMs, rules), nowMs, rules);
  }

  // ---- What follows -----------------------------------------------------------------------------------------------

  /** Makes it so, and tells what has changed. */
  #settle(): void {
    const before = this.#view;
    this.#view = look(this.#servers, this.#around.now(), this.#settings.rules);
    const weights = this.#makeSo();
    const changes = [...this.#changesOfState(before), ...weights];
    if (changes.length > 0) this.#around.tell(changes);
  }

  /** Who comes into use does so before others go, so that the service is not without servers in between. */
  #makeSo(): HealthChange[] {
    const { state, servers } = this.#view;
    const changes: HealthChange[] = [];
    if (state === 'sorry') this.#callSorry();
    const order = [...this.#watched.values()].sort(
      (a, b) => (servers.get(b.name.id)!.weight ?? -1) - (servers.get(a.name.id)!.weight ?? -1),
    );
    for (const server of order) {
      const { weight, because } = servers.get(server.name.id)!;
      const was = server.weight;
      if (weight === was) continue;
      this.#give(server, weight);
      changes.push({
        what: 'weight',
        service: this.key,
        server: publicName(server),
        was,
        now: weight,
        reason: because,
      });
    }
    if (state !== 'sorry') this.#dismissSorry();
    return changes;
  }

  #give(server: Watched, weight: number | null): void {
    const { engine } = this.#around;
    const { name, options } = server;
    if (weight === server.weight) return;
    if (weight === null) this.#remove(server);
    else if (server.weight === null) engine.addDestination(this.key, name, { ...options, weight });
    else engine.editDestination(this.key, name, { ...options, weight });
    server.weight = weight;
  }

  #remove(server: Watched): void {
    const { engine } = this.#around;
    const { destinations } = engine.service(this.key);
    const entry = destinations.find((one) => nameOf(one).id === server.name.id);
    // What it has of connections ends with its being there.
    server.listed = entry === undefined ? null : { ...entry, activeConns: 0, inactConns: 0, persistConns: 0 };
    engine.deleteDestination(this.key, server.name);
  }

  #callSorry(): void {
    const { sorry } = this.#settings;
    if (this.#isSorry || sorry === null) return;
    this.#around.engine.addDestination(this.key, sorry.server, sorry.options);
    this.#isSorry = true;
  }

  #dismissSorry(): void {
    const { sorry } = this.#settings;
    if (!this.#isSorry || sorry === null) return;
    this.#around.engine.deleteDestination(this.key, sorry.server);
    this.#isSorry = false;
  }

  #changesOfState(before: View): HealthChange[] {
    const after = this.#view;
    const changes: HealthChange[] = [];
    const service = this.key;
    for (const server of this.#watched.values()) {
      const was = before.servers.get(server.name.id)?.state ?? 'unchecked';
      const { state: now, reason } = after.servers.get(server.name.id)!;
      if (was !== now) changes.push({ what: 'server', service, server: publicName(server), was, now, reason });
    }
    if (before.state !== after.state) {
      const reason = `${after.inUse} of ${after.servers.size} servers in use, quorum ${this.#settings.rules.quorum}`;
      changes.push({ what: 'service', service, was: before.state, now: after.state, reason });
    }
    return changes;
  }

  // ---- Listing ----------------------------------------------------------------------------------------------------

  /** The servers as they were configured: those that are out of the table too, and not the sorry server. */
  asConfigured(destinations: readonly DestinationEntry[]): DestinationEntry[] {
    const out = Array.from(this.#watched.values()).flatMap(({ weight, listed }) =>
      weight === null && listed !== null ? [listed] : [],
    );
    return [...destinations, ...out].flatMap((entry) => {
      const { id } = nameOf(entry);
      const server = this.#servers.get(id);
      if (server !== undefined) return [{ ...entry, weight: server.configured }];
      return id === this.#settings.sorry?.server.id ? [] : [entry];
    });
  }

  entry(): ServiceHealthEntry {
    const { state, inUse, servers } = this.#view;
    const { sorry, rules } = this.#settings;
    const entries = Array.from(this.#watched.values(), (server): ServerHealthEntry => {
      const { state, reason } = servers.get(server.name.id)!;
      const { configured, load } = this.#servers.get(server.name.id)!;
      const { weight, counts } = server;
      return { ...publicName(server), state, reason, configuredWeight: configured, weight, load, checks: counts };
    });
    const sorryServer = sorry === null ? null : { address: sorry.server.address, port: sorry.server.port };
    return { service: this.key, state, quorum: rules.quorum, inUse, sorryServer, servers: entries };
  }
}

function publicName({ name: { address, port } }: Watched): { address: string; port: number } {
  return { address, port };
}
