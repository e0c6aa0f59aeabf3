/** Recordings of Linux IPVS: what was done to it, and what it answered. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

export interface RecordedFrame {
  readonly dev: string;
  /** Hex, from the Ethernet header on. */
  readonly frame: string;
  readonly note: string;
  /** Byte ranges [from, to) that are the kernel's own choice. */
  readonly free?: readonly (readonly [number, number])[];
}

export interface ExecStep {
  readonly exec: string;
  readonly status: number;
  readonly out: string;
}
export interface SysctlStep {
  readonly sysctl: string;
  readonly value: string;
}
export interface MarkStep {
  readonly mark: {
    readonly proto: 'tcp' | 'udp' | 'sctp';
    readonly dst: string;
    readonly dport: number;
    readonly value: number;
  };
}
export interface SleepStep {
  readonly sleep: number;
}
export interface FrameStep {
  readonly tx: RecordedFrame;
  readonly rx: readonly RecordedFrame[];
}
export type Step = ExecStep | SysctlStep | MarkStep | SleepStep | FrameStep;

export interface Scenario {
  readonly name: string;
  readonly about: string;
  readonly oracle: string;
  /** Whether the kernel's console messages appear among what commands print. Default true. */
  readonly console?: boolean;
  /** Whether frames were recorded before the device completed their checksums. Default true. */
  readonly checksumOffload?: boolean;
  readonly host: {
    readonly interfaces: readonly { name: string; mac: string; mtu: number; addresses: readonly string[] }[];
    readonly neighbours: readonly { ip: string; dev: string; mac: string }[];
    readonly routes: readonly { to: string; via: string; dev: string }[];
    readonly forwarding: boolean;
  };
  readonly steps: readonly Step[];
}

/** All scenarios of a directory, by name. */
export function loadScenarios(directory: string): Scenario[] {
  return readdirSync(directory)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => ({ ...JSON.parse(readFileSync(join(directory, file), 'utf8')), name: basename(file, '.json') }));
}
