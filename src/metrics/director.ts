/** What a director exposes. Names follow the conventions of Prometheus and OpenMetrics: base units, `_total` for counters. */
import type { Registry } from 'prom-client';
import { FORWARD_NAMES } from '../conntrack/forward-method.ts';
import type { Director } from '../director.ts';
import type { DirectorCounters } from '../engine/engine.ts';
import type { Workload } from '../engine/workload.ts';
import type { ServerHealthEntry, ServiceHealthEntry } from '../health/config.ts';
import type { DestinationEntry, HandshakeCounts, ServiceEntry } from '../services/config.ts';
import { destinationName, keyOf, serviceName } from '../services/naming.ts';
import type { RateSnapshot, StatsSnapshot } from '../services/stats.ts';
import { VERDICT_NAMES, VERDICT_TEXTS } from '../verdicts.ts';
import { type Family, register, type Sample } from './family.ts';

/** What of a director is asked. */
export type Measured = Pick<Director, 'services' | 'statistics' | 'rates' | 'counters' | 'workload' | 'health'>;

/** One look at it. */
interface Look {
  readonly services: readonly { readonly entry: ServiceEntry; readonly labels: ServiceLabels }[];
  readonly destinations: readonly { readonly entry: DestinationEntry; readonly labels: DestinationLabels }[];
  readonly statistics: StatsSnapshot;
  readonly rates: RateSnapshot;
  readonly counters: DirectorCounters;
  readonly workload: Workload;
  readonly watched: readonly { readonly entry: ServiceHealthEntry; readonly labels: ServiceLabels }[];
  readonly checked: readonly { readonly entry: ServerHealthEntry; readonly labels: DestinationLabels }[];
}

type ServiceLabels = { readonly service: string };
type DestinationLabels = ServiceLabels & { readonly destination: string };

function lookAt(director: Measured): Look {
  const services = director.services().map((entry) => ({ entry, labels: { service: serviceName(keyOf(entry)) } }));
  const destinations = services.flatMap(({ entry: { destinations }, labels }) =>
    destinations.map((entry) => ({ entry, labels: { ...labels, destination: destinationName(entry) } })),
  );
  const watched = director.health().map((entry) => ({ entry, labels: { service: serviceName(entry.service) } }));
  const checked = watched.flatMap(({ entry: { servers }, labels }) =>
    servers.map((entry) => ({ entry, labels: { ...labels, destination: destinationName(entry) } })),
  );
  return {
    services,
    destinations,
    watched,
    checked,
    statistics: director.statistics(),
    rates: director.rates(),
    counters: director.counters(),
    workload: director.workload(),
  };
}

const PROTOCOL_NAMES: Readonly<Record<number, string>> = { 0: 'any', 6: 'tcp', 17: 'udp', 132: 'sctp' };

function single(value: number): Sample[] {
  return [{ labels: {}, value }];
}

// ---- What ipvsadm counts ---------------------------------------------------------------------------------------------

const COUNTED: readonly (readonly [name: string, field: keyof StatsSnapshot, what: string])[] = [
  ['connections', 'conns', 'Connections scheduled'],
  ['incoming_packets', 'inPkts', 'Packets from clients'],
  ['outgoing_packets', 'outPkts', 'Packets to clients that passed the director'],
  ['incoming_bytes', 'inBytes', 'Bytes of IP packets from clients'],
  ['outgoing_bytes', 'outBytes', 'Bytes of IP packets to clients that passed the director'],
];

const RATED: readonly (readonly [name: string, field: keyof RateSnapshot, what: string])[] = [
  ['connections', 'cps', 'Connections per second'],
  ['incoming_packets', 'inPps', 'Packets from clients per second'],
  ['outgoing_packets', 'outPps', 'Packets to clients per second'],
  ['incoming_bytes', 'inBps', 'Bytes from clients per second'],
  ['outgoing_bytes', 'outBps', 'Bytes to clients per second'],
];

type Counting = {
  readonly labels: Sample['labels'];
  readonly entry: { readonly stats: StatsSnapshot; readonly rates: RateSnapshot };
};

