/** What is measured of a contender in the wire benchmark, once: throughput, round trips, bulk transfer. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { Cleanup } from '../../examples/lab/cleanup.ts';
import { compileC, Program, runProgram } from '../programs.ts';
import { type Arena, CLIENT, CONTENDER_MAC, FRAME_ENDS, INTERFACE, RECEIVER, SENDER, SERVER, VIP } from './arena.ts';
import type { Contender, Work } from './contenders.ts';
import type { DirectorReport } from './director-process.ts';

const MS_PER_SECOND = 1000;
const NS_PER_SECOND = 1e9;
const NS_PER_MS = 1e6;
/** Frames a second at which connections are made: any contender keeps up with that. */
const PREPARE_RATE = 50_000;
/** A director's code is compiled while it runs; this long nothing is measured. */
const WARM_UP_MS = 1000;
/** For programs to start and end, beside what they take by themselves. */
const SPARE_MS = 10_000;
const BULK_PORT = 5201;
/** Verdicts of frames that were forwarded for a service. */
const FORWARDED: ReadonlySet<string> = new Set(['MASQ', 'ROUTE', 'TUNNEL', 'REPLY']);
/** Less than this share of what a director reads may be anything else, and a few frames of the kernel's own. */
const STRAY_SHARE = 0.01;
const FEW = 50;

/** What frames are sent. */
export interface Load {
  /** Flows that take turns; 'flood': every frame opens a connection. */
  readonly flows: number | 'flood';
  /** Half of the frames are the server's replies. */
  readonly replies: boolean;
  /** Frames a second; 0 is as many as can be. */
  readonly rate: number;
  readonly seconds: number;
}

export interface Throughput {
  /** Frames forwarded per second. */
  readonly perSecond: number;
  /** Processor time of the contender's process for each frame that it forwarded, in nanoseconds. */
  readonly cpuNs: number;
  /** What of that was not spent in the kernel: by the ticks of /proc/PID/stat. */
  readonly userNs: number;
  /** The share of frames sent that did not come out, 0 to 1. */
  readonly loss: number;
  /** What a director knows of it. */
  readonly report: DirectorReport | null;
}

/** A contender at its place for as long as it is measured. */
class Forwarder {
  readonly program: Program;
  readonly #contender: Contender;
  readonly #arena: Arena;
  readonly #tap: string;
  #marked: Readonly<Record<string, number>> = {};
  #worked: DirectorReport['worked'] = null;

  private constructor(program: Program, contender: Contender, arena: Arena, tap: string) {
    this.program = program;
    this.#contender = contender;
    this.#arena = arena;
    this.#tap = tap;
  }

  static async start(bench: Bench, contender: Contender, work: Work, seconds: number): Promise<Forwarder> {
    const { arena, cleanup } = bench;
    const tap = arena.nextTap();
    const limitMs = seconds * MS_PER_SECOND + SPARE_MS;
    if (contender.attaches) arena.makeInterface(tap);
    const program = new Program(cleanup, limitMs, arena.contending(contender.cores, ...contender.command(tap, work)));
    await program.prints(/^ready$/m);
    if (!contender.attaches) arena.plugIn(tap);
    return new Forwarder(program, contender, arena, tap);
  }

  /** From now on a director may do nothing but forward. */
  async mark(): Promise<void> {
    const report = await this.#report();
    this.#marked = report?.verdicts ?? {};
    this.#worked = report?.worked ?? null;
  }

