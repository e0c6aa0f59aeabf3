/**
 * What a device leaves to do of the frame at hand, or what the director may leave to the device that it sends it on: a
 * transport checksum that is only begun, and segments that are not cut (`FrameBatch.partial`, `FrameBatch.segments`).
 *
 * A checksum that is only begun is the sum of the pseudo header, not complemented, in the checksum's field. Whoever
 * finishes it adds the bytes from {@link Unfinished.start} to the packet's end, that field included, and complements.
 */
import { finish, sumBytes } from './checksum.ts';
import type { Packet } from './dissect.ts';
import { ETHERNET_HEADER } from './ethernet.ts';
import * as ipv4 from './ipv4.ts';
import { cutsNeeded, SEGMENT_ECN, SEGMENT_UDP } from './offload.ts';
import { writeSctpChecksum } from './sctp.ts';
import * as tcp from './tcp.ts';
import * as udp from './udp.ts';

/** All fields are 0 when nothing is left to do. Offsets are into the pool's memory, lengths in bytes. */
export class Unfinished {
  /** Where the bytes begin that are still to be summed: the transport header. */
  start = 0;
  /** Where the checksum goes. */
  field = 0;
  /** The kind of segments, of packet/offload.ts; 0 for a frame that is a single packet. */
  kind = 0;
  /** How many bytes of payload each segment carries, the last one maybe less. */
  size = 0;
  /** How long the IP packet around a full segment is. */
  longest = 0;

  clear(): void {
    this.start = 0;
    this.field = 0;
    this.kind = 0;
    this.size = 0;
    this.longest = 0;
  }

  /**
   * Takes the words that came with the frame of `length` bytes at `frame`.
   * @returns false when they cannot be about it.
   */
  accept(frame: number, length: number, partial: number, segments: number): boolean {
    const start = partial >>> 16;
    const field = partial & 0xffff;
    if (start < ETHERNET_HEADER || field < start || field + 2 > length) return false;
    this.start = frame + start;
    this.field = frame + field;
    this.kind = segments >>> 16;
    this.size = segments & 0xffff;
    return (this.kind === 0) === (this.size === 0);
  }

  /**
   * Sees what the words mean for the packet that was read. What is left unfinished is the checksum of a whole TCP segment
   * or UDP datagram, cut or not; all else is finished here, since nothing on its way would know how: fragments, ICMP, what
   * lies in tunnels, and SCTP, whose CRC32c is no such sum.
   * @returns false when they do not go with the packet.
   */
  settle(view: DataView, packet: Packet): boolean {
    const { ip, length, protocol } = packet;
    const transport = ip + packet.headerLength;
    const end = ip + length;
    if (this.start >= end || this.field + 2 > end) return false;
    const isWhole = packet.fragment === 0 && packet.fragmentHeader === 0 && packet.hasTransport;
    const begins = isWhole && this.start === transport;
    const isOurs =
      (protocol === ipv4.PROTO_TCP && this.field === transport + tcp.TCP_CHECKSUM) ||
      (protocol === ipv4.PROTO_UDP && this.field === transport + udp.UDP_CHECKSUM);
    if (begins && isOurs) return this.size === 0 || this.#settleSegments(view, packet, transport);
    if (this.size !== 0) return false;
    if (begins && protocol === ipv4.PROTO_SCTP) {
      writeSctpChecksum(view, transport, length - packet.headerLength);
      this.clear();
    } else this.complete(view, end);
    return true;
  }

  #settleSegments(view: DataView, packet: Packet, transport: number): boolean {
    const { ip, length, protocol, family } = packet;
    const isUdp = (this.kind & ~SEGMENT_ECN) === SEGMENT_UDP;
    if (cutsNeeded(this.kind, family) === 0 || isUdp !== (protocol === ipv4.PROTO_UDP)) return false;
    if (!isUdp && tcp.headerLength(view, transport) < tcp.TCP_HEADER) return false;
    this.#measure(view, ip);
    if (this.longest - this.size > length) return false;
    this.fit(length);
    return true;
  }

  /** The IP packet is `length` bytes long: if that is no more than one segment, nothing is to be cut. */
  fit(length: number): void {
    if (length > this.longest) return;
    this.kind = 0;
    this.size = 0;
    this.longest = 0;
  }

  #measure(view: DataView, ip: number): void {
    const isUdp = (this.kind & ~SEGMENT_ECN) === SEGMENT_UDP;
    this.longest = this.start - ip + (isUdp ? udp.UDP_HEADER : tcp.headerLength(view, this.start)) + this.size;
  }

  /** Takes up what was noted by {@link partial} and {@link segments} of the IP packet that lies at `ip` now. */
  resume(view: DataView, ip: number, partial: number, segments: number): void {
    this.start = ip + (partial >>> 16);
    this.field = ip + (partial & 0xffff);
    this.kind = segments >>> 16;
    this.size = segments & 0xffff;
    if (this.size !== 0) this.#measure(view, ip);
  }

  /** As `FrameBatch.partial`, but counted from `from`. */
  partial(from: number): number {
    return ((this.start - from) << 16) | (this.field - from);
  }

  /** As `FrameBatch.segments`. */
  segments(): number {
    return (this.kind << 16) | this.size;
  }

  /** Finishes the checksum of the packet that ends at `end`; nothing is left to do then. */
  complete(view: DataView, end: number): void {
    const { start, field } = this;
    if (start === 0) return;
    view.setUint16(field, finish(sumBytes(view, start, end - start, 0)) || 0xffff);
    this.clear();
  }
}
