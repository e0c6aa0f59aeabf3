/**
 * The master's side of the sync daemons: which connections to tell the backups of, and when (kernel behaviour:
 * ip_vs_sync_conn_needed, ip_vs_sync_conn, sync_thread_master).
 */
import type { ApplicationState } from '../conntrack/application.ts';
import type { Connections } from '../conntrack/connections.ts';
import {
  CADDR,
  CONTROL,
  ENGINE,
  FLAGS,
  HASHED,
  IN_PKTS,
  MARK,
  META,
  ONE_PACKET,
  PORTS,
  SEQ_MASK,
  TEMPLATE,
  TIMEOUT,
} from '../conntrack/layout.ts';
import { SCTP_CLOSED, SCTP_ESTABLISHED } from '../conntrack/sctp-state.ts';
import { TCP_CLOSE, TCP_CLOSE_WAIT, TCP_ESTABLISHED, TCP_FIN_WAIT, TCP_TIME_WAIT } from '../conntrack/tcp-state.ts';
import { PROTO_SCTP, PROTO_TCP } from '../packet/ipv4.ts';
import type { SysctlValues } from '../sysctl.ts';
import { seconds, TICKS_PER_SECOND } from '../ticks.ts';
import { CLIENT, SERVER, SyncConnection, VIRTUAL } from './connection.ts';
import { SyncMessage, type SyncVersion } from './message.ts';
import type { SyncNotes } from './notes.ts';
import type { SyncSender } from './transport.ts';

/** The states in which TCP connections are told of at all. */
const TCP_STATES =
  (1 << TCP_ESTABLISHED) | (1 << TCP_FIN_WAIT) | (1 << TCP_CLOSE) | (1 << TCP_CLOSE_WAIT) | (1 << TCP_TIME_WAIT);
/** The same of SCTP: ESTABLISHED, the three of a shutdown, CLOSED. */
const SCTP_STATES = (1 << SCTP_ESTABLISHED) | (1 << 9) | (1 << 10) | (1 << 11) | (1 << SCTP_CLOSED);

/** The flags that a message carries: the kernel's, but for what is of this table only. */
const SENT_FLAGS = 0x1ffff & ~HASHED;

/** A message that is not full is sent when it is this old. */
const FLUSH_TICKS = seconds(2);
/** How often the sender looks for such a message. */
const CHECK_TICKS = seconds(1);
/** A full message is sent this long after it was, unless others fill up before. */
const SEND_DELAY_TICKS = 2;
/** Full messages that let the sender start at once. */
const WAKE_UP_LENGTH = 8;
/** Sent messages that are kept to be filled again. */
const MAX_SPARES = 64;
/** Shortest time that a change of the expiry must make, when half of the timeout is less. */
const MIN_REFRESH_TICKS = seconds(10);
/** Low bits of an end time hold the number of retries. */
const RETRIES = 3;

/** What the master tells of the connections of one channel: the message being filled, and the full ones. */
interface Channel {
  filling: SyncMessage | null;
  readonly waiting: SyncMessage[];
}

/** What a master has sent. */
export interface SyncMasterCounters {
  readonly messages: number;
  /** Connections and templates in them. */
  readonly connections: number;
  /** Messages thrown away because `sync_qlen_max` others were waiting. */
  readonly dropped: number;
}

export class SyncMaster {
  readonly #notes4: SyncNotes;
  readonly #notes6: SyncNotes;
  readonly #sysctl: SysctlValues;
  readonly #sender: SyncSender;
  readonly #syncId: number;
  readonly #maxLength: number;
  readonly #channels: Channel[];
  readonly #connection = new SyncConnection();
  /** Sent messages, to be filled again. */
  readonly #spares: SyncMessage[] = [];
  /** When the sender looks next. */
  #nextCheck: number;
  /** Whether enough full messages wait for the sender to start at once. */
  #urgent = false;
  #messages = 0;
  #connections = 0;
  #dropped = 0;

  /**
   * @param maxLength how long messages should become at most, in bytes.
   * @param channels over how many ports they are spread.
   */
  constructor(
    notes4: SyncNotes,
    notes6: SyncNotes,
    sysctl: SysctlValues,
    sender: SyncSender,
    syncId: number,
    maxLength: number,
    channels: number,
    tick: number,
  ) {
    this.#notes4 = notes4;
    this.#notes6 = notes6;
    this.#sysctl = sysctl;
    this.#sender = sender;
    this.#syncId = syncId;
    this.#maxLength = maxLength;
    this.#channels = Array.from({ length: channels }, () => ({ filling: null, waiting: [] }));
    this.#nextCheck = (tick + CHECK_TICKS) | 0;
  }

