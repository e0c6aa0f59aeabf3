/**
 * `npm run bench -- micro`: what the frame path costs in memory, without any system in between: its steps, each in a process
 * of its own, and whole bursts of established connections, beside a C program that does the same to the same frames
 * (baseline/burst.c; both must send the same bytes).
 */
import { join } from 'node:path';
import { INLINE_MORE } from '../src/cli/commands/run.ts';
import { type Bench, type Context, type Row, rowOf } from './bench.ts';
import { compileC, Program, ROOT, runProgram } from './programs.ts';
import { SIZES, steps } from './steps.ts';

const SECONDS = 1;
const QUICK_SECONDS = 0.05;
const MODES: ReadonlyMap<string, string> = new Map([
  ['dr', 'DR'],
  ['nat-request', 'NAT requests'],
  ['nat-reply', 'NAT replies'],
  ['tun', 'TUN'],
]);
/** Packets of one round; a table's rows are visited at least in part. */
const PACKETS = 2_000_000;
const QUICK_PACKETS = 50_000;
const STEP_LIMIT_MS = 120_000;
const BURST_LIMIT_MS = 900_000;
const RATIO_BAR = { atMost: 2 };

const script = (name: string) => join(ROOT, 'build', 'bench', name);

/** A process that plays bursts: it says first what it sent, by a digest, and then, asked with a number, how long that took. */
class Player {
  readonly #program: Program;
  #lines = 0;

  constructor(program: Program) {
    this.#program = program;
  }

  digest(): Promise<string> {
    return this.#next();
  }

  async nsPerPacket(packets: number): Promise<number> {
    this.#program.tell(`${packets}\n`);
    return Number(await this.#next());
  }

  async #next(): Promise<string> {
    const [, line = ''] = await this.#program.prints(new RegExp(`^(?:.*\\n){${this.#lines}}(.+)\\n`));
    this.#lines++;
    return line;
  }

  stop(): Promise<void> {
    return this.#program.stop();
  }
}

async function* bursts(mode: string, flows: number, name: string, context: Context): AsyncGenerator<Row, void> {
  const { cleanup, quick, rounds, progress } = context;
  const baseline = (how: string) =>
    new Player(new Program(cleanup, BURST_LIMIT_MS, [compileC('burst'), mode, String(flows), how]));
  const director = (...flags: readonly string[]) =>
    new Player(
      new Program(cleanup, BURST_LIMIT_MS, [
        process.execPath,
        ...flags,
        script('burst-process.js'),
        mode,
        String(flows),
      ]),
    );
  const players = new Map([
    ['tapvs', director()],
    ['tapvs, more inlined', director(INLINE_MORE)],
    ['C', baseline('ahead')],
    ['C without reading ahead', baseline('plain')],
  ]);
  progress(`${name}: setting up`);
  const digests = new Set(await Promise.all(Array.from(players.values(), (player) => player.digest())));
  if (digests.size !== 1) throw new Error(`${name}: the C program does not send what the director sends`);
  const samples = new Map(Array.from(players.keys(), (subject) => [subject, [] as number[]]));
  for (let round = 0; round < rounds; round++) {
    progress(`${name}: round ${round + 1} of ${rounds}`);
    for (const [subject, player] of players) {
      samples.get(subject)!.push(await player.nsPerPacket(quick ? QUICK_PACKETS : PACKETS));
    }
  }
  for (const player of players.values()) await player.stop();
  for (const [subject, own] of samples) {
    const isDirector = subject.startsWith('tapvs');
    const others = isDirector ? [...samples].filter(([other]) => !other.startsWith('tapvs')) : [];
    yield rowOf({
      bench: 'micro',
      case: name,
      subject,
      figure: 'CPU time per packet',
      unit: 'ns',
      better: 'less',
      samples: own,
      against: others.map(([to, of]) => ({ to, samples: of, ...(to === 'C' ? { bar: RATIO_BAR } : {}) })),
    });
  }
}

async function* run(context: Context): AsyncGenerator<Row, void> {
  const { cleanup, quick, selects, progress } = context;
  for (const name of steps(quick).keys()) {
    if (!selects(name)) continue;
    progress(name);
    const seconds = String(quick ? QUICK_SECONDS : SECONDS);
    const json = await runProgram(cleanup, STEP_LIMIT_MS, process.execPath, script('step-process.js'), name, seconds);
    const samples = JSON.parse(json) as number[];
    yield rowOf({ bench: 'micro', case: name, subject: 'tapvs', figure: 'time', unit: 'ns', better: 'less', samples });
  }
  for (const [flows, text] of [...SIZES].slice(0, quick ? 1 : SIZES.size)) {
    for (const [mode, title] of MODES) {
      const name = `bursts, ${title}, ${text} connections`;
      if (selects(name)) yield* bursts(mode, flows, name, context);
    }
  }
}

/** Steps of a packet's way, and all of it, in memory. */
export const micro: Bench = {
  name: 'micro',
  about: 'what the steps of a packet cost in memory, and all of them beside C',
  run,
};
