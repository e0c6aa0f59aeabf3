/** Who answers for which address on a wire: the ARP side of a host (RFC 826), with Linux's arp_ignore and arp_announce. */
import type { Mac } from '../address.ts';
import type { Clock } from '../clock.ts';
import * as arp from '../packet/arp.ts';
import * as ethernet from '../packet/ethernet.ts';
import { networkOf } from './ipv4-address.ts';
import type { MemoryInterface } from './memory-interface.ts';
import type { Packet } from './packet.ts';
import { Timer } from './timer.ts';

/**
 * Which requests a host answers: 0 for any of its addresses, 1 only for addresses of the interface that hears the
 * request, 2 only if the asker's address is in that address's network too.
 */
export type ArpIgnore = 0 | 1 | 2;
/**
 * Which address a host asks with: 0 the packet's own source, 1 the same if it is in the target's network, 2 always the
 * interface's best for the target.
 */
export type ArpAnnounce = 0 | 1 | 2;

/** How long an answer holds, in milliseconds. */
const REACHABLE_MS = 60_000;
/** The time between two requests, in milliseconds. */
const RETRANSMIT_MS = 1000;
const MAX_REQUESTS = 3;
/** How many packets wait for one answer; the oldest is given up for one more. */
const MAX_WAITING = 64;

interface Waiting {
  readonly packet: Packet;
  readonly unreachable: () => void;
}

interface Neighbour {
  readonly address: number;
  readonly out: MemoryInterface;
  mac: Mac | undefined;
  expiryMs: number;
  requests: number;
  waiting: Waiting[];
  readonly timer: Timer;
}

export interface NeighbourOptions {
  readonly clock: Clock;
  readonly arpIgnore: ArpIgnore;
  readonly arpAnnounce: ArpAnnounce;
  /** Whether the address is one of the host's, on any interface. */
  readonly isLocal: (address: number) => boolean;
}

/** The neighbours of a host, on all its interfaces. */
export class Neighbours {
  readonly #options: NeighbourOptions;
  readonly #tables = new Map<MemoryInterface, Map<number, Neighbour>>();

  constructor(options: NeighbourOptions) {
    this.#options = options;
  }

  /**
   * Sends the packet to the neighbour with that address, after asking for its MAC if need be; calls `unreachable` when
   * nobody answers.
   */
  send(packet: Packet, nextHop: number, out: MemoryInterface, unreachable: () => void): void {
    const neighbour = this.#neighbour(nextHop, out);
    if (neighbour.mac !== undefined && this.#options.clock.now() < neighbour.expiryMs) {
      transmit(packet, neighbour.mac, out);
      return;
    }
    if (neighbour.waiting.length === MAX_WAITING) neighbour.waiting.shift();
    neighbour.waiting.push({ packet, unreachable });
    if (!neighbour.timer.armed) this.#ask(neighbour);
  }

