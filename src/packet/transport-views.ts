/**
 * Views of what IP carries: TCP, UDP, SCTP, ICMP, ICMPv6. `ip.transportOffset` says where it begins:
 *
 *     const ip = Ipv4View.at(frame, 14);
 *     const tcp = TcpView.at(frame, ip.transportOffset);
 */
import { invalidOption } from '../errors.ts';
import { finish, finishUdp, sumBytes } from './checksum.ts';
import { HeaderView, lacking } from './header-view.ts';
import * as icmp from './icmp.ts';
import * as icmpv6 from './icmpv6.ts';
import { PROTO_ICMPV6, PROTO_TCP, PROTO_UDP } from './ipv4.ts';
import * as sctp from './sctp.ts';
import * as tcp from './tcp.ts';
import { formatFlags, parseFlags } from './tcp-flags.ts';
import * as udp from './udp.ts';
import { integer, ipv6Text } from './values.ts';
import type { IpView } from './views.ts';

/** A header that an IP packet carries. */
abstract class TransportView extends HeaderView {
  /** Bytes of the shortest header. */
  protected abstract readonly minimum: number;

  protected check(_view: DataView, _at: number, room: number): string {
    return lacking(room, this.minimum);
  }

  /**
   * Bytes from this header to the end of the packet that `ip` shows.
   * @throws DirectorError ERR_INVALID_OPTION where that is not the packet around this header, or not all of it is there.
   */
  protected lengthIn(ip: IpView): number {
    const end = ip.offset + ip.totalLength;
    if (ip.buffer !== this.bytes || this.start < ip.transportOffset || this.start + this.minimum > end) {
      throw invalidOption('ip', ip, 'the view of the packet that this header is in');
    }
    if (end > this.view.byteLength) throw invalidOption('ip', ip, 'the view of a packet that is there to its end');
    return end - this.start;
  }
}

const TCP_SOURCE_PORT = 0;
const TCP_DESTINATION_PORT = 2;
const TCP_SEQUENCE = 4;
const TCP_ACKNOWLEDGEMENT = 8;
const TCP_FLAGS_WORD = 12;
const TCP_WINDOW = 14;
const TCP_URGENT = 18;

/**
 * A TCP header. Setters mend the checksum (RFC 1624), so one that was right stays right. After a change of data, options
 * or an address in the IP header call {@link TcpView.updateChecksum}.
 */
export class TcpView extends TransportView {
  protected readonly minimum: number = tcp.TCP_HEADER;

  protected override check(view: DataView, at: number, room: number): string {
    if (room < tcp.TCP_HEADER) return lacking(room, tcp.TCP_HEADER);
    const length = tcp.headerLength(view, at);
    return length < tcp.TCP_HEADER ? `its length is ${length}` : lacking(room, length);
  }

  get sourcePort(): number {
    return tcp.sourcePort(this.view, this.start);
  }
  set sourcePort(value: number) {
    this.setField(TCP_SOURCE_PORT, integer(value, 0xffff, 'sourcePort'));
  }
  get destinationPort(): number {
    return tcp.destinationPort(this.view, this.start);
  }
  set destinationPort(value: number) {
    this.setField(TCP_DESTINATION_PORT, integer(value, 0xffff, 'destinationPort'));
  }
  get sequence(): number {
    return tcp.sequence(this.view, this.start);
  }
  set sequence(value: number) {
    const at = this.start + TCP_SEQUENCE;
    this.setLong(at, integer(value, 0xffffffff, 'sequence'), this.start + tcp.TCP_CHECKSUM);
  }
  get acknowledgement(): number {
    return tcp.acknowledgement(this.view, this.start);
  }
  set acknowledgement(value: number) {
    const at = this.start + TCP_ACKNOWLEDGEMENT;
    this.setLong(at, integer(value, 0xffffffff, 'acknowledgement'), this.start + tcp.TCP_CHECKSUM);
  }
  /** In bytes, options included. */
  get headerLength(): number {
    return tcp.headerLength(this.view, this.start);
  }
  /** The bits. May be set to letters of `FSRPAUEC` too. */
  get flags(): number {
    return tcp.flags(this.view, this.start);
  }
  set flags(value: number | string) {
    const word = this.view.getUint16(this.start + TCP_FLAGS_WORD);
    this.setField(TCP_FLAGS_WORD, (word & 0xff00) | parseFlags(value, 'flags'));
  }
  /** The flags as letters of `FSRPAUEC`: `SA` for a SYN with ACK. */
  get flagLetters(): string {
    return formatFlags(this.flags);
  }
  get window(): number {
    return tcp.window(this.view, this.start);
  }
  set window(value: number) {
    this.setField(TCP_WINDOW, integer(value, 0xffff, 'window'));
  }
  get urgentPointer(): number {
    return tcp.urgentPointer(this.view, this.start);
  }
  set urgentPointer(value: number) {
    this.setField(TCP_URGENT, integer(value, 0xffff, 'urgentPointer'));
  }
  /** The options, as a window on the buffer. */
  get options(): Uint8Array {
    return this.bytes.subarray(this.start + tcp.TCP_HEADER, this.dataOffset);
  }
  /** Where the data begins. */
  get dataOffset(): number {
    return this.start + this.headerLength;
  }

