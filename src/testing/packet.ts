import { finish, finishUdp, pseudoSum4, sumBytes } from '../packet/checksum.ts';
import { ETHERNET_HEADER } from '../packet/ethernet.ts';
import { ICMP_HEADER } from '../packet/icmp.ts';
import * as ipv4 from '../packet/ipv4.ts';
import { TCP_CHECKSUM, TCP_HEADER } from '../packet/tcp.ts';
import { UDP_CHECKSUM, UDP_HEADER } from '../packet/udp.ts';

/** Where the IPv4 header begins in a packet's bytes: after the Ethernet header. */
const IP = ETHERNET_HEADER;
const DEFAULT_TTL = 64;

/** An IPv4 packet in a frame of its own; the Ethernet header is written when the packet leaves on an interface. */
export class Packet {
  readonly bytes: Uint8Array;
  readonly view: DataView;

  private constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** A packet whose payload is still to be written. "Don't fragment" is set: a host's TCP finds the path's MTU. */
  static create(protocol: number, source: number, destination: number, payloadLength: number): Packet {
    const length = ipv4.IPV4_HEADER + payloadLength;
    const packet = new Packet(new Uint8Array(IP + length));
    ipv4.writeHeader(packet.view, IP, 0, length, 0, ipv4.DF, DEFAULT_TTL, protocol, source, destination);
    return packet;
  }

  /**
   * A copy of the IPv4 packet at `at`, without what follows it in the frame.
   * @returns undefined for anything but a whole packet with a correct header checksum.
   */
  static copy(view: DataView, at: number): Packet | undefined {
    if (view.byteLength < at + ipv4.IPV4_HEADER || ipv4.version(view, at) !== 4) return undefined;
    const length = ipv4.totalLength(view, at);
    const header = ipv4.headerLength(view, at);
    if (header < ipv4.IPV4_HEADER || length < header || view.byteLength < at + length) return undefined;
    const packet = new Packet(new Uint8Array(IP + length));
    packet.bytes.set(new Uint8Array(view.buffer, view.byteOffset + at, length), IP);
    return finish(sumBytes(packet.view, IP, header, 0)) === 0 ? packet : undefined;
  }

  get protocol(): number {
    return ipv4.protocol(this.view, IP);
  }
  get source(): number {
    return ipv4.source(this.view, IP);
  }
  get destination(): number {
    return ipv4.destination(this.view, IP);
  }
  get ttl(): number {
    return ipv4.ttl(this.view, IP);
  }
  get dontFragment(): boolean {
    return (ipv4.fragment(this.view, IP) & ipv4.DF) !== 0;
  }
  get isFragment(): boolean {
    return (ipv4.fragment(this.view, IP) & (ipv4.MF | ipv4.OFFSET_MASK)) !== 0;
  }
  /** Length of the whole packet, in bytes. */
  get length(): number {
    return ipv4.totalLength(this.view, IP);
  }
  /** Where the IPv4 header begins in `view`. */
  get at(): number {
    return IP;
  }
  /** Where the payload begins in `view`. */
  get payloadAt(): number {
    return IP + ipv4.headerLength(this.view, IP);
  }
  get payloadLength(): number {
    return this.length - ipv4.headerLength(this.view, IP);
  }

  decrementTtl(): void {
    ipv4.decrementTtl(this.view, IP);
  }

  /** Writes the checksum of the TCP, UDP or ICMP payload. */
  sealPayload(): void {
    const field = checksumField(this.protocol);
    if (field < 0) return;
    this.view.setUint16(this.payloadAt + field, 0);
    const sum = this.#payloadSum();
    this.view.setUint16(this.payloadAt + field, field === UDP_CHECKSUM ? finishUdp(sum) : finish(sum));
  }

  /** Whether TCP, UDP or ICMP is whole: its header is there and its checksum right. */
  payloadIsValid(): boolean {
    const field = checksumField(this.protocol);
    if (field < 0) return true;
    if (this.payloadLength < headerOf(this.protocol)) return false;
    if (this.protocol === ipv4.PROTO_UDP && this.view.getUint16(this.payloadAt + field) === 0) return true;
    return finish(this.#payloadSum()) === 0;
  }

  #payloadSum(): number {
    const pseudo = this.protocol === ipv4.PROTO_ICMP ? 0 : pseudoSum4(this.view, IP, this.protocol, this.payloadLength);
    return sumBytes(this.view, this.payloadAt, this.payloadLength, pseudo);
  }
}

/** Where the checksum lies in the payload, -1 for a protocol that a host does not know. */
export function checksumField(protocol: number): number {
  if (protocol === ipv4.PROTO_TCP) return TCP_CHECKSUM;
  if (protocol === ipv4.PROTO_UDP) return UDP_CHECKSUM;
  return protocol === ipv4.PROTO_ICMP ? 2 : -1;
}

function headerOf(protocol: number): number {
  if (protocol === ipv4.PROTO_TCP) return TCP_HEADER;
  return protocol === ipv4.PROTO_UDP ? UDP_HEADER : ICMP_HEADER;
}
