/** What an engine is made of, put together from its configuration. */

import { SystemClock } from '../clock.ts';
import type { Configuration } from '../configuration.ts';
import { Connections } from '../conntrack/connections.ts';
import { ProtocolTimeouts } from '../conntrack/protocols.ts';
import { NORMAL_TABLE, SECURE_TABLE } from '../conntrack/tcp-state.ts';
import { invalidOption } from '../errors.ts';
import { assembleHost, type Line } from '../host/assembly.ts';
import { Groups } from '../host/groups.ts';
import { Host } from '../host/host.ts';
import { IcmpLimit } from '../host/icmp.ts';
import { Neighbours } from '../host/neighbours.ts';
import { Reassembly } from '../host/reassembly.ts';
import { neighbourActions } from '../host/resolution.ts';
import { Wire } from '../host/wire.ts';
import { tableMemory } from '../native/table-memory.ts';
import { loadOwn, type OwnModuleName } from '../own-module.ts';
import { FramePool } from '../packet/pool.ts';
import { Pipeline } from '../pipeline.ts';
import { SCHEDULERS } from '../schedulers/index.ts';
import { none } from '../schedulers/none.ts';
import { Defence } from '../services/defence.ts';
import { sip } from '../services/engines/sip.ts';
import { FirewallMarks } from '../services/marks.ts';
import { Registry } from '../services/registry.ts';
import { type Known, ownEngine, ownScheduler } from '../services/settings.ts';
import { SyncDaemons } from '../sync/daemons.ts';
import { GroupTransport } from '../sync/group.ts';
import type { SyncTransport } from '../sync/transport.ts';
import { SysctlTable, SysctlValues } from '../sysctl.ts';
import type { EngineListener } from './engine.ts';
import type { Team } from './team.ts';
import { Tellings } from './tellings.ts';
import { EngineTime } from './time.ts';

export interface Parts {
  readonly configuration: Configuration;
  readonly time: EngineTime;
  readonly tellings: Tellings;
  readonly known: Known;
  readonly sysctl: SysctlValues;
  /** The same by name, for users. */
  readonly tunables: SysctlTable;
  readonly defence: Defence;
  readonly timeouts: ProtocolTimeouts;
  readonly marks: FirewallMarks;
  readonly registry: Registry;
  readonly host: Host;
  readonly wire: Wire;
  readonly reassembly: Reassembly;
  readonly connections4: Connections;
  readonly connections6: Connections;
  readonly pipeline: Pipeline;
  readonly sync: SyncDaemons;
  readonly lines: readonly Line[];
}

/**
 * @param team what is shared with other threads, if the director works in several.
 * @throws DirectorError ERR_INVALID_OPTION for a module that cannot be loaded.
 */
export function assemble(configuration: Configuration, listener: EngineListener, team: Team | null = null): Parts {
  const { random } = configuration;
  const perSecond = configuration.icmpErrorsPerSecond / (team?.count ?? 1);
  const time = new EngineTime(configuration.clock ?? new SystemClock());
  const tellings = new Tellings(listener, time);
  const sysctl = new SysctlValues();
  const tunables = new SysctlTable(sysctl, () => updateDefence(parts));
  const defence = new Defence(sysctl);
  const timeouts = new ProtocolTimeouts();
  const marks = new FirewallMarks();
  const known = knownTo(configuration);
  const registry = new Registry(
    { random, now: () => time.clock.now(), sysctl: (name) => tunables.get(name) },
    { destinationFreed: (id) => host.forgetHop(id) },
    team?.counts,
  );

  const { interfaces } = configuration;
  const largestMtu = Math.max(...interfaces.map(({ mtu }) => mtu));
  const largestFrame = Math.max(...interfaces.map((one) => one.largestFrame));
  const wire = new Wire(new FramePool(largestMtu, largestFrame));
  const actions = neighbourActions(() => pipeline);
  const host = new Host((interfaces) => new Neighbours(interfaces, actions));
  wire.neighbours = host.neighbours;
  const lines = assembleHost(host, wire, configuration);
  const reassembly = new Reassembly();

  const observer = tellings.forConnections(() => sync);
  const makeConnections = (family: 4 | 6) => {
    const seed = Math.floor(random() * 2 ** 32);
    const { maxConnections } = configuration;
    const { destinations } = registry;
    const connections = new Connections(family, maxConnections, seed, 0, destinations, timeouts, observer, tableMemory);
    connections.table.limit = team?.limit(family, maxConnections) ?? null;
    return connections;
  };
  const connections4 = makeConnections(4);
  const connections6 = makeConnections(6);
  const pipeline = new Pipeline({
    wire,
    host,
    reassembly,
    icmpLimit: new IcmpLimit(perSecond, perSecond === 0 ? 0 : Math.max(1, perSecond / 20)),
    registry,
    marks,
    connections4,
    connections6,
    sysctl,
    defence,
    listener: tellings.forDatapath(),
  });
  pipeline.forwarding = configuration.forwarding;
  const groups = new Groups(wire);
  pipeline.groups = groups;

  const transport = (name: string | undefined): SyncTransport => {
    const on = name === undefined ? host.interfaces[0] : host.interfaces.find((one) => one.name === name);
    if (on === undefined) throw invalidOption('mcastInterface', name, 'the name of an interface');
    return new GroupTransport(on, { wire, groups, random, tick: () => time.tick() });
  };
  const sync = new SyncDaemons({
    pipeline,
    registry,
    connections4,
    connections6,
    timeouts,
    sysctl,
    hasEngine: (name) => known.engine(name) !== undefined,
    transport,
    tick: () => time.tick(),
  });
  const parts: Parts = {
    configuration,
    time,
    tellings,
    known,
    sysctl,
    tunables,
    defence,
    timeouts,
    marks,
    registry,
    host,
    wire,
    reassembly,
    connections4,
    connections6,
    pipeline,
    sync,
    lines,
  };
  return parts;
}

/** Lets the defences against overload follow the tunables and the fill of the connection tables. */
export function updateDefence({ connections4, connections6, defence }: Parts): void {
  const tables = [connections4.table, connections6.table];
  defence.update(Math.min(...tables.map(({ free }) => free)));
  const tcpTable = defence.secureTcp ? SECURE_TABLE : NORMAL_TABLE;
  connections4.tcpTable = tcpTable;
  connections6.tcpTable = tcpTable;
}

/**
 * The schedulers and persistence engines that there are: ours and the user's.
 * @throws DirectorError ERR_INVALID_OPTION for a module that cannot be loaded, or holds something else.
 */
export function knownTo(configuration: Pick<Configuration, 'schedulers' | 'engines'>): Known {
  const schedulers = new Map(SCHEDULERS).set(none.name, none);
  configuration.schedulers.forEach((one, i) => {
    const factory = 'module' in one ? loaded(`schedulers[${i}]`, one, ownScheduler) : one;
    schedulers.set(factory.name, factory);
  });
  const engines = new Map([[sip.name, sip]]);
  configuration.engines.forEach((one, i) => {
    const engine = 'module' in one ? loaded(`engines[${i}]`, one, ownEngine) : one;
    engines.set(engine.name, engine);
  });
  return { scheduler: (name) => schedulers.get(name), engine: (name) => engines.get(name) };
}

function loaded<T>(option: string, name: OwnModuleName, check: (option: string, value: T) => T): T {
  return check(option, loadOwn(option, name) as T);
}
