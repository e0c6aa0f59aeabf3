/** What several engines list, as one director's listing. Each counted its own packets; counts of connections are shared. */
import type { Captured } from '../engine/capture/captures.ts';
import type { DirectorCounters } from '../engine/engine.ts';
import type { PlantedCounts } from '../engine/handover/planting.ts';
import type { StateCount, Workload } from '../engine/workload.ts';
import type { HandshakeCounts, ServiceEntry } from '../services/config.ts';
import type { RateSnapshot, StatsSnapshot } from '../services/stats.ts';

type Numbers = PlantedCounts | StatsSnapshot | RateSnapshot | HandshakeCounts | DirectorCounters['verdicts'];

/** Objects of numbers, added up field by field. */
export function sum<T extends Numbers>(parts: readonly T[]): T {
  const [first] = parts as readonly Readonly<Record<string, number>>[];
  const total = Object.keys(first).map((name) => [
    name,
    parts.reduce((so, part) => so + (part as Readonly<Record<string, number>>)[name], 0),
  ]);
  return Object.fromEntries(total) as T;
}

/** The same service as each engine lists it. */
export function mergeService(entries: readonly ServiceEntry[]): ServiceEntry {
  const [first] = entries;
  return {
    ...first,
    stats: sum(entries.map(({ stats }) => stats)),
    rates: sum(entries.map(({ rates }) => rates)),
    destinations: first.destinations.map((destination, i) => ({
      ...destination,
      handshakes: sum(entries.map(({ destinations }) => destinations[i].handshakes)),
      stats: sum(entries.map(({ destinations }) => destinations[i].stats)),
      rates: sum(entries.map(({ destinations }) => destinations[i].rates)),
    })),
  };
}

export function mergeServices(listings: readonly (readonly ServiceEntry[])[]): ServiceEntry[] {
  return listings[0].map((_, i) => mergeService(listings.map((listing) => listing[i])));
}

export function mergeCounters(parts: readonly DirectorCounters[]): DirectorCounters {
  const total = (name: Exclude<keyof DirectorCounters, 'sync' | 'verdicts'>) =>
    parts.reduce((so, part) => so + part[name], 0);
  return {
    received: total('received'),
    sent: total('sent'),
    lost: total('lost'),
    neighbourDrops: total('neighbourDrops'),
    handedOn: total('handedOn'),
    handOnLost: total('handOnLost'),
    sync: parts[0].sync,
    verdicts: sum(parts.map(({ verdicts }) => verdicts)),
  };
}

/** Connections are one thread's or another's, and how many there may be is said of all together. */
export function mergeWorkloads(parts: readonly Workload[]): Workload {
  const [first] = parts;
  const added = (lists: readonly (readonly number[])[]) =>
    lists[0].map((_, i) => lists.reduce((so, list) => so + list[i], 0));
  const states = new Map<string, StateCount>();
  for (const one of parts.flatMap((part) => part.states)) {
    const key = `${one.family} ${one.protocol} ${one.state} ${one.template}`;
    states.set(key, { ...one, count: one.count + (states.get(key)?.count ?? 0) });
  }
  return {
    tables: first.tables.map((table, i) => ({
      ...table,
      entries: parts.reduce((so, { tables }) => so + tables[i].entries, 0),
    })),
    states: [...states.values()],
    bursts: added(parts.map(({ bursts }) => bursts)),
    lag: {
      boundsSeconds: first.lag.boundsSeconds,
      counts: added(parts.map(({ lag }) => lag.counts)),
      sumSeconds: parts.reduce((so, { lag }) => so + lag.sumSeconds, 0),
    },
  };
}

/** Each thread has seen its own frames. A bound that one has reached is reached; the time is over for all at once. */
export function mergeCaptured(parts: readonly Captured[]): Captured {
  return {
    frames: parts.flatMap(({ frames }) => frames).sort((a, b) => a.timeMs - b.timeMs),
    lost: parts.reduce((so, { lost }) => so + lost, 0),
    ended: parts.find(({ ended }) => ended !== null)?.ended ?? null,
  };
}
