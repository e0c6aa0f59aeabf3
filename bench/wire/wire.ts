/**
 * `npm run bench -- wire`: frames over real interfaces. In each round every contender has the same place, one after the other:
 * the director in its variants, C loops that only exchange MAC addresses, and nobody. As root.
 */
import type { ForwardMethod } from '../../src/index.ts';
import { type Bar, type Bench as Benchmark, type Context, type Measured, type Row, rowOf } from '../bench.ts';
import { Arena, CONTENDER_CORE, FRAME_ENDS, OUTER_CORE } from './arena.ts';
import {
  attached,
  type Contender,
  director,
  PACKET_LOOP,
  PLAIN_LOOP,
  SPINNING_LOOP,
  URING_LOOPS,
  VNET_LOOP,
  type Work,
  XDP_LOOP,
} from './contenders.ts';
import { type Bench, bulk, type Load, type RoundTrips, roundTrips, type Throughput, throughput } from './measures.ts';

const METHODS = [
  { method: 'route', label: 'DR', replies: false },
  { method: 'masq', label: 'NAT', replies: true },
  { method: 'tunnel', label: 'TUN', replies: false },
] as const;

const THOUSAND = 1000;
const NS_PER_MS = 1e6;
const GIGA = 1e9;
const LIGHT_RATE = 100_000;
/** A table has room for what is opened in a flood. */
const FLOOD_CONNECTIONS = 2 ** 21;
const CONNECTIONS = 2 ** 18;

interface PpsBars {
  readonly ofPlain?: Bar;
  readonly ofUring?: Bar;
}

/** What the figures have to be for the director to be as fast as the kernel lets anyone be. */
const BARS = {
  pps: {
    route: { ofPlain: { atLeast: 1.1 }, ofUring: { atLeast: 0.88 } },
    masq: { ofPlain: { atLeast: 1.05 } },
    tunnel: { ofPlain: { atLeast: 1.05 } },
  },
  outsideNs: { route: { atMost: 150 }, masq: { atMost: 200 }, tunnel: undefined },
  ppsOfBurst: { ofPlain: { atLeast: 0.95 } },
  cpuAtLightLoad: { atMost: 1.15 },
  bulkOfLoop: { atLeast: 0.9 },
  bulkOfBridge: { atLeast: 0.8 },
  bulkOfUnsegmented: { atLeast: 4 },
  p99: { atMost: 1.3 },
  xdpOfTap: { atLeast: 1.5 },
} as const;

/** By io_uring where the kernel lets it. */
const TAPVS = director('tapvs');
const TAPVS_BURST = director('tapvs, no io_uring', { io: 'burst' });
const TAPVS_SPINNING = director('tapvs, spinning', {}, { spin: true });
const TAPVS_IN_THREAD = director('tapvs in a thread', {}, { threads: 1 });
/** Each with a queue; one of them has to share the other core with the sender. */
const TAPVS_IN_THREADS = director('tapvs in two threads', { queues: 2 }, { threads: 2 }, [OUTER_CORE, CONTENDER_CORE]);
/** Without a TAP. */
const TAPVS_PACKET = attached('tapvs, AF_PACKET', { io: 'af_packet' });
const TAPVS_XDP = attached('tapvs, AF_XDP', { io: 'af_xdp' });
const TAPVS_OFFLOAD = director('tapvs, offload', { offload: true });

/** Durations and sizes. */
interface Scale {
  readonly seconds: number;
  /** Before probes, in seconds: a program that spins on the only core that it may use is compiled slowly. */
  readonly warmUp: number;
  readonly probes: number;
  readonly bulkSeconds: number;
}

const FULL: Scale = { seconds: 1.3, warmUp: 3, probes: 2000, bulkSeconds: 4 };
const QUICK: Scale = { seconds: 0.3, warmUp: 1, probes: 200, bulkSeconds: 1 };

/** Samples by contender, each of a round. */
export type Series<Figures> = ReadonlyMap<Contender, readonly Figures[]>;

