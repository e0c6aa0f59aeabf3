/**
 * The datagrams of the sync daemons (kernel behaviour: net/netfilter/ipvs/ip_vs_sync.c), protocol versions 1 and 0. All
 * numbers are in network order but the sequence numbers of version 0, which travel in the sender's own: that of the
 * little-endian machines that send them.
 *
 *     version 1 header                     connection (IPv6: addresses of 16 bytes)      option
 *      0 u8   0                             0 u8   type: bit 0 is IPv6                    0 u8 type
 *      1 u8   sync id                       1 u8   protocol                               1 u8 length
 *      2 be16 length of the datagram        2 be16 version (4 bits, 0), length (12)       2 ... data
 *      4 u8   number of connections         4 be32 flags
 *      5 u8   1                             8 be16 state
 *      6 be16 0                            10 be16 client, virtual, server port
 *                                          16 be32 firewall mark
 *                                          20 be32 timeout, seconds
 *                                          24 client, virtual, server address; then options
 *
 *     version 0 header                     connection
 *      0 u8   number of connections         0 u8   0            8 client, virtual, server address
 *      1 u8   sync id                       1 u8   protocol    20 be16 flags
 *      2 be16 length of the datagram        2 be16 ports       22 be16 state; then sequence numbers
 */
import { type Family, wordsOf } from '../address.ts';
import { SEQ_MASK } from '../conntrack/layout.ts';
import { CLIENT, SEQUENCE_WORDS, SERVER, type SyncConnection, VIRTUAL } from './connection.ts';

/** A version of the sync protocol. */
export type SyncVersion = 0 | 1;

const HEADER_V1 = 8;
const HEADER_V0 = 4;
const CONNECTION_V1 = 24;
const CONNECTION_V0 = 24;
const SEQUENCES = 4 * SEQUENCE_WORDS;
const OPTION_HEADER = 2;

/** Bit of a connection's type: its addresses are IPv6. */
const TYPE_INET6 = 0x1;
const LENGTH_MASK = 0xfff;
const VERSION_SHIFT = 12;

const OPTION_SEQUENCES = 1;
const OPTION_ENGINE_DATA = 2;
const OPTION_ENGINE_NAME = 3;
/** Bit of an option's type: a receiver that does not know it may pass over it. */
const OPTION_PARAMETER = 0x40;
const MAX_ENGINE_NAME = 16;

/** Connections in one message: their number has 8 bits. */
const MAX_CONNECTIONS = 255;

/**
 * Why a received message, or one connection of it, was not used. The first group gives up the rest of the message, the
 * second passes over one connection.
 */
const REFUSALS = {
  SHORT: 'shorter than its header',
  LENGTH: 'its length is not what it says',
  SYNC_ID: 'of another sync id',
  TRUNCATED: 'a connection does not fit',
  VERSION: 'a connection of an unknown version',
  TYPE: 'a connection of an unknown type',
  OPTION: 'an option that does not fit, comes twice or has a wrong length',

  UNKNOWN_OPTION: 'an unknown option that must be understood',
  PROTOCOL: 'a protocol that is not balanced',
  STATE: 'a state that the protocol does not have',
  METHOD: 'a forward method that there is not',
  CLIENT_PORT: 'a client port that does not go with the flags',
  ENGINE: 'a persistence engine that is not known here',
  REPLACED: 'the end of a connection that another has replaced',
  TABLE_FULL: 'the connection table is full',
} as const;

export type SyncRefusal = keyof typeof REFUSALS;

export const SYNC_REFUSALS: readonly SyncRefusal[] = Object.keys(REFUSALS) as SyncRefusal[];
/** What each reason means, in words. */
export const SYNC_REFUSAL_TEXTS: Readonly<Record<SyncRefusal, string>> = REFUSALS;

/** The reasons as small integers: indices into counters. */
export const R: Readonly<Record<SyncRefusal, number>> = Object.freeze(
  Object.fromEntries(SYNC_REFUSALS.map((name, i) => [name, i])) as Record<SyncRefusal, number>,
);

/** Takes what {@link readMessage} finds. */
export interface SyncReader {
  /** The connection to fill in, again and again. */
  readonly connection: SyncConnection;
  /** {@link connection} is filled in. */
  take(): void;
  /** The message, or a connection of it, is no good; a number of {@link R}. */
  refuse(reason: number): void;
}

