/**
 * Builds whole frames from plain objects: for tests, for slow paths, for people at a prompt. Allocates freely; the
 * frame path writes headers itself.
 *
 *     buildFrame({
 *       ethernet: { source: '02:00:00:00:fe:fe', destination: '02:00:00:00:00:01' },
 *       ip: { source: '192.0.2.1', destination: '10.0.0.100', ttl: 63 },
 *       tcp: { sourcePort: 40000, destinationPort: 80, flags: 'S' },
 *     });
 *
 * All lengths and checksums are filled in. What is not said has a default: a TCP SYN with sequence 1000 and window
 * 64240, `hello` in UDP, an INIT chunk in SCTP, TTL 64, IPv4 identification 1.
 *
 * A packet within a packet is built first: `buildPacket({...})` gives its bytes without an Ethernet header, to be the
 * `data` of an ICMP error or the `payload` of a tunnel.
 */
import { type Address, type Mac, parseAddress, parseMac } from '../address.ts';
import { invalidOption } from '../errors.ts';
import { ARP_LENGTH, ARP_REQUEST, writeArp } from './arp.ts';
import type {
  ArpFields,
  EthernetFields,
  ExtensionFields,
  FrameFields,
  IpFields,
  PacketFields,
  VlanFields,
} from './build-fields.ts';
import { buildTransport, type Content } from './build-transport.ts';
import { allocate, bytesOf, padded } from './build-util.ts';
import { finish, finishUdp, pseudoSum4, pseudoSum6, sumBytes } from './checksum.ts';
import {
  ETHERNET_HEADER,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  ETHERTYPE_VLAN,
  setDst,
  setEtherType,
  setSrc,
  VLAN_TAG,
} from './ethernet.ts';
import { DF, IPV4_HEADER, MF, PROTO_UDP, writeChecksum, writeHeader } from './ipv4.ts';
import {
  EXT_AUTHENTICATION,
  EXT_DESTINATION,
  EXT_FRAGMENT,
  EXT_HOP_BY_HOP,
  FRAGMENT_HEADER,
  IPV6_HEADER,
  isExtensionHeader,
  MORE_FRAGMENTS,
  writeFragmentHeader,
  writeHeader6,
} from './ipv6.ts';
import { integer, ipv4Word } from './values.ts';

/**
 * Builds an Ethernet frame; the array is exactly as long as the frame, without padding or frame check sequence.
 * @throws DirectorError ERR_INVALID_OPTION naming the field that does not fit.
 */
export function buildFrame(fields: FrameFields): Uint8Array {
  if (fields.arp !== undefined) {
    const { arp } = fields;
    const ethernet = { source: arp.senderMac, destination: 'ff:ff:ff:ff:ff:ff', ...fields.ethernet };
    return wrapEthernet(ethernet, ETHERTYPE_ARP, buildArp(arp));
  }
  if (fields.ip === undefined) return wrapEthernet(fields.ethernet, fields.ethernet.type, bytesOf(fields.payload));
  const packet = buildPacket(fields);
  return wrapEthernet(fields.ethernet, packet[0]! >>> 4 === 6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4, packet);
}

/**
 * Builds an IP packet, without an Ethernet header.
 * @throws DirectorError ERR_INVALID_OPTION naming the field that does not fit.
 */
export function buildPacket(fields: PacketFields): Uint8Array {
  const source = parseAddress(fields.ip.source, 'ip.source');
  const destination = parseAddress(fields.ip.destination, 'ip.destination');
  if (source.family !== destination.family) {
    throw invalidOption('ip.destination', fields.ip.destination, `an IPv${source.family} address, as the source is`);
  }
  const content = buildTransport(fields);
  const packet = source.family === 4 ? wrapIpv4 : wrapIpv6;
  return packet(fields.ip, source, destination, content);
}