/** Lets contenders take turns, round after round. */
export async function interleave<Figures>(
  context: Context,
  name: string,
  contenders: readonly Contender[],
  measure: (contender: Contender) => Promise<Figures>,
): Promise<Series<Figures>> {
  const series = new Map<Contender, Figures[]>(contenders.map((contender) => [contender, []]));
  for (let round = 1; round <= context.rounds; round++) {
    for (const [contender, figures] of series) {
      context.progress(`${name}: round ${round} of ${context.rounds}, ${contender.name}`);
      figures.push(await measure(contender));
    }
  }
  return series;
}

/** Whom to divide a contender's figure by. */
export type Against = readonly { readonly contender: Contender; readonly bar?: Bar }[];

/** One row for each contender of a series. */
export function* rows<Figures>(
  series: Series<Figures>,
  what: Pick<Measured, 'case' | 'figure' | 'unit' | 'better'>,
  value: (figures: Figures) => number,
  against: (contender: Contender) => Against = () => [],
  bar: (contender: Contender) => Bar | undefined = () => undefined,
): Generator<Row> {
  for (const [contender, figures] of series) {
    const own = bar(contender);
    yield rowOf({
      ...what,
      bench: 'wire',
      subject: contender.name,
      samples: figures.map(value),
      against: against(contender).map((other) => ({
        to: other.contender.name,
        samples: (series.get(other.contender) ?? []).map(value),
        ...(other.bar === undefined ? {} : { bar: other.bar }),
      })),
      ...(own === undefined ? {} : { bar: own }),
    });
  }
}

const workOf = (method: ForwardMethod, maxConnections = CONNECTIONS): Work => ({
  method,
  ends: FRAME_ENDS,
  maxConnections,
});

/** Whichever of the io_uring loops forwards most, so that nobody compares with one that could be better. */
async function bestUringLoop(bench: Bench, context: Context, scale: Scale): Promise<Contender> {
  const load: Load = { flows: 1000, replies: false, rate: 0, seconds: scale.seconds };
  let best = { contender: URING_LOOPS[0], perSecond: 0 };
  for (const contender of URING_LOOPS) {
    context.progress(`which io_uring loop is the best: ${contender.name}`);
    const { perSecond } = await throughput(bench, contender, workOf('route'), load);
    if (perSecond > best.perSecond) best = { contender, perSecond };
  }
  return best.contender;
}

/** As many frames as can be. Every variant of the director takes part at 1 k flows, for which there are bars. */
async function* saturated(bench: Bench, context: Context, scale: Scale, uring: Contender): AsyncGenerator<Row> {
  const loads: readonly { readonly label: string; readonly flows: Load['flows'] }[] = [
    ...(context.quick ? [] : [{ label: '1 flow', flows: 1 }]),
    { label: '1 k flows', flows: 1000 },
    ...(context.quick ? [] : [{ label: '100 k flows', flows: 100_000 }]),
    { label: 'flood of new flows', flows: 'flood' },
  ];
  for (const { method, label, replies } of METHODS) {
    for (const { label: flowsLabel, flows } of loads) {
      const name = `${label}, ${flowsLabel}`;
      if (!context.selects(name)) continue;
      const judged = flows === 1000;
      const directors = judged ? [TAPVS, TAPVS_BURST, TAPVS_IN_THREAD, TAPVS_IN_THREADS] : [TAPVS];
      const work = workOf(method, flows === 'flood' ? FLOOD_CONNECTIONS : CONNECTIONS);
      // A server answers those who have connected before.
      const load: Load = { flows, replies: replies && flows !== 'flood', rate: 0, seconds: scale.seconds };
      const series = await interleave(context, name, [...directors, PLAIN_LOOP, uring], (contender) =>
        throughput(bench, contender, work, load),
      );
      yield* rows(
        series,
        { case: name, figure: 'forwarded', unit: 'kpps', better: 'more' },
        ({ perSecond }) => perSecond / THOUSAND,
        (contender) => forwardedAgainst(contender, uring, judged ? BARS.pps[method] : {}),
      );
      yield* rows(
        series,
        { case: name, figure: 'CPU per packet', unit: 'ns', better: 'less' },
        ({ cpuNs }) => cpuNs,
        ({ isDirector }) => (isDirector ? [{ contender: PLAIN_LOOP }] : []),
      );
      yield* rows(
        workOnly(series),
        { case: name, figure: 'work per packet between receiving and sending', unit: 'ns', better: 'less' },
        (ns) => ns,
      );
      yield* rows(
        outsideOfCalls(series),
        { case: name, figure: 'CPU per packet outside of system calls', unit: 'ns', better: 'less' },
        (ns) => ns,
        undefined,
        (contender) => (contender === TAPVS && judged ? BARS.outsideNs[method] : undefined),
      );
    }
  }
}

