/** What several engines list, as one director's listing. Each counted its own packets; counts of connections are shared. */
import type { DirectorCounters } from '../engine/engine.ts';
import type { ServiceEntry } from '../services/config.ts';
import type { RateSnapshot, StatsSnapshot } from '../services/stats.ts';

type Numbers = StatsSnapshot | RateSnapshot | DirectorCounters['verdicts'];

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
