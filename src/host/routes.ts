import { type Family, inPrefix, maskWords, type Prefix, type Words } from '../address.ts';
import type { Interface } from './interface.ts';
import type { Neighbour } from './neighbours.ts';

/** A way to a network: on the link of an interface, or through a gateway there. */
export class Route implements Prefix {
  readonly family: Family;
  readonly words: Words;
  readonly length: number;
  readonly interface: Interface;
  /** The gateway's address, or null when the network is on the link. */
  readonly gateway: Words | null;
  /** The gateway as a neighbour, once it was needed. */
  neighbour: Neighbour | null = null;

  constructor(prefix: Prefix, to: Interface, gateway: Words | null) {
    this.family = prefix.family;
    this.words = prefix.words;
    this.length = prefix.length;
    this.interface = to;
    this.gateway = gateway;
  }
}

/**
 * The routes of one family, longest prefix first. A director has a handful, so the first that fits is found by looking
 * at them in turn.
 */
export class RouteTable {
  readonly #routes: Route[] = [];
  /** Of IPv4 routes the networks and their masks, in the same order: looked at for every reply. */
  #networks = new Int32Array(0);
  #masks = new Int32Array(0);

  add(route: Route): void {
    const after = this.#routes.findIndex((other) => other.length < route.length);
    this.#routes.splice(after < 0 ? this.#routes.length : after, 0, route);
    this.#masks = Int32Array.from(this.#routes, ({ length }) => maskWords(length)[0]);
    this.#networks = Int32Array.from(this.#routes, ({ words }, i) => words[0] & this.#masks[i]);
  }

  /** The most specific route to the address at `words[at]`, or null. */
  lookup(words: Words, at: number): Route | null {
    for (let i = 0; i < this.#routes.length; i++) {
      const route = this.#routes[i];
      if (inPrefix(route, words, at)) return route;
    }
    return null;
  }

  /** The same for an IPv4 address by itself. */
  lookup4(word: number): Route | null {
    const networks = this.#networks;
    const masks = this.#masks;
    for (let i = 0; i < networks.length; i++) if ((word & masks[i]) === networks[i]) return this.#routes[i];
    return null;
  }

  /** Lets every route find its gateway anew. */
  forgetNeighbours(): void {
    for (const route of this.#routes) route.neighbour = null;
  }
}
