/** Who takes turns in the wire benchmark: the director in its variants, and C loops that only exchange MAC addresses. */
import { join } from 'node:path';
import type { DirectorOptions, ForwardMethod, PacketOptions, TapOptions } from '../../src/index.ts';
import { compileC, ROOT } from '../programs.ts';
import { CONTENDER_CORE, CONTENDER_MAC, type Ends } from './arena.ts';
import type { Task } from './director-process.ts';

const DIRECTOR = join(ROOT, 'build', 'bench', 'wire', 'director-process.js');

/** What is to be done. */
export interface Work {
  readonly method: ForwardMethod;
  readonly ends: Ends;
  readonly maxConnections: number;
  /** Whether a director watches itself for its report, which takes a little of its time. Default false. */
  readonly watched?: boolean;
}

export interface Contender {
  readonly name: string;
  /** Whether it keeps connections, which have to be there before they are measured, and counters. */
  readonly isDirector: boolean;
  readonly cores: readonly number[];
  /** Whether it attaches to an interface that is there, instead of making a TAP. */
  readonly attaches: boolean;
  /** The command that forwards on the TAP of this name, which it makes, or on the interface, and says `ready`. */
  command(tap: string, work: Work): readonly string[];
}

/** The director with further options. @param computes whether the program around it computes most of the time. */
export function director(
  name: string,
  tapOptions: TapOptions = {},
  directorOptions: Partial<DirectorOptions> = {},
  cores: readonly number[] = [CONTENDER_CORE],
  computes = false,
): Contender {
  return {
    name,
    isDirector: true,
    cores,
    attaches: false,
    command: (tap, work) => {
      const task: Task = { tap, watched: false, ...work, tapOptions, directorOptions, computes };
      return [process.execPath, DIRECTOR, JSON.stringify(task)];
    },
  };
}

/** The director on an interface, without a TAP. */
export function attached(name: string, packetOptions: Partial<PacketOptions>): Contender {
  const contender = director(name);
  return {
    ...contender,
    attaches: true,
    command: (tap, work) => {
      const [program, script, task] = contender.command(tap, work);
      return [program, script, JSON.stringify({ ...(JSON.parse(task) as Task), packetOptions })];
    },
  };
}

/** A program of bench/baseline that takes a TAP, its own MAC address, and those of the two ends. */
export function loop(name: string, program: string, ...options: readonly string[]): Contender {
  return {
    name,
    isDirector: false,
    cores: [CONTENDER_CORE],
    attaches: false,
    command: (tap, { ends }) => [compileC(program), tap, CONTENDER_MAC, ends.from, ends.to, ...options],
  };
}

export const PLAIN_LOOP: Contender = loop('plain C loop', 'tap-loop');
export const SPINNING_LOOP: Contender = loop('C loop, spinning', 'tap-loop', '--spin');
export const URING_LOOPS: readonly Contender[] = ['read', 'batch'].map((reads) =>
  loop(`C io_uring loop (${reads})`, 'uring-loop', '--reads', reads),
);
export const VNET_LOOP: Contender = loop('C loop, vnet header', 'tap-loop', '--vnet');
export const PACKET_LOOP: Contender = { ...loop('C loop, AF_PACKET', 'packet-loop'), attaches: true };
export const XDP_LOOP: Contender = { ...loop('C loop, AF_XDP', 'xdp-loop'), attaches: true };
