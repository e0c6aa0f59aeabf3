/** What tells one flow of packets from another, and how a packet is moved from one flow to another. */
import { update16, update32 } from '../packet/checksum.ts';
import * as icmp from '../packet/icmp.ts';
import * as ipv4 from '../packet/ipv4.ts';
import { PROTO_ICMP, PROTO_TCP, PROTO_UDP } from '../packet/ipv4.ts';
import { UDP_CHECKSUM } from '../packet/udp.ts';
import { checksumField } from './packet.ts';

/** One direction of a flow. For ICMP echo both ports are the identifier, for what has no ports they are 0. */
export interface Flow {
  readonly protocol: number;
  readonly source: number;
  readonly sourcePort: number;
  readonly destination: number;
  readonly destinationPort: number;
}

/** The bytes that hold a flow's ports, of every payload that has them. */
const PORTS_LENGTH = 8;

/** The flow of the IPv4 packet at `at`; its payload lies before `end`. `undefined` for fragments and ICMP errors. */
export function flowOf(view: DataView, at: number, end: number): Flow | undefined {
  if ((ipv4.fragment(view, at) & (ipv4.MF | ipv4.OFFSET_MASK)) !== 0) return undefined;
  const protocol = ipv4.protocol(view, at);
  const payload = at + ipv4.headerLength(view, at);
  let sourcePort = 0;
  let destinationPort = 0;
  if (protocol === PROTO_TCP || protocol === PROTO_UDP || protocol === PROTO_ICMP) {
    if (payload + PORTS_LENGTH > end) return undefined;
    if (protocol === PROTO_ICMP) {
      const type = icmp.icmpType(view, payload);
      if (type !== icmp.ICMP_ECHO && type !== icmp.ICMP_ECHO_REPLY) return undefined;
      sourcePort = destinationPort = icmp.icmpRest(view, payload) >>> 16;
    } else {
      sourcePort = view.getUint16(payload);
      destinationPort = view.getUint16(payload + 2);
    }
  }
  const source = ipv4.source(view, at);
  return { protocol, source, sourcePort, destination: ipv4.destination(view, at), destinationPort };
}

/** The same flow as its answers see it. */
export function reversed(flow: Flow): Flow {
  return {
    protocol: flow.protocol,
    source: flow.destination,
    sourcePort: flow.destinationPort,
    destination: flow.source,
    destinationPort: flow.sourcePort,
  };
}

/** A key for maps. */
export function flowKey({ protocol, source, sourcePort, destination, destinationPort }: Flow): string {
  return `${protocol} ${source}:${sourcePort} ${destination}:${destinationPort}`;
}

/** Makes the packet at `at` one of the flow `to`, from `from`, and mends its checksums (RFC 1624). */
export function moveToFlow(view: DataView, at: number, end: number, from: Flow, to: Flow): void {
  ipv4.setSource(view, at, to.source);
  ipv4.setDestination(view, at, to.destination);
  const header = update32(ipv4.headerChecksum(view, at), from.source, to.source);
  ipv4.setHeaderChecksum(view, at, update32(header, from.destination, to.destination));

  const field = checksumField(from.protocol);
  if (field < 0) return;
  const payload = at + ipv4.headerLength(view, at);
  let check = payload + field + 2 <= end ? view.getUint16(payload + field) : 0;
  const none = from.protocol === PROTO_UDP && check === 0;
  if (from.protocol === PROTO_ICMP) {
    view.setUint16(payload + 4, to.sourcePort);
    check = update16(check, from.sourcePort, to.sourcePort);
  } else {
    view.setUint16(payload, to.sourcePort);
    view.setUint16(payload + 2, to.destinationPort);
    check = update32(update32(check, from.source, to.source), from.destination, to.destination);
    check = update16(update16(check, from.sourcePort, to.sourcePort), from.destinationPort, to.destinationPort);
    if (field === UDP_CHECKSUM && check === 0) check = 0xffff;
  }
  if (!none && payload + field + 2 <= end) view.setUint16(payload + field, check);
}
