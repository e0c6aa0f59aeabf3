/**
 * The director as a host on the wire: its interfaces, addresses and routes, and the way from an address to a neighbour's
 * MAC address.
 */
import { type Address, type Family, maskWords, type Prefix, sameAddress, type Words, wordsOf } from '../address.ts';
import type { Destination } from '../services/destination.ts';
import { seconds } from '../ticks.ts';
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
  /** The longest packet that passes all the way, as far as is known, in bytes. */
  readonly mtu: number;
}

/** What was learned about the way to one address. */
interface PathMtu {
  readonly mtu: number;
  readonly expires: number;
}

/** How long a path MTU is believed. */
const PATH_MTU_TICKS = seconds(600);
/** Less than this is not believed: the packets are sent in fragments of this size (Linux's min_pmtu). */
const MIN_PATH_MTU = 552;

/** Whether the address is every host's own, as a server that is the director itself may be called: 127/8, ::1. */
export function isLoopback(family: Family, words: Words, at: number): boolean {
  if (family === 4) return words[at] >>> 24 === 127;
  return (words[at] | words[at + 1] | words[at + 2]) === 0 && words[at + 3] === 1;
}

export class Host {
  readonly interfaces: Interface[] = [];
  /** Whether questions for its addresses are left to another thread to answer, and only learned from. */
  isSilent = false;
  readonly #own4 = new AddressMap<OwnAddress>(1);
  readonly #own6 = new AddressMap<OwnAddress>(4);
  readonly #broadcast4 = new AddressMap<true>(1);
  readonly #routes4 = new RouteTable();
  readonly #routes6 = new RouteTable();
  readonly #neighbours: Neighbours;
  /** What was learned from ICMP, by address. */
  readonly #pathMtus = new Map<string, PathMtu>();
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

  /** The same for an IPv4 address by itself. */
  isOwn4(word: number): boolean {
    return this.#own4.has4(word);
  }

  /** Whether the IPv4 address is the broadcast address of a network the director is on, or of all. */
  isBroadcastWord4(word: number): boolean {
    return word === -1 || this.#broadcast4.has4(word);
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

  /** The same for an IPv4 address by itself, if the neighbour has been found before; else null. */
  nextHop4(word: number): Neighbour | null {
    const route = this.#routes4.lookup4(word);
    if (route === null) return null;
    return route.gateway === null ? route.interface.neighbours4.get4(word) : route.neighbour;
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
    return this.#hops[destination.id] ?? this.#findHop(destination);
  }

  #findHop(destination: Destination): Hop | null {
    const { family, words } = destination;
    const own = this.isOwn(family, words, 0) || isLoopback(family, words, 0);
    const neighbour = own ? null : this.nextHop(family, words, 0);
    const source = own ? words : this.sourceFor(family, words, 0);
    if ((neighbour === null && !own) || source === null) return null;
    const mtu = Math.min(neighbour?.interface.mtu ?? 65535, this.#pathMtus.get(destination.address)?.mtu ?? 65535);
    const hop = { neighbour, source, mtu };
    this.#hops[destination.id] = hop;
    return hop;
  }

  /** The way to an address that is no destination's; null when there is none. The same object every time. */
  hopTo(family: Family, words: Words, at: number): Hop | null {
    const hop = this.#hopTo;
    if (this.isOwn(family, words, at) || isLoopback(family, words, at)) {
      hop.neighbour = null;
      return hop;
    }
    hop.neighbour = this.nextHop(family, words, at);
    hop.source = this.sourceFor(family, words, at) ?? hop.source;
    hop.mtu = hop.neighbour?.interface.mtu ?? 0;
    return hop.neighbour === null ? null : hop;
  }

  readonly #hopTo: { neighbour: Neighbour | null; source: Words; mtu: number } = {
    neighbour: null,
    source: new Int32Array(4),
    mtu: 0,
  };

  /**
   * A router on the way to a destination said that packets may be at most `mtu` bytes long there.
   * @returns the path MTU to report to senders. The first time that is still the old one: Linux tells it from the route
   *   it has at hand, which is renewed with the next packet.
   */
  learnPathMtu(destination: Destination, mtu: number, tick: number): number {
    const hop = this.hopOf(destination);
    if (hop === null) return mtu;
    const known = this.#pathMtus.has(destination.address);
    if (mtu < hop.mtu) {
      const believed = Math.max(mtu, Math.min(hop.mtu, MIN_PATH_MTU));
      this.#pathMtus.set(destination.address, { mtu: believed, expires: (tick + PATH_MTU_TICKS) | 0 });
      this.#changed();
    }
    return known ? (this.hopOf(destination)?.mtu ?? mtu) : hop.mtu;
  }

  /** What was learned of path MTUs: addresses, MTUs, and the ticks for which they are still believed. */
  pathMtus(tick: number): [string, number, number][] {
    return Array.from(this.#pathMtus, ([address, { mtu, expires }]) => [address, mtu, (expires - tick) | 0]);
  }

  /** Believes a path MTU that was learned elsewhere, for so many ticks; one that cannot be is not believed. */
  restorePathMtu(address: string, mtu: number, ticks: number, tick: number): void {
    if (mtu < MIN_PATH_MTU || mtu > 65535 || ticks <= 0 || ticks > PATH_MTU_TICKS) return;
    if (this.#pathMtus.has(address)) return;
    this.#pathMtus.set(address, { mtu, expires: (tick + ticks) | 0 });
    this.#changed();
  }

  /** Takes over what another host has learned of path MTUs. */
  mimicPathMtus(other: Host): void {
    for (const [address, { mtu }] of other.#pathMtus) this.#pathMtus.set(address, { mtu, expires: PATH_MTU_TICKS });
    this.#changed();
  }

  /** Forgets path MTUs that were learned long ago; called about every second. */
  advance(tick: number): void {
    for (const [address, { expires }] of this.#pathMtus) {
      if (((expires - tick) | 0) > 0) continue;
      this.#pathMtus.delete(address);
      this.#changed();
    }
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
