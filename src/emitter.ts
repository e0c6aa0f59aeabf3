/** An event emitter that notices which events have listeners, so that nothing need be built for the others. */
import { EventEmitter } from 'eventemitter3';
import type { DirectorEvents } from './engine/engine.ts';

type Name = keyof DirectorEvents;
type Listener<E extends Name> = EventEmitter.EventListener<DirectorEvents, E>;

export class DirectorEmitter extends EventEmitter<DirectorEvents> {
  readonly #heard = new Set<Name>();
  readonly #listen: (event: Name, wanted: boolean) => void;

  /** @param listen called when an event gets its first listener (`wanted`), and when it loses its last one. */
  constructor(listen: (event: Name, wanted: boolean) => void) {
    super();
    this.#listen = listen;
  }

  #changed(): this {
    const names = this.eventNames() as Name[];
    for (const name of names) {
      if (this.#heard.has(name)) continue;
      this.#heard.add(name);
      this.#listen(name, true);
    }
    for (const name of this.#heard) {
      if (names.includes(name)) continue;
      this.#heard.delete(name);
      this.#listen(name, false);
    }
    return this;
  }

  override on<E extends Name>(event: E, listener: Listener<E>, context?: unknown): this {
    super.on(event, listener, context);
    return this.#changed();
  }

  override addListener<E extends Name>(event: E, listener: Listener<E>, context?: unknown): this {
    return this.on(event, listener, context);
  }

  override once<E extends Name>(event: E, listener: Listener<E>, context?: unknown): this {
    super.once(event, listener, context);
    return this.#changed();
  }

  override removeListener<E extends Name>(event: E, listener?: Listener<E>, context?: unknown, once?: boolean): this {
    super.removeListener(event, listener, context, once);
    return this.#changed();
  }

  override off<E extends Name>(event: E, listener?: Listener<E>, context?: unknown, once?: boolean): this {
    return this.removeListener(event, listener, context, once);
  }

  override removeAllListeners(event?: Name): this {
    super.removeAllListeners(event);
    return this.#changed();
  }
}
