/** The sync daemons of a director: at most one master and one backup, started and stopped as `ipvsadm` does it. */
import { type Address, formatAddress, tryParseAddress } from '../address.ts';
import type { Connections } from '../conntrack/connections.ts';
import type { ProtocolTimeouts } from '../conntrack/protocols.ts';
import { DirectorError, invalidOption } from '../errors.ts';
import type { Pipeline } from '../pipeline.ts';
import type { DaemonEntry, DaemonOptions, DaemonRole } from '../services/config.ts';
import type { Registry } from '../services/registry.ts';
import { integer, optionsOf } from '../services/settings.ts';
import type { SysctlValues } from '../sysctl.ts';
import { SyncBackup, type SyncBackupCounters } from './backup.ts';
import { SyncMaster, type SyncMasterCounters } from './master.ts';
import { SyncNotes } from './notes.ts';
import type { SyncEndpoint, SyncTransport } from './transport.ts';

const OPTIONS = ['role', 'mcastInterface', 'syncId', 'syncMaxlen', 'mcastGroup', 'mcastPort', 'mcastTtl', 'transport'];
/** The group and port that IANA keeps for IPVS. */
const DEFAULT_GROUP = '224.0.0.81';
const DEFAULT_PORT = 8848;
/** What a master assumes that the network takes, whatever its own interface does: its packets pass others too. */
const MASTER_MTU = 1500;
/** Bytes that a backup is ready for at least. */
const MIN_BACKUP_LENGTH = 1024;
const MIN_BACKUP_MTU = 1500;
const LONGEST_PACKET = 65535;
/** IP and UDP headers. */
const HEADERS_4 = 28;
const HEADERS_6 = 48;

/** What the daemons work with. */
export interface SyncDaemonsParts {
  readonly pipeline: Pipeline;
  readonly registry: Registry;
  readonly connections4: Connections;
  readonly connections6: Connections;
  readonly timeouts: ProtocolTimeouts;
  readonly sysctl: SysctlValues;
  /** Whether there is a persistence engine of that name. */
  hasEngine(name: string): boolean;
  /** The interface of that name, or the first one, as a transport. @throws DirectorError ERR_INVALID_OPTION */
  transport(name: string | undefined): SyncTransport;
  tick(): number;
}

/** What the daemons have sent and received since they were started; null for one that does not run. */
export interface SyncCounters {
  readonly master: SyncMasterCounters | null;
  readonly backup: SyncBackupCounters | null;
}

export class SyncDaemons {
  readonly #parts: SyncDaemonsParts;
  #notes: readonly [SyncNotes, SyncNotes] | null = null;
  #master: { readonly entry: DaemonEntry; readonly daemon: SyncMaster; readonly channels: number } | null = null;
  #backup: { readonly entry: DaemonEntry; readonly daemon: SyncBackup; readonly channels: number } | null = null;

  constructor(parts: SyncDaemonsParts) {
    this.#parts = parts;
  }

  /** @throws DirectorError ERR_DAEMON_RUNNING, ERR_INVALID_OPTION */
  start(options: DaemonOptions): void {
    optionsOf('options', options, OPTIONS);
    const { role } = options;
    checkRole(role);
    if (this.#running(role) !== null) throw new DirectorError('ERR_DAEMON_RUNNING', `a ${role} daemon runs already`);
    if (this.#parts.registry.hasMixedFamilies()) {
      throw invalidOption('role', role, 'possible while there are servers of another family than their service');
    }
    const transport = checkTransport(options.transport) ?? this.#parts.transport(options.mcastInterface);
    const group = multicastGroup(options.mcastGroup);
    const entry: DaemonEntry = {
      role,
      mcastInterface: transport.name,
      syncId: integer('syncId', options.syncId, 0, 255, 0),
      syncMaxlen: maxLength(role, group, transport.mtu, options.syncMaxlen),
      mcastGroup: formatAddress(group.family, group.words),
      mcastPort: integer('mcastPort', options.mcastPort, 1, 65535, DEFAULT_PORT),
      mcastTtl: integer('mcastTtl', options.mcastTtl, 1, 255, 1),
    };
    // Both daemons share the number of channels: that of the one that was started first.
    const channels = (this.#master ?? this.#backup)?.channels ?? this.#parts.sysctl.sync_ports;
    if (entry.mcastPort + channels - 1 > 65535) {
      throw invalidOption('mcastPort', entry.mcastPort, `one with ${channels - 1} more behind it (sync_ports)`);
    }
    const endpoint: SyncEndpoint = {
      group,
      port: entry.mcastPort,
      ttl: entry.mcastTtl,
      channels,
      socketBuffer: this.#parts.sysctl.sync_sock_size,
    };
    if (role === 'master') this.#startMaster(entry, endpoint, transport);
    else this.#startBackup(entry, endpoint, transport);
  }

  #startMaster(entry: DaemonEntry, endpoint: SyncEndpoint, transport: SyncTransport): void {
    const { pipeline, sysctl } = this.#parts;
    const [notes4, notes6] = this.#takeNotes();
    const sender = transport.openSender(endpoint);
    const { syncId, syncMaxlen } = entry;
    const tick = this.#parts.tick();
    const daemon = new SyncMaster(notes4, notes6, sysctl, sender, syncId, syncMaxlen, endpoint.channels, tick);
    this.#master = { entry, daemon, channels: endpoint.channels };
    pipeline.syncMaster = daemon;
  }

  #startBackup(entry: DaemonEntry, endpoint: SyncEndpoint, transport: SyncTransport): void {
    const { pipeline, registry, timeouts, sysctl } = this.#parts;
    const [notes4, notes6] = this.#takeNotes();
    const { syncId, syncMaxlen } = entry;
    const daemon = new SyncBackup(notes4, notes6, registry, timeouts, sysctl, syncId, syncMaxlen, (name) =>
      this.#parts.hasEngine(name),
    );
    daemon.receiver = transport.openReceiver(endpoint, (view, at, length) =>
      daemon.receive(view, at, length, this.#parts.tick()),
    );
    this.#backup = { entry, daemon, channels: endpoint.channels };
    pipeline.isBackup = true;
  }

  /** What masters and backups remember of connections is kept from the first daemon on: a backup may become the master. */
  #takeNotes(): readonly [SyncNotes, SyncNotes] {
    const { connections4, connections6 } = this.#parts;
    this.#notes ??= [new SyncNotes(connections4), new SyncNotes(connections6)];
    return this.#notes;
  }

