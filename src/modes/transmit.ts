/** The choice of the forward method. */
import type { Connections } from '../conntrack/connections.ts';
import { BYPASS, LOCAL, MASQ, ROUTE, TUNNEL } from '../conntrack/forward-method.ts';
import { FLAGS, FWD_MASK } from '../conntrack/layout.ts';
import type { Datapath } from '../datapath.ts';
import { tellHostUnreachable } from '../host/errors.ts';
import { V } from '../verdicts.ts';
import { transmitBypass } from './bypass.ts';
import { transmitRoute } from './dr.ts';
import { transmitMasq } from './nat.ts';
import { hopOf } from './outgoing.ts';
import { transmitTunnel } from './tun.ts';

/** Sends the packet at hand to its connection's server by the connection's forward method. */
export function transmit(dp: Datapath, connections: Connections, row: number): number {
  const { rows } = connections.table;
  const method = rows[row + FLAGS] & FWD_MASK;
  if (method === BYPASS) return transmitBypass(dp);
  if (method === LOCAL) return V.LOCAL;
  const destination = connections.destinationOf(row);
  const hop = hopOf(dp, connections, row, destination);
  if (hop === null) {
    tellHostUnreachable(dp);
    return V.NO_ROUTE;
  }
  switch (method) {
    case ROUTE:
      return transmitRoute(dp, hop);
    case MASQ:
      return transmitMasq(dp, connections, row, hop);
    case TUNNEL:
      return destination === null ? V.UNKNOWN_SERVER : transmitTunnel(dp, destination, hop);
    default:
      return V.NO_ROUTE;
  }
}