function forwardedAgainst(contender: Contender, uring: Contender, bars: PpsBars): Against {
  if (!contender.isDirector) return [];
  const { ofPlain, ofUring }: PpsBars = contender === TAPVS ? bars : contender === TAPVS_BURST ? BARS.ppsOfBurst : {};
  return [
    { contender: PLAIN_LOOP, ...(ofPlain === undefined ? {} : { bar: ofPlain }) },
    { contender: uring, ...(ofUring === undefined ? {} : { bar: ofUring }) },
  ];
}

/**
 * What the directors do in user mode beyond what the plain loop does in the same round, which is its system calls: they have
 * a part in user mode, and what is due while the kernel returns with interrupts off is counted there.
 */
function outsideOfCalls(series: Series<Throughput>): Series<number> {
  const calls = series.get(PLAIN_LOOP) ?? [];
  const directors = [...series].filter(([{ isDirector }]) => isDirector);
  return new Map(directors.map(([who, of]) => [who, of.map(({ userNs }, round) => userNs - calls[round].userNs)]));
}

/** What the directors do with a packet in JavaScript, by the clock: whatever else the core does meanwhile is in it. */
function workOnly(series: Series<Throughput>): Series<number> {
  const figures = new Map<Contender, number[]>();
  for (const [who, of] of series) {
    const worked = of.map(({ report }) => report?.worked ?? null).filter((one) => one !== null);
    if (worked.length > 0)
      figures.set(
        who,
        worked.map(({ ms, frames }) => (ms * NS_PER_MS) / frames),
      );
  }
  return figures;
}

/** As many frames as can be, on an interface that is there instead of a TAP: beside the same without a director, and the TAP. */
async function* withoutTap(bench: Bench, context: Context, scale: Scale): AsyncGenerator<Row> {
  for (const { method, label, replies } of METHODS) {
    if (method === 'tunnel') continue;
    const name = `${label}, 1 k flows, without a TAP`;
    if (!context.selects(name)) continue;
    const load: Load = { flows: 1000, replies, rate: 0, seconds: scale.seconds };
    const contenders = [TAPVS, TAPVS_PACKET, TAPVS_XDP, PACKET_LOOP, XDP_LOOP];
    const series = await interleave(context, name, contenders, (contender) =>
      throughput(bench, contender, workOf(method), load),
    );
    const loopOf = (contender: Contender) => (contender === TAPVS_PACKET ? PACKET_LOOP : XDP_LOOP);
    yield* rows(
      series,
      { case: name, figure: 'forwarded', unit: 'kpps', better: 'more' },
      ({ perSecond }) => perSecond / THOUSAND,
      (contender) => {
        if (!contender.isDirector || contender === TAPVS) return [];
        const bar = contender === TAPVS_XDP ? { bar: BARS.xdpOfTap } : {};
        return [{ contender: TAPVS, ...bar }, { contender: loopOf(contender) }];
      },
    );
    yield* rows(
      series,
      { case: name, figure: 'CPU per packet', unit: 'ns', better: 'less' },
      ({ cpuNs }) => cpuNs,
      (contender) => (contender === TAPVS_PACKET || contender === TAPVS_XDP ? [{ contender: loopOf(contender) }] : []),
    );
  }
}

/** A load that leaves time to sleep: what waking up costs, and whether anything gets lost. */
async function* lightLoad(bench: Bench, context: Context, scale: Scale, uring: Contender): AsyncGenerator<Row> {
  for (const { method, label, replies } of METHODS) {
    const name = `${label}, 1 k flows, 100 kpps offered`;
    if (!context.selects(name)) continue;
    const load: Load = { flows: 1000, replies, rate: LIGHT_RATE, seconds: scale.seconds };
    const series = await interleave(context, name, [TAPVS, TAPVS_BURST, PLAIN_LOOP, uring], (contender) =>
      throughput(bench, contender, workOf(method), load),
    );
    yield* rows(
      series,
      { case: name, figure: 'CPU per packet', unit: 'ns', better: 'less' },
      ({ cpuNs }) => cpuNs,
      ({ isDirector }) => (isDirector ? [{ contender: PLAIN_LOOP, bar: BARS.cpuAtLightLoad }] : []),
    );
    yield* rows(series, { case: name, figure: 'loss', unit: '%', better: 'less' }, ({ loss }) =>
      Math.max(0, loss * 100),
    );
  }
}

