/** Steps of scenarios about the sync daemons, on the host of the oracle's lab. */

import { tryParseAddress } from '../../src/address.ts';
import { buildFrame } from '../../src/packet/build.ts';
import { SyncConnection } from '../../src/sync/connection.ts';
import { SyncMessage, type SyncVersion } from '../../src/sync/message.ts';
import type { Step } from '../conformance/scenario.ts';
import { DIP, DIRECTOR_MAC, GATEWAY_MAC, server4, serverMac } from '../oracle/lab-host.ts';

export const VIP = '10.0.0.100';
export const VIP6 = '2001:db8::100';
/** Another director on eth0, and its MAC address. */
export const PEER = '10.0.0.2';
export const PEER_MAC = '02:00:00:00:00:22';
export const GROUP = '224.0.0.81';
export const GROUP_MAC = '01:00:5e:00:00:51';
export const SYNC_PORT = 8848;
const ETHERNET = { source: GATEWAY_MAC, destination: DIRECTOR_MAC.eth0! };

export function arrives(frame: Uint8Array, dev = 'eth0'): Step {
  return { tx: { dev, frame: Buffer.from(frame).toString('hex'), note: '' }, rx: [] };
}

export function command(text: string): Step {
  return { exec: `ipvsadm ${text}`, status: 0, out: '' };
}

export function tunable(name: string, value: string): Step {
  return { sysctl: `net.ipv4.vs.${name}`, value };
}

export function pause(seconds: number): Step {
  return { sleep: seconds };
}

/** A TCP segment of client number `client` to the virtual address. */
export function segment(
  client: number,
  port: number,
  flags: string,
  vip: string = VIP,
  vport: number = 80,
): Uint8Array {
  const source = vip.includes(':') ? `2001:db8:1::${client}` : `192.0.2.${client}`;
  return buildFrame({
    ethernet: ETHERNET,
    ip: { source, destination: vip },
    tcp: { sourcePort: port, destinationPort: vport, flags },
  });
}

/** A UDP datagram of client number `client` to the virtual address. */
export function datagram(client: number, port: number, vport: number, data: string = 'hello'): Uint8Array {
  return buildFrame({
    ethernet: ETHERNET,
    ip: { source: `192.0.2.${client}`, destination: VIP },
    udp: { sourcePort: port, destinationPort: vport, data: Buffer.from(data) },
  });
}

/** A SIP request with this Call-ID. */
export function sipRequest(client: number, callId: string): Uint8Array {
  return datagram(client, 5060, 5060, `REGISTER sip:a SIP/2.0\r\nVia: x\r\nCall-ID: ${callId}\r\n\r\n`);
}

/** A TCP segment of server number `server` to a client. */
export function reply(server: number, port: number, client: number, clientPort: number, flags: string): Uint8Array {
  return buildFrame({
    ethernet: { source: serverMac(server), destination: DIRECTOR_MAC.eth0! },
    ip: { source: server4(server), destination: `192.0.2.${client}` },
    tcp: { sourcePort: port, destinationPort: clientPort, flags },
  });
}

/** The frames of a client that connects and speaks three times. */
export function conversation(client: number, port: number, vip: string = VIP): Step[] {
  return ['S', 'A', 'A', 'PA', 'A'].map((flags) => arrives(segment(client, port, flags, vip)));
}

/** Time for a master's sender to send everything, and a frame to see what it sent by. */
export function flush(): Step[] {
  const echo = buildFrame({
    ethernet: ETHERNET,
    ip: { source: '192.0.2.9', destination: DIP },
    icmp: { type: 8, rest: 1 },
  });
  return [pause(3.3), arrives(echo)];
}

/** What a test says of a connection; the rest is 0. */
export interface ConnectionFields {
  readonly protocol?: number;
  readonly flags?: number;
  readonly state?: number;
  readonly client: string;
  readonly clientPort: number;
  readonly virtual?: string;
  readonly virtualPort?: number;
  readonly server: string;
  readonly serverPort: number;
  readonly mark?: number;
  readonly timeout?: number;
  readonly sequences?: readonly number[];
  readonly engine?: string;
  readonly engineData?: string;
}

export function connectionOf(fields: ConnectionFields): SyncConnection {
  const connection = new SyncConnection();
  const addresses = [fields.client, fields.virtual ?? VIP, fields.server].map((text) => tryParseAddress(text)!);
  connection.family = addresses[0]!.family;
  for (const [i, { words }] of addresses.entries()) connection.address.set(words, 4 * i);
  connection.protocol = fields.protocol ?? 6;
  connection.flags = fields.flags ?? 0;
  connection.state = fields.state ?? 1;
  connection.clientPort = fields.clientPort;
  connection.virtualPort = fields.virtualPort ?? 80;
  connection.serverPort = fields.serverPort;
  connection.mark = fields.mark ?? 0;
  connection.timeout = fields.timeout ?? 900;
  connection.hasSequences = fields.sequences !== undefined;
  connection.sequences.set(fields.sequences ?? []);
  connection.engine = fields.engine ?? '';
  connection.engineData = fields.engineData ?? '';
  return connection;
}

/** A message with these connections. */
export function message(connections: readonly ConnectionFields[], version: SyncVersion = 1, syncId = 0): Uint8Array {
  const built = new SyncMessage(1472);
  built.begin(version, syncId, 1472, 0);
  for (const fields of connections) built.add(connectionOf(fields));
  return built.bytes.slice(0, built.length);
}

/** A datagram from the other director to the group. */
export function syncFrame(data: Uint8Array, port: number = SYNC_PORT): Uint8Array {
  return buildFrame({
    ethernet: { source: PEER_MAC, destination: GROUP_MAC },
    ip: { source: PEER, destination: GROUP, ttl: 1 },
    udp: { sourcePort: 40000, destinationPort: port, data },
  });
}

/** The other director tells; Linux takes a moment to read it. */
export function told(data: Uint8Array, port: number = SYNC_PORT): Step[] {
  return [arrives(syncFrame(data, port)), pause(0.2)];
}
