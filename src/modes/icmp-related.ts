/**
 * ICMP errors about balanced connections go to the end that they concern, rewritten as the connection's packets are
 * (RFC 5508 3.2; kernel behaviour: ip_vs_in_icmp, ip_vs_out_icmp, ip_vs_nat_icmp).
 */
import type { Connections } from '../conntrack/connections.ts';
import { MASQ } from '../conntrack/forward-method.ts';
import { FLAGS, FWD_MASK, META, PORTS } from '../conntrack/layout.ts';
import { OUTPUT } from '../conntrack/tcp-state.ts';
import { countIn, countOut, type Datapath } from '../datapath.ts';
import { checksum } from '../packet/checksum.ts';
import { DST, dissectIpv4, hasPortNumbers, type Packet, readQuotedIpv4, SRC } from '../packet/dissect.ts';
import * as icmp from '../packet/icmp.ts';
import * as ipv4 from '../packet/ipv4.ts';
import { NOT_OURS, SCHEDULED, type Scheduling } from '../services/schedule.ts';
import { V } from '../verdicts.ts';
import { hopOf, PASS, passes, sendPacket } from './outgoing.ts';
import { transmit } from './transmit.ts';
import { NO_TUNNEL, receiveTunnelError, TUNNEL_UNKNOWN } from './tunnel-errors.ts';

/** Whether errors of this type are matched to connections. */
function concernsConnections(type: number): boolean {
  return type === icmp.ICMP_DEST_UNREACH || type === icmp.ICMP_SOURCE_QUENCH || type === icmp.ICMP_TIME_EXCEEDED;
}

/**
 * Reads the packet that the ICMP error at `message` is about into `inner`; `end` is where the bytes end.
 * @returns false when there is none, or none of a protocol that IPVS balances.
 */
function readInner4(inner: Packet, view: DataView, message: number, end: number): boolean {
  const at = message + icmp.ICMP_HEADER;
  if (at + ipv4.IPV4_HEADER > end || !hasPortNumbers(ipv4.protocol(view, at))) return false;
  const headerLength = ipv4.headerLength(view, at);
  if (headerLength < ipv4.IPV4_HEADER) return false;
  readQuotedIpv4(inner, view, at, headerLength, end - at);
  return true;
}

/**
 * An error that may come from the server's side: about a packet that went from the client to the server.
 * @returns the connection's row, with the packet that it is about in `dp.inner`; 0 when there is none.
 */
export function lookupOutRelated4(dp: Datapath, connections: Connections, message: number, end: number): number {
  const { inner, view } = dp;
  if (message + icmp.ICMP_HEADER > end || !concernsConnections(icmp.icmpType(view, message))) return 0;
  if (!readInner4(inner, view, message, end) || !inner.hasPorts) return 0;
  return connections.table.lookupOut(inner.protocol, inner.address, SRC, inner.sourcePort, DST, inner.destinationPort);
}

/**
 * The server's error on its way to the client: under NAT it comes from the virtual address, and so does the packet in it.
 * @returns {@link PASS} or a verdict. The caller sends it on.
 */
export function respondRelated4(dp: Datapath, connections: Connections, row: number): number {
  const { packet, view } = dp;
  const { table } = connections;
  const { rows } = table;
  if ((rows[row + FLAGS] & FWD_MASK) === MASQ) {
    if (checksum(view, packet.ip + packet.headerLength, packet.length - packet.headerLength) !== 0)
      return V.BAD_CHECKSUM;
    translateError(dp, connections, row, packet.ip, packet.headerLength, packet.length);
  }
  countOut(dp, connections.destinationOf(row), packet.length);
  return PASS;
}

/** Lets the error at `ip`, from a NAT server, come from the virtual address, and the packet in it too. */
function translateError(
  dp: Datapath,
  { table }: Connections,
  row: number,
  ip: number,
  headerLength: number,
  length: number,
): void {
  const { view, inner } = dp;
  const virtual = table.rows[row + table.vaddr];
  ipv4.setSource(view, ip, virtual);
  ipv4.setDestination(view, inner.ip, virtual);
  view.setUint16(inner.ip + inner.headerLength + 2, table.rows[row + PORTS] & 0xffff);
  mendHeaders(dp, ip, headerLength, length);
}

/** After an error was rewritten: the checksums of both IP headers and of the ICMP message. */
function mendHeaders({ view, inner }: Datapath, ip: number, headerLength: number, length: number): void {
  const message = ip + headerLength;
  ipv4.writeChecksum(view, ip);
  ipv4.writeChecksum(view, inner.ip);
  icmp.setIcmpChecksum(view, message, 0);
  icmp.setIcmpChecksum(view, message, checksum(view, message, length - headerLength));
}

/**
 * An ICMP packet from the client's side: an error about a packet that went from the server to the client goes to the
 * server.
 * @returns {@link NOT_OURS} or a verdict.
 */
