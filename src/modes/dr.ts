/** Direct routing: nothing above the link changes but the time to live; the frame goes to the server's MAC address. */
import type { Datapath } from '../datapath.ts';
import type { Hop } from '../host/host.ts';
import { V } from '../verdicts.ts';
import { PASS, passes, sendPacket } from './outgoing.ts';

export function transmitRoute(dp: Datapath, hop: Hop): number {
  if (hop.neighbour === null) return V.LOCAL;
  const verdict = passes(dp, hop.mtu, false);
  return verdict === PASS ? sendPacket(dp, hop, V.ROUTE) : verdict;
}