/** The counters and rates of `ipvsadm --stats` and `--rate`. */
function ipvsadmFamilies(prefix: string, whose: string, all: (look: Look) => readonly Counting[]): Family<Look>[] {
  return [
    ...COUNTED.map(
      ([name, field, what]): Family<Look> => ({
        name: `${prefix}_${name}_total`,
        help: `${what}${whose}; starts anew when the counters are zeroed.`,
        type: 'counter',
        samples: (look) => all(look).map(({ labels, entry }) => ({ labels, value: entry.stats[field] })),
      }),
    ),
    ...RATED.map(
      ([name, field, what]): Family<Look> => ({
        name: `${prefix}_${name}_per_second`,
        help: `${what}${whose}, as ipvsadm --rate shows it: averaged by the estimator, every 2 s.`,
        type: 'gauge',
        samples: (look) => all(look).map(({ labels, entry }) => ({ labels, value: entry.rates[field] })),
      }),
    ),
  ];
}

// ---- Servers ---------------------------------------------------------------------------------------------------------

function destinationGauge(name: string, help: string, value: (entry: DestinationEntry) => number): Family<Look> {
  return {
    name: `tapvs_destination_${name}`,
    help,
    type: 'gauge',
    samples: ({ destinations }) => destinations.map(({ entry, labels }) => ({ labels, value: value(entry) })),
  };
}

const DESTINATIONS: readonly Family<Look>[] = [
  {
    name: 'tapvs_service_info',
    help: 'What a service is; always 1.',
    type: 'gauge',
    samples: ({ services }) =>
      services.map(({ labels, entry }) => ({
        labels: {
          ...labels,
          protocol: entry.protocol,
          address: entry.address,
          port: entry.port,
          fwmark: entry.fwmark,
          scheduler: entry.scheduler,
        },
        value: 1,
      })),
  },
  {
    name: 'tapvs_service_destinations',
    help: 'Real servers of a service.',
    type: 'gauge',
    samples: ({ services }) => services.map(({ labels, entry }) => ({ labels, value: entry.destinations.length })),
  },
  {
    name: 'tapvs_destination_info',
    help: 'What a real server is; always 1.',
    type: 'gauge',
    samples: ({ destinations }) =>
      destinations.map(({ labels, entry: { address, port, method } }) => ({
        labels: { ...labels, address, port, method: FORWARD_NAMES[method] ?? String(method) },
        value: 1,
      })),
  },
  destinationGauge('weight', 'Weight; 0 takes no new connections.', ({ weight }) => weight),
  destinationGauge('active_connections', 'Active connections (TCP and SCTP, established).', (d) => d.activeConns),
  destinationGauge('inactive_connections', 'All other connections.', (d) => d.inactConns),
  destinationGauge('persistent_connections', 'Persistence templates.', (d) => d.persistConns),
  destinationGauge('overloaded', '1 while it is at its upper threshold, and takes no new connections.', (d) =>
    Number(d.overloaded),
  ),
];

// ---- Health ----------------------------------------------------------------------------------------------------------

const HANDSHAKES: readonly Exclude<keyof HandshakeCounts, 'timed' | 'timedSeconds'>[] = [
  'started',
  'completed',
  'answered',
  'repeated',
  'refused',
  'reset',
  'expired',
];

/** One series for each state there is, of which one is 1. */
function stateSamples<S extends string>(states: readonly S[], labels: Sample['labels'], now: S): Sample[] {
  return states.map((state) => ({ labels: { ...labels, state }, value: Number(state === now) }));
}

function watchedGauge(name: string, help: string, value: (entry: ServiceHealthEntry) => number): Family<Look> {
  return {
    name: `tapvs_health_${name}`,
    help,
    type: 'gauge',
    samples: ({ watched }) => watched.map(({ entry, labels }) => ({ labels, value: value(entry) })),
  };
}

/** Of servers for which there is such a number. */
function checkedGauge(name: string, help: string, value: (entry: ServerHealthEntry) => number | null): Family<Look> {
  return {
    name: `tapvs_health_${name}`,
    help,
    type: 'gauge',
    samples: ({ checked }) =>
      checked.flatMap(({ entry, labels }) => {
        const known = value(entry);
        return known === null ? [] : [{ labels, value: known }];
      }),
  };
}

