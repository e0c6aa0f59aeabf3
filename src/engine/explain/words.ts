/** How addresses, connections and servers are written in explanations. */
import { type Family, formatAddress, formatMac, type Words } from '../../address.ts';
import { FORWARD_NAMES } from '../../conntrack/forward-method.ts';
import { DELAY, type Neighbour, PERMANENT, PROBE, REACHABLE, STALE } from '../../host/neighbours.ts';
import type { ConnectionEntry } from '../../services/config.ts';
import type { Service } from '../../services/service.ts';

const PROTOCOLS: Record<number, string> = { 0: 'IP', 1: 'ICMP', 6: 'TCP', 17: 'UDP', 58: 'ICMPv6', 132: 'SCTP' };

export function protocolText(protocol: number): string {
  return PROTOCOLS[protocol] ?? `protocol ${protocol}`;
}

/** `10.0.0.100:80`, `[2001:db8::64]:80`. */
export function endText(family: Family, address: string, port: number): string {
  return family === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}

/** An address and port of a packet or row. */
export function endOf(family: Family, words: Words, at: number, port: number): string {
  return endText(family, formatAddress(family, words, at), port);
}

export function serviceText({ family, protocol, address, port, fwmark }: Service): string {
  if (fwmark !== 0) return `firewall mark ${fwmark >>> 0}`;
  return `${protocolText(protocol)} ${endText(family, address, port)}`;
}

/** Who talks to whom through which server. */
export function connectionText(entry: ConnectionEntry): string {
  const { family, protocol, clientAddress, clientPort, virtualAddress, virtualPort } = entry;
  const { destinationFamily, destinationAddress, destinationPort, flags } = entry;
  const client = endText(family, clientAddress, clientPort);
  const virtual = endText(family, virtualAddress, virtualPort);
  const server = endText(destinationFamily, destinationAddress, destinationPort);
  return `${protocolText(protocol)} ${client} > ${virtual}, server ${server} by ${FORWARD_NAMES[flags & 7] ?? 'no method'}`;
}

const NEIGHBOUR_STATES: Record<number, string> = {
  [REACHABLE]: 'REACHABLE',
  [STALE]: 'STALE: it is used, and asked soon whether it is still there',
  [DELAY]: 'DELAY: it is used, and asked soon whether it is still there',
  [PROBE]: 'PROBE: it is used while it is asked whether it is still there',
  [PERMANENT]: 'PERMANENT: it was given',
};

/** What is known of the neighbour that a packet is handed to. */
export function neighbourText(address: string, neighbour: Neighbour | null): string {
  if (neighbour === null || !neighbour.hasMac) return `${address} is asked for its MAC address`;
  return `${address} is at ${formatMac(neighbour.macHigh, neighbour.macLow)} (${NEIGHBOUR_STATES[neighbour.state]})`;
}
