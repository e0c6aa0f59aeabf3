import { type Family, formatMac, inPrefix, type Mac, type Words } from '../address.ts';
import type { Device, FrameBatch } from '../devices/device.ts';
import { ETHERNET_HEADER, VLAN_TAG } from '../packet/ethernet.ts';
import { AddressMap } from './address-map.ts';
import type { Neighbour } from './neighbours.ts';

/** One of the director's own addresses. */
export interface OwnAddress {
  readonly family: Family;
  readonly words: Words;
  /** Prefix length: what else is on the link. */
  readonly length: number;
}

/** A device in use, with the frames that wait to be sent on it. */
export interface Port {
  /** While frames are captured, one that stands in front of it. */
  device: Device;
  /** What the device does by itself, and may leave to the director: see {@link Device}. */
  readonly checksumOffload: boolean;
  readonly segmentation: number;
  readonly outgoing: FrameBatch;
}

/** A network interface of the director's: a device, or one VLAN of it. */
export class Interface {
  readonly index: number;
  readonly name: string;
  readonly port: Port;
  /** 802.1Q VLAN id, or 0 for untagged frames. */
  readonly vlan: number;
  readonly macHigh: number;
  readonly macLow: number;
  /** Largest IP packet, in bytes. */
  readonly mtu: number;
  /** Bytes of link header in front of every packet. */
  readonly headerLength: number;
  readonly addresses: OwnAddress[] = [];
  readonly neighbours4: AddressMap<Neighbour> = new AddressMap(1);
  readonly neighbours6: AddressMap<Neighbour> = new AddressMap(4);

  constructor(index: number, name: string, port: Port, vlan: number, mac: Mac, mtu: number) {
    this.index = index;
    this.name = name;
    this.port = port;
    this.vlan = vlan;
    this.macHigh = mac.high;
    this.macLow = mac.low;
    this.mtu = mtu;
    this.headerLength = vlan === 0 ? ETHERNET_HEADER : ETHERNET_HEADER + VLAN_TAG;
  }

  get mac(): string {
    return formatMac(this.macHigh, this.macLow);
  }

  neighbours(family: Family): AddressMap<Neighbour> {
    return family === 4 ? this.neighbours4 : this.neighbours6;
  }

  /**
   * The own address to speak from to the given one, or null. IPv4: the first whose network holds it, else the first.
   * IPv6: of the same scope, the one that has the most leading bits in common with it (RFC 6724 5, rules 2 and 8).
   */
  sourceFor(family: Family, words: Words, at: number): OwnAddress | null {
    if (family === 6) return this.#sourceFor6(words, at);
    let first: OwnAddress | null = null;
    for (const own of this.addresses) {
      if (own.family !== family) continue;
      first ??= own;
      if (inPrefix(own, words, at)) return own;
    }
    return first;
  }

  #sourceFor6(words: Words, at: number): OwnAddress | null {
    let best: OwnAddress | null = null;
    let bestScore = -1;
    for (const own of this.addresses) {
      if (own.family !== 6) continue;
      const sameScope = isLinkLocal(own.words, 0) === isLinkLocal(words, at) ? 256 : 0;
      const score = sameScope + Math.min(own.length, commonBits(own.words, 0, words, at));
      // Of equals the newest: that is the order Linux keeps addresses in.
      if (score >= bestScore) {
        best = own;
        bestScore = score;
      }
    }
    return best;
  }
}

function isLinkLocal(words: Words, at: number): boolean {
  return (words[at] & 0xffc00000) === (0xfe800000 | 0);
}

/** How many leading bits two IPv6 addresses have in common. */
function commonBits(a: Words, i: number, b: Words, j: number): number {
  for (let k = 0; k < 4; k++) {
    const difference = a[i + k] ^ b[j + k];
    if (difference !== 0) return 32 * k + Math.clz32(difference);
  }
  return 128;
}
