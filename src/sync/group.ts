/** The sync daemons on an interface of the director's own: UDP to a multicast group, as Linux sends it. */
import type { Words } from '../address.ts';
import { DirectorError } from '../errors.ts';
import { type Groups, groupNeighbour, groupSource, type Membership } from '../host/groups.ts';
import { nextIdentification } from '../host/icmp.ts';
import type { Interface } from '../host/interface.ts';
import type { Neighbour } from '../host/neighbours.ts';
import type { Wire } from '../host/wire.ts';
import { finishUdp, pseudoSum4, pseudoSum6, sumBytes } from '../packet/checksum.ts';
import { ETHERNET_HEADER } from '../packet/ethernet.ts';
import * as ipv4 from '../packet/ipv4.ts';
import * as ipv6 from '../packet/ipv6.ts';
import { UDP_CHECKSUM, UDP_HEADER, writeUdpHeader } from '../packet/udp.ts';
import type { SyncEndpoint, SyncReceive, SyncReceiver, SyncSender, SyncTransport } from './transport.ts';

/** Source ports are chosen from here on: Linux's default range. */
const FIRST_EPHEMERAL_PORT = 32768;
const EPHEMERAL_PORTS = 28232;

/** What of the director the transport works with. */
export interface GroupTransportParts {
  readonly wire: Wire;
  readonly groups: Groups;
  readonly random: () => number;
  /** The time, in ticks. */
  tick(): number;
}

export class GroupTransport implements SyncTransport {
  readonly name: string;
  readonly mtu: number;
  readonly #on: Interface;
  readonly #parts: GroupTransportParts;

  constructor(on: Interface, parts: GroupTransportParts) {
    this.name = on.name;
    this.mtu = on.mtu;
    this.#on = on;
    this.#parts = parts;
  }

  /** @throws DirectorError ERR_INVALID_OPTION when the interface has no address of the group's family to send from. */
  openSender(endpoint: SyncEndpoint): SyncSender {
    const { family, words } = endpoint.group;
    const source = groupSource(this.#on, family, words);
    if (source === null) {
      throw new DirectorError('ERR_INVALID_OPTION', `mcastInterface: ${this.name} has no IPv${family} address`, {
        option: 'mcastInterface',
        value: this.name,
      });
    }
    return new GroupSender(this.#on, source, endpoint, this.#parts);
  }

  openReceiver({ group, port, channels }: SyncEndpoint, receive: SyncReceive): SyncReceiver {
    const { groups } = this.#parts;
    const { family, words } = group;
    const membership: Membership = { interface: this.#on, family, words, port, ports: channels, receive };
    groups.join(membership, this.#parts.tick());
    return { close: () => groups.leave(membership, this.#parts.tick()) };
  }
}

class GroupSender implements SyncSender {
  readonly #source: Words;
  readonly #endpoint: SyncEndpoint;
  readonly #parts: GroupTransportParts;
  readonly #neighbour: Neighbour;
  readonly #sourcePorts: readonly number[];

  constructor(on: Interface, source: Words, endpoint: SyncEndpoint, parts: GroupTransportParts) {
    const { group, channels } = endpoint;
    this.#source = source;
    this.#endpoint = endpoint;
    this.#parts = parts;
    this.#neighbour = groupNeighbour(on, group.family, group.words);
    const first = Math.floor(parts.random() * EPHEMERAL_PORTS);
    this.#sourcePorts = Array.from(
      { length: channels },
      (_, i) => FIRST_EPHEMERAL_PORT + ((first + i) % EPHEMERAL_PORTS),
    );
  }

  /** The packet may be sent in fragments: the group's members get no say in how long it is. */
  send(message: Uint8Array, length: number, channel: number): void {
    const { wire } = this.#parts;
    const { view, pool } = wire;
    const { group, port, ttl } = this.#endpoint;
    const four = group.family === 4;
    const header = four ? ipv4.IPV4_HEADER : ipv6.IPV6_HEADER;
    const udpLength = UDP_HEADER + length;
    const { mtu } = this.#neighbour.interface;
    const ip = header + udpLength <= mtu ? wire.takeSlot() : pool.jumbo + ETHERNET_HEADER;
    if (four) {
      const id = nextIdentification();
      const from = this.#source[0];
      ipv4.writeHeader(view, ip, 0, header + udpLength, id, 0, ttl, ipv4.PROTO_UDP, from, group.words[0]);
    } else {
      ipv6.writeHeader6(view, ip, 0, 0, udpLength, ipv4.PROTO_UDP, ttl, this.#source, 0, group.words, 0);
    }
    const udp = ip + header;
    writeUdpHeader(view, udp, this.#sourcePorts[channel], port + channel, udpLength);
    for (let i = 0; i < length; i++) pool.memory[udp + UDP_HEADER + i] = message[i];
    const pseudo = (four ? pseudoSum4 : pseudoSum6)(view, ip, ipv4.PROTO_UDP, udpLength);
    view.setUint16(udp + UDP_CHECKSUM, finishUdp(sumBytes(view, udp, udpLength, pseudo)));
    wire.sendIp(group.family, ip, header + udpLength, this.#neighbour, mtu, this.#parts.tick());
  }

  close(): void {}
}
