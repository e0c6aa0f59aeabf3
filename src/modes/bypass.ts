/** No server: the packet goes on to the address that it was sent to (`cache_bypass`). */
import type { Datapath } from '../datapath.ts';
import { tellHostUnreachable } from '../host/errors.ts';
import { DST } from '../packet/dissect.ts';
import { V } from '../verdicts.ts';
import { PASS, passes, sendLimit } from './outgoing.ts';

export function transmitBypass(dp: Datapath): number {
  const { packet } = dp;
  if (dp.host.isOwn(packet.family, packet.address, DST)) return V.NO_ROUTE;
  const neighbour = dp.host.nextHop(packet.family, packet.address, DST);
  if (neighbour === null) {
    tellHostUnreachable(dp);
    return V.NO_ROUTE;
  }
  const verdict = passes(dp, neighbour.interface.mtu, false);
  if (verdict !== PASS) return verdict;
  dp.wire.forward(packet.family, packet.ip, packet.length, neighbour, sendLimit(dp, neighbour.interface.mtu), dp.tick);
  return V.BYPASS;
}