/** Nothing is wrong; else functions return a reason. */
export const FINE = -1;

/**
 * Reads the datagram of `length` bytes at `at`. Never throws and never looks beyond its end, whatever it holds.
 * @param syncId only messages of this sync id; 0 for all.
 */
export function readMessage(view: DataView, at: number, length: number, syncId: number, reader: SyncReader): void {
  const reason = readWhole(view, at, length, syncId, reader);
  if (reason !== FINE) reader.refuse(reason);
}

/** Reads a datagram up to its end or to the fault that makes the rest of it useless. */
function readWhole(view: DataView, at: number, length: number, syncId: number, reader: SyncReader): number {
  if (length < HEADER_V0) return R.SHORT;
  if (view.getUint16(at + 2) !== length) return R.LENGTH;
  if (syncId !== 0 && view.getUint8(at + 1) !== syncId) return R.SYNC_ID;
  const end = at + length;
  if (length >= HEADER_V1 && view.getUint8(at) === 0 && view.getUint8(at + 5) === 1 && view.getUint16(at + 6) === 0) {
    return readV1(view, at + HEADER_V1, end, view.getUint8(at + 4), reader);
  }
  return readV0(view, at + HEADER_V0, end, view.getUint8(at), reader);
}

function readV1(view: DataView, first: number, end: number, count: number, reader: SyncReader): number {
  let at = first;
  for (let i = 0; i < count; i++) {
    if (at + CONNECTION_V1 + 12 > end) return R.TRUNCATED;
    const lengthField = view.getUint16(at + 2);
    const length = lengthField & LENGTH_MASK;
    if (at + length > end) return R.TRUNCATED;
    if (lengthField >>> VERSION_SHIFT !== 0) return R.VERSION;
    const type = view.getUint8(at);
    const family: Family = (type & TYPE_INET6) !== 0 ? 6 : 4;
    if (family === 4 && type !== 0) return R.TYPE;
    const fixed = CONNECTION_V1 + 12 * wordsOf(family);
    if (length < fixed) return R.TRUNCATED;

    const reason = readOptions(view, at + fixed, at + length, reader.connection);
    if (reason === FINE) {
      readConnectionV1(view, at, family, reader.connection);
      reader.take();
    } else {
      if (reason !== R.UNKNOWN_OPTION) return reason;
      reader.refuse(reason);
    }
    at += (length + 3) & ~3;
  }
  return FINE;
}

function readConnectionV1(view: DataView, at: number, family: Family, connection: SyncConnection): void {
  connection.family = family;
  connection.protocol = view.getUint8(at + 1);
  connection.flags = view.getInt32(at + 4);
  connection.state = view.getUint16(at + 8);
  connection.clientPort = view.getUint16(at + 10);
  connection.virtualPort = view.getUint16(at + 12);
  connection.serverPort = view.getUint16(at + 14);
  connection.mark = view.getInt32(at + 16);
  connection.timeout = view.getUint32(at + 20);
  const width = wordsOf(family);
  for (let i = 0; i < width; i++) {
    connection.address[CLIENT + i] = view.getInt32(at + CONNECTION_V1 + 4 * i);
    connection.address[VIRTUAL + i] = view.getInt32(at + CONNECTION_V1 + 4 * (width + i));
    connection.address[SERVER + i] = view.getInt32(at + CONNECTION_V1 + 4 * (2 * width + i));
  }
}

