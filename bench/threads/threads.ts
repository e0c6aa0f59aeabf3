/**
 * `npm run bench -- threads`: what a thread of its own is worth to the director, and to the program around it; and what two
 * threads are on two queues of a TAP. On the arena of the wire benchmark; as root.
 *
 * The sender takes most of one core. So with two cores two threads have little more than one between them: their sum is
 * told as it is, and the processor time for each packet says what the second thread costs.
 */
import type { Bench as Benchmark, Context, Row } from '../bench.ts';
import { Arena, CONTENDER_CORE, FRAME_ENDS, OUTER_CORE } from '../wire/arena.ts';
import { type Contender, director, type Work } from '../wire/contenders.ts';
import { type Bench, type Load, roundTrips, throughput } from '../wire/measures.ts';
import { interleave, rows } from '../wire/wire.ts';

const NAME = 'threads';
const THOUSAND = 1000;
const WORK: Work = { method: 'route', ends: FRAME_ENDS, maxConnections: 2 ** 18 };
/** All that there are, here: of two. */
const ALL_CORES = [OUTER_CORE, CONTENDER_CORE];
/** What a director that is let work forwards without loss, beside a program that computes. */
const MODERATE_RATE = 50_000;

const BUSY_HERE = director('in the program', {}, {}, ALL_CORES, true);
const BUSY_THERE = director('in a thread', {}, { threads: 1 }, ALL_CORES, true);
const HERE = director('in the program', {}, {}, ALL_CORES);
const THERE = director('in a thread', {}, { threads: 1 }, ALL_CORES);
const BOTH = director('in two threads', { queues: 2 }, { threads: 2 }, ALL_CORES);

async function* besideComputing(bench: Bench, context: Context, seconds: number, probes: number): AsyncGenerator<Row> {
  const name = 'the program computes 50 of 60 ms';
  if (!context.selects(name)) return;
  const contenders = [BUSY_HERE, BUSY_THERE];
  const load: Load = { flows: 1000, replies: false, rate: MODERATE_RATE, seconds };
  const passed = await interleave(context, name, contenders, (contender) => throughput(bench, contender, WORK, load));
  const forwarded = { case: name, figure: 'forwarded of 50 kpps', unit: 'kpps', better: 'more' } as const;
  yield* rows(passed, forwarded, ({ perSecond }) => perSecond / THOUSAND, against(BUSY_HERE));
  const trips = await interleave(context, name, contenders, (contender) =>
    roundTrips(bench, contender, WORK, { warmUp: 0, probes, back: false }),
  );
  for (const percentile of ['p50', 'p99'] as const) {
    const what = { case: name, figure: `round trip, ${percentile}`, unit: 'us', better: 'less' } as const;
    yield* rows(trips, what, (trip) => trip[percentile], against(BUSY_HERE));
  }
}

async function* saturated(bench: Bench, context: Context, seconds: number): AsyncGenerator<Row> {
  const name = 'more frames than can be forwarded';
  if (!context.selects(name)) return;
  const load: Load = { flows: 1000, replies: false, rate: 0, seconds };
  const series = await interleave(context, name, [HERE, THERE, BOTH], (contender) =>
    throughput(bench, contender, WORK, load),
  );
  const of = (figure: string, unit: string, better: 'more' | 'less') => ({ case: name, figure, unit, better });
  yield* rows(series, of('forwarded', 'kpps', 'more'), ({ perSecond }) => perSecond / THOUSAND, against(HERE));
  yield* rows(series, of('CPU per packet', 'ns', 'less'), ({ cpuNs }) => cpuNs, against(HERE));
  const late = of("lateness of the program's timers, p99", 'ms', 'less');
  yield* rows(series, late, ({ report }) => report!.timersLate.p99);
  const crossed = of('frames handed to the other thread', '%', 'less');
  yield* rows(series, crossed, ({ report }) => (100 * report!.handedOn) / report!.received);
}

/** Every other contender's figures are divided by this one's. */
function against(first: Contender): (contender: Contender) => readonly { readonly contender: Contender }[] {
  return (contender) => (contender === first ? [] : [{ contender: first }]);
}

async function* run(context: Context): AsyncGenerator<Row, void> {
  const { seconds, probes } = context.quick ? { seconds: 0.3, probes: 50 } : { seconds: 1.3, probes: 200 };
  const arena = new Arena();
  const bench: Bench = { arena, cleanup: context.cleanup };
  context.cleanup.add(() => arena.remove());
  arena.layOut();
  for await (const row of besideComputing(bench, context, seconds, probes)) yield { ...row, bench: NAME };
  for await (const row of saturated(bench, context, seconds)) yield { ...row, bench: NAME };
  arena.remove();
}

/** The director in threads of its own. */
export const threads: Benchmark = {
  name: NAME,
  about: 'the director in the program, in a thread, in two: pps, CPU, whom it keeps waiting (root)',
  run,
};
