/**
 * What all forward methods have in common on the way out: time to live, and what fits (kernel behaviour: ip_vs_xmit.c).
 */
import type { Connections } from '../conntrack/connections.ts';
import { ELSEWHERE, FLAGS } from '../conntrack/layout.ts';
import type { Datapath } from '../datapath.ts';
import { tellTooBig, tellTtlExceeded } from '../host/errors.ts';
import type { Hop } from '../host/host.ts';
import * as ipv4 from '../packet/ipv4.ts';
import * as ipv6 from '../packet/ipv6.ts';
import type { Destination } from '../services/destination.ts';
import { V } from '../verdicts.ts';

/** The packet may go on. */
export const PASS = -1;

/**
 * Takes one from the time to live and makes sure that the packet fits.
 * @param mtu the longest IP packet that can pass, in bytes.
 * @param mayFragment whether a packet with "don't fragment" may pass all the same.
 * @returns {@link PASS}, or the verdict; the sender has been told.
 */
export function passes(dp: Datapath, mtu: number, mayFragment: boolean): number {
  return dp.packet.family === 4 ? passes4(dp, mtu, mayFragment) : passes6(dp, mtu);
}

function passes4(dp: Datapath, mtu: number, mayFragment: boolean): number {
  const { view, packet } = dp;
  const { ip } = packet;
  if (ipv4.ttl(view, ip) <= 1) {
    tellTtlExceeded(dp);
    return V.TTL_EXCEEDED;
  }
  ipv4.decrementTtl(view, ip);
  if (!mayFragment && dp.wire.longest(packet) > mtu && (ipv4.fragment(view, ip) & ipv4.DF) !== 0) {
    tellTooBig(dp, mtu);
    return V.TOO_BIG;
  }
  return PASS;
}

/** Routers never fragment IPv6; what came in fragments must fit in fragments of the same size (RFC 8200 5). */
function passes6(dp: Datapath, mtu: number): number {
  const { view, packet } = dp;
  const { ip } = packet;
  const hops = ipv6.hopLimit(view, ip);
  if (hops <= 1) {
    tellTtlExceeded(dp);
    return V.TTL_EXCEEDED;
  }
  ipv6.setHopLimit(view, ip, hops - 1);
  if ((packet.largestFragment !== 0 ? packet.largestFragment : dp.wire.longest(packet)) > mtu) {
    tellTooBig(dp, mtu);
    return V.TOO_BIG;
  }
  return PASS;
}

/**
 * The way to a connection's server. One that a sync master told of may have a server that is no destination here, and
 * the data connection of an FTP server may go to another address of its own.
 */
export function hopOf(
  dp: Datapath,
  connections: Connections,
  row: number,
  destination: Destination | null,
): Hop | null {
  const { rows, daddr } = connections.table;
  if (destination !== null && (rows[row + FLAGS] & ELSEWHERE) === 0) return dp.host.hopOf(destination);
  return dp.host.hopTo(connections.family, rows, row + daddr);
}

/** The longest packet to send: what the interface takes, or less for one that came in smaller fragments. */
export function sendLimit(dp: Datapath, mtu: number): number {
  const { largestFragment } = dp.packet;
  return largestFragment !== 0 && largestFragment < mtu ? largestFragment : mtu;
}

/** Sends the packet at hand as it is now. The hop must not be the director itself. */
export function sendPacket(dp: Datapath, hop: Hop, verdict: number): number {
  const neighbour = hop.neighbour!;
  const { packet } = dp;
  dp.wire.forward(packet.family, packet.ip, packet.length, neighbour, sendLimit(dp, hop.mtu), dp.tick);
  return verdict;
}
