/**
 * Views of Ethernet, ARP, IPv4 and IPv6 headers; those of what IP carries are in `transport-views.ts`. They stand on the
 * same accessor functions as the frame path, but are made for people: fields by name, addresses as text.
 */
import { formatMac, parseMac, type Words } from '../address.ts';
import * as arp from './arp.ts';
import { checksum, pseudoSum4, pseudoSum6 } from './checksum.ts';
import * as ethernet from './ethernet.ts';
import { HeaderView, lacking } from './header-view.ts';
import * as ipv4 from './ipv4.ts';
import * as ipv6 from './ipv6.ts';
import { integer, ipv4Text, ipv4Word, ipv6Text, ipv6Words } from './values.ts';

/** An Ethernet header with its 802.1Q tags. */
export class EthernetView extends HeaderView {
  protected check(_view: DataView, _at: number, room: number): string {
    return lacking(room, ethernet.ETHERNET_HEADER);
  }

  get destination(): string {
    return formatMac(this.destinationHigh, this.destinationLow);
  }
  set destination(text: string) {
    const { high, low } = parseMac(text, 'destination');
    ethernet.setDst(this.view, this.start, high, low);
  }
  /** Upper 16 bits of the destination. */
  get destinationHigh(): number {
    return ethernet.dstHigh(this.view, this.start);
  }
  /** Lower 32 bits of the destination, signed. */
  get destinationLow(): number {
    return ethernet.dstLow(this.view, this.start);
  }
  get source(): string {
    return formatMac(this.sourceHigh, this.sourceLow);
  }
  set source(text: string) {
    const { high, low } = parseMac(text, 'source');
    ethernet.setSrc(this.view, this.start, high, low);
  }
  /** Upper 16 bits of the source. */
  get sourceHigh(): number {
    return ethernet.srcHigh(this.view, this.start);
  }
  /** Lower 32 bits of the source, signed. */
  get sourceLow(): number {
    return ethernet.srcLow(this.view, this.start);
  }
  /** The EtherType behind the addresses: that of the first tag where there is one. */
  get type(): number {
    return ethernet.etherType(this.view, this.start);
  }
  set type(value: number) {
    ethernet.setEtherType(this.view, this.start, integer(value, 0xffff, 'type'));
  }
  /** The VLAN ids of the tags, outermost first. */
  get vlanIds(): number[] {
    const ids: number[] = [];
    for (let at = this.start; at < this.innermost; at += ethernet.VLAN_TAG) {
      ids.push(this.view.getUint16(at + ethernet.ETHERNET_HEADER) & 0xfff);
    }
    return ids;
  }
  /** The EtherType of what is in the frame, behind all tags. */
  get payloadType(): number {
    return ethernet.etherType(this.view, this.innermost);
  }
  /** Where the packet in the frame begins, behind all tags. */
  get payloadOffset(): number {
    return this.innermost + ethernet.ETHERNET_HEADER;
  }

  /** Where the header would begin if it had no tags. A tag that is cut off is not stepped over. */
  private get innermost(): number {
    let at = this.start;
    let type = ethernet.etherType(this.view, at);
    while (
      (type === ethernet.ETHERTYPE_VLAN || type === ethernet.ETHERTYPE_QINQ) &&
      at + ethernet.VLAN_TAG + ethernet.ETHERNET_HEADER <= this.view.byteLength
    ) {
      at += ethernet.VLAN_TAG;
      type = ethernet.etherType(this.view, at);
    }
    return at;
  }
}

/** An ARP packet for IPv4 over Ethernet. */
export class ArpView extends HeaderView {
  protected check(view: DataView, at: number, room: number): string {
    if (room < arp.ARP_LENGTH) return lacking(room, arp.ARP_LENGTH);
    return arp.isEthernetIpv4(view, at) ? '' : 'it is not for IPv4 over Ethernet';
  }

  /** 1 request, 2 reply. */
  get operation(): number {
    return arp.operation(this.view, this.start);
  }
  set operation(value: number) {
    arp.setOperation(this.view, this.start, integer(value, 0xffff, 'operation'));
  }
  get senderMac(): string {
    return formatMac(arp.senderMacHigh(this.view, this.start), arp.senderMacLow(this.view, this.start));
  }
  set senderMac(text: string) {
    const { high, low } = parseMac(text, 'senderMac');
    arp.setSenderMac(this.view, this.start, high, low);
  }
  get senderIp(): string {
    return ipv4Text(this.senderIpWord);
  }
  set senderIp(text: string) {
    arp.setSenderIp(this.view, this.start, ipv4Word(text, 'senderIp'));
  }
  /** The sender's address as a signed 32-bit integer. */
  get senderIpWord(): number {
    return arp.senderIp(this.view, this.start);
  }
  get targetMac(): string {
    return formatMac(arp.targetMacHigh(this.view, this.start), arp.targetMacLow(this.view, this.start));
  }
  set targetMac(text: string) {
    const { high, low } = parseMac(text, 'targetMac');
    arp.setTargetMac(this.view, this.start, high, low);
  }
  get targetIp(): string {
    return ipv4Text(this.targetIpWord);
  }
  set targetIp(text: string) {
    arp.setTargetIp(this.view, this.start, ipv4Word(text, 'targetIp'));
  }
  /** The target's address as a signed 32-bit integer. */
  get targetIpWord(): number {
    return arp.targetIp(this.view, this.start);
  }
}

