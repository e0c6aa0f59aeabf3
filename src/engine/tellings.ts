/** What an engine tells its director, and what the user's code cannot break by throwing when it is told. */
import type { ConnectionObserver, Connections } from '../conntrack/connections.ts';
import type { DatapathListener } from '../datapath.ts';
import { connectionEntry, destinationEntry, serviceEntry } from '../listing.ts';
import type { Destination } from '../services/destination.ts';
import type { EngineEvent, EngineEvents, EngineListener } from './engine.ts';
import type { EngineTime } from './time.ts';

export class Tellings {
  readonly #listener: EngineListener;
  readonly #time: EngineTime;
  readonly #wanted = new Set<EngineEvent>();
  /** What the user's code threw first, until the work at hand is done. */
  #thrown: { readonly error: unknown } | null = null;

  constructor(listener: EngineListener, time: EngineTime) {
    this.#listener = listener;
    this.#time = time;
  }

  /** Whether anybody wants to be told of an event. */
  listen(event: EngineEvent, wanted: boolean): void {
    if (wanted) this.#wanted.add(event);
    else this.#wanted.delete(event);
  }

  wants(event: EngineEvent): boolean {
    return this.#wanted.has(event);
  }

  /** Calls the user's code. What that throws must not leave a packet half handled: it is thrown when all is done. */
  tell<E extends EngineEvent>(event: E, ...told: Parameters<EngineEvents[E]>): void {
    try {
      this.#listener(event, ...told);
    } catch (error) {
      this.failed(error);
    }
  }

  /** The user's code threw this. */
  failed(error: unknown): void {
    this.#thrown ??= { error };
  }

  /** Throws what the user's code threw, now that the work is done. */
  throwAgain(): void {
    const thrown = this.#thrown;
    if (thrown === null) return;
    this.#thrown = null;
    throw thrown.error;
  }

  overloadChanged(destination: Destination): void {
    if (!this.wants('destinationOverload')) return;
    this.tell('destinationOverload', serviceEntry(destination.service), destinationEntry(destination));
  }

  /** What the frame path tells. */
  forDatapath(): DatapathListener {
    return {
      noServer: (service) => {
        if (this.wants('noDestination')) this.tell('noDestination', serviceEntry(service));
      },
      failed: (error) => this.failed(error),
    };
  }

  /** What connections tell. */
  forConnections(sync: () => Pick<ConnectionObserver, 'created' | 'held'>): ConnectionObserver {
    const tell = (event: 'connectionCreated' | 'connectionExpired', connections: Connections, row: number) => {
      if (this.wants(event)) this.tell(event, connectionEntry(connections, row, this.#time.tick()));
    };
    return {
      created: (connections, row) => {
        sync().created(connections, row);
        tell('connectionCreated', connections, row);
      },
      expired: (connections, row) => tell('connectionExpired', connections, row),
      held: (connections, row, tick) => sync().held(connections, row, tick),
      overloadChanged: (destination) => this.overloadChanged(destination),
    };
  }
}
