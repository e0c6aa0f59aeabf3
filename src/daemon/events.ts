/**
 * A director's events in the log: a line for each change, however many packets there are. What may change with every packet
 * is told when it begins, and then not more often than it is looked at.
 */
import type { Logger } from 'pino';
import type { Director } from '../director.ts';
import type { HealthChange } from '../health/config.ts';
import type { DestinationEntry, ServiceEntry } from '../services/config.ts';
import { destinationName, keyOf, serviceName } from '../services/naming.ts';

/** How often what packets cause is looked at, in milliseconds. */
const LOOK_MS = 1000;

/** What events say of services and servers, as logs name them. */
export function logEvents(director: Director, logger: Logger): void {
  logDrains(director, logger);
  director.on('health', (change) => logHealth(change, logger));
  new UnservedLog(director, logger).listen();
  new FullLog(director, logger).listen();
}

/** Logs that a drain begins, and how it ends. */
function logDrains(director: Director, logger: Logger): void {
  const begun = new Set<string>();
  director.on('drain', ({ service, destination, state, ...left }) => {
    const server = { service: serviceName(service), server: destinationName(destination) };
    const key = `${server.service} ${server.server}`;
    if (state === 'draining' && begun.has(key)) return;
    if (state === 'draining') begun.add(key);
    else begun.delete(key);
    logger.info({ ...server, state, ...left }, 'drain');
  });
}

function logHealth({ service, ...change }: HealthChange, logger: Logger): void {
  const server = 'server' in change && { server: destinationName(change.server) };
  const isIll = change.now === 'down' || change.now === 'ejected' || change.now === 'sorry' || change.now === 'short';
  logger[isIll ? 'warn' : 'info']({ service: serviceName(service), ...change, ...server }, 'health');
}

function takesConnections({ weight, overloaded }: DestinationEntry): boolean {
  return weight > 0 && !overloaded;
}

/** Services whose clients find no server, from the first packet that found none until there is one again. */
class UnservedLog {
  readonly #director: Director;
  readonly #logger: Logger;
  readonly #unserved = new Set<string>();
  readonly #hear = () => this.#look();
  #isWaiting = false;

  constructor(director: Director, logger: Logger) {
    this.#director = director;
    this.#logger = logger;
  }

  listen(): void {
    this.#director.on('noDestination', this.#hear);
  }

  /**
   * All services are looked at, since there may be more than one, and not again for a while: nothing is built for packets
   * that find no server meanwhile.
   */
  #look(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    // Not from within a burst.
    setImmediate(() => {
      this.#director.off('noDestination', this.#hear);
      this.#compare(true);
    });
    setTimeout(() => this.#lookAgain(), LOOK_MS).unref();
  }

  #lookAgain(): void {
    this.#isWaiting = false;
    this.#compare(false);
    this.listen();
    // Somebody has to notice that there is a server again.
    if (this.#unserved.size > 0) this.#look();
  }

  #compare(mayBegin: boolean): void {
    const services = new Map(this.#director.services().map((one) => [serviceName(keyOf(one)), one]));
    for (const service of this.#unserved) {
      const found = services.get(service);
      if (found !== undefined && !found.destinations.some(takesConnections)) continue;
      this.#unserved.delete(service);
      if (found !== undefined) this.#logger.info({ service }, 'a service has a server again');
    }
    if (!mayBegin) return;
    for (const [service, { destinations }] of services) {
      if (this.#unserved.has(service) || destinations.some(takesConnections)) continue;
      this.#unserved.add(service);
      this.#logger.warn({ service, servers: destinations.length }, 'a service has no server for its clients');
    }
  }
}

/** Servers that are at their upper threshold: what changes meanwhile, with every connection, is not told. */
class FullLog {
  readonly #director: Director;
  readonly #logger: Logger;
  /** Servers that have changed lately: what was told of them, and how they are now. */
  readonly #recent = new Map<string, { told: boolean; now: boolean; log: (isFull: boolean) => void }>();

  constructor(director: Director, logger: Logger) {
    this.#director = director;
    this.#logger = logger;
  }

  listen(): void {
    this.#director.on('destinationOverload', (service, destination) => this.#hear(service, destination));
  }

  #hear(entry: ServiceEntry, { overloaded, upperThreshold, ...destination }: DestinationEntry): void {
    const service = serviceName(keyOf(entry));
    const server = destinationName(destination);
    const key = `${service} ${server}`;
    const recent = this.#recent.get(key);
    if (recent !== undefined) {
      recent.now = overloaded;
      return;
    }
    const log = (isFull: boolean) => {
      const message = isFull ? 'a server is at its upper threshold' : 'a server takes connections again';
      this.#logger.info({ service, server, upperThreshold }, message);
    };
    log(overloaded);
    this.#recent.set(key, { told: overloaded, now: overloaded, log });
    this.#lookLater(key);
  }

  #lookLater(key: string): void {
    const look = () => {
      const recent = this.#recent.get(key)!;
      if (recent.now === recent.told) {
        this.#recent.delete(key);
        return;
      }
      recent.told = recent.now;
      recent.log(recent.now);
      this.#lookLater(key);
    };
    setTimeout(look, LOOK_MS).unref();
  }
}