  get counters(): SyncMasterCounters {
    return { messages: this.#messages, connections: this.#connections, dropped: this.#dropped };
  }

  /**
   * A packet from a client was the `packets`-th of its connection: tells of the connection, and of the template that it
   * hangs on, when that is due.
   */
  packet(connections: Connections, row: number, packets: number, tick: number): void {
    const { rows } = connections.table;
    const { sync_version, sync_threshold } = this.#sysctl;
    // Version 0 cannot carry IPv6.
    if (sync_version === 0 && connections.family === 6) return;
    for (let at = row, count = packets; ; ) {
      const sent = (rows[at + FLAGS] & ONE_PACKET) === 0 && this.#isDue(connections, at, count, tick);
      if (sent) this.#tell(connections, at, tick);
      else if (sync_version === 0) return;
      at = rows[at + CONTROL];
      if (at === 0) return;
      count = (rows[at + FLAGS] & TEMPLATE) !== 0 ? ++rows[at + IN_PKTS] : sync_threshold;
    }
  }

  /** A connection whose time was over lives on because others hang on it: the backups' must live on too. */
  held(connections: Connections, row: number, tick: number): void {
    this.packet(connections, row, this.#sysctl.sync_threshold, tick);
  }

  /** Whether to tell of a connection now. Takes note of it when so. */
  #isDue(connections: Connections, row: number, packets: number, tick: number): boolean {
    const { rows } = connections.table;
    const notes = this.#notes(connections);
    const { sync_threshold, sync_period, sync_refresh_period, sync_retries, sync_persist_mode } = this.#sysctl;
    const isTemplate = (rows[row + FLAGS] & TEMPLATE) !== 0;
    const state = rows[row + META] >>> 24;
    const timeout = rows[row + TIMEOUT];
    const place = notes.place(row);
    const before = notes.endTimes[place];
    let end = (tick + timeout) & ~RETRIES;

    if (!isTemplate) {
      if (sync_persist_mode !== 0 && isPersistent(rows, row)) return false;
      const protocol = (rows[row + META] >>> 16) & 0xff;
      if (protocol === PROTO_TCP || protocol === PROTO_SCTP) {
        const isTcp = protocol === PROTO_TCP;
        if ((((isTcp ? TCP_STATES : SCTP_STATES) >> state) & 1) === 0) return false;
        // The backup should know at once of connections that end, whatever the periods say.
        if (state !== notes.states[place] && state !== (isTcp ? TCP_ESTABLISHED : SCTP_ESTABLISHED)) {
          notes.states[place] = state;
          notes.endTimes[place] = end;
          return true;
        }
      }
    }

    const refresh = sync_refresh_period * TICKS_PER_SECOND;
    if (refresh > 0 && before !== 0) {
      const difference = Math.abs((end - before) | 0);
      if (difference < Math.min(refresh, Math.max(timeout >> 1, MIN_REFRESH_TICKS))) {
        const retries = before & RETRIES;
        if (retries >= sync_retries) return false;
        if (((tick - (before - timeout + (refresh >> 3))) | 0) < 0) return false;
        end |= retries + 1;
      }
    }
    if (sync_period > 0) {
      if (!isTemplate && packets % sync_period !== sync_threshold) return false;
    } else if (refresh <= 0 && packets !== sync_threshold) {
      return false;
    }
    notes.states[place] = state;
    notes.endTimes[place] = end;
    return true;
  }

  #notes(connections: Connections): SyncNotes {
    return connections.family === 4 ? this.#notes4 : this.#notes6;
  }

