/** What goes between a director and its worker threads. */
import type { MessagePort } from 'node:worker_threads';
import type { Configuration } from '../configuration.ts';
import type { DeviceTransfer } from '../devices/device.ts';
import type { EngineEvent } from '../engine/engine.ts';
import type { TeamPlan } from '../engine/team.ts';
import { DirectorError, type DirectorErrorCode } from '../errors.ts';

/** A call of the engine's, by its name. */
export interface Call {
  readonly id: number;
  readonly method: string;
  readonly args: readonly unknown[];
  /** The time, for a director with a clock of its own; null: the thread has the machine's. */
  readonly now: number | null;
}

/** What became of a call. */
export interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: PackedError;
}

/** An event, as `EngineListener` takes it; `thrown` stands for what nobody has caught, with an error. */
export type Told = readonly [event: EngineEvent | 'thrown', ...told: unknown[]];

/** Words of the memory that a thread and its director share: how many answers there were, and whether it has ended. */
export const ANSWERS = 0;
export const ENDED = 1;
export const CONTROL_WORDS = 2;

/** What a thread begins with. */
export interface Seat {
  readonly calls: MessagePort;
  readonly events: MessagePort;
  readonly control: SharedArrayBuffer;
}

/** What a thread's engine is made of. */
export interface EnginePlan {
  /** The configuration, where each interface has the number of its device in place of it. */
  readonly configuration: Omit<Configuration, 'clock' | 'random' | 'interfaces'>;
  readonly interfaces: readonly (Omit<Configuration['interfaces'][number], 'device'> & { readonly device: number })[];
  readonly devices: readonly DeviceTransfer[];
  /** Whether the time is told with every call. */
  readonly isToldTime: boolean;
  /** What goes between this thread and the others; null when it is alone. */
  readonly membership: Membership | null;
}

/** One of several threads. */
export interface Membership {
  readonly team: TeamPlan;
  /** Which of the threads it is. */
  readonly index: number;
  /** For each device the rings to the other threads and from them, by their numbers; null for the own one. */
  readonly rings: readonly {
    readonly to: readonly (SharedArrayBuffer | null)[];
    readonly from: readonly (SharedArrayBuffer | null)[];
  }[];
  /** By which the others are woken, and wake this one; null for the own one. */
  readonly ports: readonly (MessagePort | null)[];
}

/** An error that can be cloned without losing what it knows. */
export interface PackedError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** Its own properties: `code`, `syscall`, `option` ... */
  readonly properties: Readonly<Record<string, unknown>>;
  readonly cause: PackedError | null;
  readonly isDirectorError: boolean;
}

export function packError(thrown: unknown): PackedError {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const { name, message, stack, cause } = error;
  const properties = Object.fromEntries(Object.entries(error).filter(([, value]) => canBeCloned(value)));
  const isDirectorError = error instanceof DirectorError;
  return { name, message, stack, properties, cause: cause === undefined ? null : packError(cause), isDirectorError };
}

export function unpackError(packed: PackedError): Error {
  const { name, message, stack, properties, isDirectorError } = packed;
  const cause = packed.cause === null ? {} : { cause: unpackError(packed.cause) };
  if (isDirectorError)
    return new DirectorError(properties.code as DirectorErrorCode, message, { ...properties, ...cause });
  const error = Object.assign(new Error(message, cause), properties);
  if (error.name !== name) error.name = name;
  if (stack !== undefined) error.stack = stack;
  return error;
}

/**
 * Whether all of a value reaches another thread: functions do not, and objects of classes arrive without their methods.
 */
export function canBeCloned(value: unknown): boolean {
  if (typeof value === 'function' || typeof value === 'symbol') return false;
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== Array.prototype && prototype !== null) return false;
  return Object.values(value).every(canBeCloned);
}
