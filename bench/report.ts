/** A run as a machine reads it: the file that `--json` writes, and that tables and plots are made from. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import type { Row } from './bench.ts';

const BYTES_PER_GIB = 2 ** 30;
/** Options that say where figures go. */
const OUTPUT: ReadonlySet<string> = new Set(['--json', '--plots']);

export interface Report {
  /** When the run began, ISO 8601. */
  readonly date: string;
  /** What was typed, but for where the figures were to go. */
  readonly command: string;
  /** The commit, with `-dirty` when the files were not those of it. */
  readonly commit: string;
  readonly machine: string;
  readonly kernel: string;
  readonly node: string;
  /** How long the run took. */
  readonly seconds: number;
  readonly rows: readonly Row[];
}

/** Where and when this process runs. `argv` is what followed `npm run bench --`. */
export function circumstances(argv: readonly string[]): Omit<Report, 'seconds' | 'rows'> {
  const processors = cpus();
  const gib = Math.round(totalmem() / BYTES_PER_GIB);
  return {
    date: new Date().toISOString(),
    command: ['npm run bench --', ...argv.filter((word, i) => !OUTPUT.has(word) && !OUTPUT.has(argv[i - 1]!))].join(
      ' ',
    ),
    commit: commit(),
    machine: `${processors.length} cores, ${processors[0]?.model ?? process.arch}${hypervisor()}, ${gib} GiB`,
    kernel: `Linux ${release()}`,
    node: process.version,
  };
}

function commit(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty', '--abbrev=12'], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown: not a git checkout';
  }
}

/** Virtual machines say so with a processor flag. */
function hypervisor(): string {
  try {
    return /^flags.*\bhypervisor\b/m.test(readFileSync('/proc/cpuinfo', 'utf8')) ? ' (virtual machine)' : '';
  } catch {
    return '';
  }
}

export function writeReport(path: string, report: Report): void {
  writeFileSync(path, `${JSON.stringify(report, null, 2)}\n`);
}

export function readReport(path: string): Report {
  return JSON.parse(readFileSync(path, 'utf8')) as Report;
}
