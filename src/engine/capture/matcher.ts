/**
 * Which frames belong to the connections that a capture is about. A frame's connection is found as the frame path finds it,
 * from whichever side and in whichever direction it goes; so a NAT connection is seen with both of its address pairs.
 */
import { inPrefix, sameAddress, type Words, wordsOf } from '../../address.ts';
import type { Connections } from '../../conntrack/connections.ts';
import { CADDR, META, PORTS } from '../../conntrack/layout.ts';
import { DST, hasPortNumbers, Packet, readIpv4, readIpv6, SRC } from '../../packet/dissect.ts';
import * as ethernet from '../../packet/ethernet.ts';
import * as icmp from '../../packet/icmp.ts';
import * as ipv4 from '../../packet/ipv4.ts';
import * as ipv6 from '../../packet/ipv6.ts';
import type { Parts } from '../parts.ts';
import type { CaptureSettings } from './options.ts';

export const NO = 0;
export const YES = 1;
/** Its connection, which would tell, is not made yet. */
export const LATER = 2;

const UDP_HEADER = 8;
const GUE_HEADER = 4;
const GRE_HEADER = 4;
const GRE_CHECKSUM_PRESENT = 0x8000;
/** A tunnel packet in the quotation of an ICMP error is as deep as it gets. */
const DEEPEST = 2;

export class Matcher {
  readonly #settings: CaptureSettings;
  readonly #parts: Pick<Parts, 'connections4' | 'connections6'>;
  /** For a frame's packet, and those within it. */
  readonly #packets = Array.from({ length: DEEPEST + 1 }, () => new Packet());
  readonly #all: boolean;

  constructor(settings: CaptureSettings, parts: Pick<Parts, 'connections4' | 'connections6'>) {
    this.#settings = settings;
    this.#parts = parts;
    const { service, client, server, port } = settings;
    this.#all = service === null && client === null && server === null && port < 0;
  }

  /** Judges the frame at `frame`, of which `length` bytes are there. */
  judge(view: DataView, frame: number, length: number): number {
    if (this.#all) return YES;
    if (length < ethernet.ETHERNET_HEADER) return NO;
    let header = ethernet.ETHERNET_HEADER;
    let type = ethernet.etherType(view, frame);
    if (type === ethernet.ETHERTYPE_VLAN && length >= header + ethernet.VLAN_TAG) {
      type = view.getUint16(frame + header + 2);
      header += ethernet.VLAN_TAG;
    }
    if (type !== ethernet.ETHERTYPE_IPV4 && type !== ethernet.ETHERTYPE_IPV6) return NO;
    return this.#judge(view, frame + header, length - header, 0);
  }

  #judge(view: DataView, at: number, available: number, depth: number): number {
    const packet = this.#packets[depth];
    if (!read(packet, view, at, available)) return NO;
    const connections = packet.family === 4 ? this.#parts.connections4 : this.#parts.connections6;
    const row = findRow(connections, packet);
    if (row !== 0) return this.#ofConnection(connections, row) ? YES : NO;
    const within = depth < DEEPEST ? innerAt(view, packet, available) : 0;
    if (within !== 0 && this.#judge(view, within, at + available - within, depth + 1) === YES) return YES;
    return this.#byAddresses(packet);
  }

  #ofConnection(connections: Connections, row: number): boolean {
    const { service, client, server, port } = this.#settings;
    const { table, family } = connections;
    const { rows, width } = table;
    const destination = connections.destinationOf(row);
    const ports = rows[row + PORTS];
    const meta = rows[row + META];
    if (client !== null && (client.family !== family || !inPrefix(client, rows, row + CADDR))) return false;
    if (port >= 0 && port !== ports >>> 16 && port !== (ports & 0xffff) && port !== (meta & 0xffff)) return false;
    if (server !== null) {
      if (server.family !== (destination?.family ?? family)) return false;
      const words = destination?.words ?? rows;
      const at = destination === null ? row + table.daddr : 0;
      if (!sameAddress(wordsOf(server.family), words, at, server.words, 0)) return false;
      if (server.port !== null && server.port !== (meta & 0xffff)) return false;
    }
    if (service === null) return true;
    // FTP's data connections have other ports than their service.
    const owner = destination?.service;
    if (owner !== undefined) {
      return (
        owner.family === service.family &&
        owner.protocol === service.protocol &&
        owner.port === service.port &&
        owner.fwmark === service.fwmark &&
        sameAddress(4, owner.words, 0, service.words, 0)
      );
    }
    return (
      service.protocol === ((meta >>> 16) & 0xff) &&
      service.family === family &&
      (service.port === 0 || service.port === (ports & 0xffff)) &&
      sameAddress(width, rows, row + table.vaddr, service.words, 0)
    );
  }

