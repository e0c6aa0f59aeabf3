/** The ICMP messages (RFC 792) that a host makes. */
import * as icmp from '../packet/icmp.ts';
import { IPV4_HEADER, PROTO_ICMP } from '../packet/ipv4.ts';
import { Packet } from './packet.ts';

/** An ICMP error is at most this long, its IP header included (RFC 1812 section 4.3.2.3). */
const MAX_ERROR = 576;

/** An echo message; `rest` is its identifier and sequence number. */
export function echo(type: number, source: number, destination: number, rest: number, data: Uint8Array): Packet {
  const packet = Packet.create(PROTO_ICMP, source, destination, icmp.ICMP_HEADER + data.length);
  icmp.writeIcmpHeader(packet.view, packet.payloadAt, type, 0, rest);
  packet.bytes.set(data, packet.payloadAt + icmp.ICMP_HEADER);
  packet.sealPayload();
  return packet;
}

/** The error message about `cause`, which it quotes as far as there is room. `rest` carries the next hop's MTU. */
export function errorAbout(cause: Packet, source: number, type: number, code: number, rest = 0): Packet {
  const quoted = Math.min(cause.length, MAX_ERROR - IPV4_HEADER - icmp.ICMP_HEADER);
  const packet = Packet.create(PROTO_ICMP, source, cause.source, icmp.ICMP_HEADER + quoted);
  icmp.writeIcmpHeader(packet.view, packet.payloadAt, type, code, rest);
  packet.bytes.set(cause.bytes.slice(cause.at, cause.at + quoted), packet.payloadAt + icmp.ICMP_HEADER);
  packet.sealPayload();
  return packet;
}

/** Whether the ICMP type reports an error; no error is ever sent about one (RFC 1122 section 3.2.2). */
export function isIcmpError(type: number): boolean {
  return type === icmp.ICMP_DEST_UNREACH || type === icmp.ICMP_TIME_EXCEEDED || type === icmp.ICMP_PARAMETER_PROBLEM;
}
