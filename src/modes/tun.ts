/**
 * Tunnelling: the packet as it is, behind another IP header addressed to the server (RFC 2003; kernel behaviour:
 * ip_vs_tunnel_xmit).
 */
import type { Datapath } from '../datapath.ts';
import type { Hop } from '../host/host.ts';
import { nextIdentification } from '../host/icmp.ts';
import * as ipv4 from '../packet/ipv4.ts';
import type { Destination } from '../services/destination.ts';
import { V } from '../verdicts.ts';
import { PASS, passes4, sendLimit } from './outgoing.ts';

/** A way that carries less than this is of no use (RFC 791 3.2). */
const MIN_MTU = 68;

/** TOS of the outer header: the inner one, but that congestion marks only say that congestion can be told (RFC 3168 9.1). */
function outerTos(tos: number): number {
  return (tos & 3) === 3 ? (tos & ~3) | 2 : tos;
}

export function transmitTunnel(dp: Datapath, destination: Destination, hop: Hop): number {
  const { neighbour } = hop;
  if (neighbour === null) return V.LOCAL;
  const { view, packet } = dp;
  const mtu = neighbour.interface.mtu - ipv4.IPV4_HEADER;
  if (mtu < MIN_MTU) return V.TOO_BIG;
  const discoverMtu = dp.sysctl.pmtu_disc !== 0;
  const verdict = passes4(dp, mtu, !discoverMtu);
  if (verdict !== PASS) return verdict;

  const inner = packet.ip;
  const outer = inner - ipv4.IPV4_HEADER;
  const length = packet.length + ipv4.IPV4_HEADER;
  const df = discoverMtu ? ipv4.fragment(view, inner) & ipv4.DF : 0;
  ipv4.writeHeader(
    view,
    outer,
    outerTos(ipv4.tos(view, inner)),
    length,
    df === 0 ? nextIdentification() : 0,
    df,
    ipv4.ttl(view, inner),
    ipv4.PROTO_IPIP,
    hop.source[0],
    destination.words[0],
  );
  dp.wire.sendIpv4(outer, length, neighbour, sendLimit(dp, neighbour.interface.mtu), dp.tick);
  return V.TUNNEL;
}