function wrapEthernet(fields: EthernetFields, innerType: number, packet: Uint8Array): Uint8Array {
  const source: Mac = parseMac(fields.source, 'ethernet.source');
  const destination: Mac = parseMac(fields.destination, 'ethernet.destination');
  const vlans = fields.vlans ?? [];
  const { bytes, view } = allocate(ETHERNET_HEADER + vlans.length * VLAN_TAG + packet.length);
  setDst(view, 0, destination.high, destination.low);
  setSrc(view, 0, source.high, source.low);
  let typeAt = ETHERNET_HEADER - 2;
  for (const [i, tag] of vlans.entries()) {
    const option = `ethernet.vlans[${i}]`;
    const vlan: VlanFields = typeof tag === 'number' ? { id: tag } : tag;
    const priority = integer(vlan.priority ?? 0, 7, `${option}.priority`);
    view.setUint16(typeAt, integer(vlan.type ?? ETHERTYPE_VLAN, 0xffff, `${option}.type`));
    view.setUint16(typeAt + 2, (priority << 13) | integer(vlan.id, 0xfff, `${option}.id`));
    typeAt += VLAN_TAG;
  }
  setEtherType(view, typeAt - (ETHERNET_HEADER - 2), integer(fields.type ?? innerType, 0xffff, 'ethernet.type'));
  bytes.set(packet, typeAt + 2);
  return bytes;
}

function buildArp(fields: ArpFields): Uint8Array {
  const senderMac = parseMac(fields.senderMac, 'arp.senderMac');
  const targetMac = parseMac(fields.targetMac ?? '00:00:00:00:00:00', 'arp.targetMac');
  const { bytes, view } = allocate(ARP_LENGTH);
  writeArp(
    view,
    0,
    integer(fields.operation ?? ARP_REQUEST, 0xffff, 'arp.operation'),
    senderMac.high,
    senderMac.low,
    ipv4Word(fields.senderIp, 'arp.senderIp'),
    targetMac.high,
    targetMac.low,
    ipv4Word(fields.targetIp, 'arp.targetIp'),
  );
  return bytes;
}

function wrapIpv4(fields: IpFields, source: Address, destination: Address, content: Content): Uint8Array {
  refuse(fields, ['flowLabel', 'extensions'], 'a field of IPv4');
  const options = padded(fields.options ?? new Uint8Array(), 4, 0);
  const headerLength = IPV4_HEADER + options.length;
  if (headerLength > 60) throw invalidOption('ip.options', options.length, 'at most 40 bytes');
  const length = integer(headerLength + content.bytes.length, 0xffff, 'ip.length');
  const { bytes, view } = allocate(length);
  writeHeader(
    view,
    0,
    integer(fields.tos ?? 0, 0xff, 'ip.tos'),
    length,
    integer(fields.id ?? 1, 0xffff, 'ip.id'),
    (fields.df ? DF : 0) | (fields.mf ? MF : 0) | (fragmentOffset(fields) >>> 3),
    integer(fields.ttl ?? 64, 0xff, 'ip.ttl'),
    integer(fields.protocol ?? content.protocol, 0xff, 'ip.protocol'),
    source.words[0]!,
    destination.words[0]!,
  );
  if (options.length > 0) {
    view.setUint8(0, 0x40 | (headerLength >>> 2));
    bytes.set(options, IPV4_HEADER);
    writeChecksum(view, 0);
  }
  bytes.set(content.bytes, headerLength);
  // As a host sums it: over the protocol that it is, whatever the header was told to say.
  fillChecksum(view, headerLength, content, pseudoSum4(view, 0, content.protocol, content.bytes.length));
  return bytes;
}

function wrapIpv6(fields: IpFields, source: Address, destination: Address, content: Content): Uint8Array {
  refuse(fields, ['df', 'options'], 'a field of IPv6');
  const extensions = buildExtensions(fields, integer(fields.protocol ?? content.protocol, 0xff, 'ip.protocol'));
  const contentAt = IPV6_HEADER + extensions.bytes.length;
  const length = contentAt + content.bytes.length;
  const { bytes, view } = allocate(length);
  writeHeader6(
    view,
    0,
    integer(fields.tos ?? 0, 0xff, 'ip.tos'),
    integer(fields.flowLabel ?? 0, 0xfffff, 'ip.flowLabel'),
    integer(length - IPV6_HEADER, 0xffff, 'ip.length'),
    extensions.first,
    integer(fields.ttl ?? 64, 0xff, 'ip.ttl'),
    source.words,
    0,
    destination.words,
    0,
  );
  bytes.set(extensions.bytes, IPV6_HEADER);
  bytes.set(content.bytes, contentAt);
  fillChecksum(view, contentAt, content, pseudoSum6(view, 0, content.protocol, content.bytes.length));
  return bytes;
}

