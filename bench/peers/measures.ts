/** What is measured of a contender, each once: the samples that the rounds collect. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Cleanup } from '../../examples/lab/cleanup.ts';
import { compileC, Program, ROOT, runProgram } from '../programs.ts';
import {
  type Arena,
  BULK_PORT,
  CLIENT,
  CONTENDER_CORE,
  OUTER_CORE,
  type Place,
  TALK_PORT,
  TALKER_INTERFACES,
  TALKERS,
  TALKING_CLIENTS,
  WEB_PORT,
} from './arena.ts';
import { type Running, residentBytes } from './contender.ts';

const MS = 1000;
const MICROSECONDS = 1e6;
const NANOSECONDS = 1e9;
const BITS_PER_GBIT = 1e9;
const BYTES_PER_MB = 1e6;
const WRK_REPORT = join(ROOT, 'bench', 'peers', 'report.lua');
/** More than anything takes beyond the time that it is told to take. */
const GRACE_MS = 20_000;
/** The share of requests that may fail, and the measure still be one. */
const MOST_FAILURES = 0.05;
/** Of the measure of small frames. Connections are made at a rate that everybody keeps up with. */
const FLOWS = 1000;
const PREPARE_RATE = 20_000;
const WARM_UP_TALKS = 64;
/** /proc/stat counts in hundredths of a second. */
const TICKS_PER_SECOND = 100;
/** What connections leave behind in the kernel goes some time after them: until this changes by less than that, at most so long. */
const SETTLE_PERIOD_MS = 500;
const SETTLED_BYTES = 100_000;
const SETTLE_MS = 10_000;

/** Kinds of objects of the kernel (/proc/slabinfo) that are there because of connections. */
const KERNEL_OBJECTS: ReadonlySet<string> = new Set([
  'TCP',
  'sock_inode_cache',
  'filp',
  'eventpoll_epi',
  'nf_conntrack',
]);

/** Figures by name; units are those of {@link FIGURES} in peers.ts. */
export type Sample = Readonly<Record<string, number>>;

/** What every measure needs to know. */
export interface Target {
  readonly arena: Arena;
  readonly place: Place;
  readonly cleanup: Cleanup;
  readonly seconds: number;
}

/** Seconds that a core has worked for since it started, whatever for: also interrupts and the kernel's network. */
function busySeconds(core: number): number {
  const line = new RegExp(`^cpu${core} (.*)$`, 'm').exec(readFileSync('/proc/stat', 'utf8'));
  const [user, nice, system, , , irq, softirq] = line![1].split(' ').map(Number);
  return (user + nice + system + irq + softirq) / TICKS_PER_SECOND;
}

/** Runs something, and tells how long the contender's core worked meanwhile, in seconds. */
async function whileWorking<T>(run: () => Promise<T>): Promise<{ result: T; coreSeconds: number }> {
  const before = busySeconds(CONTENDER_CORE);
  const result = await run();
  return { result, coreSeconds: busySeconds(CONTENDER_CORE) - before };
}

/** Requests by wrk from one thread. @param perConnection whether each request has a connection of its own. */
export async function requests(target: Target, connections: number, perConnection: boolean): Promise<Sample> {
  const { arena, place, cleanup, seconds } = target;
  const command = arena.on(
    CLIENT,
    OUTER_CORE,
    ...['wrk', '--threads', '1', '--connections', `${connections}`, '--duration', `${seconds}s`],
    ...(perConnection ? ['--header', 'Connection: close'] : []),
    ...['--script', WRK_REPORT, `http://${place.vip}:${WEB_PORT}/`],
  );
  const { result, coreSeconds } = await whileWorking(() => runProgram(cleanup, seconds * MS + GRACE_MS, ...command));
  const report = JSON.parse(/^\{.*\}$/m.exec(result)![0]) as Record<string, number>;
  if (report.requests === 0 || report.errors > report.requests * MOST_FAILURES) {
    throw new Error(`wrk: ${report.requests} requests, ${report.errors} errors`);
  }
  return {
    rate: report.requests / (report.microseconds / MICROSECONDS),
    p50: report.p50,
    p99: report.p99,
    core: (coreSeconds * MICROSECONDS) / report.requests,
  };
}

interface Talk {
  readonly connections: number;
  readonly answers: number;
  readonly seconds: number;
  readonly retries: number;
  readonly resets: number;
}

function talkersCommand({ arena, place, seconds }: Target, mode: string, count: number): string[] {
  const [clients, servers] = TALKER_INTERFACES;
  return arena.on(
    TALKERS,
    OUTER_CORE,
    compileC('talkers'),
    `${clients}=${TALKING_CLIENTS}`,
    `${servers}=${place.talkingServers[0]}/${place.talkingServers.length}`,
    ...[place.vip, `${TALK_PORT}`, place.mac, mode, `${count}`, `${seconds}`],
  );
}

