/** The first part of an explanation: how a frame is taken in, up to the hook at which IPVS meets its packet. */
import { formatAddress } from '../../address.ts';
import type { Interface } from '../../host/interface.ts';
import { DST, dissectIpv4, dissectIpv6, Packet, SRC } from '../../packet/dissect.ts';
import * as ethernet from '../../packet/ethernet.ts';
import * as ipv4 from '../../packet/ipv4.ts';
import { isMulticast6 } from '../../packet/ipv6.ts';
import type { Parts } from '../parts.ts';
import type { Story } from './explanation.ts';

/** Where IPVS meets a packet: as one for the director, as one that passes through it, or not at all. */
export type Hook = 'LOCAL_IN' | 'FORWARD' | 'none';

/** A packet and the bytes that it was read from. */
export interface ReadPacket {
  readonly view: DataView;
  readonly packet: Packet;
}

/** An IP packet that was taken in. */
export interface Arrived extends ReadPacket {
  readonly hook: Hook;
}

/** Where the IP header of a frame begins, or -1 when the frame holds none. */
export function ipHeaderAt(frame: Uint8Array): number {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  if (frame.length < ethernet.ETHERNET_HEADER) return -1;
  let at = ethernet.ETHERNET_HEADER;
  let type = ethernet.etherType(view, 0);
  if (type === ethernet.ETHERTYPE_VLAN && frame.length >= at + ethernet.VLAN_TAG) {
    type = view.getUint16(at + 2);
    at += ethernet.VLAN_TAG;
  }
  return type === ethernet.ETHERTYPE_IPV4 || type === ethernet.ETHERTYPE_IPV6 ? at : -1;
}

/** The packet of a frame, read; null when it holds no sound one. */
export function packetOf(frame: Uint8Array): ReadPacket | null {
  const at = ipHeaderAt(frame);
  return at < 0 ? null : readPacket(frame, at);
}

/** The packet whose IP header begins at `at`, read; null when it is not sound. */
export function readPacket(bytes: Uint8Array, at: number): ReadPacket | null {
  if (at === bytes.length) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const packet = new Packet();
  const dissect = view.getUint8(at) >>> 4 === 6 ? dissectIpv6 : dissectIpv4;
  return dissect(packet, view, at, bytes.length - at) ? { view, packet } : null;
}

/** Tells of the frame's arrival. Returns null when there is no packet to go on with. */
export function tellArrival(story: Story, parts: Parts, frame: Uint8Array, on: Interface): Arrived | null {
  tellLink(story, frame, on);
  const taken = packetOf(frame);
  if (taken === null) {
    if (ipHeaderAt(frame) >= 0) {
      story.tell('header', 'the version, a length or the checksum of the IP header is wrong: it is dropped');
    } else if (frame.length >= ethernet.ETHERNET_HEADER) {
      story.tell('header', 'no IP packet: it is for the director as a host on the wire, and IPVS never sees it');
    }
    return null;
  }
  const { view, packet } = taken;
  packet.interface = on.index;
  packet.toHost = isTo(view, on);
  return { view, packet, hook: tellHook(story, parts, packet) };
}

function isTo(view: DataView, on: Interface): boolean {
  return ethernet.dstHigh(view, 0) === on.macHigh && ethernet.dstLow(view, 0) === on.macLow;
}

function tellLink(story: Story, frame: Uint8Array, on: Interface): void {
  if (frame.length < ethernet.ETHERNET_HEADER) {
    story.tell('link', `${frame.length} bytes are too few for an Ethernet header`);
    return;
  }
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const what = `${frame.length} bytes on ${on.name}`;
  if (isTo(view, on)) story.tell('link', `${what}, to its own MAC address ${on.mac}`);
  else if ((ethernet.dstHigh(view, 0) & 0x0100) !== 0) story.tell('link', `${what}, to a group or everybody`);
  else story.tell('link', `${what}, to another host's MAC address, not ${on.mac}: it is not for the director`);
}

function tellHook(story: Story, parts: Parts, packet: Packet): Hook {
  const { host, pipeline, marks } = parts;
  const { family, address } = packet;
  const to = formatAddress(family, address, DST);
  const isSound = tellMark(story, parts, packet);
  if (!isSound) return 'none';
  if (host.isOwn(family, address, DST)) {
    const on = host.interfaces.find(({ addresses }) =>
      addresses.some((own) => own.family === family && formatAddress(family, own.words) === to),
    );
    const whose =
      on === undefined ? 'the address of a service, which the director answers for' : `an address of ${on.name}`;
    story.tell('hook', `LOCAL_IN: ${to} is ${whose}`);
    return 'LOCAL_IN';
  }
  const isGroup = family === 4 ? address[DST] >>> 28 === 0xe : isMulticast6(address, DST);
  if (isGroup || (family === 4 && host.isBroadcast4(address, DST))) {
    story.tell('hook', `none: ${to} is a group or everybody; IPVS balances what is for one host`);
    return 'none';
  }
  if (!packet.toHost) return 'none';
  if (marks.takes(packet)) {
    story.tell('hook', `LOCAL_IN: ${to} is another host's, but the packet's firewall mark takes it (local: true)`);
    return 'LOCAL_IN';
  }
  if (!pipeline.forwarding) {
    story.tell('hook', `none: ${to} is another host's, and the director does not route (forwarding is off)`);
    return 'none';
  }
  story.tell('hook', `FORWARD: ${to} is another host's, and the director routes (forwarding is on)`);
  return 'FORWARD';
}

/** Tells of the mark; returns whether the sender's address is one that can be. */
function tellMark(story: Story, { host, marks }: Parts, packet: Packet): boolean {
  const { family, address } = packet;
  if (host.isOwn(family, address, SRC)) {
    story.tell(
      'source',
      `${formatAddress(family, address, SRC)} is the director's own address: nobody else may send from it`,
    );
    if (family === 4) return false;
  }
  const mark = marks.of(packet);
  if (mark !== 0) story.tell('mark', `a rule gives it firewall mark ${mark >>> 0}`);
  return true;
}

/** Whether the packet is a fragment that waits for others. */
export function isFragment(packet: Packet): boolean {
  return (packet.fragment & (ipv4.MF | ipv4.OFFSET_MASK)) !== 0;
}