const TOS_WORD = 0;
const LENGTH_WORD = 2;
const ID_WORD = 4;
const FRAGMENT_WORD = 6;
const TTL_WORD = 8;
const HEADER_CHECKSUM = 10;
const SOURCE_LONG = 12;
const DESTINATION_LONG = 16;

/**
 * An IPv4 header. Setters mend the header checksum (RFC 1624), so one that was right stays right. The checksums of TCP
 * and UDP cover the addresses too: after changing one, call `updateChecksum` of the transport's view.
 */
export class Ipv4View extends HeaderView {
  protected check(view: DataView, at: number, room: number): string {
    if (room < ipv4.IPV4_HEADER) return lacking(room, ipv4.IPV4_HEADER);
    if (ipv4.version(view, at) !== 4) return `its version is ${ipv4.version(view, at)}`;
    const length = ipv4.headerLength(view, at);
    return length < ipv4.IPV4_HEADER ? `its length is ${length}` : lacking(room, length);
  }

  /** In bytes, options included. */
  get headerLength(): number {
    return ipv4.headerLength(this.view, this.start);
  }
  get tos(): number {
    return ipv4.tos(this.view, this.start);
  }
  set tos(value: number) {
    const word = this.view.getUint16(this.start + TOS_WORD);
    this.setField(TOS_WORD, (word & 0xff00) | integer(value, 0xff, 'tos'));
  }
  /** Bytes of the whole packet. */
  get totalLength(): number {
    return ipv4.totalLength(this.view, this.start);
  }
  set totalLength(value: number) {
    this.setField(LENGTH_WORD, integer(value, 0xffff, 'totalLength'));
  }
  get id(): number {
    return ipv4.identification(this.view, this.start);
  }
  set id(value: number) {
    this.setField(ID_WORD, integer(value, 0xffff, 'id'));
  }
  /** Don't fragment. */
  get df(): boolean {
    return (ipv4.fragment(this.view, this.start) & ipv4.DF) !== 0;
  }
  set df(value: boolean) {
    this.setField(FRAGMENT_WORD, (ipv4.fragment(this.view, this.start) & ~ipv4.DF) | (value ? ipv4.DF : 0));
  }
  /** More fragments. */
  get mf(): boolean {
    return (ipv4.fragment(this.view, this.start) & ipv4.MF) !== 0;
  }
  set mf(value: boolean) {
    this.setField(FRAGMENT_WORD, (ipv4.fragment(this.view, this.start) & ~ipv4.MF) | (value ? ipv4.MF : 0));
  }
  /** In bytes; set to a multiple of 8. */
  get fragmentOffset(): number {
    return (ipv4.fragment(this.view, this.start) & ipv4.OFFSET_MASK) << 3;
  }
  set fragmentOffset(value: number) {
    const units = integer(value / 8, ipv4.OFFSET_MASK, 'fragmentOffset / 8');
    this.setField(FRAGMENT_WORD, (ipv4.fragment(this.view, this.start) & ~ipv4.OFFSET_MASK) | units);
  }
  get ttl(): number {
    return ipv4.ttl(this.view, this.start);
  }
  set ttl(value: number) {
    this.setField(TTL_WORD, (integer(value, 0xff, 'ttl') << 8) | this.protocol);
  }
  get protocol(): number {
    return ipv4.protocol(this.view, this.start);
  }
  set protocol(value: number) {
    this.setField(TTL_WORD, (this.ttl << 8) | integer(value, 0xff, 'protocol'));
  }
  get source(): string {
    return ipv4Text(this.sourceWord);
  }
  set source(text: string) {
    this.sourceWord = ipv4Word(text, 'source');
  }
  /** The source as a signed 32-bit integer. */
  get sourceWord(): number {
    return ipv4.source(this.view, this.start);
  }
  set sourceWord(value: number) {
    this.setLong(this.start + SOURCE_LONG, value, this.start + HEADER_CHECKSUM);
  }
  get destination(): string {
    return ipv4Text(this.destinationWord);
  }
  set destination(text: string) {
    this.destinationWord = ipv4Word(text, 'destination');
  }
  /** The destination as a signed 32-bit integer. */
  get destinationWord(): number {
    return ipv4.destination(this.view, this.start);
  }
  set destinationWord(value: number) {
    this.setLong(this.start + DESTINATION_LONG, value, this.start + HEADER_CHECKSUM);
  }
  /** The options, as a window on the buffer. */
  get options(): Uint8Array {
    return this.bytes.subarray(this.start + ipv4.IPV4_HEADER, this.transportOffset);
  }
  /** Where what the packet carries begins. */
  get transportOffset(): number {
    return this.start + this.headerLength;
  }

