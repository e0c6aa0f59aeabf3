/** Cuts packets into fragments, and lets them arrive in strange ways. */
import { buildPacket } from '../../../src/packet/build.ts';
import type { Random } from '../random.ts';
import { type Arrival, fixHeaderChecksum } from './frames.ts';
import type { Flow, Model } from './model.ts';

const IPV4_HEADER = 20;
const MORE_FRAGMENTS = 0x2000;
/** What a fragment carries at most. */
const MOST = 1400;
const UDP = 17;

/** The fragments of a datagram of a conversation. */
export function fragmented(model: Model, flow: Flow, whole: Arrival): Arrival[] {
  const { random } = model;
  const { packet } = whole;
  const header = flow.family === 6 ? 40 : (packet[0] & 15) * 4;
  const isShort = packet.length - header < 24;
  if (isShort) return [whole];
  const pieces = cut(random, packet.length - header).map(([from, to]) => ({
    ...whole,
    packet: flow.family === 6 ? piece6(packet, from, to) : piece4(packet, header, from, to),
  }));
  return disturb(random, pieces);
}

/** Places to cut `length` bytes at, multiples of 8. */
function cut(random: Random, length: number): [from: number, to: number][] {
  const parts = random.int(2, 4);
  const cuts = new Set<number>();
  for (let i = 1; i < parts; i++) cuts.add(random.int(1, Math.floor((length - 1) / 8)) * 8);
  for (let at = MOST; at < length; at += MOST) cuts.add(at);
  const bounds = [0, ...[...cuts].sort((a, b) => a - b), length];
  return bounds.slice(1).map((to, i) => [bounds[i], to]);
}

function piece4(packet: Uint8Array, header: number, from: number, to: number): Uint8Array {
  const bytes = new Uint8Array(header + to - from);
  bytes.set(packet.subarray(0, header));
  bytes.set(packet.subarray(header + from, header + to), header);
  const view = new DataView(bytes.buffer);
  view.setUint16(2, bytes.length);
  view.setUint16(6, (from >>> 3) | (header + to < packet.length ? MORE_FRAGMENTS : 0));
  fixHeaderChecksum(bytes, 0);
  return bytes;
}

function piece6(packet: Uint8Array, from: number, to: number): Uint8Array {
  const bytes = new Uint8Array(48 + to - from);
  bytes.set(packet.subarray(0, 40));
  bytes.set([packet[6], 0], 40);
  bytes.set(packet.subarray(40 + from, 40 + to), 48);
  const view = new DataView(bytes.buffer);
  bytes[6] = 44;
  view.setUint16(4, bytes.length - 40);
  view.setUint16(42, from | (40 + to < packet.length ? 1 : 0));
  view.setUint32(44, (packet[packet.length - 1] << 8) | 7);
  return bytes;
}

function disturb(random: Random, pieces: Arrival[]): Arrival[] {
  switch (
    random.weighted<string>([
      [5, 'in order'],
      [3, 'reversed'],
      [1, 'repeated'],
      [1, 'lost'],
      [1, 'overlapping'],
    ])
  ) {
    case 'reversed':
      return pieces.reverse();
    case 'repeated':
      return pieces.flatMap((piece) => (random.chance(0.5) ? [piece, piece] : [piece]));
    case 'lost':
      return pieces.filter(() => random.chance(0.7));
    case 'overlapping':
      return pieces.map((piece) => (random.chance(0.5) ? shifted(piece) : piece));
    default:
      return pieces;
  }
}

/** The same fragment, 8 bytes earlier. */
function shifted(piece: Arrival): Arrival {
  const packet = piece.packet.slice();
  const view = new DataView(packet.buffer);
  if (packet[0] >>> 4 === 6) {
    const field = view.getUint16(42);
    if (field >= 8) view.setUint16(42, field - 8);
  } else {
    const field = view.getUint16(6);
    if ((field & 0x1fff) > 0) view.setUint16(6, field - 1);
    fixHeaderChecksum(packet, 0);
  }
  return { ...piece, packet };
}

/** A datagram that is worth cutting. */
export function longDatagram(random: Random, flow: Flow): Uint8Array {
  return buildPacket({
    ip: {
      source: flow.client,
      destination: flow.address,
      ...(flow.family === 4 ? { id: random.int(1, 65535), protocol: UDP } : {}),
    },
    udp: {
      sourcePort: flow.clientPort,
      destinationPort: flow.port,
      data: random.bytes(random.int(40, random.pick([100, 1400, 2900]) - IPV4_HEADER)),
    },
  });
}