  get checksum(): number {
    return tcp.tcpChecksum(this.view, this.start);
  }
  set checksum(value: number) {
    tcp.setTcpChecksum(this.view, this.start, integer(value, 0xffff, 'checksum'));
  }
  /**
   * Computes the checksum anew; `ip` is the packet around, which must be whole.
   * @throws DirectorError ERR_INVALID_OPTION where it is not.
   */
  updateChecksum(ip: IpView): void {
    this.checksum = finish(this.sum(ip) - this.checksum);
  }
  /** Whether the checksum is right; `ip` as for {@link TcpView.updateChecksum}. */
  hasValidChecksum(ip: IpView): boolean {
    return finish(this.sum(ip)) === 0;
  }

  /** The sum of all that the checksum covers, itself included. */
  private sum(ip: IpView): number {
    const length = this.lengthIn(ip);
    return sumBytes(this.view, this.start, length, ip.pseudoSum(PROTO_TCP, length));
  }
  private setField(field: number, value: number): void {
    this.setWord(this.start + field, value, this.start + tcp.TCP_CHECKSUM);
  }
}

const UDP_SOURCE_PORT = 0;
const UDP_DESTINATION_PORT = 2;

/**
 * A UDP header. The setters of the ports mend the checksum (RFC 1624) where there is one: 0 means none and stays. After
 * a change of length, data or an address in the IP header call {@link UdpView.updateChecksum}.
 */
export class UdpView extends TransportView {
  protected readonly minimum: number = udp.UDP_HEADER;

  get sourcePort(): number {
    return udp.sourcePort(this.view, this.start);
  }
  set sourcePort(value: number) {
    this.setPort(UDP_SOURCE_PORT, integer(value, 0xffff, 'sourcePort'));
  }
  get destinationPort(): number {
    return udp.destinationPort(this.view, this.start);
  }
  set destinationPort(value: number) {
    this.setPort(UDP_DESTINATION_PORT, integer(value, 0xffff, 'destinationPort'));
  }
  /** Bytes of header and data. */
  get length(): number {
    return udp.udpLength(this.view, this.start);
  }
  set length(value: number) {
    udp.setUdpLength(this.view, this.start, integer(value, 0xffff, 'length'));
  }
  /** Where the data begins. */
  get dataOffset(): number {
    return this.start + udp.UDP_HEADER;
  }

  /** 0 where there is none. */
  get checksum(): number {
    return udp.udpChecksum(this.view, this.start);
  }
  set checksum(value: number) {
    udp.setUdpChecksum(this.view, this.start, integer(value, 0xffff, 'checksum'));
  }
  /**
   * Computes the checksum anew, also where there was none; `ip` is the packet around, which must be whole.
   * @throws DirectorError ERR_INVALID_OPTION where it is not.
   */
  updateChecksum(ip: IpView): void {
    this.checksum = finishUdp(this.sum(ip) - this.checksum);
  }
  /** Whether there is no checksum or it is right; `ip` as for {@link UdpView.updateChecksum}. */
  hasValidChecksum(ip: IpView): boolean {
    return this.checksum === 0 || finish(this.sum(ip)) === 0;
  }

  /** The sum of all that the checksum covers, itself included. */
  private sum(ip: IpView): number {
    const length = this.lengthIn(ip);
    return sumBytes(this.view, this.start, length, ip.pseudoSum(PROTO_UDP, length));
  }
  private setPort(field: number, value: number): void {
    if (this.checksum === 0) {
      this.view.setUint16(this.start + field, value);
      return;
    }
    this.setWord(this.start + field, value, this.start + udp.UDP_CHECKSUM);
    if (this.checksum === 0) this.checksum = 0xffff;
  }
}

/**
 * An SCTP common header. A CRC32c cannot be mended word by word: after any change call {@link SctpView.updateChecksum}.
 */
export class SctpView extends TransportView {
  protected readonly minimum: number = sctp.SCTP_HEADER;

  get sourcePort(): number {
    return sctp.sourcePort(this.view, this.start);
  }
  set sourcePort(value: number) {
    sctp.setSourcePort(this.view, this.start, integer(value, 0xffff, 'sourcePort'));
  }
  get destinationPort(): number {
    return sctp.destinationPort(this.view, this.start);
  }
  set destinationPort(value: number) {
    sctp.setDestinationPort(this.view, this.start, integer(value, 0xffff, 'destinationPort'));
  }
  get verificationTag(): number {
    return sctp.verificationTag(this.view, this.start);
  }
  set verificationTag(value: number) {
    sctp.setVerificationTag(this.view, this.start, integer(value, 0xffffffff, 'verificationTag'));
  }
  /** Where the first chunk begins. */
  get chunkOffset(): number {
    return this.start + sctp.SCTP_HEADER;
  }