  get checksum(): number {
    return ipv4.headerChecksum(this.view, this.start);
  }
  set checksum(value: number) {
    ipv4.setHeaderChecksum(this.view, this.start, integer(value, 0xffff, 'checksum'));
  }
  /** Computes the header checksum anew. */
  updateChecksum(): void {
    ipv4.writeChecksum(this.view, this.start);
  }
  hasValidChecksum(): boolean {
    return checksum(this.view, this.start, this.headerLength) === 0;
  }
  /** The sum of the pseudo header for `length` bytes of `protocol`: where TCP's and UDP's checksums begin. */
  pseudoSum(protocol: number, length: number): number {
    return pseudoSum4(this.view, this.start, protocol, length);
  }

  private setField(field: number, value: number): void {
    this.setWord(this.start + field, value, this.start + HEADER_CHECKSUM);
  }
}

/**
 * An IPv6 header. It has no checksum of its own; those of TCP, UDP and ICMPv6 cover its addresses: after changing one,
 * call `updateChecksum` of the transport's view.
 */
export class Ipv6View extends HeaderView {
  protected check(view: DataView, at: number, room: number): string {
    if (room < ipv6.IPV6_HEADER) return lacking(room, ipv6.IPV6_HEADER);
    return ipv6.version(view, at) === 6 ? '' : `its version is ${ipv6.version(view, at)}`;
  }

  get trafficClass(): number {
    return ipv6.trafficClass(this.view, this.start);
  }
  set trafficClass(value: number) {
    ipv6.setTrafficClass(this.view, this.start, integer(value, 0xff, 'trafficClass'));
  }
  get flowLabel(): number {
    return ipv6.flowLabel(this.view, this.start);
  }
  set flowLabel(value: number) {
    ipv6.setFlowLabel(this.view, this.start, integer(value, 0xfffff, 'flowLabel'));
  }
  /** Bytes behind the fixed header, extension headers included. */
  get payloadLength(): number {
    return ipv6.payloadLength(this.view, this.start);
  }
  set payloadLength(value: number) {
    ipv6.setPayloadLength(this.view, this.start, integer(value, 0xffff, 'payloadLength'));
  }
  /** Bytes of the whole packet. */
  get totalLength(): number {
    return ipv6.IPV6_HEADER + this.payloadLength;
  }
  /** What follows the fixed header: an extension header, or what the packet carries. */
  get nextHeader(): number {
    return ipv6.nextHeader(this.view, this.start);
  }
  set nextHeader(value: number) {
    ipv6.setNextHeader(this.view, this.start, integer(value, 0xff, 'nextHeader'));
  }
  get hopLimit(): number {
    return ipv6.hopLimit(this.view, this.start);
  }
  set hopLimit(value: number) {
    ipv6.setHopLimit(this.view, this.start, integer(value, 0xff, 'hopLimit'));
  }
  get source(): string {
    return ipv6Text(this.view, this.start + ipv6.IPV6_SOURCE);
  }
  set source(text: string) {
    ipv6.setSource(this.view, this.start, ipv6Words(text, 'source'), 0);
  }
  /** Reads the source into `words[i .. i + 3]`. */
  readSource(words: Words, i = 0): void {
    ipv6.readSource(this.view, this.start, words, i);
  }
  get destination(): string {
    return ipv6Text(this.view, this.start + ipv6.IPV6_DESTINATION);
  }
  set destination(text: string) {
    ipv6.setDestination(this.view, this.start, ipv6Words(text, 'destination'), 0);
  }
  /** Reads the destination into `words[i .. i + 3]`. */
  readDestination(words: Words, i = 0): void {
    ipv6.readDestination(this.view, this.start, words, i);
  }
  /** What the packet carries, behind all extension headers: walks them. */
  get protocol(): number {
    return this.walk().next;
  }
  /**
   * Where what the packet carries begins, behind all extension headers: walks them. One that is cut off ends the walk:
   * it is then what {@link Ipv6View.protocol} says and this points at.
   */
  get transportOffset(): number {
    return this.walk().at;
  }
  /** The sum of the pseudo header for `length` bytes of `protocol`: where the checksums of what is inside begin. */
  pseudoSum(protocol: number, length: number): number {
    return pseudoSum6(this.view, this.start, protocol, length);
  }

  private walk(): { next: number; at: number } {
    let next = this.nextHeader;
    let at = this.start + ipv6.IPV6_HEADER;
    while (ipv6.isExtensionHeader(next) && at + ipv6.FRAGMENT_HEADER <= this.view.byteLength) {
      const behind = at + ipv6.extensionLength(this.view, at, next);
      if (behind > this.view.byteLength) break;
      next = ipv6.extensionNext(this.view, at);
      at = behind;
    }
    return { next, at };
  }
}

/** A view of either family's header. */
export type IpView = Ipv4View | Ipv6View;
