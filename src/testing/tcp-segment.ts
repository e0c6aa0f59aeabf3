/** TCP segments (RFC 9293 section 3.1) as objects. */
import { PROTO_TCP } from '../packet/ipv4.ts';
import * as tcp from '../packet/tcp.ts';
import type { Endpoints } from './endpoints.ts';
import { Packet } from './packet.ts';

/** Option kinds: end of list, no operation, maximum segment size. */
const END = 0;
const NOP = 1;
const MSS = 2;
const MSS_LENGTH = 4;

export interface Segment {
  /** As on the wire: an unsigned 32-bit number. */
  readonly seq: number;
  /** As on the wire; means something only with the ACK flag. */
  readonly ack: number;
  readonly flags: number;
  readonly window: number;
  /** The MSS option, in bytes. */
  readonly mss?: number | undefined;
  readonly payload: Uint8Array;
}

/** How much sequence space a segment takes: its bytes, and one each for SYN and FIN. */
export function sequenceLength(segment: Segment): number {
  return segment.payload.length + (segment.flags & tcp.SYN ? 1 : 0) + (segment.flags & tcp.FIN ? 1 : 0);
}

/** Builds the packet that carries the segment from the local to the remote end. */
export function packSegment(ends: Endpoints, segment: Segment): Packet {
  const header = tcp.TCP_HEADER + (segment.mss === undefined ? 0 : MSS_LENGTH);
  const { localAddress, remoteAddress } = ends;
  const packet = Packet.create(PROTO_TCP, localAddress, remoteAddress, header + segment.payload.length);
  const { view, payloadAt: at } = packet;
  const { seq, ack, flags, window, mss, payload } = segment;
  tcp.writeTcpHeader(view, at, ends.localPort, ends.remotePort, seq, ack, header, flags, window);
  if (mss !== undefined) view.setUint32(at + tcp.TCP_HEADER, (MSS << 24) | (MSS_LENGTH << 16) | mss);
  packet.bytes.set(payload, at + header);
  packet.sealPayload();
  return packet;
}

/** Reads the segment in a packet whose TCP checksum is right; `undefined` if its header length lies. */
export function readSegment(packet: Packet): Segment | undefined {
  const { view, payloadAt: at, payloadLength } = packet;
  const header = tcp.headerLength(view, at);
  if (header < tcp.TCP_HEADER || header > payloadLength) return undefined;
  return {
    seq: tcp.sequence(view, at),
    ack: tcp.acknowledgement(view, at),
    flags: tcp.flags(view, at),
    window: tcp.window(view, at),
    mss: readMss(view, at + tcp.TCP_HEADER, at + header),
    payload: packet.bytes.subarray(at + header, at + payloadLength),
  };
}

function readMss(view: DataView, from: number, end: number): number | undefined {
  let at = from;
  while (at < end) {
    const kind = view.getUint8(at);
    if (kind === END) return undefined;
    if (kind === NOP) {
      at++;
      continue;
    }
    const length = at + 1 < end ? view.getUint8(at + 1) : 0;
    if (length < 2 || at + length > end) return undefined;
    if (kind === MSS && length === MSS_LENGTH) return view.getUint16(at + 2);
    at += length;
  }
  return undefined;
}
