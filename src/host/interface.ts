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
  readonly device: Device;
  readonly outgoing: FrameBatch & { offsets: Int32Array; lengths: Int32Array };
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

  /** The first own address whose network holds the given one, else the first of the family, else null. */
  sourceFor(family: Family, words: Words, at: number): OwnAddress | null {
    let first: OwnAddress | null = null;
    for (const own of this.addresses) {
      if (own.family !== family) continue;
      first ??= own;
      if (inPrefix(own, words, at)) return own;
    }
    return first;
  }
}