  #running(role: DaemonRole): { readonly daemon: { close(): void } } | null {
    return role === 'master' ? this.#master : this.#backup;
  }

  /** @throws DirectorError ERR_NO_DAEMON */
  stop(role: DaemonRole): void {
    checkRole(role);
    const running = this.#running(role);
    if (running === null) throw new DirectorError('ERR_NO_DAEMON', `no ${role} daemon runs`);
    running.daemon.close();
    if (role === 'master') {
      this.#master = null;
      this.#parts.pipeline.syncMaster = null;
    } else {
      this.#backup = null;
      this.#parts.pipeline.isBackup = false;
    }
  }

  /** Stops what runs. */
  close(): void {
    for (const { role } of this.entries()) this.stop(role);
  }

  entries(): DaemonEntry[] {
    return [this.#master, this.#backup].filter((running) => running !== null).map(({ entry }) => entry);
  }

  get counters(): SyncCounters {
    return { master: this.#master?.daemon.counters ?? null, backup: this.#backup?.daemon.counters ?? null };
  }

  /** A row of the connection table is used anew. */
  created(connections: Connections, row: number): void {
    if (this.#notes !== null) this.#notes[connections.family === 4 ? 0 : 1].forget(row);
  }

  /** A connection's time was over, but others hang on it. */
  held(connections: Connections, row: number, tick: number): void {
    this.#master?.daemon.held(connections, row, tick);
  }

  afterBurst(tick: number): void {
    this.#master?.daemon.afterBurst(tick);
  }

  /** Lets time pass. */
  advance(tick: number): void {
    this.#master?.daemon.advance(tick);
  }
}

function checkRole(role: DaemonRole): void {
  if (role !== 'master' && role !== 'backup') throw invalidOption('role', role, "'master' or 'backup'");
}

function checkTransport(transport: SyncTransport | undefined): SyncTransport | undefined {
  if (transport === undefined) return undefined;
  if (typeof transport?.openSender !== 'function' || typeof transport.openReceiver !== 'function') {
    throw invalidOption('transport', transport, 'a transport');
  }
  return transport;
}

function multicastGroup(text: string = DEFAULT_GROUP): Address {
  const group = tryParseAddress(text);
  const first = group === undefined ? 0 : group.words[0] >>> 24;
  if (group === undefined || (group.family === 4 ? first >>> 4 !== 0xe : first !== 0xff)) {
    throw invalidOption('mcastGroup', text, 'a multicast address');
  }
  return group;
}

/** How long messages are at most: what was asked for, within what the role allows, or what fits the network. */
function maxLength(role: DaemonRole, group: Address, mtu: number, asked: number | undefined): number {
  const headers = group.family === 4 ? HEADERS_4 : HEADERS_6;
  const isBackup = role === 'backup';
  const given = integer('syncMaxlen', asked, 0, LONGEST_PACKET, 0);
  if (given !== 0) return Math.min(Math.max(given, isBackup ? MIN_BACKUP_LENGTH : 1), LONGEST_PACKET - headers);
  return (isBackup ? Math.max(mtu, MIN_BACKUP_MTU) : MASTER_MTU) - headers;
}
