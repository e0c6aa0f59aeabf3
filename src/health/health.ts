/**
 * The services whose servers are watched. What users change of servers goes by here, so that a service that is watched
 * takes note; all else goes on to the engine as it is.
 */
import type { Clock } from '../clock.ts';
import type { Engine } from '../engine/engine.ts';
import { DirectorError } from '../errors.ts';
import type { DestinationKey, DestinationOptions, ServiceKey } from '../services/config.ts';
import { serviceName } from '../services/settings.ts';
import type { HealthChange, HealthOptions, ServiceHealthEntry } from './config.ts';
import { type Surroundings, Watch } from './watch.ts';

/** How often checks that are due are looked for, in milliseconds. */
const PERIOD_MS = 100;

type Servers = Pick<
  Engine,
  | 'service'
  | 'addDestination'
  | 'editDestination'
  | 'deleteDestination'
  | 'deleteService'
  | 'flush'
  | 'expireConnections'
>;
/** The servers as if there were no health: as they were configured. */
type Configured = Pick<Engine, 'service' | 'editDestination' | 'deleteDestination' | 'expireConnections'>;

export class Health {
  readonly #engine: Servers;
  readonly #clock: Clock;
  readonly #around: Surroundings;
  readonly #watches = new Map<string, Watch>();
  #isRunning = false;
  #endTimer: (() => void) | null = null;

  /** @param tell is told of each change. */
  constructor(engine: Servers, clock: Clock, random: () => number, tell: (change: HealthChange) => void) {
    this.#engine = engine;
    this.#clock = clock;
    this.#around = {
      engine,
      now: () => this.#clock.now(),
      random,
      tell(changes) {
        let thrown: { readonly error: unknown } | null = null;
        for (const change of changes) {
          try {
            tell(change);
          } catch (error) {
            thrown ??= { error };
          }
        }
        if (thrown !== null) throw thrown.error;
      },
    };
  }

  // ---- Life -------------------------------------------------------------------------------------------------------

  /** Checks from now on. */
  start(): void {
    this.#isRunning = true;
    this.#setTimer();
  }

  /** Checks no more. */
  stop(): void {
    this.#isRunning = false;
    this.#setTimer();
    for (const watch of this.#watches.values()) watch.stop();
  }

  /** There is a timer while there is something to do. */
  #setTimer(): void {
    const isNeeded = this.#isRunning && this.#watches.size > 0;
    if (isNeeded) this.#endTimer ??= this.#clock.every(PERIOD_MS, () => this.#advance());
    else {
      this.#endTimer?.();
      this.#endTimer = null;
    }
  }

  #advance(): void {
    const nowMs = this.#clock.now();
    for (const watch of [...this.#watches.values()]) watch.advance(nowMs);
  }

  // ---- Watching ---------------------------------------------------------------------------------------------------

  /** @throws DirectorError ERR_INVALID_OPTION, ERR_NO_SUCH_SERVICE */
  watch(key: ServiceKey, options: HealthOptions): void {
    const name = serviceName(key);
    const id = idOf(key);
    const watched = this.#watches.get(id);
    if (watched !== undefined) {
      watched.change(options);
      return;
    }
    const watch = new Watch(name, key, options, this.#around);
    this.#watches.set(id, watch);
    this.#setTimer();
    watch.begin();
  }

  /** @throws DirectorError ERR_INVALID_OPTION, ERR_NO_SUCH_SERVICE when it is not watched */
  unwatch(key: ServiceKey): void {
    const watch = this.#watches.get(idOf(key));
    if (watch === undefined) throw new DirectorError('ERR_NO_SUCH_SERVICE', `${serviceName(key).text} is not watched`);
    this.#forget(key);
    watch.end();
  }

  entries(): ServiceHealthEntry[] {
    return Array.from(this.#watches.values(), (watch) => watch.entry());
  }

  #forget(key: ServiceKey): void {
    const id = idOf(key);
    this.#watches.get(id)?.stop();
    this.#watches.delete(id);
    this.#setTimer();
  }

  // ---- What users set ---------------------------------------------------------------------------------------------

  addDestination(key: ServiceKey, destination: DestinationKey, options?: DestinationOptions): void {
    const watch = this.#watchOf(key);
    if (watch === undefined) this.#engine.addDestination(key, destination, options);
    else watch.add(destination, options ?? {});
  }

  editDestination(key: ServiceKey, destination: DestinationKey, options?: DestinationOptions): void {
    const watch = this.#watchOf(key);
    if (watch === undefined) this.#engine.editDestination(key, destination, options);
    else watch.edit(destination, options ?? {});
  }

  deleteDestination(key: ServiceKey, destination: DestinationKey): void {
    const watch = this.#watchOf(key);
    if (watch === undefined) this.#engine.deleteDestination(key, destination);
    else watch.delete(destination);
  }

  deleteService(key: ServiceKey): void {
    this.#engine.deleteService(key);
    this.#forget(key);
  }

  flush(): void {
    this.#engine.flush();
    for (const watch of this.#watches.values()) watch.stop();
    this.#watches.clear();
    this.#setTimer();
  }

  /** The servers for those who set weights and want them back as they were. */
  asConfigured(): Configured {
    return {
      service: (key) => {
        const service = this.#engine.service(key);
        const watch = this.#watchOf(key);
        if (watch === undefined) return service;
        return { ...service, destinations: watch.asConfigured(service.destinations) };
      },
      editDestination: (key, destination, options) => this.editDestination(key, destination, options),
      deleteDestination: (key, destination) => this.deleteDestination(key, destination),
      expireConnections: (key, destination) => this.#engine.expireConnections(key, destination),
    };
  }

  #watchOf(key: ServiceKey): Watch | undefined {
    return this.#watches.size === 0 ? undefined : this.#watches.get(idOf(key));
  }
}

/** What all ways to write a service have in common. @throws DirectorError ERR_INVALID_OPTION */
function idOf(key: ServiceKey): string {
  const { family, text } = serviceName(key);
  return `${family} ${text}`;
}
