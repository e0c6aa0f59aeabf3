/**
 * The backup's side of the sync daemons: connections as a master tells of them (kernel behaviour: ip_vs_process_message,
 * ip_vs_proc_conn).
 */
import type { Connections } from '../conntrack/connections.ts';
import type { EngineIdentity } from '../conntrack/engine-templates.ts';
import { BYPASS } from '../conntrack/forward-method.ts';
import {
  DEST,
  ENGINE,
  FLAGS,
  FWD_MASK,
  HELPED,
  IN_PKTS,
  INACTIVE,
  META,
  NO_CPORT,
  NO_DESTINATION,
  NOOUTPUT,
  SEQ_MASK,
  SYNCED,
  TEMPLATE,
} from '../conntrack/layout.ts';
import { type ProtocolTimeouts, stateCount } from '../conntrack/protocols.ts';
import { PROTO_TCP, PROTO_UDP } from '../packet/ipv4.ts';
import type { Destination } from '../services/destination.ts';
import type { Registry } from '../services/registry.ts';
import type { SysctlValues } from '../sysctl.ts';
import { seconds } from '../ticks.ts';
import { CLIENT, SERVER, SyncConnection, VIRTUAL } from './connection.ts';
import { FINE, R, readMessage, SYNC_REFUSALS, type SyncReader, type SyncRefusal } from './message.ts';
import type { SyncNotes } from './notes.ts';
import type { SyncReceiver } from './transport.ts';

/** The flags of a master's that mean something here. */
const ACCEPTED_FLAGS = FWD_MASK | NOOUTPUT | INACTIVE | NO_CPORT | TEMPLATE;
/** How long a template lives whose message does not say. */
const TEMPLATE_TICKS = seconds(180);
/** The largest state that a row has room for. */
const MAX_STATE = 255;
/** The longest timeout that is believed, in seconds: 31 days, the longest there is. */
const MAX_TIMEOUT_S = 31 * 86400;

/** What a backup has received. */
export interface SyncBackupCounters {
  readonly messages: number;
  /** Connections and templates in them that were made or brought up to date. */
  readonly connections: number;
  /** Messages and connections that were not used, by reason; see {@link SYNC_REFUSAL_TEXTS}. */
  readonly refused: Readonly<Record<SyncRefusal, number>>;
}

export class SyncBackup implements SyncReader {
  readonly connection: SyncConnection = new SyncConnection();
  readonly #notes4: SyncNotes;
  readonly #notes6: SyncNotes;
  readonly #registry: Registry;
  readonly #timeouts: ProtocolTimeouts;
  readonly #sysctl: SysctlValues;
  readonly #syncId: number;
  /** Longest datagram that is read whole, in bytes; what is longer is cut, and so refused. */
  readonly #maxLength: number;
  readonly #hasEngine: (name: string) => boolean;
  readonly #refused = new Float64Array(SYNC_REFUSALS.length);
  #receiver: SyncReceiver | null = null;
  #tick = 0;
  #messages = 0;
  #connections = 0;

  constructor(
    notes4: SyncNotes,
    notes6: SyncNotes,
    registry: Registry,
    timeouts: ProtocolTimeouts,
    sysctl: SysctlValues,
    syncId: number,
    maxLength: number,
    hasEngine: (name: string) => boolean,
  ) {
    this.#notes4 = notes4;
    this.#notes6 = notes6;
    this.#registry = registry;
    this.#timeouts = timeouts;
    this.#sysctl = sysctl;
    this.#syncId = syncId;
    this.#maxLength = maxLength;
    this.#hasEngine = hasEngine;
  }

  set receiver(receiver: SyncReceiver) {
    this.#receiver = receiver;
  }