  /** Without a connection either end may be the client. */
  #byAddresses(packet: Packet): number {
    const { port } = this.#settings;
    const there = this.#between(packet, SRC, DST, packet.destinationPort);
    const back = this.#between(packet, DST, SRC, packet.sourcePort);
    const verdict = there === YES || back === YES ? YES : Math.max(there, back);
    const hasPort = port < 0 || !packet.hasPorts || port === packet.sourcePort || port === packet.destinationPort;
    // It may be the server's port.
    return verdict === YES && !hasPort ? LATER : verdict;
  }

  #between(packet: Packet, near: number, far: number, farPort: number): number {
    const { service, client, server } = this.#settings;
    const { family, address, protocol, hasPorts } = packet;
    if (client !== null && (client.family !== family || !inPrefix(client, address, near))) return NO;
    const isAt = (words: Words, of: number, port: number | null) =>
      of === family &&
      sameAddress(wordsOf(family), address, far, words, 0) &&
      (port === null || !hasPorts || port === farPort);
    if (service !== null) {
      // Which packets carry a mark is known when they have a connection.
      if (service.fwmark !== 0) return LATER;
      const { port } = service;
      if (hasPorts && protocol !== service.protocol) return NO;
      if (!isAt(service.words, service.family, port === 0 ? null : port)) return NO;
      return server === null ? YES : LATER;
    }
    if (server === null || isAt(server.words, server.family, server.port)) return YES;
    return hasPortNumbers(protocol) ? LATER : NO;
  }
}

/** Reads what is there of a packet: it need not be whole or sound, but has a header. */
function read(packet: Packet, view: DataView, at: number, available: number): boolean {
  if (available < ipv4.IPV4_HEADER) return false;
  if (ipv4.version(view, at) === 6) {
    if (available < ipv6.IPV6_HEADER) return false;
    return readIpv6(packet, view, at, Math.min(available, ipv6.IPV6_HEADER + ipv6.payloadLength(view, at)));
  }
  const headerLength = ipv4.headerLength(view, at);
  if (ipv4.version(view, at) !== 4 || headerLength < ipv4.IPV4_HEADER || headerLength > available) return false;
  readIpv4(packet, view, at, headerLength, Math.max(headerLength, Math.min(available, ipv4.totalLength(view, at))));
  return true;
}

/** The connection of a packet, from whichever end it comes, before or after it was rewritten; 0 for none. */
function findRow({ table }: Connections, packet: Packet): number {
  if (!packet.hasPorts) return 0;
  const { protocol, address, sourcePort: source, destinationPort: destination } = packet;
  return (
    table.lookupIn(protocol, address, SRC, source, DST, destination) ||
    table.lookupOut(protocol, address, DST, destination, SRC, source) ||
    table.lookupOut(protocol, address, SRC, source, DST, destination) ||
    table.lookupIn(protocol, address, DST, destination, SRC, source)
  );
}

/** Where the packet begins that this one carries or quotes; 0 for none. */
function innerAt(view: DataView, packet: Packet, available: number): number {
  const at = packet.ip + packet.headerLength;
  const left = packet.ip + available - at;
  switch (packet.protocol) {
    case ipv4.PROTO_IPIP:
    case ipv4.PROTO_IPV6:
      return at;
    case ipv4.PROTO_GRE: {
      if (left < GRE_HEADER) return 0;
      return at + GRE_HEADER + ((view.getUint16(at) & GRE_CHECKSUM_PRESENT) !== 0 ? 4 : 0);
    }
    case ipv4.PROTO_UDP:
      // GUE may be on any port; what is none does not hold a packet of a connection.
      return left < UDP_HEADER + GUE_HEADER ? 0 : at + UDP_HEADER + GUE_HEADER + ((view.getUint8(at + 8) & 0x1f) << 2);
    case ipv4.PROTO_ICMP:
    case ipv4.PROTO_ICMPV6:
      return at + icmp.ICMP_HEADER;
    default:
      return 0;
  }
}
