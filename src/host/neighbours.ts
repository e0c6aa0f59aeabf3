/**
 * Who has which MAC address: entries are asked for, confirmed, used, doubted and forgotten as Linux does it
 * (RFC 1122 2.3.2, RFC 4861 7.3; kernel behaviour: net/core/neighbour.c with its default timers).
 */
import { type Family, type Words, wordsOf } from '../address.ts';
import { seconds } from '../ticks.ts';
import type { Interface } from './interface.ts';

/** Asked for; packets wait. */
export const INCOMPLETE = 0;
/** Confirmed not long ago. */
export const REACHABLE = 1;
/** Not confirmed for a while: fine until it is used. */
export const STALE = 2;
/** Used while stale: will be asked if nothing confirms it soon. */
export const DELAY = 3;
/** Being asked whether it is still there; still used. */
export const PROBE = 4;
/** Set by the user: never asked, never forgotten. */
export const PERMANENT = 5;

const REACHABLE_TICKS = seconds(30);
const DELAY_TICKS = seconds(5);
/** A second, and what Linux is late by, whose timers of a second fire in steps of 80 ms. */
const RETRY_TICKS: number = seconds(1.04);
const FORGET_TICKS = seconds(60);
const MAX_PROBES = 3;
/** Packets that wait for one neighbour; the oldest gives way. */
const MAX_WAITING = 64;
/** Entries learned per interface and family. A flood of addresses must not fill the memory. */
const MAX_ENTRIES = 1024;

/** An IP packet that waits for the MAC address that it goes to. */
export interface WaitingPacket {
  readonly bytes: Uint8Array;
  /** What is left to do of it, as in a `FrameBatch`, but counted from the IP header. */
  readonly partial: number;
  readonly segments: number;
}

export class Neighbour {
  readonly interface: Interface;
  readonly family: Family;
  readonly words: Words;
  macHigh = 0;
  macLow = 0;
  state: number = INCOMPLETE;
  /** When the state was entered, or the last question asked. */
  since = 0;
  used = 0;
  probes = 0;
  waiting: WaitingPacket[] = [];

  constructor(of: Interface, family: Family, words: Words) {
    this.interface = of;
    this.family = family;
    this.words = words;
  }

  get hasMac(): boolean {
    return this.state !== INCOMPLETE;
  }

  enter(state: number, tick: number): void {
    this.state = state;
    this.since = tick;
    this.probes = 0;
  }
}

/** What the neighbour tables need of the rest of the host. */
export interface NeighbourActions {
  /** Asks who has the neighbour's address: everybody, or (when `direct`) the one who had it last. `cause` is the waiting packet. */
  solicit(neighbour: Neighbour, direct: boolean, cause: Uint8Array | null): void;
  /** The neighbour's address is known now: send what waited. */
  release(neighbour: Neighbour, packets: WaitingPacket[]): void;
  /** Nobody answered: tell the senders of what waited. */
  unreachable(neighbour: Neighbour, packets: WaitingPacket[]): void;
}

export class Neighbours {
  readonly #interfaces: readonly Interface[];
  readonly #actions: NeighbourActions;
  /** Packets dropped because too many waited for one neighbour, or because there were too many neighbours. */
  dropped = 0;

  constructor(interfaces: readonly Interface[], actions: NeighbourActions) {
    this.#interfaces = interfaces;
    this.#actions = actions;
  }

