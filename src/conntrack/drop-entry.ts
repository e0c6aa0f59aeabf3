/**
 * The defence `drop_entry`: under pressure every second a random part of the connections is looked at, and those that are
 * most likely worth nothing are dropped (kernel behaviour: ip_vs_random_dropentry, todrop_entry).
 */
import { PROTO_SCTP, PROTO_TCP } from '../packet/ipv4.ts';
import type { Destination } from '../services/destination.ts';
import { seconds } from '../ticks.ts';
import type { Connections } from './connections.ts';
import {
  CONTROL,
  EXPIRES,
  FLAGS,
  HASHED,
  IN_PKTS,
  META,
  N_CONTROL,
  TEMPLATE,
  TEMPLATE_ASSURED,
  TIMEOUT,
} from './layout.ts';
import { SCTP_ESTABLISHED, SCTP_INIT, SCTP_INIT1 } from './sctp-state.ts';
import { TCP_ESTABLISHED, TCP_SYN_RECV, TCP_SYNACK } from './tcp-state.ts';

/** Of every so many hash buckets one is looked at. */
const SHARE = 32;
/** Connections that got a packet this recently stay. */
const FRESH_TICKS = seconds(60);
/** Connections with more packets than this have shown that they are real. */
const MANY_PACKETS = 8;

/** Drops connections; keeps what it needs to drop only some of those that carried few packets. */
export class DropEntry {
  readonly #random: () => number;
  /** By number of packets n: how many such connections may still pass before one is dropped; one of n is. */
  readonly #passing = new Int32Array(MANY_PACKETS + 1);

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Looks at a 32nd of the table, chosen at random. `isOnePacket` tells the templates of one-packet services. */
  run(connections: Connections, tick: number, isOnePacket: (row: number) => boolean): void {
    const { table } = connections;
    for (let i = table.buckets / SHARE; i > 0; i--) {
      const bucket = Math.floor(this.#random() * table.buckets);
      for (const row of table.bucketRows(bucket)) {
        if (this.#shallGo(table.rows, row, tick, isOnePacket)) drop(connections, row);
      }
    }
  }

  #shallGo(rows: Int32Array, row: number, tick: number, isOnePacket: (row: number) => boolean): boolean {
    // It may have gone with the one before it.
    if ((rows[row + FLAGS] & HASHED) === 0 || rows[row + N_CONTROL] !== 0) return false;
    const meta = rows[row + META];
    const state = meta >>> 24;
    if ((rows[row + FLAGS] & TEMPLATE) !== 0) {
      return isOnePacket(row) ? this.#isIdle(rows, row, tick) : (state & TEMPLATE_ASSURED) === 0;
    }
    switch ((meta >>> 16) & 0xff) {
      case PROTO_TCP:
        if (state === TCP_SYN_RECV || state === TCP_SYNACK) return true;
        return state === TCP_ESTABLISHED && this.#isIdle(rows, row, tick);
      case PROTO_SCTP:
        if (state === SCTP_INIT1 || state === SCTP_INIT) return true;
        return state === SCTP_ESTABLISHED && this.#isIdle(rows, row, tick);
      default:
        return this.#isIdle(rows, row, tick);
    }
  }

  /** Whether the connection has been idle, carried few packets, and is the one of its kind whose turn it is. */
  #isIdle(rows: Int32Array, row: number, tick: number): boolean {
    const idle = (tick + rows[row + TIMEOUT] - rows[row + EXPIRES]) | 0;
    if (idle < FRESH_TICKS) return false;
    const packets = rows[row + IN_PKTS];
    if (packets > MANY_PACKETS || packets <= 0) return false;
    if (--this.#passing[packets] > 0) return false;
    this.#passing[packets] = packets;
    return true;
  }
}

/** Ends a connection, and what it hung on if nothing else does: a control connection, or a template that is not assured. */
export function drop(connections: Connections, row: number): void {
  const { rows } = connections.table;
  const controller = rows[row + CONTROL];
  connections.destroy(row);
  if (controller === 0 || (rows[controller + FLAGS] & HASHED) === 0 || rows[controller + N_CONTROL] !== 0) return;
  const assured = (rows[controller + META] >>> 24) & TEMPLATE_ASSURED;
  if ((rows[controller + FLAGS] & TEMPLATE) === 0 || assured === 0) drop(connections, controller);
}

/** Ends all connections of servers that were removed (`expire_nodest_conn`). */
export function dropUnavailable(connections: Connections): void {
  dropOf(connections, ({ available }) => !available);
}

/** Ends all connections and templates of some servers, and what they hang on if nothing else does. */
export function dropOf(connections: Connections, goes: (destination: Destination) => boolean): void {
  const { table } = connections;
  const { rows } = table;
  table.forEach((row) => {
    if (rows[row + N_CONTROL] !== 0) return;
    const destination = connections.destinationOf(row);
    if (destination === null || !goes(destination)) return;
    const controller = rows[row + CONTROL];
    connections.destroy(row);
    if (controller === 0 || (rows[controller + FLAGS] & HASHED) === 0) return;
    if (rows[controller + N_CONTROL] === 0) connections.destroy(controller);
  });
}