/** Requests of the talkers, with a connection for each or on a few that stay. */
export async function talk(target: Target, mode: 'connect' | 'request', count: number): Promise<Sample> {
  const talkers = new Program(target.cleanup, target.seconds * MS + GRACE_MS, talkersCommand(target, mode, count));
  await talkers.prints(/^begun$/m);
  const { result, coreSeconds } = await whileWorking(() => talkers.prints(/^\{.*\}$/m));
  await talkers.finished();
  const { answers, seconds, retries, resets } = JSON.parse(result[0]) as Talk;
  // Who is slow has more said to him again, and that is part of how slow he is; a reset is something else.
  if (answers === 0 || resets > answers * MOST_FAILURES) {
    throw new Error(`talkers: ${answers} answers, ${retries} retries, ${resets} resets`);
  }
  return { rate: answers / seconds, core: (coreSeconds * MICROSECONDS) / answers };
}

/**
 * Small frames to the talkers' servers, more than anybody takes: established connections of many clients, who say nothing but
 * that they are there. Nobody answers, so this is for direct routing alone.
 */
export async function frames(target: Target): Promise<Sample> {
  const { arena, place, cleanup, seconds } = target;
  // The contender learns who the servers are, and has its code compiled.
  await talk({ ...target, seconds: 1 }, 'connect', WARM_UP_TALKS);
  const [clients, servers] = TALKER_INTERFACES;
  // Else all that the sender's core has no time for would be lost behind the contender, and not counted.
  arena.receiveOn(TALKERS, servers, CONTENDER_CORE);
  const start = (...command: readonly string[]) =>
    new Program(cleanup, seconds * MS + GRACE_MS, arena.on(TALKERS, OUTER_CORE, ...command));
  const receiver = start(compileC('receiver'), '--interface', servers, '--from', place.mac);
  const sender = start(
    ...[compileC('sender'), '--interface', clients, '--to', place.mac, '--vip', place.vip, '--port', `${TALK_PORT}`],
    ...['--flows', `${FLOWS}`, '--prepare', `${PREPARE_RATE}`, '--seconds', `${seconds + 1}`],
  );
  await sender.prints(/^sending$/m);
  const before = await counted(receiver);
  const { coreSeconds } = await whileWorking(() => pause(seconds * MS));
  const after = await counted(receiver);
  await sender.finished();
  await receiver.stop();
  arena.receiveOn(TALKERS, servers, OUTER_CORE);
  const forwarded = after.frames - before.frames;
  if (forwarded === 0) throw new Error('no frame was forwarded');
  return {
    rate: (forwarded * NANOSECONDS) / (after.atNs - before.atNs),
    core: (coreSeconds * NANOSECONDS) / forwarded,
  };
}

/** Asks a receiver (baseline/receiver.c) what it has counted. */
async function counted(receiver: Program): Promise<{ readonly atNs: number; readonly frames: number }> {
  receiver.output = '';
  receiver.tell('\n');
  const [, atNs, count] = await receiver.prints(/^(\d+) (\d+)$/m);
  return { atNs: Number(atNs), frames: Number(count) };
}

/** One stream of iperf3 from the client. */
export async function bulk({ arena, place, cleanup, seconds }: Target): Promise<Sample> {
  const command = arena.on(
    CLIENT,
    OUTER_CORE,
    ...['iperf3', '--client', place.vip, '--port', `${BULK_PORT}`, '--time', `${seconds}`, '--json'],
  );
  const { result, coreSeconds } = await whileWorking(() => runProgram(cleanup, seconds * MS + GRACE_MS, ...command));
  const { sum_received: received } = (JSON.parse(result) as { end: { sum_received: Record<string, number> } }).end;
  const gbits = (received.bytes * 8) / BITS_PER_GBIT;
  return { rate: received.bits_per_second / BITS_PER_GBIT, core: (coreSeconds * MS) / gbits };
}

/**
 * Memory with connections that are there and say nothing.
 * @param running the contender, just started.
 * @param wanted how many connections; fewer when the contender cannot have as many.
 */
export async function idle(target: Target, running: Running, wanted: number): Promise<Sample> {
  const { pid, mostConnections } = running;
  const held = Math.min(wanted, mostConnections);
  const kernel = await settledKernelBytes();
  const resident = residentBytes(pid);
  const command = talkersCommand(target, 'hold', held);
  const talkers = new Program(target.cleanup, target.seconds * MS + GRACE_MS, command);
  await talkers.prints(/^held$/m);
  const perKernel = ((await settledKernelBytes()) - kernel) / held;
  const perProgram = (residentBytes(pid) - resident) / held;
  talkers.tell('\n');
  await talkers.finished();
  return { held, base: resident / BYTES_PER_MB, program: perProgram, kernel: perKernel, both: perProgram + perKernel };
}

/** {@link kernelBytes} when it changes no more. */
async function settledKernelBytes(): Promise<number> {
  let bytes = kernelBytes();
  for (const deadline = performance.now() + SETTLE_MS; performance.now() < deadline; ) {
    await pause(SETTLE_PERIOD_MS);
    const before = bytes;
    bytes = kernelBytes();
    if (Math.abs(bytes - before) < SETTLED_BYTES) break;
  }
  return bytes;
}

/** What the kernel has laid out for sockets, waiting for them, and connections that it tracks, in bytes. */
function kernelBytes(): number {
  let bytes = 0;
  for (const line of readFileSync('/proc/slabinfo', 'utf8').split('\n')) {
    const [name, objects, , size] = line.split(/ +/);
    if (KERNEL_OBJECTS.has(name)) bytes += Number(objects) * Number(size);
  }
  return bytes;
}