export function receiveRelated4(dp: Datapath, connections: Connections, scheduling: Scheduling): number {
  const { packet, inner, view } = dp;
  const message = packet.ip + packet.headerLength;
  const end = packet.ip + packet.length;
  if (message + icmp.ICMP_HEADER > end) return V.SHORT_TRANSPORT;
  if (!concernsConnections(icmp.icmpType(view, message))) return NOT_OURS;
  if (dp.host.isOwn(4, packet.address, DST)) {
    const verdict = receiveTunnelError(dp, connections, message, end);
    if (verdict !== NO_TUNNEL) return verdict === TUNNEL_UNKNOWN ? NOT_OURS : verdict;
  }
  if (!readInner4(inner, view, message, end)) return NOT_OURS;
  let row = inner.hasPorts
    ? connections.table.lookupIn(inner.protocol, inner.address, DST, inner.destinationPort, SRC, inner.sourcePort)
    : 0;
  let made = false;
  if (row === 0) {
    if (dp.sysctl.schedule_icmp === 0) return NOT_OURS;
    const result = scheduling.schedule(dp, inner, connections, dp.marks.of(packet), true);
    if (result !== SCHEDULED) return result;
    row = scheduling.row;
    made = true;
  }
  const verdict = sendRelated4(dp, connections, row);
  if (made) connections.finish(row, dp.tick);
  return verdict;
}

function sendRelated4(dp: Datapath, connections: Connections, row: number): number {
  const { packet, view } = dp;
  const message = packet.ip + packet.headerLength;
  if (checksum(view, message, packet.length - packet.headerLength) !== 0) return V.BAD_CHECKSUM;
  return sendToServer(dp, connections, row, rewriteRequest4);
}

/** Gives an error, and the packet in it, the server's address and port. */
function rewriteRequest4(dp: Datapath, rows: Int32Array, serverAt: number, port: number): void {
  const { packet, inner, view } = dp;
  ipv4.setDestination(view, packet.ip, rows[serverAt]);
  ipv4.setSource(view, inner.ip, rows[serverAt]);
  view.setUint16(inner.ip + inner.headerLength, port);
  mendHeaders(dp, packet.ip, packet.headerLength, packet.length);
}

/**
 * Sends a client's error, of either family, to its connection's server by the connection's forward method.
 * @param rewrite for NAT: gives the error at hand the server's address, at `rows[serverAt]`, and port.
 */
export function sendToServer(
  dp: Datapath,
  connections: Connections,
  row: number,
  rewrite: (dp: Datapath, rows: Int32Array, serverAt: number, port: number) => void,
): number {
  const { table } = connections;
  const { rows } = table;
  const destination = connections.destinationOf(row);
  countIn(dp, destination, dp.packet.length);
  if ((rows[row + FLAGS] & FWD_MASK) !== MASQ) {
    const verdict = transmit(dp, connections, row);
    connections.countPacket(row);
    return verdict;
  }
  const hop = hopOf(dp, connections, row, destination);
  if (hop === null) return V.NO_ROUTE;
  if (hop.neighbour !== null) {
    const verdict = passes(dp, hop.mtu, true);
    if (verdict !== PASS) return verdict;
  }
  rewrite(dp, rows, row + table.daddr, rows[row + META] & 0xffff);
  return hop.neighbour === null ? V.LOCAL : sendPacket(dp, hop, V.RELATED);
}

/**
 * A reset in `dp.inner` that the director itself sends, for a connection that it is the server of: to IPVS a packet from
 * the server.
 */
export function trackOwnReset(dp: Datapath, connections: Connections): void {
  const { inner, tick } = dp;
  const { table } = connections;
  const row = table.lookupIn(inner.protocol, inner.address, DST, inner.destinationPort, SRC, inner.sourcePort);
  if (row === 0) return;
  const isMasq = (table.rows[row + FLAGS] & FWD_MASK) === MASQ;
  if (isMasq && !dp.host.isOwn(connections.family, table.rows, row + table.daddr)) return;
  countOut(dp, connections.destinationOf(row), inner.length);
  connections.track(row, OUTPUT, inner);
  connections.finish(row, tick);
}

/**
 * What the director itself sends leaves through the same hook as servers' replies do: an ICMP error about a connection's
 * packet counts as one from its server, and a reset is a packet of the connection.
 */
export function receiveOwn4(dp: Datapath, connections: Connections, ip: number): void {
  const { view } = dp;
  const { rows } = connections.table;
  const length = ipv4.totalLength(view, ip);
  if (ipv4.protocol(view, ip) === ipv4.PROTO_TCP) {
    dissectIpv4(dp.inner, view, ip, length);
    trackOwnReset(dp, connections);
    return;
  }
  if (ipv4.protocol(view, ip) !== ipv4.PROTO_ICMP) return;
  const row = lookupOutRelated4(dp, connections, ip + ipv4.IPV4_HEADER, ip + length);
  if (row === 0) return;
  if ((rows[row + FLAGS] & FWD_MASK) === MASQ) translateError(dp, connections, row, ip, ipv4.IPV4_HEADER, length);
  countOut(dp, connections.destinationOf(row), length);
}