/** The chain of extension headers in front of `protocol`, and what the fixed header says comes first. */
function buildExtensions(fields: IpFields, protocol: number): { first: number; bytes: Uint8Array } {
  const chain = fields.extensions ?? [];
  const fragmented = fields.id !== undefined || fields.mf !== undefined || fields.fragmentOffset !== undefined;
  // From the last to the first, since each one names the one behind it.
  const built: Uint8Array[] = fragmented ? [buildFragmentHeader(fields, protocol)] : [];
  let next = fragmented ? EXT_FRAGMENT : protocol;
  for (let i = chain.length - 1; i >= 0; i--) {
    built.unshift(buildExtension(chain[i]!, next, `ip.extensions[${i}]`));
    next = chain[i]!.type;
  }
  return { first: next, bytes: new Uint8Array(built.flatMap((header) => [...header])) };
}

function buildFragmentHeader(fields: IpFields, next: number): Uint8Array {
  const { bytes, view } = allocate(FRAGMENT_HEADER);
  const field = fragmentOffset(fields) | (fields.mf ? MORE_FRAGMENTS : 0);
  writeFragmentHeader(view, 0, next, field, integer(fields.id ?? 1, 0xffffffff, 'ip.id'));
  return bytes;
}

function buildExtension(fields: ExtensionFields, next: number, option: string): Uint8Array {
  if (!isExtensionHeader(fields.type)) throw invalidOption(`${option}.type`, fields.type, 'an IPv6 extension header');
  const data = bytesOf(fields.data ?? '');
  const length = Math.ceil((2 + data.length) / 8) * 8;
  const { bytes } = allocate(length);
  bytes[0] = next;
  bytes[1] = integer(lengthUnits(fields.type, length), 0xff, `${option}.data.length`);
  bytes.set(data, 2);
  if (fields.type === EXT_HOP_BY_HOP || fields.type === EXT_DESTINATION) padOptions(bytes, 2 + data.length);
  return bytes;
}

/** The second byte of an extension header of `length` bytes: the inverse of `extensionLength`. */
function lengthUnits(type: number, length: number): number {
  if (type === EXT_FRAGMENT) return 0;
  return type === EXT_AUTHENTICATION ? length / 4 - 2 : length / 8 - 1;
}

/** Fills the rest of an options header with one PadN option, or a Pad1 where there is room for one byte only. */
function padOptions(bytes: Uint8Array, from: number): void {
  const room = bytes.length - from;
  if (room < 2) return;
  bytes[from] = 1;
  bytes[from + 1] = room - 2;
}

/** Writes the checksum over the pseudo header (`pseudo` is its sum) into what begins at `at`. */
function fillChecksum(view: DataView, at: number, content: Content, pseudo: number): void {
  if (content.checksumAt < 0) return;
  const sum = sumBytes(view, at, content.bytes.length, pseudo);
  view.setUint16(at + content.checksumAt, content.protocol === PROTO_UDP ? finishUdp(sum) : finish(sum));
}

function fragmentOffset(fields: IpFields): number {
  const offset = integer(fields.fragmentOffset ?? 0, 0xfff8, 'ip.fragmentOffset');
  if (offset % 8 !== 0) throw invalidOption('ip.fragmentOffset', offset, 'a multiple of 8');
  return offset;
}

function refuse(fields: IpFields, names: readonly (keyof IpFields)[], expected: string): void {
  for (const name of names) {
    if (fields[name] !== undefined) throw invalidOption(`ip.${name}`, fields[name], expected);
  }
}