  #tell(connections: Connections, row: number, tick: number): void {
    const version: SyncVersion = this.#sysctl.sync_version === 0 ? 0 : 1;
    readConnection(connections, row, this.#connection);
    const channel = this.#channels[this.#notes(connections).place(row) & (this.#channels.length - 1)];
    this.#connections++;
    if (channel.filling !== null) {
      if (channel.filling.version === version && channel.filling.add(this.#connection)) return;
      this.#queue(channel, channel.filling, tick);
    }
    const message = this.#spares.pop() ?? new SyncMessage(this.#maxLength);
    message.begin(version, this.#syncId, this.#maxLength, tick);
    message.add(this.#connection);
    channel.filling = message;
  }

  /** Puts a full message behind those that wait to be sent, or throws it away when they are too many. */
  #queue(channel: Channel, message: SyncMessage, tick: number): void {
    const { waiting } = channel;
    if (waiting.length >= this.#sysctl.sync_qlen_max) {
      this.#dropped++;
      if (this.#spares.length < MAX_SPARES) this.#spares.push(message);
      return;
    }
    if (waiting.length === 0 && ((tick + SEND_DELAY_TICKS - this.#nextCheck) | 0) < 0) {
      this.#nextCheck = (tick + SEND_DELAY_TICKS) | 0;
    }
    waiting.push(message);
    if (waiting.length === WAKE_UP_LENGTH) this.#urgent = true;
  }

  /** After a burst: sends when so many messages are full that they should not wait. */
  afterBurst(tick: number): void {
    if (this.#urgent) this.#send(tick);
  }

  /** Lets time pass: sends what is full, and what has been filling for too long. */
  advance(tick: number): void {
    if (((tick - this.#nextCheck) | 0) >= 0) this.#send(tick);
  }

  #send(tick: number): void {
    this.#urgent = false;
    this.#nextCheck = (tick + CHECK_TICKS) | 0;
    for (let i = 0; i < this.#channels.length; i++) {
      const channel = this.#channels[i];
      for (const message of channel.waiting) this.#sendOne(message, i);
      channel.waiting.length = 0;
      const { filling } = channel;
      if (filling !== null && ((tick - filling.since) | 0) >= FLUSH_TICKS) {
        this.#sendOne(filling, i);
        channel.filling = null;
      }
    }
  }

  #sendOne(message: SyncMessage, channel: number): void {
    this.#sender.send(message.bytes, message.length, channel);
    this.#messages++;
    if (this.#spares.length < MAX_SPARES) this.#spares.push(message);
  }

  /** Lets go of the transport. What was not sent yet is not sent any more, as with Linux. */
  close(): void {
    this.#sender.close();
  }
}

/** Whether a connection hangs on a template, itself or through another connection. */
function isPersistent(rows: Int32Array, row: number): boolean {
  for (let at = rows[row + CONTROL]; at !== 0; at = rows[at + CONTROL]) {
    if ((rows[at + FLAGS] & TEMPLATE) !== 0) return true;
  }
  return false;
}

/** Fills in what a message says of a row. */
function readConnection(connections: Connections, row: number, connection: SyncConnection): void {
  const { family, table } = connections;
  const { rows, width, vaddr, daddr } = table;
  const ports = rows[row + PORTS];
  const meta = rows[row + META];
  connection.family = family;
  connection.protocol = (meta >>> 16) & 0xff;
  connection.flags = rows[row + FLAGS] & SENT_FLAGS;
  connection.state = meta >>> 24;
  connection.clientPort = ports >>> 16;
  connection.virtualPort = ports & 0xffff;
  connection.serverPort = meta & 0xffff;
  connection.mark = rows[row + MARK];
  connection.timeout = Math.floor(rows[row + TIMEOUT] / TICKS_PER_SECOND);
  for (let i = 0; i < width; i++) {
    connection.address[CLIENT + i] = rows[row + CADDR + i];
    connection.address[VIRTUAL + i] = rows[row + vaddr + i];
    connection.address[SERVER + i] = rows[row + daddr + i];
  }
  connection.hasSequences = (connection.flags & SEQ_MASK) !== 0;
  if (connection.hasSequences) readSequences(connections.applicationOf(row), connection.sequences);
  const identity = (rows[row + FLAGS] & ENGINE) === 0 ? undefined : connections.engines.of(row);
  connection.engine = identity?.engine ?? '';
  connection.engineData = identity?.data ?? '';
}

/** Fills in how an application helper shifts the client's sequence numbers, and then the server's. */
function readSequences(state: ApplicationState | undefined, sequences: Int32Array): void {
  sequences.fill(0);
  if (state === undefined) return;
  for (const [i, { changedAt, delta, previousDelta }] of [state.fromClient, state.fromServer].entries()) {
    sequences[3 * i] = changedAt;
    sequences[3 * i + 1] = delta;
    sequences[3 * i + 2] = previousDelta;
  }
}
