/** What happens when a neighbour is asked for, found, or not found: see {@link Neighbours}. */
import type { Words } from '../address.ts';
import type { Datapath } from '../datapath.ts';
import { dissectIpv4, dissectIpv6, SRC } from '../packet/dissect.ts';
import { source as ipv4Source } from '../packet/ipv4.ts';
import { readSource as readIpv6Source } from '../packet/ipv6.ts';
import { sendArpRequest } from './arp.ts';
import { tellNeighbourUnreachable } from './errors.ts';
import { sendSolicitation } from './ndp.ts';
import type { NeighbourActions, WaitingPacket } from './neighbours.ts';

/** @param datapath gives the frame path, which does not exist yet when the host is built. */
export function neighbourActions(datapath: () => Datapath): NeighbourActions {
  return {
    solicit: (neighbour, direct, cause) => {
      const { wire, host } = datapath();
      // What asks is the sender of the packet that waits, if that is the director itself.
      const source = new Int32Array(4);
      if (cause !== null) readSource(cause, source);
      if (neighbour.family === 4) sendArpRequest(wire, host, neighbour, direct, source[0]);
      else sendSolicitation(wire, host, neighbour, direct, source);
    },
    release: (neighbour, packets) => {
      const { wire, tick } = datapath();
      for (const packet of packets) wire.sendCopy(packet, neighbour, tick);
    },
    unreachable: (_neighbour, packets) => {
      for (const packet of packets) tellSenderOf(datapath(), packet, tellNeighbourUnreachable);
    },
  };
}

/**
 * Makes a packet that was kept the one at hand again and tells its sender. The director itself only wants to know of its
 * tunnel packets.
 */
export function tellSenderOf(dp: Datapath, kept: WaitingPacket, tell: (dp: Datapath) => void): void {
  const { packet, host, wire, view } = dp;
  const { bytes, partial, segments } = kept;
  const at = wire.pool.jumbo;
  wire.pool.memory.set(bytes, at);
  packet.toHost = true;
  const dissect = bytes[0] >>> 4 === 4 ? dissectIpv4 : dissectIpv6;
  if (!dissect(packet, view, at, bytes.length)) return;
  if (partial !== 0) {
    wire.unfinished.resume(view, at, partial, segments);
    wire.completeFirst(packet);
  }
  if (host.isOwn(packet.family, packet.address, SRC)) dp.loseOwn(at, packet.length);
  else tell(dp);
}

/** Reads the source address of an IP packet of either family. */
function readSource(packet: Uint8Array, words: Words): void {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  if (packet[0] >>> 4 === 4) words[0] = ipv4Source(view, 0);
  else readIpv6Source(view, 0, words, 0);
}