  /** Ends it; returns what a director reports. @throws Error when it has done something else than to forward since marked. */
  async stop(): Promise<DirectorReport | null> {
    const report = await this.#report();
    await this.program.stop('SIGKILL');
    if (this.#contender.attaches) this.#arena.removeInterface(this.#tap);
    if (report === null) return null;
    this.#check(report.verdicts);
    return { ...report, worked: since(report.worked, this.#worked) };
  }

  async #report(): Promise<DirectorReport | null> {
    if (!this.#contender.isDirector) return null;
    return JSON.parse(await ask(this.program, /^\{.*\}$/m)) as DirectorReport;
  }

  #check(verdicts: Readonly<Record<string, number>>): void {
    const counted = Object.entries(verdicts).map(([name, count]) => [name, count - (this.#marked[name] ?? 0)] as const);
    const sum = (of: typeof counted) => of.reduce((total, [, count]) => total + count, 0);
    const stray = sum(counted.filter(([name]) => !FORWARDED.has(name)));
    if (stray <= sum(counted) * STRAY_SHARE + FEW) return;
    const found = counted.filter(([, count]) => count > 0);
    throw new Error(`${this.#contender.name} did not only forward: ${found.join(' ')}`);
  }
}

/** What was done since it was marked. */
function since(now: DirectorReport['worked'], marked: DirectorReport['worked']): DirectorReport['worked'] {
  if (now === null || marked === null) return now;
  return { ms: now.ms - marked.ms, frames: now.frames - marked.frames, bursts: now.bursts - marked.bursts };
}

/** What all measures need. */
export interface Bench {
  readonly arena: Arena;
  readonly cleanup: Cleanup;
}

async function ask(program: Program, answer: RegExp): Promise<string> {
  program.output = '';
  program.tell('\n');
  return (await program.prints(answer))[0];
}

interface Sample {
  readonly atNs: number;
  readonly frames: number;
  readonly cpuNs: number;
  readonly userTicks: number;
  readonly systemTicks: number;
}

/** The time that all threads of the process had a processor. */
function processorNs(pid: number): number {
  return readdirSync(`/proc/${pid}/task`)
    .map((thread) => Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]))
    .reduce((sum, ns) => sum + ns, 0);
}

/** Counters of the receivers, and the processor time of all threads of the process. */
async function sample(receivers: readonly Program[], pid: number): Promise<Sample> {
  const answers = await Promise.all(receivers.map((receiver) => ask(receiver, /^\d+ \d+$/m)));
  const cpuNs = processorNs(pid);
  // After the name, which may hold anything: field 3 is the state, 14 and 15 are user and system time.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return {
    atNs: Number(answers[0].split(' ')[0]),
    frames: answers.reduce((sum, answer) => sum + Number(answer.split(' ')[1]), 0),
    cpuNs,
    userTicks: Number(fields[11]),
    systemTicks: Number(fields[12]),
  };
}

/** Sends frames through a contender and counts what comes out. */
export async function throughput(bench: Bench, contender: Contender, work: Work, load: Load): Promise<Throughput> {
  const { arena, cleanup } = bench;
  const { flows, replies, rate, seconds } = load;
  const prepared = contender.isDirector && flows !== 'flood';
  const prepareSeconds = prepared ? (4 * flows) / PREPARE_RATE : 0;
  const whole = prepareSeconds + WARM_UP_MS / MS_PER_SECOND + seconds;
  // With time to spare a director is woken for each frame or two, and watching would be a good part of its work.
  const forwarder = await Forwarder.start(bench, contender, { ...work, watched: rate === 0 }, whole);
  const limitMs = whole * MS_PER_SECOND + SPARE_MS;
  const start = (...command: readonly string[]) => new Program(cleanup, limitMs, command);
  const counter = [compileC('receiver'), '--interface', INTERFACE, '--from', CONTENDER_MAC];
  const receivers = (replies ? [RECEIVER, SENDER] : [RECEIVER]).map((host) => start(...arena.on(host, ...counter)));
  const sender = start(
    ...arena.on(SENDER, compileC('sender'), '--interface', INTERFACE, '--to', CONTENDER_MAC, '--as', FRAME_ENDS.from),
    // Until it is stopped: this process may be late on a busy machine.
    ...['--seconds', `${limitMs / MS_PER_SECOND}`, '--rate', `${rate}`],
    ...(flows === 'flood' ? ['--flood'] : ['--flows', `${flows}`]),
    ...(prepared ? ['--prepare', `${PREPARE_RATE}`] : []),
    ...(replies ? ['--replies', INTERFACE, '--replies-in', arena.namespaceOf(RECEIVER)] : []),
  );
  await sender.prints(/^sending$/m);
  const { pid } = forwarder.program;
  const atStart = await sample(receivers, pid);
  await pause(WARM_UP_MS);
  await forwarder.mark();
  const before = await sample(receivers, pid);
  await pause(seconds * MS_PER_SECOND);
  const after = await sample(receivers, pid);
  await sender.stop();
  const sent = Number(/sent (\d+)/.exec(sender.output)?.[1]);
  const atEnd = await sample(receivers, pid);
  const report = await forwarder.stop();
  for (const receiver of receivers) await receiver.stop();
  const frames = after.frames - before.frames;
  if (frames === 0) throw new Error(`${contender.name} forwarded nothing: ${forwarder.program.errors}`);
  const cpuNs = (after.cpuNs - before.cpuNs) / frames;
  const userTicks = after.userTicks - before.userTicks;
  const ticks = userTicks + after.systemTicks - before.systemTicks;
  return {
    perSecond: (frames * NS_PER_SECOND) / (after.atNs - before.atNs),
    cpuNs,
    userNs: (cpuNs * userTicks) / ticks,
    loss: 1 - (atEnd.frames - atStart.frames) / sent,
    report,
  };
}

/** Median and 99th percentile, in microseconds. */
export interface RoundTrips {
  readonly p50: number;
  readonly p99: number;
}

/** Sends probes one by one; answers come back through the contender or, without `back`, straight. */
export async function roundTrips(
  bench: Bench,
  contender: Contender,
  work: Work,
  { warmUp, probes, back }: { readonly warmUp: number; readonly probes: number; readonly back: boolean },
): Promise<RoundTrips> {
  const { arena, cleanup } = bench;
  // A millisecond's pause between them on average; several times that when it goes badly.
  const seconds = warmUp + (probes * 5) / MS_PER_SECOND;
  const forwarder = await Forwarder.start(bench, contender, work, seconds);
  const output = await runProgram(
    cleanup,
    seconds * MS_PER_SECOND + SPARE_MS,
    ...arena.on(SENDER, compileC('prober'), '--interface', INTERFACE, '--through', CONTENDER_MAC),
    ...['--as', FRAME_ENDS.from, '--answers', INTERFACE, '--answers-in', arena.namespaceOf(RECEIVER)],
    ...['--warm-up', `${warmUp}`, '--probes', `${probes}`, ...(back ? ['--back'] : [])],
  );
  await forwarder.stop();
  const match = /p50 (\S+) p99 (\S+)/.exec(output);
  return { p50: Number(match?.[1]), p99: Number(match?.[2]) };
}

export interface Bulk {
  readonly bitsPerSecond: number;
  /** Of the contender's core, 0 to 1. */
  readonly cpuShare: number;
}

/** One TCP stream from client to server, by iperf3: through a contender (replies too, with `back`), or with nobody between. */
export async function bulk(
  bench: Bench,
  contender: Contender | null,
  work: Work,
  { seconds, back }: { readonly seconds: number; readonly back: boolean },
): Promise<Bulk> {
  const { arena, cleanup } = bench;
  const limitMs = (seconds + 1) * MS_PER_SECOND + SPARE_MS;
  const forwarder = contender === null ? null : await Forwarder.start(bench, contender, work, limitMs / MS_PER_SECOND);
  const { from, to } = work.ends;
  arena.route(contender === null ? to : CONTENDER_MAC, back && contender !== null ? CONTENDER_MAC : from);
  const server = new Program(cleanup, limitMs, arena.on(SERVER, 'iperf3', '-s', '-1', '--forceflush'));
  await server.prints(/listening/);
  const pid = forwarder?.program.pid;
  const cpuBefore = pid === undefined ? 0 : processorNs(pid);
  const beganMs = performance.now();
  const output = await runProgram(
    cleanup,
    limitMs,
    ...arena.on(CLIENT, 'iperf3', '-c', VIP, '-p', `${BULK_PORT}`, '-t', `${seconds}`, '-J'),
  );
  const tookNs = (performance.now() - beganMs) * NS_PER_MS;
  const cpuNs = pid === undefined ? 0 : processorNs(pid) - cpuBefore;
  await server.finished();
  await forwarder?.stop();
  const { end } = JSON.parse(output) as { end: { sum_received: { bits_per_second: number } } };
  return { bitsPerSecond: end.sum_received.bits_per_second, cpuShare: cpuNs / tookNs };
}
