/**
 * NAT: requests get the server's address and port, replies the virtual ones (kernel behaviour: ip_vs_nat_xmit and
 * handle_response).
 */
import { CHANGED, helpReply, helpRequest, KEPT, leaveChecksum } from '../apps/ftp.ts';
import type { Connections } from '../conntrack/connections.ts';
import { FLAGS, HELPED, META, NO_CPORT, PORTS } from '../conntrack/layout.ts';
import type { Datapath } from '../datapath.ts';
import type { Hop } from '../host/host.ts';
import { isLoopback } from '../host/host.ts';
import { type Packet, SRC } from '../packet/dissect.ts';
import * as ipv4 from '../packet/ipv4.ts';
import * as ipv6 from '../packet/ipv6.ts';
import { V } from '../verdicts.ts';
import { PASS, passes, sendPacket } from './outgoing.ts';
import { DESTINATION, rewriteEnd, SOURCE } from './rewrite.ts';

/** Sends a request to the server. */
export function transmitMasq(dp: Datapath, connections: Connections, row: number, hop: Hop): number {
  const { table } = connections;
  const { rows } = table;
  const flags = rows[row + FLAGS];
  if ((flags & NO_CPORT) !== 0) connections.fillClientPort(row, dp.packet.sourcePort);
  if (hop.neighbour !== null) {
    const verdict = passes(dp, hop.mtu, false);
    if (verdict !== PASS) return verdict;
  } else if (isLoopback(connections.family, rows, row + table.daddr)) {
    // What came from outside is not let in as the host's talk with itself (kernel behaviour: ip_vs_nat_xmit).
    return V.NO_ROUTE;
  }
  if ((flags & HELPED) !== 0) {
    const verdict = helpRequest(dp, connections, row);
    if (verdict !== KEPT) return verdict;
  }
  const isPartial = dp.wire.unfinished.start !== 0;
  if (!rewriteEnd(dp.view, dp.packet, isPartial, DESTINATION, rows, row + table.daddr, rows[row + META] & 0xffff)) {
    return V.SHORT_TRANSPORT;
  }
  return hop.neighbour === null ? V.LOCAL : sendPacket(dp, hop, V.MASQ);
}

/** Undoes {@link rewriteReply}, for a reply that cannot be sent on: so its sender knows it. Checksums are left as they are. */
export function restoreSource(view: DataView, packet: Packet): void {
  const { ip, headerLength, family, address, sourcePort } = packet;
  if (family === 4) {
    ipv4.setSource(view, ip, address[SRC]);
    ipv4.writeChecksum(view, ip);
  } else ipv6.setSource(view, ip, address, SRC);
  view.setUint16(ip + headerLength, sourcePort);
}

/**
 * Makes a server's reply come from the virtual address and port.
 * @returns {@link PASS} or a verdict. The caller sends it on.
 */
export function rewriteReply(dp: Datapath, connections: Connections, row: number): number {
  const { table } = connections;
  const { rows } = table;
  const help = (rows[row + FLAGS] & HELPED) !== 0 ? helpReply(dp, connections, row) : KEPT;
  if (help >= 0) return help;
  const isPartial = dp.wire.unfinished.start !== 0;
  if (!rewriteEnd(dp.view, dp.packet, isPartial, SOURCE, rows, row + table.vaddr, rows[row + PORTS] & 0xffff)) {
    return V.SHORT_TRANSPORT;
  }
  if (help === CHANGED) leaveChecksum(dp);
  return PASS;
}