const HEALTH: readonly Family<Look>[] = [
  {
    name: 'tapvs_health_service_state',
    help: 'How a service that is watched is served: by its servers, by the sorry server, or by fewer than its quorum.',
    type: 'gauge',
    samples: ({ watched }) =>
      watched.flatMap(({ entry, labels }) => stateSamples(['served', 'sorry', 'short'], labels, entry.state)),
  },
  watchedGauge('quorum_destinations', 'How many servers must be in use.', ({ quorum }) => quorum),
  watchedGauge('used_destinations', 'How many servers are in use.', ({ inUse }) => inUse),
  {
    name: 'tapvs_health_state',
    help: 'The state of a server that is watched.',
    type: 'gauge',
    samples: ({ checked }) =>
      checked.flatMap(({ entry, labels }) => stateSamples(['unchecked', 'up', 'down', 'ejected'], labels, entry.state)),
  },
  checkedGauge(
    'configured_weight',
    'The weight that a server was given, of which it has what its health allows.',
    (one) => one.configuredWeight,
  ),
  checkedGauge('load_ratio', 'The load that a server told last, 0 to 1.', ({ load }) => load),
  checkedGauge('check_duration_seconds', 'How long the last check of a server took.', (one) => one.checks.lastSeconds),
  {
    name: 'tapvs_health_checks_total',
    help: 'Checks of a server, by their result.',
    type: 'counter',
    samples: ({ checked }) =>
      checked.flatMap(({ entry: { checks }, labels }) =>
        (['succeeded', 'failed'] as const).map((result) => ({ labels: { ...labels, result }, value: checks[result] })),
      ),
  },
  {
    name: 'tapvs_destination_handshakes_total',
    help: 'What packets told of TCP handshakes with a server, watched or not; with DR and tunnels only of the client.',
    type: 'counter',
    samples: ({ destinations }) =>
      destinations.flatMap(({ entry: { handshakes }, labels }) =>
        HANDSHAKES.map((event) => ({ labels: { ...labels, event }, value: handshakes[event] })),
      ),
  },
  {
    name: 'tapvs_destination_handshake_seconds',
    help: 'How long a server took to answer a SYN at once, under NAT; the mean of many is exact.',
    type: 'summary',
    samples: ({ destinations }) =>
      destinations.flatMap(({ entry: { handshakes }, labels }): Sample[] => [
        { labels, value: handshakes.timedSeconds, suffix: '_sum' },
        { labels, value: handshakes.timed, suffix: '_count' },
      ]),
  },
];

// ---- Frames ----------------------------------------------------------------------------------------------------------

function counter(name: string, help: string, value: (counters: DirectorCounters) => number): Family<Look> {
  return { name, help, type: 'counter', samples: ({ counters }) => single(value(counters)) };
}

const FRAMES: readonly Family<Look>[] = [
  {
    name: 'tapvs_received_frames_total',
    help: 'Frames read, by what became of them; fate is dropped or handled.',
    type: 'counter',
    samples: ({ counters: { verdicts } }) =>
      VERDICT_NAMES.map((verdict) => ({
        labels: { verdict, fate: VERDICT_TEXTS[verdict].startsWith('dropped') ? 'dropped' : 'handled' },
        value: verdicts[verdict],
      })),
  },
  counter('tapvs_sent_frames_total', 'Frames that devices took.', ({ sent }) => sent),
  counter('tapvs_lost_frames_total', 'Frames that devices did not take.', ({ lost }) => lost),
  counter(
    'tapvs_neighbour_dropped_packets_total',
    'Packets dropped while they waited for the MAC address of a neighbour.',
    ({ neighbourDrops }) => neighbourDrops,
  ),
  counter('tapvs_handed_on_frames_total', 'Frames handed to the thread they were for.', ({ handedOn }) => handedOn),
  counter('tapvs_hand_on_lost_frames_total', 'Frames lost on the way to another thread.', (c) => c.handOnLost),
];

// ---- Load ------------------------------------------------------------------------------------------------------------

function familyName(family: 4 | 6): string {
  return family === 4 ? 'ipv4' : 'ipv6';
}

/** Upper bounds of burst sizes: a burst has at most 64 frames. */
const BURST_BOUNDS = [1, 2, 4, 8, 16, 32, 64];

function buckets(bounds: readonly number[], within: (bound: number, i: number) => number, total: number): Sample[] {
  return [
    ...bounds.map((le, i): Sample => ({ labels: { le }, value: within(le, i), suffix: '_bucket' })),
    { labels: { le: '+Inf' }, value: total, suffix: '_bucket' },
    { labels: {}, value: total, suffix: '_count' },
  ];
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((so, number) => so + number, 0);
}

