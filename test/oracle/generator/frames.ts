/** Frames as neighbours of the director send them. */

import { buildPacket } from '../../../src/packet/build.ts';
import type { IpFields, PacketFields } from '../../../src/packet/build-fields.ts';
import { printFrame } from '../../../src/packet/print.ts';
import type { FrameStep } from '../../conformance/scenario.ts';
import { DIRECTOR_MAC, GATEWAY_MAC } from '../lab-host.ts';
import type { Backend } from './model.ts';

export const ETHERNET_HEADER = 14;

/** An IP packet and the wire it arrives by. */
export interface Arrival {
  readonly device: string;
  readonly mac: string;
  readonly packet: Uint8Array;
}

export type IpExtras = Omit<IpFields, 'source' | 'destination'>;

type WithoutIp<T> = T extends unknown ? Omit<T, 'ip'> : never;

/** What follows the IP header. */
export type Transport = WithoutIp<PacketFields>;

/** A packet from beyond the gateway. */
export function fromGateway(packet: Uint8Array): Arrival {
  return { device: 'eth0', mac: GATEWAY_MAC, packet };
}

/** A packet from the server of a conversation. */
export function fromBackend({ device, mac }: Backend, packet: Uint8Array): Arrival {
  return { device, mac, packet };
}

export function packetOf(source: string, destination: string, transport: Transport, ip: IpExtras = {}): Uint8Array {
  return buildPacket({ ...transport, ip: { ...ip, source, destination } } as PacketFields);
}

/** The frame of a packet that arrives, addressed to the director. */
export function frameOf({ device, mac, packet }: Arrival): Uint8Array {
  const frame = new Uint8Array(ETHERNET_HEADER + packet.length);
  frame.set(macBytes(DIRECTOR_MAC[device]), 0);
  frame.set(macBytes(mac), 6);
  frame.set(packet[0] >>> 4 === 6 ? [0x86, 0xdd] : [0x08, 0x00], 12);
  frame.set(packet, ETHERNET_HEADER);
  return frame;
}

export function macBytes(mac: string): number[] {
  return mac.split(':').map((byte) => Number.parseInt(byte, 16));
}

export function macText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

export function frameStep(device: string, frame: Uint8Array): FrameStep {
  const note = printFrame(new DataView(frame.buffer, frame.byteOffset, frame.length), 0, frame.length);
  return { tx: { dev: device, frame: Buffer.from(frame).toString('hex'), note }, rx: [] };
}

export function arrivalStep(arrival: Arrival): FrameStep {
  return frameStep(arrival.device, frameOf(arrival));
}

/** Writes the header checksum of an IPv4 packet anew, if it still has a header. */
export function fixHeaderChecksum(bytes: Uint8Array, at: number): void {
  const length = (bytes[at] & 15) * 4;
  if (length < 20 || at + length > bytes.length) return;
  bytes[at + 10] = 0;
  bytes[at + 11] = 0;
  let sum = 0;
  for (let i = at; i < at + length; i += 2) sum += (bytes[i] << 8) | bytes[i + 1];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  bytes[at + 10] = (~sum >>> 8) & 0xff;
  bytes[at + 11] = ~sum & 0xff;
}
