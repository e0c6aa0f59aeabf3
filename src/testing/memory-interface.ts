import type { Mac } from '../address.ts';
import { networkOf } from './ipv4-address.ts';
import type { WireEnd } from './wire.ts';

/** An address of an interface, with the length of its network's prefix. */
export interface InterfaceAddress {
  readonly address: number;
  readonly length: number;
}

/** A network interface of a {@link MemoryHost}; it can be plugged into a switch. */
export class MemoryInterface implements WireEnd {
  readonly name: string;
  readonly mac: Mac;
  /** The largest IP packet it carries, in bytes. */
  readonly mtu: number;
  readonly addresses: readonly InterfaceAddress[];
  onTransmit: ((frame: Uint8Array) => void) | null = null;
  readonly #receive: (frame: Uint8Array) => void;

  constructor(
    name: string,
    mac: Mac,
    mtu: number,
    addresses: readonly InterfaceAddress[],
    receive: (frame: Uint8Array) => void,
  ) {
    this.name = name;
    this.mac = mac;
    this.mtu = mtu;
    this.addresses = addresses;
    this.#receive = receive;
  }

  inject(frame: Uint8Array): void {
    this.#receive(frame);
  }

  transmit(frame: Uint8Array): void {
    this.onTransmit?.(frame);
  }

  /** Whether the address is one of the interface's own. */
  has(address: number): boolean {
    return this.addresses.some((own) => own.address === address);
  }

  /** The own address to speak to `neighbour` with: one in the same network, else the first. */
  addressTowards(neighbour: number): number | undefined {
    const near = this.addresses.find(
      (own) => networkOf(own.address, own.length) === networkOf(neighbour, own.length) && own.length < 32,
    );
    return (near ?? this.addresses[0])?.address;
  }
}
