/**
 * Connections as blocks of a handover, a slice of the table at a time. Each block is complete in itself: the rows as they
 * are in memory, with the time that they have left in place of when they expire, and a description of what they refer to.
 *
 *     length of the description (u32)   JSON, filled up to a multiple of 4 with blanks   rows
 */
import type { Connections } from '../../conntrack/connections.ts';
import {
  DEST,
  ENGINE,
  EXPIRES,
  FLAGS,
  META,
  NEXT,
  NO_DESTINATION,
  PORTS,
  TEMPLATE,
  TIMER_NEXT,
  TIMER_PREV,
} from '../../conntrack/layout.ts';
import type { Destination } from '../../services/destination.ts';
import type { Parts } from '../parts.ts';
import { damaged } from './blocks.ts';

/** Rows that are looked at for one block: a millisecond's work or two. */
const SLICE_ROWS = 4096;
/** Where rows are put together, by their length: new memory for each block would have to be collected. */
const scratch = new Map<number, Int32Array>();

/** Where the next block begins. */
export interface RowsCursor {
  /** Which of the threads' tables. */
  readonly thread: number;
  readonly family: 4 | 6;
  /** The first row; 0 for the beginning. */
  readonly row: number;
}

/** The beginning of a director's tables. */
export const FIRST_ROWS: RowsCursor = { thread: 0, family: 4, row: 0 };

/** What a block's rows refer to. */
export interface RowsDescription {
  readonly thread: number;
  readonly family: 4 | 6;
  /** The keys of the destinations that the rows name by their place here. */
  readonly destinations: readonly string[];
  /** Of templates of persistence engines: the row's place in the block, the engine's name, and what it found. */
  readonly identities: readonly (readonly [number, string, string])[];
  /** Of connections that a helper looks into: the row's place, what it waits for, and both shifts of sequence numbers. */
  readonly applications: readonly (readonly number[])[];
}

/** A server as it is known across directors. */
export function destinationKey({ service, address, port }: Destination): string {
  const { family, protocol, address: virtual, port: virtualPort, fwmark } = service;
  return [family, protocol, virtual, virtualPort, fwmark >>> 0, address, port].join(' ');
}

/** @returns a block's payload, and where the next one begins; null at the end. */
export function exportRows(
  parts: Parts,
  { thread, family, row: from }: RowsCursor,
): { payload: Uint8Array; next: RowsCursor | null } {
  const connections = family === 4 ? parts.connections4 : parts.connections6;
  const { table } = connections;
  const { rows, stride } = table;
  const tick = parts.time.tick();
  const records = scratch.get(stride) ?? new Int32Array(SLICE_ROWS * stride);
  scratch.set(stride, records);
  const places = new Map<Destination, number>();
  const identities: [number, string, string][] = [];
  const applications: number[][] = [];
  let count = 0;
  const next = table.visit(from, SLICE_ROWS, (row) => {
    const left = (rows[row + EXPIRES] - tick) | 0;
    const destination = connections.destinationOf(row);
    if (left <= 0 || destination?.available === false || isInvalid(rows, row)) return;
    const at = count * stride;
    for (let i = 0; i < stride; i++) records[at + i] = rows[row + i];
    records[at + NEXT] = row;
    records[at + TIMER_NEXT] = 0;
    records[at + TIMER_PREV] = 0;
    records[at + EXPIRES] = left;
    records[at + DEST] = destination === null ? NO_DESTINATION : placeOf(places, destination);
    const identity = connections.engines.of(row);
    if (identity !== undefined) identities.push([count, identity.engine, identity.data]);
    const application = connections.applicationOf(row);
    if (application !== undefined) {
      const { mode, fromClient, fromServer } = application;
      const shifts = [fromClient, fromServer].flatMap((one) => [one.changedAt, one.delta, one.previousDelta]);
      applications.push([count, mode, ...shifts]);
    }
    count++;
  });
  const destinations = Array.from(places.keys(), destinationKey);
  const payload = pack({ thread, family, destinations, identities, applications }, records.subarray(0, count * stride));
  if (next !== 0) return { payload, next: { thread, family, row: next } };
  return { payload, next: family === 4 ? { thread, family: 6, row: 0 } : null };
}

/** A template that its server's end has put out of reach. */
function isInvalid(rows: Int32Array, row: number): boolean {
  return (rows[row + FLAGS] & TEMPLATE) !== 0 && (rows[row + PORTS] & rows[row + META] & 0xffff) === 0xffff;
}

function placeOf(places: Map<Destination, number>, destination: Destination): number {
  const known = places.get(destination);
  if (known !== undefined) return known;
  places.set(destination, places.size);
  return places.size - 1;
}

function pack(description: RowsDescription, records: Int32Array): Uint8Array {
  const text = Buffer.from(JSON.stringify(description));
  const length = Math.ceil(text.length / 4) * 4;
  const payload = new Uint8Array(4 + length + records.byteLength);
  payload.set(new Uint8Array(Uint32Array.of(length).buffer));
  payload.fill(0x20, 4, 4 + length);
  payload.set(text, 4);
  payload.set(new Uint8Array(records.buffer, records.byteOffset, records.byteLength), 4 + length);
  return payload;
}

/** Takes a block's payload apart. @throws DirectorError ERR_HANDOVER */
export function unpackRows(
  payload: Uint8Array,
  tables: (family: 4 | 6) => Connections,
): { description: RowsDescription; records: Int32Array; connections: Connections } {
  if (payload.length < 4) throw damaged('a block of connections is too short');
  const [length] = new Uint32Array(new Uint8Array(payload.subarray(0, 4)).buffer);
  if (length % 4 !== 0 || 4 + length > payload.length) throw damaged('a description is too long');
  const description = readDescription(payload.subarray(4, 4 + length));
  const connections = tables(description.family);
  const bytes = new Uint8Array(payload.subarray(4 + length));
  if (bytes.length % (4 * connections.table.stride) !== 0) throw damaged('a connection is cut off');
  return { description, records: new Int32Array(bytes.buffer), connections };
}

function readDescription(bytes: Uint8Array): RowsDescription {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    throw damaged('a description is not JSON');
  }
  const { thread, family, destinations, identities, applications } = (value ?? {}) as Partial<RowsDescription>;
  const isInteger = (one: unknown): one is number => Number.isInteger(one);
  const isRight =
    isInteger(thread) &&
    (family === 4 || family === 6) &&
    Array.isArray(destinations) &&
    destinations.every((one) => typeof one === 'string') &&
    Array.isArray(identities) &&
    identities.every(
      (one) => Array.isArray(one) && isInteger(one[0]) && typeof one[1] === 'string' && isIdentity(one[2]),
    ) &&
    Array.isArray(applications) &&
    applications.every((one) => Array.isArray(one) && one.length === 8 && one.every(isInteger));
  if (!isRight) throw damaged('a description cannot be read');
  return { thread, family, destinations, identities, applications };
}

function isIdentity(data: unknown): boolean {
  return typeof data === 'string' && data.length > 0 && data.length <= 255 && !/[^\0-\xff]/.test(data);
}

/** Whether the flags are those of a template of a persistence engine. */
export function hasIdentity(flags: number): boolean {
  return (flags & (TEMPLATE | ENGINE)) === (TEMPLATE | ENGINE);
}
