/** No server: the packet goes on to the address that it was sent to (`cache_bypass`). */
import type { Datapath } from '../datapath.ts';
import { sendIcmpError } from '../host/icmp.ts';
import { DST } from '../packet/dissect.ts';
import { ICMP_DEST_UNREACH, UNREACH_HOST } from '../packet/icmp.ts';
import { V } from '../verdicts.ts';
import { PASS, passes4, sendLimit } from './outgoing.ts';

export function transmitBypass(dp: Datapath): number {
  const { packet } = dp;
  const neighbour = dp.host.nextHop(4, packet.address, DST);
  if (neighbour === null) {
    sendIcmpError(dp, ICMP_DEST_UNREACH, UNREACH_HOST, 0);
    return V.NO_ROUTE;
  }
  const verdict = passes4(dp, neighbour.interface.mtu, false);
  if (verdict !== PASS) return verdict;
  dp.wire.sendIpv4(packet.ip, packet.length, neighbour, sendLimit(dp, neighbour.interface.mtu), dp.tick);
  return V.BYPASS;
}
