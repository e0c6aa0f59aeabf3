/**
 * NAT: requests get the server's address and port, replies the virtual ones (kernel behaviour: ip_vs_nat_xmit and
 * handle_response).
 */
import type { Connections } from '../conntrack/connections.ts';
import { FLAGS, META, NO_CPORT, PORTS } from '../conntrack/layout.ts';
import type { Datapath } from '../datapath.ts';
import type { Hop } from '../host/host.ts';
import { V } from '../verdicts.ts';
import { PASS, passes, sendPacket } from './outgoing.ts';
import { DESTINATION, rewriteEnd, SOURCE } from './rewrite.ts';

/** Sends a request to the server. */
export function transmitMasq(dp: Datapath, connections: Connections, row: number, hop: Hop): number {
  const { table } = connections;
  const { rows } = table;
  if ((rows[row + FLAGS] & NO_CPORT) !== 0) connections.fillClientPort(row, dp.packet.sourcePort);
  if (hop.neighbour !== null) {
    const verdict = passes(dp, hop.mtu, false);
    if (verdict !== PASS) return verdict;
  }
  if (!rewriteEnd(dp.view, dp.packet, DESTINATION, rows, row + table.daddr, rows[row + META] & 0xffff)) {
    return V.SHORT_TRANSPORT;
  }
  return hop.neighbour === null ? V.LOCAL : sendPacket(dp, hop, V.MASQ);
}

/** Makes a server's reply come from the virtual address and port. The caller sends it on. */
export function rewriteReply(dp: Datapath, connections: Connections, row: number): boolean {
  const { table } = connections;
  const { rows } = table;
  return rewriteEnd(dp.view, dp.packet, SOURCE, rows, row + table.vaddr, rows[row + PORTS] & 0xffff);
}
