/** The second part of an explanation: which connection a packet belongs to, and if none, which service it is for. */
import type { Connections } from '../../conntrack/connections.ts';
import { FLAGS, IN_PKTS, TEMPLATE } from '../../conntrack/layout.ts';
import { connectionEntry } from '../../listing.ts';
import { DST, hasPortNumbers, type Packet, SRC } from '../../packet/dissect.ts';
import { PROTO_ICMP, PROTO_ICMPV6, PROTO_SCTP, PROTO_TCP } from '../../packet/ipv4.ts';
import { printPacket } from '../../packet/print.ts';
import { CHUNK_INIT } from '../../packet/sctp.ts';
import { RST, SYN } from '../../packet/tcp.ts';
import { formatFlags } from '../../packet/tcp-flags.ts';
import { type Service, SVC_ONEPACKET, SVC_PERSISTENT } from '../../services/service.ts';
import type { Parts } from '../parts.ts';
import { type Arrived, isFragment } from './arrival.ts';
import type { Story } from './explanation.ts';
import { connectionText, endOf, endText, protocolText, serviceText } from './words.ts';

/** Bytes of an ICMP or ICMPv6 message in front of the packet that an error is about. */
const ICMP_HEADER = 8;
/** ICMP's errors: unreachable, source quench, redirect, time exceeded, parameter problem. */
const ICMP_ERRORS: ReadonlySet<number> = new Set([3, 4, 5, 11, 12]);

/** Tells what the packet leads to. */
export function tellSearch(story: Story, parts: Parts, arrived: Arrived): void {
  const { packet } = arrived;
  if (arrived.hook === 'none') return;
  if (isFragment(packet)) {
    story.tell('fragment', 'a part of a datagram: it is kept until the others are here, and looked at as a whole then');
    return;
  }
  if (packet.protocol === PROTO_ICMP || packet.protocol === PROTO_ICMPV6) {
    tellIcmp(story, arrived);
    return;
  }
  if (!hasPortNumbers(packet.protocol)) {
    story.tell('protocol', `IPVS balances TCP, UDP and SCTP, not ${protocolText(packet.protocol)}`);
    return;
  }
  if (!parts.registry.isActive(packet.family)) {
    story.tell('service', `there is no service for IPv${packet.family} at all, so IPVS is not in its way`);
    return;
  }
  if (!packet.hasPorts) return;
  const connections = packet.family === 4 ? parts.connections4 : parts.connections6;
  if (tellReply(story, connections, packet)) return;
  if (arrived.hook === 'FORWARD') {
    story.tell(
      'reply',
      `no connection has a server at ${sourceText(packet)} and a client at ${destinationText(packet)}`,
    );
    return;
  }
  if (tellRequest(story, parts, connections, packet)) return;
  tellService(story, parts, packet);
}

/** Errors go the way of the connection whose packet they are about; the director answers what it is asked itself. */
function tellIcmp(story: Story, { view, packet }: Arrived): void {
  const message = packet.ip + packet.headerLength;
  const end = packet.ip + packet.length;
  const at = message + ICMP_HEADER;
  const isError =
    at < end && (packet.family === 4 ? ICMP_ERRORS.has(view.getUint8(message)) : view.getUint8(message) < 128);
  if (!isError) story.tell('icmp', 'no error about a packet: it belongs to no connection');
  else
    story.tell('icmp', 'an error: it goes the way of the connection that it is about', [
      printPacket(view, at, end - at),
    ]);
}

function sourceText({ family, address, sourcePort }: Packet): string {
  return endOf(family, address, SRC, sourcePort);
}

function destinationText({ family, address, destinationPort }: Packet): string {
  return endOf(family, address, DST, destinationPort);
}

function tellReply(story: Story, connections: Connections, packet: Packet): boolean {
  const { protocol, address, sourcePort, destinationPort } = packet;
  const row = connections.table.lookupOut(protocol, address, DST, destinationPort, SRC, sourcePort);
  if (row === 0) return false;
  story.tell('connection', `a reply of ${connectionText(connectionEntry(connections, row, 0))}`);
  return true;
}

