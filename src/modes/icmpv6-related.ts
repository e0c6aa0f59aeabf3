/**
 * ICMPv6 errors about balanced connections; as icmp-related.ts for ICMP (kernel behaviour: ip_vs_in_icmp_v6,
 * ip_vs_out_icmp_v6, ip_vs_nat_icmp_v6).
 */
import type { Connections } from '../conntrack/connections.ts';
import { MASQ } from '../conntrack/forward-method.ts';
import { FLAGS, FWD_MASK, PORTS } from '../conntrack/layout.ts';
import { countOut, type Datapath } from '../datapath.ts';
import { checksum, fold, pseudoSum6 } from '../packet/checksum.ts';
import { DST, dissectIpv6, hasPortNumbers, isLaterFragment, type Packet, readIpv6, SRC } from '../packet/dissect.ts';
import * as icmpv6 from '../packet/icmpv6.ts';
import { PROTO_ICMPV6, PROTO_TCP } from '../packet/ipv4.ts';
import * as ipv6 from '../packet/ipv6.ts';
import { NOT_OURS, SCHEDULED, type Scheduling } from '../services/schedule.ts';
import { V } from '../verdicts.ts';
import { sendToServer, trackOwnReset } from './icmp-related.ts';
import { PASS } from './outgoing.ts';

/** Reads the packet that the error at `message` is about; false when there is none that IPVS balances. */
function readInner6(inner: Packet, view: DataView, message: number, end: number): boolean {
  const at = message + icmpv6.ICMPV6_HEADER;
  if (at + ipv6.IPV6_HEADER > end || ipv6.version(view, at) !== 6 || !readIpv6(inner, view, at, end - at)) return false;
  return !isLaterFragment(inner) && hasPortNumbers(inner.protocol);
}

/** The connection of a packet, inside an error, that went from the client to the server; 0 when there is none. */
export function lookupOutRelated6(dp: Datapath, connections: Connections, message: number, end: number): number {
  const { inner, view } = dp;
  if (message + icmpv6.ICMPV6_HEADER > end || icmpv6.icmpv6Type(view, message) >= icmpv6.ICMPV6_INFORMATIONAL) return 0;
  if (!readInner6(inner, view, message, end) || !inner.hasPorts) return 0;
  return connections.table.lookupOut(inner.protocol, inner.address, SRC, inner.sourcePort, DST, inner.destinationPort);
}

/** The server's error on its way to the client. @returns {@link PASS} or a verdict. The caller sends it on. */
export function respondRelated6(dp: Datapath, connections: Connections, row: number): number {
  const { packet, inner, view } = dp;
  const { table } = connections;
  const { rows } = table;
  if ((rows[row + FLAGS] & FWD_MASK) === MASQ) {
    // Linux sums the message without the pseudo header here, which only a wrong checksum survives: a NAT server's
    // ICMPv6 errors do not reach their clients (seen on Linux 6.1). Reproduced, since that is what LVS does.
    const message = packet.ip + packet.headerLength;
    if (checksum(view, message, packet.length - packet.headerLength) !== 0) return V.BAD_CHECKSUM;
    ipv6.setSource(view, packet.ip, rows, row + table.vaddr);
    ipv6.setDestination(view, inner.ip, rows, row + table.vaddr);
    view.setUint16(inner.ip + inner.headerLength + 2, rows[row + PORTS] & 0xffff);
    mendChecksum(dp);
  }
  countOut(dp, connections.destinationOf(row), packet.length);
  return PASS;
}

/** After an error was rewritten: its checksum is summed up on the way out, over everything it covers. */
function mendChecksum(dp: Datapath): void {
  const { view, packet } = dp;
  const message = packet.ip + packet.headerLength;
  const length = packet.length - packet.headerLength;
  icmpv6.setIcmpv6Checksum(view, message, fold(pseudoSum6(view, packet.ip, PROTO_ICMPV6, length)));
  dp.wire.leavePartial(message, message + icmpv6.ICMPV6_CHECKSUM);
}

/** An ICMPv6 error from the client's side goes to the server. @returns {@link NOT_OURS} or a verdict. */
export function receiveRelated6(dp: Datapath, connections: Connections, scheduling: Scheduling): number {
  const { packet, inner, view } = dp;
  const message = packet.ip + packet.headerLength;
  const end = packet.ip + packet.length;
  if (message + icmpv6.ICMPV6_HEADER > end) return V.SHORT_TRANSPORT;
  if (icmpv6.icmpv6Type(view, message) >= icmpv6.ICMPV6_INFORMATIONAL) return NOT_OURS;
  if (!readInner6(inner, view, message, end)) return NOT_OURS;
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
  const verdict = sendToServer(dp, connections, row, rewriteRequest6);
  if (made) connections.finish(row, dp.tick);
  return verdict;
}

/** Gives an error, and the packet in it, the server's address and port. */
function rewriteRequest6(dp: Datapath, rows: Int32Array, serverAt: number, port: number): void {
  const { packet, inner, view } = dp;
  ipv6.setDestination(view, packet.ip, rows, serverAt);
  ipv6.setSource(view, inner.ip, rows, serverAt);
  view.setUint16(inner.ip + inner.headerLength, port);
  mendChecksum(dp);
}

/**
 * What the director itself sends, as in icmp-related.ts.
 * @returns whether it may be sent: not an error about a NAT connection, which fails the test of {@link respondRelated6}.
 */
export function receiveOwn6(dp: Datapath, connections: Connections, ip: number): boolean {
  const { view } = dp;
  const length = ipv6.IPV6_HEADER + ipv6.payloadLength(view, ip);
  if (ipv6.nextHeader(view, ip) === PROTO_TCP) {
    dissectIpv6(dp.inner, view, ip, length);
    trackOwnReset(dp, connections);
    return true;
  }
  const row = lookupOutRelated6(dp, connections, ip + ipv6.IPV6_HEADER, ip + length);
  if (row === 0) return true;
  if ((connections.table.rows[row + FLAGS] & FWD_MASK) === MASQ) return false;
  countOut(dp, connections.destinationOf(row), length);
  return true;
}