/** One probe at a time. */
async function* atRest(bench: Bench, context: Context, scale: Scale): AsyncGenerator<Row> {
  for (const { method, label, replies } of METHODS) {
    const name = `${label}, one probe at a time`;
    if (!context.selects(name)) continue;
    const series = await interleave(context, name, [TAPVS, PLAIN_LOOP, TAPVS_SPINNING, SPINNING_LOOP], (contender) =>
      roundTrips(bench, contender, workOf(method), { warmUp: scale.warmUp, probes: scale.probes, back: replies }),
    );
    const figures = [
      { figure: 'round trip, median', value: ({ p50 }: RoundTrips) => p50, bar: {} },
      { figure: 'round trip, 99th percentile', value: ({ p99 }: RoundTrips) => p99, bar: { bar: BARS.p99 } },
    ];
    for (const { figure, value, bar } of figures) {
      yield* rows(series, { case: name, figure, unit: 'us', better: 'less' }, value, (contender) => {
        if (contender === TAPVS) return [{ contender: PLAIN_LOOP, ...bar }];
        if (contender === TAPVS_SPINNING) return [{ contender: SPINNING_LOOP, ...bar }];
        return [];
      });
    }
  }
}

/** Stands for nobody in between. */
const BRIDGE: Contender = { name: 'bare bridge', isDirector: false, cores: [], attaches: false, command: () => [] };

/** One TCP stream. */
async function* bulkTransfer(bench: Bench, context: Context, scale: Scale): AsyncGenerator<Row> {
  for (const { method, label, replies } of METHODS) {
    if (method === 'tunnel') continue; // nobody at the other end would take it out
    const name = `${label}, bulk TCP`;
    if (!context.selects(name)) continue;
    const work: Work = { ...workOf(method), ends: bench.arena.tcpEnds };
    const contenders = [TAPVS_OFFLOAD, TAPVS, VNET_LOOP, PLAIN_LOOP, BRIDGE];
    const series = await interleave(context, name, contenders, (contender) =>
      bulk(bench, contender === BRIDGE ? null : contender, work, { seconds: scale.bulkSeconds, back: replies }),
    );
    yield* rows(
      series,
      { case: name, figure: 'bulk', unit: 'Gbit/s', better: 'more' },
      ({ bitsPerSecond }) => bitsPerSecond / GIGA,
      (contender) => {
        if (contender === TAPVS) return [{ contender: PLAIN_LOOP }];
        if (contender !== TAPVS_OFFLOAD) return [];
        return [
          { contender: VNET_LOOP, bar: BARS.bulkOfLoop },
          { contender: BRIDGE, bar: BARS.bulkOfBridge },
          { contender: TAPVS, bar: BARS.bulkOfUnsegmented },
        ];
      },
    );
    yield* rows(
      new Map([...series].filter(([contender]) => contender !== BRIDGE)),
      { case: name, figure: "share of the contender's core", unit: '%', better: 'less' },
      ({ cpuShare }) => cpuShare * 100,
    );
  }
}

async function* run(context: Context): AsyncGenerator<Row, void> {
  const scale = context.quick ? QUICK : FULL;
  const arena = new Arena();
  const bench: Bench = { arena, cleanup: context.cleanup };
  context.cleanup.add(() => arena.remove());
  arena.layOut();
  const uring = await bestUringLoop(bench, context, scale);
  yield* saturated(bench, context, scale, uring);
  yield* withoutTap(bench, context, scale);
  yield* lightLoad(bench, context, scale, uring);
  yield* atRest(bench, context, scale);
  yield* bulkTransfer(bench, context, scale);
  arena.remove();
}

/** Frames over real interfaces. */
export const wire: Benchmark = {
  name: 'wire',
  about: 'frames over TAPs and a bridge, beside C loops: pps, CPU, round trips, bulk TCP (root)',
  run,
};
