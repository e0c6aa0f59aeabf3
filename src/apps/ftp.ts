/**
 * FTP under NAT (kernel behaviour: ip_vs_ftp.c). On its control connection a client or server names the address and port
 * of a data connection to come. The helper makes that connection beforehand, so that it goes to the same server, and puts
 * the virtual address in the place of the server's, which the client could not reach.
 *
 * It looks only into connections with the flag HELPED: of NAT, to virtual port 21.
 */
import { sameAddress } from '../address.ts';
import type { ApplicationState } from '../conntrack/application.ts';
import type { Connections } from '../conntrack/connections.ts';
import { CADDR, FLAGS, META, NO_CPORT, OUT_SEQ, PORTS, SEQ_MASK, TRACKED } from '../conntrack/layout.ts';
import { TCP_ESTABLISHED } from '../conntrack/tcp-state.ts';
import type { Datapath } from '../datapath.ts';
import { fold, pseudoSum4, pseudoSum6, sumBytes } from '../packet/checksum.ts';
import type { Packet } from '../packet/dissect.ts';
import * as ipv4 from '../packet/ipv4.ts';
import * as ipv6 from '../packet/ipv6.ts';
import * as tcp from '../packet/tcp.ts';
import { V } from '../verdicts.ts';
import {
  FtpEndpoint,
  findPassiveRequest,
  NO_REQUEST,
  OTHER_PASSIVE,
  PASSIVE,
  readActiveRequest,
  readExtendedReply,
  readPassiveReply,
  writeExtended,
  writeNumbers,
} from './ftp-text.ts';
import { noteChange, shiftSequences } from './sequence.ts';

/** The packet may go on as it is. */
export const KEPT = -1;
/** The packet may go on; it has another length, and its transport checksum is to be computed anew. */
export const CHANGED = -2;

const MAX_PACKET = 65535;

const endpoint = new FtpEndpoint();
/** A connection's key: the client's address at 0, the virtual one at 4, the server's at 8. */
const key = new Int32Array(12);
const VIRTUAL = 4;
const SERVER = 8;
const text = new Uint8Array(24);

/**
 * Looks into a request of a control connection, before it is rewritten.
 * @returns {@link KEPT}, or the verdict that the packet is lost.
 */
export function helpRequest(dp: Datapath, connections: Connections, row: number): number {
  const { view, packet } = dp;
  const { rows } = connections.table;
  if (!packet.hasTransport) return V.SHORT_TRANSPORT;
  if (!hasRightChecksum(dp)) return V.BAD_CHECKSUM;
  if (rows[row + META] >>> 24 === TCP_ESTABLISHED) {
    const at = dataOf(view, packet);
    if (at !== 0 && !readRequest(dp, connections, row, at)) return V.TABLE_FULL;
  }
  return shift(dp, connections, row, false, true) ? KEPT : V.BAD_OPTIONS;
}

/**
 * Looks into a reply of a control connection, before it is rewritten.
 * @returns {@link KEPT}, {@link CHANGED}, or the verdict that the packet is lost.
 */
export function helpReply(dp: Datapath, connections: Connections, row: number): number {
  const { view, packet } = dp;
  const { rows } = connections.table;
  if (!packet.hasTransport) return V.SHORT_TRANSPORT;
  if (!hasRightChecksum(dp)) return V.BAD_CHECKSUM;
  let result = KEPT;
  const state = connections.applicationOf(row);
  if (state !== undefined && state.mode !== NO_REQUEST && rows[row + META] >>> 24 === TCP_ESTABLISHED) {
    const at = dataOf(view, packet);
    if (at !== 0) result = readReply(dp, connections, row, state, at);
    if (result >= 0) return result;
  }
  return shift(dp, connections, row, true, result === KEPT) ? result : V.BAD_OPTIONS;
}

/** Leaves the transport checksum of a changed reply, with its final addresses, to be computed when it is sent. */
export function leaveChecksum(dp: Datapath): void {
  const { view, packet, wire } = dp;
  const transport = packet.ip + packet.headerLength;
  const pseudo = packet.family === 4 ? pseudoSum4 : pseudoSum6;
  const sum = fold(pseudo(view, packet.ip, ipv4.PROTO_TCP, packet.length - packet.headerLength));
  tcp.setTcpChecksum(view, transport, sum);
  if (wire.unfinished.start === 0) wire.leavePartial(transport, transport + tcp.TCP_CHECKSUM);
}

/** One that is only begun comes from this machine, or has been looked at by its network card. */
function hasRightChecksum({ view, packet, wire }: Datapath): boolean {
  if (wire.unfinished.start !== 0) return true;
  const { ip, headerLength, length, family } = packet;
  const transportLength = length - headerLength;
  const pseudo = family === 4 ? pseudoSum4 : pseudoSum6;
  const sum = sumBytes(view, ip + headerLength, transportLength, pseudo(view, ip, ipv4.PROTO_TCP, transportLength));
  return fold(sum) === 0xffff;
}

/** Where the segment's data begins; 0 when it has none. */
function dataOf(view: DataView, packet: Packet): number {
  const transport = packet.ip + packet.headerLength;
  const headerLength = tcp.headerLength(view, transport);
  const at = transport + headerLength;
  return headerLength >= tcp.TCP_HEADER && at < packet.ip + packet.length ? at : 0;
}

function shift(dp: Datapath, connections: Connections, row: number, fromServer: boolean, mends: boolean): boolean {
  if ((connections.table.rows[row + FLAGS] & SEQ_MASK) === 0) return true;
  const state = connections.applicationOf(row);
  const isPartial = dp.wire.unfinished.start !== 0;
  return state === undefined || shiftSequences(dp.view, dp.packet, state, fromServer, mends && !isPartial);
}

