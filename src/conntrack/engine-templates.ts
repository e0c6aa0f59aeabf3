/**
 * Templates of services with a persistence engine: beside client and service they are told apart by what the engine
 * found in the packet. They are found here and not in the connection table, where all of one client's would share a
 * bucket.
 */
import type { Words } from '../address.ts';

/** What an engine found, and which one. */
export interface EngineIdentity {
  /** The engine's name. */
  readonly engine: string;
  /** One char per byte, at most 255. */
  readonly data: string;
}

interface Entry {
  readonly identity: EngineIdentity;
  readonly key: string;
}

export class EngineTemplates {
  readonly #width: number;
  readonly #rows = new Map<string, number>();
  readonly #entries = new Map<number, Entry>();

  /** @param width words of an address: 1 for IPv4, 4 for IPv6. */
  constructor(width: number) {
    this.#width = width;
  }

  /**
   * The template of a client (or of its network) for what it talks to, or 0.
   * @param key the client's address at 0 and the virtual one at 4, in host order.
   */
  find(protocol: number, key: Words, virtualPort: number, identity: EngineIdentity): number {
    return this.#rows.get(this.#text(protocol, key, virtualPort, identity)) ?? 0;
  }

  /** Lets the template at `row` be found. */
  add(row: number, protocol: number, key: Words, virtualPort: number, identity: EngineIdentity): void {
    const text = this.#text(protocol, key, virtualPort, identity);
    this.#rows.set(text, row);
    this.#entries.set(row, { identity, key: text });
  }

  /** Lets the template not be found any more. What is known of it stays. */
  hide(row: number): void {
    const entry = this.#entries.get(row);
    if (entry !== undefined && this.#rows.get(entry.key) === row) this.#rows.delete(entry.key);
  }

  remove(row: number): void {
    this.hide(row);
    this.#entries.delete(row);
  }

  /** What the template at `row` is told apart by. */
  of(row: number): EngineIdentity | undefined {
    return this.#entries.get(row)?.identity;
  }

  #text(protocol: number, key: Words, virtualPort: number, { engine, data }: EngineIdentity): string {
    let text = `${engine} ${protocol} ${virtualPort}`;
    for (let i = 0; i < this.#width; i++) text += ` ${key[i]} ${key[4 + i]}`;
    return `${text} ${data}`;
  }
}
