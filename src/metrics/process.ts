/** What is exposed of the process that a director runs in, by the names that everybody uses. */
import type { Registry } from 'prom-client';
import { type Family, register } from './family.ts';

interface Look {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
}

const STARTED_SECONDS = performance.timeOrigin / 1000;

const FAMILIES: readonly Family<Look>[] = [
  {
    name: 'process_cpu_seconds_total',
    help: 'Processor time of the process, of all its threads, in seconds.',
    type: 'counter',
    samples: ({ cpuSeconds }) => [{ labels: {}, value: cpuSeconds }],
  },
  {
    name: 'process_resident_memory_bytes',
    help: 'Memory of the process that is in use.',
    type: 'gauge',
    samples: ({ residentBytes }) => [{ labels: {}, value: residentBytes }],
  },
  {
    name: 'process_start_time_seconds',
    help: 'When the process started, in seconds since 1970.',
    type: 'gauge',
    samples: () => [{ labels: {}, value: STARTED_SECONDS }],
  },
];

function look(): Look {
  const { user, system } = process.cpuUsage();
  return { cpuSeconds: (user + system) / 1e6, residentBytes: process.memoryUsage.rss() };
}

/** Registers them. @throws Error by prom-client when the registry has them already */
export function processMetrics(registry: Registry): void {
  register(registry, FAMILIES, look);
}