/** Reads the options of a version 1 connection; {@link FINE} or a reason. */
function readOptions(view: DataView, first: number, end: number, connection: SyncConnection): number {
  connection.hasSequences = false;
  connection.engine = '';
  connection.engineData = '';
  let seen = 0;
  for (let at = first; at < end; ) {
    if (at + OPTION_HEADER > end) return R.OPTION;
    const type = view.getUint8(at);
    const length = view.getUint8(at + 1);
    at += OPTION_HEADER;
    if (length === 0 || at + length > end) return R.OPTION;
    const known = type & ~OPTION_PARAMETER;
    if (known < OPTION_SEQUENCES || known > OPTION_ENGINE_NAME) {
      if ((type & OPTION_PARAMETER) === 0) return R.UNKNOWN_OPTION;
    } else {
      if ((seen & (1 << known)) !== 0) return R.OPTION;
      seen |= 1 << known;
      if (known === OPTION_SEQUENCES) {
        if (length !== SEQUENCES) return R.OPTION;
        readSequences(view, at, false, connection);
      } else if (known === OPTION_ENGINE_DATA) {
        connection.engineData = readText(view, at, length);
      } else {
        if (length > MAX_ENGINE_NAME) return R.OPTION;
        connection.engine = readText(view, at, length);
      }
    }
    at += length;
  }
  return FINE;
}

function readSequences(view: DataView, at: number, littleEndian: boolean, connection: SyncConnection): void {
  connection.hasSequences = true;
  for (let i = 0; i < SEQUENCE_WORDS; i++) connection.sequences[i] = view.getInt32(at + 4 * i, littleEndian);
}

function readText(view: DataView, at: number, length: number): string {
  let text = '';
  for (let i = 0; i < length; i++) text += String.fromCharCode(view.getUint8(at + i));
  return text;
}

function readV0(view: DataView, first: number, end: number, count: number, reader: SyncReader): number {
  const { connection } = reader;
  connection.family = 4;
  connection.mark = 0;
  connection.timeout = 0;
  connection.engine = '';
  connection.engineData = '';
  let at = first;
  for (let i = 0; i < count; i++) {
    if (at + CONNECTION_V0 > end) return R.TRUNCATED;
    connection.protocol = view.getUint8(at + 1);
    connection.clientPort = view.getUint16(at + 2);
    connection.virtualPort = view.getUint16(at + 4);
    connection.serverPort = view.getUint16(at + 6);
    connection.address[CLIENT] = view.getInt32(at + 8);
    connection.address[VIRTUAL] = view.getInt32(at + 12);
    connection.address[SERVER] = view.getInt32(at + 16);
    connection.flags = view.getUint16(at + 20);
    connection.state = view.getUint16(at + 22);
    connection.hasSequences = false;
    at += CONNECTION_V0;
    if ((connection.flags & SEQ_MASK) !== 0) {
      if (at + SEQUENCES > end) return R.TRUNCATED;
      readSequences(view, at, true, connection);
      at += SEQUENCES;
    }
    reader.take();
  }
  return FINE;
}

/** How many bytes a connection takes in a message of its own kind, without padding in front. */
function connectionLength(version: SyncVersion, connection: SyncConnection): number {
  if (version === 0) return CONNECTION_V0 + (connection.hasSequences ? SEQUENCES : 0);
  let length = CONNECTION_V1 + 12 * wordsOf(connection.family);
  if (connection.hasSequences) length += OPTION_HEADER + SEQUENCES;
  if (connection.engineData !== '') length += OPTION_HEADER + connection.engineData.length;
  if (connection.engineData !== '' && connection.engine !== '') length += OPTION_HEADER + connection.engine.length;
  return length;
}

/**
 * A message that is being filled. Its memory is used again after {@link begin}, and grows when one connection alone needs
 * more than a message should have.
 */
export class SyncMessage {
  bytes: Uint8Array;
  #view: DataView;
  version: SyncVersion = 1;
  /** Bytes so far, header included. */
  length = 0;
  /** Connections so far. */
  count = 0;
  /** Tick of its first connection. */
  since = 0;
  #room = 0;

  /** @param room how long messages should become at most, in bytes. */
  constructor(room: number) {
    this.bytes = new Uint8Array(room);
    this.#view = new DataView(this.bytes.buffer);
  }

  /** Starts a message; `room` is how long it may become, unless its first connection alone is longer. */
  begin(version: SyncVersion, syncId: number, room: number, tick: number): void {
    this.version = version;
    this.length = version === 0 ? HEADER_V0 : HEADER_V1;
    this.count = 0;
    this.since = tick;
    this.#room = room;
    this.#reserve(Math.max(room, this.length));
    const view = this.#view;
    if (version === 0) {
      view.setUint8(1, syncId);
    } else {
      view.setUint32(0, syncId << 16);
      view.setUint32(4, 0x0001_0000);
    }
    this.#seal();
  }

