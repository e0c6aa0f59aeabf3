/**
 * The director as a host on the wire: its interfaces, addresses and routes, and the way from an address to a neighbour's
 * MAC address.
 */
import { type Address, type Family, maskWords, type Prefix, sameAddress, type Words, wordsOf } from '../address.ts';
import type { Destination } from '../services/destination.ts';
import { AddressMap } from './address-map.ts';
import type { Interface, OwnAddress } from './interface.ts';
import type { Neighbour, Neighbours } from './neighbours.ts';
import { Route, RouteTable } from './routes.ts';

/** The way to one destination, worked out once and kept until something about the host changes. */
export interface Hop {
  /** Who to hand the packet to; null when the address is one of the director's own. */
  readonly neighbour: Neighbour | null;
  /** The address that the director itself sends from on that way. */
  readonly source: Words;
}

export class Host {
  readonly interfaces: Interface[] = [];
  readonly #own4 = new AddressMap<OwnAddress>(1);
  readonly #own6 = new AddressMap<OwnAddress>(4);
  readonly #broadcast4 = new AddressMap<true>(1);
  readonly #routes4 = new RouteTable();
  readonly #routes6 = new RouteTable();
  readonly #neighbours: Neighbours;
  /** By destination id. */
  #hops: (Hop | undefined)[] = [];

  constructor(neighbours: (interfaces: readonly Interface[]) => Neighbours) {
    this.#neighbours = neighbours(this.interfaces);
    this.#neighbours.onForget = () => this.#changed();
  }

  get neighbours(): Neighbours {
    return this.#neighbours;
  }

  #own(family: Family): AddressMap<OwnAddress> {
    return family === 4 ? this.#own4 : this.#own6;
  }

  #routes(family: Family): RouteTable {
    return family === 4 ? this.#routes4 : this.#routes6;
  }

  /** Gives an interface an address; one with a network behind it also brings the route to that network. */
  addAddress(to: Interface, address: Prefix): void {
    to.addresses.push(address);
    this.#own(address.family).set(address.words, 0, address);
    const bits = 32 * wordsOf(address.family);
    if (address.length < bits) this.addRoute(new Route(networkOf(address), to, null));
    if (address.family === 4 && address.length < 31) {
      const mask = maskWords(address.length)[0];
      this.#broadcast4.set(Int32Array.of(address.words[0] | ~mask), 0, true);
    }
    this.#changed();
  }

  /** Makes a virtual address the director's own, though no interface has it. */
  claim(address: Address): void {
    const { family, words } = address;
    this.#own(family).set(words, 0, { family, words, length: 32 * wordsOf(family) });
    this.#changed();
  }

  /** The opposite of {@link claim}; an address that an interface has stays. */
  disclaim(address: Address): void {
    const { family, words } = address;
    const configured = this.interfaces.some((on) =>
      on.addresses.some((own) => own.family === family && sameAddress(wordsOf(family), own.words, 0, words, 0)),
    );
    if (!configured) this.#own(family).delete(words, 0);
    this.#changed();
  }

  addRoute(route: Route): void {
    this.#routes(route.family).add(route);
    this.#changed();
  }

  /** Forgets what was worked out about destinations. */
  #changed(): void {
    this.#hops = [];
    for (const routes of [this.#routes4, this.#routes6]) routes.forgetNeighbours();
  }

  /** Whether the address at `words[at]` is one of the director's own. */
  isOwn(family: Family, words: Words, at: number): boolean {
    return this.#own(family).get(words, at) !== null;
  }

  /** Whether the IPv4 address at `words[at]` is the broadcast address of a network the director is on, or of all. */
  isBroadcast4(words: Words, at: number): boolean {
    return words[at] === -1 || this.#broadcast4.get(words, at) !== null;
  }

  route(family: Family, words: Words, at: number): Route | null {
    return this.#routes(family).lookup(words, at);
  }

  /** The neighbour to hand a packet for the address at `words[at]` to, or null when there is no way. */
  nextHop(family: Family, words: Words, at: number): Neighbour | null {
    const route = this.route(family, words, at);
    if (route === null) return null;
    if (route.gateway === null) return this.#neighbours.find(route.interface, family, words, at);
    route.neighbour ??= this.#neighbours.find(route.interface, family, route.gateway, 0);
    return route.neighbour;
  }

  /** The address that the director sends from to the address at `words[at]`, or null when there is no way. */
  sourceFor(family: Family, words: Words, at: number): Words | null {
    const route = this.route(family, words, at);
    if (route === null) return null;
    const near = route.gateway ?? words;
    return route.interface.sourceFor(family, near, route.gateway === null ? at : 0)?.words ?? null;
  }

  /** The way to a destination; null when there is none. */
  hopOf(destination: Destination): Hop | null {
    const known = this.#hops[destination.id];
    if (known !== undefined) return known;
    const { family, words } = destination;
    const own = this.isOwn(family, words, 0);
    const neighbour = own ? null : this.nextHop(family, words, 0);
    const source = own ? words : this.sourceFor(family, words, 0);
    if ((neighbour === null && !own) || source === null) return null;
    const hop = { neighbour, source };
    this.#hops[destination.id] = hop;
    return hop;
  }

  /** A destination's id is free for another: forget the way to it. */
  forgetHop(id: number): void {
    this.#hops[id] = undefined;
  }
}

function networkOf(address: Prefix): Prefix {
  const mask = maskWords(address.length);
  return { family: address.family, words: address.words.map((word, i) => word & mask[i]), length: address.length };
}