function tellRequest(story: Story, parts: Parts, connections: Connections, packet: Packet): boolean {
  const { protocol, address, sourcePort, destinationPort } = packet;
  const { rows } = connections.table;
  const row = connections.table.lookupIn(protocol, address, SRC, sourcePort, DST, destinationPort);
  if (row === 0) {
    story.tell('connection', `none from ${sourceText(packet)} to ${destinationText(packet)} yet`);
    return false;
  }
  const entry = connectionEntry(connections, row, 0);
  story.tell('connection', `found: ${connectionText(entry)}`, [
    `${entry.state}, expires in ${entry.expiresInSeconds} s, packets from the client: ${rows[row + IN_PKTS]}`,
  ]);
  const destination = connections.destinationOf(row);
  if (destination !== null && !destination.available) {
    const tunable = parts.sysctl.expire_nodest_conn;
    story.tell(
      'server',
      tunable === 0
        ? 'it was removed: expire_nodest_conn is 0, so packets are dropped until the connection expires or the server is back'
        : 'it was removed: expire_nodest_conn is 1, so the connection ends now',
    );
  }
  if (opensConnection(packet)) {
    const mode = parts.sysctl.conn_reuse_mode;
    story.tell(
      'reuse',
      `it asks for a new connection from a port that has one in ${entry.state} (conn_reuse_mode is ${mode})`,
    );
  }
  return true;
}

function opensConnection(packet: Packet): boolean {
  if (packet.protocol === PROTO_TCP) return (packet.tcpFlags & SYN) !== 0;
  return packet.protocol === PROTO_SCTP && packet.sctpChunk === CHUNK_INIT;
}

/** Why the packet may not open a connection, or null when it may. */
function reluctance(parts: Parts, packet: Packet): string | null {
  if (!packet.hasTransport) return 'its transport header is not whole';
  if (packet.protocol === PROTO_TCP) {
    if ((packet.tcpFlags & RST) !== 0) return 'a reset opens no connection';
    if ((packet.tcpFlags & SYN) === 0 && parts.sysctl.sloppy_tcp === 0) {
      return `TCP with the flags [${formatFlags(packet.tcpFlags)}] opens no connection: that takes a SYN (sloppy_tcp is 0)`;
    }
  }
  if (packet.protocol === PROTO_SCTP && packet.sctpChunk !== CHUNK_INIT && parts.sysctl.sloppy_sctp === 0) {
    return 'SCTP without INIT opens no connection (sloppy_sctp is 0)';
  }
  return null;
}

function tellService(story: Story, parts: Parts, packet: Packet): void {
  const { registry, marks, defence } = parts;
  const { family, protocol, address, destinationPort } = packet;
  const service = registry.find(family, marks.of(packet), protocol, address, DST, destinationPort);
  if (service === null) {
    story.tell('service', `none on ${protocolText(protocol)} ${destinationText(packet)}`, neighboursOf(parts, packet));
    return;
  }
  story.tell('service', `${serviceText(service)}${serviceTraits(service)}`);
  const reason = reluctance(parts, packet);
  if (reason !== null) {
    story.tell('opening', reason);
    return;
  }
  if (defence.dropRate > 0) {
    story.tell(
      'overload',
      `drop_packet is at work: 1 of ${defence.dropRate} new connections is dropped; say it is not this one`,
    );
  }
}

function serviceTraits({ port, fwmark, flags, timeout, netmaskLength, family, engine }: Service): string {
  const traits: string[] = [];
  if (port === 0 && fwmark === 0) traits.push('on all ports');
  if ((flags & SVC_PERSISTENT) !== 0) {
    const whole = family === 4 ? 32 : 128;
    const whom =
      engine !== null
        ? `engine ${engine.name}`
        : netmaskLength === whole
          ? 'each client'
          : `clients of a /${netmaskLength} together`;
    traits.push(`persistent ${timeout} s (${whom})`);
  }
  if ((flags & SVC_ONEPACKET) !== 0) traits.push('a connection for each datagram');
  return traits.length === 0 ? '' : `, ${traits.join(', ')}`;
}

/** Services on the same address: often it is the port or the protocol that was meant otherwise. */
function neighboursOf(parts: Parts, { family, address }: Packet): string[] {
  const lines: string[] = [];
  for (const service of parts.registry.services()) {
    if (service.fwmark !== 0 || service.family !== family) continue;
    const isSame = service.words.every((word, i) => i >= (family === 4 ? 1 : 4) || word === address[DST + i]);
    if (isSame)
      lines.push(`there is one on ${protocolText(service.protocol)} ${endText(family, service.address, service.port)}`);
  }
  return lines;
}

/** Whether the row is a template. */
export function isTemplate(connections: Connections, row: number): boolean {
  return (connections.table.rows[row + FLAGS] & TEMPLATE) !== 0;
}