  #reserve(length: number): void {
    if (this.bytes.length >= length) return;
    const grown = new Uint8Array(length);
    grown.set(this.bytes);
    this.bytes = grown;
    this.#view = new DataView(grown.buffer);
  }

  /** Writes what the header says of the rest. */
  #seal(): void {
    this.#view.setUint16(2, this.length);
    this.#view.setUint8(this.version === 0 ? 0 : 4, this.count);
  }

  /** Adds a connection; false, and nothing changes, when there is no room for it. The first one always fits. */
  add(connection: SyncConnection): boolean {
    const at = this.version === 0 ? this.length : (this.length + 3) & ~3;
    const end = at + connectionLength(this.version, connection);
    if (this.count > 0 && (end > this.#room || this.count === MAX_CONNECTIONS)) return false;
    this.#reserve(end);
    this.bytes.fill(0, this.length, at);
    if (this.version === 0) this.#writeV0(at, connection);
    else this.#writeV1(at, end - at, connection);
    this.length = end;
    this.count++;
    this.#seal();
    return true;
  }

  #writeV1(at: number, length: number, connection: SyncConnection): void {
    const view = this.#view;
    const { family, address } = connection;
    const width = wordsOf(family);
    view.setUint8(at, family === 6 ? TYPE_INET6 : 0);
    view.setUint8(at + 1, connection.protocol);
    view.setUint16(at + 2, length & LENGTH_MASK);
    view.setInt32(at + 4, connection.flags);
    view.setUint16(at + 8, connection.state);
    view.setUint16(at + 10, connection.clientPort);
    view.setUint16(at + 12, connection.virtualPort);
    view.setUint16(at + 14, connection.serverPort);
    view.setInt32(at + 16, connection.mark);
    view.setUint32(at + 20, connection.timeout);
    for (let i = 0; i < width; i++) {
      view.setInt32(at + CONNECTION_V1 + 4 * i, address[CLIENT + i]);
      view.setInt32(at + CONNECTION_V1 + 4 * (width + i), address[VIRTUAL + i]);
      view.setInt32(at + CONNECTION_V1 + 4 * (2 * width + i), address[SERVER + i]);
    }
    let option = at + CONNECTION_V1 + 12 * width;
    if (connection.hasSequences) {
      view.setUint8(option, OPTION_SEQUENCES);
      view.setUint8(option + 1, SEQUENCES);
      this.#writeSequences(option + OPTION_HEADER, false, connection);
      option += OPTION_HEADER + SEQUENCES;
    }
    if (connection.engineData === '') return;
    option = this.#writeText(option, OPTION_ENGINE_DATA, connection.engineData);
    if (connection.engine !== '') this.#writeText(option, OPTION_ENGINE_NAME, connection.engine);
  }

  #writeV0(at: number, connection: SyncConnection): void {
    const view = this.#view;
    view.setUint8(at, 0);
    view.setUint8(at + 1, connection.protocol);
    view.setUint16(at + 2, connection.clientPort);
    view.setUint16(at + 4, connection.virtualPort);
    view.setUint16(at + 6, connection.serverPort);
    view.setInt32(at + 8, connection.address[CLIENT]);
    view.setInt32(at + 12, connection.address[VIRTUAL]);
    view.setInt32(at + 16, connection.address[SERVER]);
    view.setUint16(at + 20, connection.flags);
    view.setUint16(at + 22, connection.state);
    if (connection.hasSequences) this.#writeSequences(at + CONNECTION_V0, true, connection);
  }

  #writeSequences(at: number, littleEndian: boolean, connection: SyncConnection): void {
    for (let i = 0; i < SEQUENCE_WORDS; i++) this.#view.setInt32(at + 4 * i, connection.sequences[i], littleEndian);
  }

  /** Writes an option of text; returns where the next one goes. */
  #writeText(at: number, type: number, text: string): number {
    const view = this.#view;
    view.setUint8(at, type);
    view.setUint8(at + 1, text.length);
    for (let i = 0; i < text.length; i++) view.setUint8(at + OPTION_HEADER + i, text.charCodeAt(i));
    return at + OPTION_HEADER + text.length;
  }
}