  /** Takes an ARP packet that begins at `at`. */
  receive(view: DataView, at: number, on: MemoryInterface): void {
    if (view.byteLength < at + arp.ARP_LENGTH || !arp.isEthernetIpv4(view, at)) return;
    const sender = arp.senderIp(view, at);
    const target = arp.targetIp(view, at);
    const mac = { high: arp.senderMacHigh(view, at), low: arp.senderMacLow(view, at) };
    const forUs = this.#options.isLocal(target);
    if (sender !== 0 && !this.#options.isLocal(sender)) this.#learn(sender, mac, on, forUs);
    if (arp.operation(view, at) === arp.ARP_REQUEST && forUs && this.#answers(target, sender, on)) {
      transmitArp(on, mac, arp.ARP_REPLY, target, mac, sender);
    }
  }

  /** The MAC address that is known for the address, if any is. */
  macOf(address: number, on: MemoryInterface): Mac | undefined {
    return this.#tables.get(on)?.get(address)?.mac;
  }

  close(): void {
    for (const table of this.#tables.values()) for (const neighbour of table.values()) neighbour.timer.disarm();
    this.#tables.clear();
  }

  #neighbour(address: number, out: MemoryInterface): Neighbour {
    let table = this.#tables.get(out);
    if (table === undefined) this.#tables.set(out, (table = new Map()));
    let neighbour = table.get(address);
    if (neighbour === undefined) {
      const timer = new Timer(this.#options.clock, () => this.#unanswered(neighbour!));
      neighbour = { address, out, mac: undefined, expiryMs: 0, requests: 0, waiting: [], timer };
      table.set(address, neighbour);
    }
    return neighbour;
  }

  /** As RFC 826: an entry that is there is renewed by anything heard, a new one is made if we were the ones asked. */
  #learn(address: number, mac: Mac, on: MemoryInterface, forUs: boolean): void {
    if (!forUs && this.#tables.get(on)?.has(address) !== true) return;
    const neighbour = this.#neighbour(address, on);
    neighbour.mac = mac;
    neighbour.expiryMs = this.#options.clock.now() + REACHABLE_MS;
    neighbour.requests = 0;
    neighbour.timer.disarm();
    const { waiting } = neighbour;
    neighbour.waiting = [];
    for (const { packet } of waiting) transmit(packet, mac, on);
  }

  #answers(target: number, sender: number, on: MemoryInterface): boolean {
    if (this.#options.arpIgnore === 0) return true;
    const own = on.addresses.find((candidate) => candidate.address === target);
    if (own === undefined) return false;
    return this.#options.arpIgnore === 1 || networkOf(sender, own.length) === networkOf(own.address, own.length);
  }

  #ask(neighbour: Neighbour): void {
    const { address, out } = neighbour;
    const sender = this.#announced(neighbour.waiting[0]!.packet.source, address, out);
    neighbour.requests++;
    neighbour.timer.arm(RETRANSMIT_MS);
    transmitArp(out, BROADCAST, arp.ARP_REQUEST, sender, { high: 0, low: 0 }, address);
  }

  #announced(source: number, target: number, out: MemoryInterface): number {
    const best = out.addressTowards(target) ?? 0;
    if (this.#options.arpAnnounce === 2 || !this.#options.isLocal(source)) return best;
    if (this.#options.arpAnnounce === 0) return source;
    const own = out.addresses.find((candidate) => candidate.address === source);
    return own !== undefined && networkOf(source, own.length) === networkOf(target, own.length) ? source : best;
  }

  #unanswered(neighbour: Neighbour): void {
    if (neighbour.requests < MAX_REQUESTS) {
      this.#ask(neighbour);
      return;
    }
    const { waiting } = neighbour;
    neighbour.waiting = [];
    neighbour.requests = 0;
    for (const { unreachable } of waiting) unreachable();
  }
}

const BROADCAST: Mac = { high: 0xffff, low: -1 };

function transmit(packet: Packet, to: Mac, out: MemoryInterface): void {
  ethernet.setDst(packet.view, 0, to.high, to.low);
  ethernet.setSrc(packet.view, 0, out.mac.high, out.mac.low);
  ethernet.setEtherType(packet.view, 0, ethernet.ETHERTYPE_IPV4);
  out.transmit(packet.bytes);
}

function transmitArp(
  out: MemoryInterface,
  to: Mac,
  operation: number,
  sender: number,
  targetMac: Mac,
  target: number,
): void {
  const frame = new Uint8Array(ethernet.ETHERNET_HEADER + arp.ARP_LENGTH);
  const view = new DataView(frame.buffer);
  ethernet.setDst(view, 0, to.high, to.low);
  ethernet.setSrc(view, 0, out.mac.high, out.mac.low);
  ethernet.setEtherType(view, 0, ethernet.ETHERTYPE_ARP);
  const at = ethernet.ETHERNET_HEADER;
  arp.writeArp(view, at, operation, out.mac.high, out.mac.low, sender, targetMac.high, targetMac.low, target);
  out.transmit(frame);
}