const LOAD: readonly Family<Look>[] = [
  {
    name: 'tapvs_table_entries',
    help: 'Connections and templates in the connection table.',
    type: 'gauge',
    samples: ({ workload: { tables } }) =>
      tables.map(({ family, entries }) => ({ labels: { family: familyName(family) }, value: entries })),
  },
  {
    name: 'tapvs_table_capacity_entries',
    help: 'Connections and templates that the connection table can hold.',
    type: 'gauge',
    samples: ({ workload: { tables } }) =>
      tables.map(({ family, capacity }) => ({ labels: { family: familyName(family) }, value: capacity })),
  },
  {
    name: 'tapvs_state_connections',
    help: 'Connections by state, as ipvsadm -Lc prints it; kind is connection or template.',
    type: 'gauge',
    samples: ({ workload: { states } }) =>
      states.map(({ family, protocol, state, template, count }) => ({
        labels: {
          family: familyName(family),
          protocol: PROTOCOL_NAMES[protocol] ?? String(protocol),
          state,
          kind: template ? 'template' : 'connection',
        },
        value: count,
      })),
  },
  {
    name: 'tapvs_burst_frames',
    help: 'Frames that were read from a device at once.',
    type: 'histogram',
    samples: ({ workload: { bursts } }) => [
      ...buckets(BURST_BOUNDS, (most) => sumOf(bursts.slice(0, most + 1)), sumOf(bursts)),
      { labels: {}, value: sumOf(bursts.map((count, frames) => count * frames)), suffix: '_sum' },
    ],
  },
  {
    name: 'tapvs_loop_lag_seconds',
    help: 'How much later than every 50 ms the director came to look at its timers.',
    type: 'histogram',
    samples: ({ workload: { lag } }) => [
      ...buckets(lag.boundsSeconds, (_, i) => sumOf(lag.counts.slice(0, i + 1)), sumOf(lag.counts)),
      { labels: {}, value: lag.sumSeconds, suffix: '_sum' },
    ],
  },
];

// ---- Sync daemons ----------------------------------------------------------------------------------------------------

function daemonCounter(name: string, help: string, field: 'messages' | 'connections'): Family<Look> {
  return {
    name: `tapvs_sync_${name}_total`,
    help,
    type: 'counter',
    samples: ({ counters: { sync } }) =>
      (['master', 'backup'] as const).flatMap((role) => {
        const counted = sync[role];
        return counted === null ? [] : [{ labels: { role }, value: counted[field] }];
      }),
  };
}

const SYNC: readonly Family<Look>[] = [
  daemonCounter('messages', 'Messages that a sync daemon has sent (master) or received (backup).', 'messages'),
  daemonCounter('connections', 'Connections and templates in them; of a backup those it used.', 'connections'),
  {
    name: 'tapvs_sync_dropped_messages_total',
    help: 'Messages that the sync master threw away because too many were waiting.',
    type: 'counter',
    samples: ({ counters: { sync } }) => (sync.master === null ? [] : single(sync.master.dropped)),
  },
  {
    name: 'tapvs_sync_refused_total',
    help: 'Messages and connections that the sync backup did not use, by reason.',
    type: 'counter',
    samples: ({ counters: { sync } }) =>
      Object.entries(sync.backup?.refused ?? {}).map(([reason, value]) => ({ labels: { reason }, value })),
  },
];

const FAMILIES: readonly Family<Look>[] = [
  ...ipvsadmFamilies('tapvs', ', of all services', ({ statistics, rates }) => [
    { labels: {}, entry: { stats: statistics, rates } },
  ]),
  ...ipvsadmFamilies('tapvs_service', ', of a service', ({ services }) => services),
  ...ipvsadmFamilies('tapvs_destination', ', of a real server', ({ destinations }) => destinations),
  ...DESTINATIONS,
  ...HEALTH,
  ...FRAMES,
  ...LOAD,
  ...SYNC,
];

/**
 * Registers the metrics of a director with a registry of prom-client's, yours or its default one. They are read when the
 * registry is asked, all from one look at the director; in between they cost nothing. A look costs what `services()` and
 * `workload()` do.
 *
 * ```ts
 * import { register } from 'prom-client';
 * metricsOf(director, register);
 * console.log(await register.metrics());
 * ```
 *
 * @throws Error by prom-client when the registry has metrics of these names already: it holds those of one director.
 */
export function metricsOf(director: Measured, registry: Registry): void {
  register(registry, FAMILIES, () => lookAt(director));
}