  get counters(): SyncBackupCounters {
    const refused = SYNC_REFUSALS.map((name, i) => [name, this.#refused[i]]);
    return {
      messages: this.#messages,
      connections: this.#connections,
      refused: Object.fromEntries(refused) as Record<SyncRefusal, number>,
    };
  }

  /** Takes a datagram of `length` bytes at `at`, whatever it holds. */
  receive(view: DataView, at: number, length: number, tick: number): void {
    this.#tick = tick;
    this.#messages++;
    readMessage(view, at, Math.min(length, this.#maxLength), this.#syncId, this);
  }

  refuse(reason: number): void {
    this.#refused[reason]++;
  }

  take(): void {
    const reason = this.#apply();
    if (reason === FINE) this.#connections++;
    else this.refuse(reason);
  }

  #apply(): number {
    const { connection } = this;
    const flags = (connection.flags & ACCEPTED_FLAGS) | SYNCED;
    const isTemplate = (flags & TEMPLATE) !== 0;
    const { state } = connection;
    if (isTemplate) {
      if (state > MAX_STATE) return R.STATE;
    } else {
      const states = stateCount(connection.protocol);
      if (states === 0) return R.PROTOCOL;
      if (state >= states) return R.STATE;
    }
    if ((flags & FWD_MASK) > BYPASS) return R.METHOD;
    const hasNoPort = isTemplate || (flags & NO_CPORT) !== 0;
    if ((connection.clientPort === 0) !== hasNoPort) return R.CLIENT_PORT;
    const { engine, engineData } = connection;
    if (engineData !== '' && (engine === '' || !this.#hasEngine(engine))) return R.ENGINE;
    const identity = isTemplate && engineData !== '' ? { engine, data: engineData } : null;

    const notes = connection.family === 4 ? this.#notes4 : this.#notes6;
    const { connections } = notes;
    let row = this.#find(connections, isTemplate, identity);
    if (row !== 0 && !isTemplate && !this.#hasSameServer(connections, row)) {
      if ((flags & INACTIVE) !== 0) return R.REPLACED;
      connections.expireNow(row, this.#tick);
      row = 0;
    }
    if (row !== 0) this.#update(connections, row, flags);
    else row = this.#create(connections, flags, identity);
    if (row === 0) return R.TABLE_FULL;
    if (connection.hasSequences) this.#takeSequences(connections, row);

    connections.table.rows[row + IN_PKTS] = this.#sysctl.sync_threshold;
    notes.states[notes.place(row)] = state;
    connections.adopt(row, state, this.#timeout(isTemplate, state), this.#tick);
    return FINE;
  }

  #find(connections: Connections, isTemplate: boolean, identity: EngineIdentity | null): number {
    const { table, engines } = connections;
    const { protocol, address, clientPort, virtualPort } = this.connection;
    if (identity !== null) return engines.find(protocol, address, virtualPort, identity);
    return isTemplate
      ? table.lookupTemplate(protocol, address, CLIENT, VIRTUAL, virtualPort)
      : table.lookupIn(protocol, address, CLIENT, clientPort, VIRTUAL, virtualPort);
  }

  #hasSameServer(connections: Connections, row: number): boolean {
    const { rows, width, daddr } = connections.table;
    const { address, serverPort } = this.connection;
    if ((rows[row + META] & 0xffff) !== serverPort) return false;
    for (let i = 0; i < width; i++) if (rows[row + daddr + i] !== address[SERVER + i]) return false;
    return true;
  }

  #destination(flags: number): Destination | null {
    const { family, mark, protocol, address, virtualPort, serverPort } = this.connection;
    const method = flags & FWD_MASK;
    return this.#registry.findDestination(
      family,
      mark,
      protocol,
      address,
      VIRTUAL,
      virtualPort,
      SERVER,
      serverPort,
      method,
    );
  }

  #create(connections: Connections, flags: number, identity: EngineIdentity | null): number {
    const { protocol, address, clientPort, virtualPort, serverPort, mark } = this.connection;
    const destination = this.#destination(flags);
    return connections.createSynced(
      protocol,
      address,
      clientPort,
      virtualPort,
      destination,
      serverPort,
      identity === null ? flags : flags | ENGINE,
      mark,
      identity,
      this.#tick,
    );
  }

  #update(connections: Connections, row: number, flags: number): void {
    const { rows } = connections.table;
    if ((flags & TEMPLATE) === 0) connections.setActive(row, (flags & INACTIVE) === 0);
    if (rows[row + DEST] !== NO_DESTINATION || (rows[row + FLAGS] & SYNCED) === 0) return;
    const destination = this.#destination(rows[row + FLAGS]);
    if (destination !== null) connections.bind(row, destination);
  }

  /** How an application helper shifts sequence numbers: means something only where a helper looks into the connection. */
  #takeSequences(connections: Connections, row: number): void {
    const { rows } = connections.table;
    if ((rows[row + FLAGS] & HELPED) === 0) return;
    rows[row + FLAGS] = (rows[row + FLAGS] & ~SEQ_MASK) | (this.connection.flags & SEQ_MASK);
    const { fromClient, fromServer } = connections.makeApplication(row);
    const { sequences } = this.connection;
    for (const [i, shift] of [fromClient, fromServer].entries()) {
      shift.changedAt = sequences[3 * i];
      shift.delta = sequences[3 * i + 1];
      shift.previousDelta = sequences[3 * i + 2];
    }
  }

  /** Ticks that the connection's timer is set to. */
  #timeout(isTemplate: boolean, state: number): number {
    const { timeout, protocol } = this.connection;
    if (timeout !== 0) return seconds(Math.min(timeout, MAX_TIMEOUT_S));
    if (isTemplate) return TEMPLATE_TICKS;
    const { tcp, udp, sctp } = this.#timeouts;
    return (protocol === PROTO_TCP ? tcp : protocol === PROTO_UDP ? udp : sctp)[state];
  }

  /** Stops to listen. What it was told of stays until it expires. */
  close(): void {
    this.#receiver?.close();
  }
}
