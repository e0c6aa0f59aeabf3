/** What a contender is, and what the contenders share. */
import { readFileSync } from 'node:fs';
import type { Cleanup } from '../../examples/lab/cleanup.ts';
import { succeeds } from '../../examples/lab/processes.ts';
import type { Arena, Place, WayBack } from './arena.ts';

/** What may run long: connections are held, and rounds take minutes. */
export const LIMIT_MS: number = 3_600_000;
/** Within this a contender serves, or the benchmark gives up. */
export const START_MS = 30_000;
/** Descriptors that a proxy gets where the system allows it: two for each connection, and some. */
const WANTED_DESCRIPTORS = 202_000;
/** Connections that a contender's tables are laid out for: the talkers' ports, and some. */
export const CONNECTIONS: number = 2 ** 20;

export interface Contender {
  /** As tables show it. */
  readonly name: string;
  /** At most 8 letters: see {@link Place}. */
  readonly host: string;
  readonly wayBack: WayBack;
  /** Whether it is a host of its own in the arena, with the kernel's network; else it brings a TAP. */
  readonly hasHost: boolean;
  /** Starts it; when the promise is fulfilled it serves. @throws Error when it does not come up. */
  start(arena: Arena, place: Place, cleanup: Cleanup): Promise<Running>;
}

/** A contender that serves. */
export interface Running {
  /** Connections that it can have at a time. */
  readonly mostConnections: number;
  /** The process that does the work; 0 when it is the kernel. */
  readonly pid: number;
  stop(): Promise<void>;
}

/** Descriptors that a proxy can have: as many as are wanted, or this process's hard limit. */
export function descriptors(): number {
  if (succeeds('prlimit', `--nofile=${WANTED_DESCRIPTORS}:${WANTED_DESCRIPTORS}`, 'true')) return WANTED_DESCRIPTORS;
  return Number(/^Max open files +\d+ +(\d+) /m.exec(readFileSync('/proc/self/limits', 'utf8'))![1]);
}

/** Memory of a process that is its own and in use, in bytes; 0 for the kernel. */
export function residentBytes(pid: number): number {
  if (pid === 0) return 0;
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return kib === null ? 0 : Number(kib[1]) * 1024;
}