  /** The neighbour with the address at `words[at]`: made INCOMPLETE if unknown; null if there are too many already. */
  find(on: Interface, family: Family, words: Words, at: number): Neighbour | null {
    const map = on.neighbours(family);
    const known = map.get(words, at);
    if (known !== null) return known;
    if (map.size >= MAX_ENTRIES && !this.#forgetOne(on, family)) return null;
    const own = new Int32Array(4);
    for (let i = 0; i < wordsOf(family); i++) own[i] = words[at + i];
    const neighbour = new Neighbour(on, family, own);
    map.set(own, 0, neighbour);
    return neighbour;
  }

  /** Sets a neighbour's address for good. */
  setPermanent(on: Interface, family: Family, words: Words, macHigh: number, macLow: number, tick: number): void {
    const neighbour = this.find(on, family, words, 0);
    if (neighbour === null) return;
    neighbour.macHigh = macHigh;
    neighbour.macLow = macLow;
    neighbour.enter(PERMANENT, tick);
  }

  /** Keeps a packet until the neighbour is known, and asks for it if nobody has yet. */
  wait(neighbour: Neighbour, packet: WaitingPacket, tick: number): void {
    if (neighbour.waiting.length === MAX_WAITING) {
      neighbour.waiting.shift();
      this.dropped++;
    }
    neighbour.waiting.push(packet);
    if (neighbour.probes === 0) {
      neighbour.since = tick;
      neighbour.probes = 1;
      this.#actions.solicit(neighbour, false, packet.bytes);
    }
  }

  /** A packet goes to a stale neighbour: it is to be asked soon. */
  use(neighbour: Neighbour, tick: number): void {
    neighbour.used = tick;
    if (neighbour.state === STALE) neighbour.enter(DELAY, tick);
  }

  /**
   * Somebody said that the address at `words[at]` has this MAC address.
   * @param create whether to remember it when nobody had asked.
   * @param answer whether it was the answer to a question of ours, and so proof that the neighbour is there.
   */
  learn(
    on: Interface,
    family: Family,
    words: Words,
    at: number,
    macHigh: number,
    macLow: number,
    create: boolean,
    answer: boolean,
    tick: number,
  ): void {
    const neighbour = create ? this.find(on, family, words, at) : on.neighbours(family).get(words, at);
    if (neighbour === null || neighbour.state === PERMANENT) return;
    const changed = neighbour.macHigh !== macHigh || neighbour.macLow !== macLow;
    neighbour.macHigh = macHigh;
    neighbour.macLow = macLow;
    const waited = neighbour.state === INCOMPLETE;
    if (answer) neighbour.enter(REACHABLE, tick);
    else if (waited || changed) neighbour.enter(STALE, tick);
    if (waited && neighbour.waiting.length > 0) {
      const packets = neighbour.waiting;
      neighbour.waiting = [];
      this.#actions.release(neighbour, packets);
    }
  }

  /** Lets time pass; called every 50 ms. */
  advance(tick: number): void {
    for (const on of this.#interfaces) {
      for (const family of [4, 6] as const) {
        for (const neighbour of on.neighbours(family).values()) this.#age(neighbour, tick);
      }
    }
  }

  #age(neighbour: Neighbour, tick: number): void {
    const age = (tick - neighbour.since) | 0;
    switch (neighbour.state) {
      case REACHABLE:
        if (age >= REACHABLE_TICKS) neighbour.enter(STALE, tick);
        break;
      case STALE:
        if (age >= FORGET_TICKS && ((tick - neighbour.used) | 0) >= FORGET_TICKS) this.#forget(neighbour);
        break;
      case DELAY:
        if (age >= DELAY_TICKS) {
          neighbour.enter(PROBE, tick);
          this.#ask(neighbour, tick);
        }
        break;
      case INCOMPLETE:
        if (neighbour.waiting.length === 0) this.#forget(neighbour);
        else if (age >= RETRY_TICKS) this.#ask(neighbour, tick);
        break;
      case PROBE:
        if (age >= RETRY_TICKS) this.#ask(neighbour, tick);
        break;
    }
  }

  #ask(neighbour: Neighbour, tick: number): void {
    if (neighbour.probes >= MAX_PROBES) {
      const packets = neighbour.waiting;
      neighbour.waiting = [];
      this.#forget(neighbour);
      if (packets.length > 0) this.#actions.unreachable(neighbour, packets);
      return;
    }
    neighbour.probes++;
    neighbour.since = tick;
    this.#actions.solicit(neighbour, neighbour.state === PROBE, neighbour.waiting[0]?.bytes ?? null);
  }

  /** Called when an entry goes, so that nothing keeps pointing at it. */
  onForget: (() => void) | null = null;

  #forget(neighbour: Neighbour): void {
    neighbour.interface.neighbours(neighbour.family).delete(neighbour.words, 0);
    this.onForget?.();
  }

  #forgetOne(on: Interface, family: Family): boolean {
    for (const neighbour of on.neighbours(family).values()) {
      if (neighbour.state === STALE) {
        this.#forget(neighbour);
        return true;
      }
    }
    return false;
  }
}