/** @returns false when the data connection that is asked for cannot be made. */
function readRequest(dp: Datapath, connections: Connections, row: number, at: number): boolean {
  const { view, packet } = dp;
  const { family } = packet;
  const end = packet.ip + packet.length;
  const passive = findPassiveRequest(view, at, end, family);
  if (passive === OTHER_PASSIVE) return true;
  if (passive !== NO_REQUEST) {
    connections.makeApplication(row).mode = passive;
    return true;
  }
  if (!readActiveRequest(view, at, end, family, endpoint)) return true;
  const state = connections.applicationOf(row);
  if (state !== undefined) state.mode = NO_REQUEST;
  return expectFromServer(dp, connections, row);
}

/** Active FTP: the server will connect to the client from the port below its control port. */
function expectFromServer(dp: Datapath, connections: Connections, row: number): boolean {
  const { table } = connections;
  const { rows, width, vaddr } = table;
  const virtualPort = (rows[row + PORTS] - 1) & 0xffff;
  const serverPort = (rows[row + META] - 1) & 0xffff;
  for (let i = 0; i < width; i++) {
    key[i] = endpoint.words[i];
    key[VIRTUAL + i] = rows[row + vaddr + i];
    key[SERVER + i] = rows[row + table.daddr + i];
  }
  let data = table.lookupIn(ipv4.PROTO_TCP, key, 0, endpoint.port, VIRTUAL, virtualPort);
  if (data === 0) {
    data = create(dp, connections, row, endpoint.port, virtualPort, serverPort, 0);
    if (data === 0) return false;
  }
  connections.listen(data, dp.tick);
  return true;
}

/** @returns {@link KEPT}, {@link CHANGED}, or the verdict that the packet is lost. */
function readReply(dp: Datapath, connections: Connections, row: number, state: ApplicationState, at: number): number {
  const { view, packet } = dp;
  const { rows, width, daddr } = connections.table;
  const end = packet.ip + packet.length;
  if (state.mode === PASSIVE) {
    if (!readPassiveReply(view, at, end, endpoint)) return KEPT;
  } else {
    for (let i = 0; i < width; i++) endpoint.words[i] = rows[row + daddr + i];
    if (!readExtendedReply(view, at, end, packet.family, endpoint)) return KEPT;
  }
  const data = expectFromClient(dp, connections, row);
  if (data === 0) return V.TABLE_FULL;
  const virtualPort = rows[data + PORTS] & 0xffff;
  const length =
    state.mode === PASSIVE
      ? writeNumbers(text, rows[data + connections.table.vaddr], virtualPort)
      : writeExtended(text, virtualPort);
  state.mode = NO_REQUEST;
  connections.listen(data, dp.tick);
  const difference = length - (endpoint.end - endpoint.start);
  if (!replaceText(dp, length, difference)) return V.TOO_BIG;
  if (difference !== 0) {
    noteChange(state.fromServer, tcp.sequence(view, packet.ip + packet.headerLength), difference);
    rows[row + FLAGS] |= OUT_SEQ;
  }
  return CHANGED;
}

/** Passive FTP: the client will connect to the server, from a port that is not known yet. Returns the row, or 0. */
function expectFromClient(dp: Datapath, connections: Connections, row: number): number {
  const { table } = connections;
  const { rows, width, vaddr } = table;
  const { port } = endpoint;
  for (let i = 0; i < width; i++) {
    key[i] = rows[row + CADDR + i];
    key[VIRTUAL + i] = rows[row + vaddr + i];
    key[SERVER + i] = endpoint.words[i];
  }
  const data = table.lookupOut(ipv4.PROTO_TCP, key, 0, 0, SERVER, port);
  if (data !== 0) return data;
  return create(dp, connections, row, 0, port, port, NO_CPORT);
}

/** Makes a data connection between the ends in `key`, which hangs on the control connection at `row`. */
function create(
  dp: Datapath,
  connections: Connections,
  row: number,
  clientPort: number,
  virtualPort: number,
  serverPort: number,
  flags: number,
): number {
  const destination = connections.destinationOf(row);
  const data = connections.create(
    ipv4.PROTO_TCP,
    key,
    0,
    clientPort,
    key,
    VIRTUAL,
    virtualPort,
    destination,
    serverPort,
    flags | TRACKED,
    dp.marks.of(dp.packet),
    dp.tick,
  );
  if (data === 0) return 0;
  connections.control(data, row);
  const isElsewhere = destination === null || !sameAddress(connections.table.width, destination.words, 0, key, SERVER);
  if (isElsewhere) connections.moveServer(data, key, SERVER);
  return data;
}

/**
 * Puts `length` bytes of `text` in the place of what was read; the packet grows by `difference` bytes.
 * @returns false when it would be larger than a packet or its slot can be.
 */
function replaceText(dp: Datapath, length: number, difference: number): boolean {
  const { view, packet, wire } = dp;
  const { memory } = wire.pool;
  const { ip } = packet;
  const end = ip + packet.length;
  const total = packet.length + difference;
  if (total > MAX_PACKET || ip + total > wire.pool.slotEnd(ip)) return false;
  memory.copyWithin(endpoint.start + length, endpoint.end, end);
  for (let i = 0; i < length; i++) memory[endpoint.start + i] = text[i];
  packet.length = total;
  if (packet.family === 4) ipv4.setTotalLength(view, ip, total);
  else ipv6.setPayloadLength(view, ip, total - ipv6.IPV6_HEADER);
  return true;
}