  get checksum(): number {
    return sctp.sctpChecksum(this.view, this.start);
  }
  set checksum(value: number) {
    sctp.setSctpChecksum(this.view, this.start, integer(value, 0xffffffff, 'checksum'));
  }
  /**
   * Computes the checksum anew; `ip` is the packet around, which must be whole.
   * @throws DirectorError ERR_INVALID_OPTION where it is not.
   */
  updateChecksum(ip: IpView): void {
    sctp.writeSctpChecksum(this.view, this.start, this.lengthIn(ip));
  }
  /** Whether the checksum is right; `ip` as for {@link SctpView.updateChecksum}. */
  hasValidChecksum(ip: IpView): boolean {
    return sctp.computeSctpChecksum(this.view, this.start, this.lengthIn(ip)) === this.checksum;
  }
}

const ICMP_CHECKSUM = 2;
const ICMP_REST = 4;

/** What ICMP and ICMPv6 headers have in common: everything but what the checksum covers. */
abstract class IcmpMessageView extends TransportView {
  protected readonly minimum: number = icmp.ICMP_HEADER;

  get type(): number {
    return icmp.icmpType(this.view, this.start);
  }
  set type(value: number) {
    this.setField(0, (integer(value, 0xff, 'type') << 8) | this.code);
  }
  get code(): number {
    return icmp.icmpCode(this.view, this.start);
  }
  set code(value: number) {
    this.setField(0, (this.type << 8) | integer(value, 0xff, 'code'));
  }
  /** The type's own four bytes, unsigned. */
  get rest(): number {
    return icmp.icmpRest(this.view, this.start);
  }
  set rest(value: number) {
    this.setLong(this.start + ICMP_REST, integer(value, 0xffffffff, 'rest'), this.start + ICMP_CHECKSUM);
  }
  /** The upper half of {@link IcmpMessageView.rest}: an echo's identifier. */
  get identifier(): number {
    return this.rest >>> 16;
  }
  set identifier(value: number) {
    this.setField(ICMP_REST, integer(value, 0xffff, 'identifier'));
  }
  /** The lower half of {@link IcmpMessageView.rest}: an echo's sequence number, the next hop's MTU in IPv4. */
  get sequence(): number {
    return this.rest & 0xffff;
  }
  set sequence(value: number) {
    this.setField(ICMP_REST + 2, integer(value, 0xffff, 'sequence'));
  }
  /** Where the data begins; in an error, the packet that it is about. */
  get dataOffset(): number {
    return this.start + icmp.ICMP_HEADER;
  }

  get checksum(): number {
    return icmp.icmpChecksum(this.view, this.start);
  }
  set checksum(value: number) {
    icmp.setIcmpChecksum(this.view, this.start, integer(value, 0xffff, 'checksum'));
  }
  /**
   * Computes the checksum anew; `ip` is the packet around, which must be whole.
   * @throws DirectorError ERR_INVALID_OPTION where it is not.
   */
  updateChecksum(ip: IpView): void {
    this.checksum = finish(this.sum(ip) - this.checksum);
  }
  /** Whether the checksum is right; `ip` as for {@link IcmpMessageView.updateChecksum}. */
  hasValidChecksum(ip: IpView): boolean {
    return finish(this.sum(ip)) === 0;
  }

  /** The sum of all that the checksum covers, itself included. */
  protected abstract sum(ip: IpView): number;

  private setField(field: number, value: number): void {
    this.setWord(this.start + field, value, this.start + ICMP_CHECKSUM);
  }
}

/** An ICMP header. Setters mend the checksum; after a change of data call `updateChecksum`. */
export class IcmpView extends IcmpMessageView {
  protected sum(ip: IpView): number {
    return sumBytes(this.view, this.start, this.lengthIn(ip), 0);
  }
}

/**
 * An ICMPv6 header. Setters mend the checksum; after a change of data or of an address in the IPv6 header call
 * `updateChecksum`.
 */
export class Icmpv6View extends IcmpMessageView {
  /** What a neighbour solicitation or advertisement is about; `undefined` for other messages and where it is cut off. */
  get target(): string | undefined {
    const { type } = this;
    if (type !== icmpv6.NEIGHBOUR_SOLICITATION && type !== icmpv6.NEIGHBOUR_ADVERTISEMENT) return undefined;
    const at = this.start + icmpv6.NEIGHBOUR_TARGET;
    return at + 16 > this.view.byteLength ? undefined : ipv6Text(this.view, at);
  }

  protected sum(ip: IpView): number {
    const length = this.lengthIn(ip);
    return sumBytes(this.view, this.start, length, ip.pseudoSum(PROTO_ICMPV6, length));
  }
}
