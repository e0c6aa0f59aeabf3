/**
 * Rewriting one end of a packet for NAT: address, port, and the checksums over them (RFC 1624, RFC 3022 4.2).
 */
import type { Words } from '../address.ts';
import { finishUdp, fold, pseudoSum4, pseudoSum6, sumBytes } from '../packet/checksum.ts';
import type { Packet } from '../packet/dissect.ts';
import * as ipv4 from '../packet/ipv4.ts';
import * as ipv6 from '../packet/ipv6.ts';
import { writeSctpChecksum } from '../packet/sctp.ts';
import { TCP_CHECKSUM } from '../packet/tcp.ts';
import { UDP_CHECKSUM } from '../packet/udp.ts';

/** Which end of a packet. */
export const SOURCE = 0;
export const DESTINATION = 1;

/** The change of a transport checksum: from one address and port to another, of `width` words each. */
function mend(
  check: number,
  width: number,
  from: Words,
  i: number,
  fromPort: number,
  to: Words,
  j: number,
  toPort: number,
): number {
  // 0xffff is a zero in this arithmetic: it keeps the sum from being 0, so that the result is never 0xffff.
  let sum = (~check & 0xffff) + 0xffff + (~fromPort & 0xffff) + toPort;
  for (let k = 0; k < width; k++) {
    const gone = ~from[i + k];
    const come = to[j + k];
    sum += (gone >>> 16) + (gone & 0xffff) + (come >>> 16) + (come & 0xffff);
  }
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** The change of a checksum that is only begun: a sum, not complemented, over the addresses but not yet over the ports. */
function mendPartial(sum: number, width: number, from: Words, i: number, to: Words, j: number): number {
  let mended = sum;
  for (let k = 0; k < width; k++) {
    const gone = ~from[i + k];
    const come = to[j + k];
    mended += (gone >>> 16) + (gone & 0xffff) + (come >>> 16) + (come & 0xffff);
  }
  return fold(mended);
}

/**
 * Gives one end of the packet the address at `to[j]` and the port `toPort`, and mends all checksums. `packet.address`
 * still holds the old address afterwards.
 * @param isPartial whether the transport checksum is only begun (`wire.unfinished`).
 * @returns false when the transport header is not whole, so that its checksum cannot be mended: the packet is lost.
 */
export function rewriteEnd(
  view: DataView,
  packet: Packet,
  isPartial: boolean,
  end: number,
  to: Words,
  j: number,
  toPort: number,
): boolean {
  if (packet.hasPorts && !packet.hasTransport) return false;
  const { ip, family } = packet;
  const transport = ip + packet.headerLength;
  const width = family === 4 ? 1 : 4;
  const fromAt = end === SOURCE ? 0 : 4;
  const fromPort = end === SOURCE ? packet.sourcePort : packet.destinationPort;
  if (family === 4) {
    if (end === SOURCE) ipv4.setSource(view, ip, to[j]);
    else ipv4.setDestination(view, ip, to[j]);
    ipv4.writeChecksum(view, ip);
  } else if (end === SOURCE) ipv6.setSource(view, ip, to, j);
  else ipv6.setDestination(view, ip, to, j);
  if (!packet.hasPorts) return true;

  view.setUint16(transport + 2 * end, toPort);
  if (isPartial) {
    const at = transport + (packet.protocol === ipv4.PROTO_TCP ? TCP_CHECKSUM : UDP_CHECKSUM);
    view.setUint16(at, mendPartial(view.getUint16(at), width, packet.address, fromAt, to, j));
    return true;
  }
  switch (packet.protocol) {
    case ipv4.PROTO_TCP: {
      const at = transport + TCP_CHECKSUM;
      view.setUint16(at, mend(view.getUint16(at), width, packet.address, fromAt, fromPort, to, j, toPort));
      break;
    }
    case ipv4.PROTO_UDP: {
      const at = transport + UDP_CHECKSUM;
      const check = view.getUint16(at);
      if (check !== 0) {
        const mended = mend(check, width, packet.address, fromAt, fromPort, to, j, toPort);
        view.setUint16(at, mended === 0 ? 0xffff : mended); // 0 would say that there is no checksum (RFC 768)
      } else {
        // Linux computes one for datagrams that came without.
        const length = packet.length - packet.headerLength;
        const pseudo = family === 4 ? pseudoSum4 : pseudoSum6;
        view.setUint16(at, finishUdp(sumBytes(view, transport, length, pseudo(view, ip, ipv4.PROTO_UDP, length))));
      }
      break;
    }
    case ipv4.PROTO_SCTP:
      // The addresses are no part of it, so it only changes with the port.
      if (toPort !== fromPort) writeSctpChecksum(view, transport, packet.length - packet.headerLength);
      break;
  }
  return true;
}
