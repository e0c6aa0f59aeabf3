/**
 * The benchmark `peers`: the same work by the director and by what a user would pick instead. All contenders are up at the same time
 * and take turns, round by round; ratios are within a round.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Bar, Bench, Context, Row } from '../bench.ts';
import { rowOf } from '../bench.ts';
import { Arena, type Place } from './arena.ts';
import type { Contender, Running } from './contender.ts';
import { bulk, frames, idle, requests, type Sample, type Target, talk } from './measures.ts';
import { nftables } from './nftables.ts';
import { installPackages } from './packages.ts';
import { haproxy, nginxStream, nodeProxy } from './proxies.ts';
import { startServers } from './servers.ts';
import { tapvsMasq, tapvsRoute } from './tapvs.ts';
import { userModeLinux } from './user-mode-linux.ts';

const NAME = 'peers';
const OURS: readonly Contender[] = [tapvsRoute, tapvsMasq];
const PEERS: readonly Contender[] = [haproxy, nginxStream, nodeProxy, userModeLinux, nftables];
const CONTENDERS: readonly Contender[] = [...OURS, ...PEERS];

interface Figure {
  readonly name: string;
  readonly unit: string;
  readonly better: 'more' | 'less';
}

/** What samples hold. */
const CORE_TIME: Figure = { name: "time of the contender's core", unit: 'us each', better: 'less' };
const REQUEST_FIGURES: Readonly<Record<string, Figure>> = {
  rate: { name: 'requests', unit: '1/s', better: 'more' },
  p50: { name: 'latency p50', unit: 'us', better: 'less' },
  p99: { name: 'latency p99', unit: 'us', better: 'less' },
  core: CORE_TIME,
};

interface Case {
  readonly name: string;
  readonly seconds: number;
  readonly figures: Readonly<Record<string, Figure>>;
  readonly measure: (target: Target) => Promise<Sample>;
  /** Whom it can be measured of, when that is not everybody. */
  readonly contenders?: readonly Contender[];
  /** What our DR has to reach in figures, to peers by name. */
  readonly bars?: Readonly<Record<string, Readonly<Record<string, Bar>>>>;
}

const WRK_CONNECTIONS = 64;
const TALKS = 256;

const CASES: readonly Case[] = [
  {
    name: 'wrk and nginx, keep-alive',
    seconds: 2,
    figures: REQUEST_FIGURES,
    measure: (target) => requests(target, WRK_CONNECTIONS, false),
  },
  {
    name: 'wrk and nginx, one connection',
    seconds: 2,
    figures: REQUEST_FIGURES,
    measure: (target) => requests(target, 1, false),
  },
  {
    name: 'wrk and nginx, a connection per request',
    seconds: 2,
    figures: REQUEST_FIGURES,
    measure: (target) => requests(target, WRK_CONNECTIONS, true),
  },
  {
    name: 'talkers, keep-alive',
    seconds: 2,
    figures: { rate: REQUEST_FIGURES.rate, core: CORE_TIME },
    measure: (target) => talk(target, 'request', TALKS),
    bars: { rate: { [haproxy.name]: { atLeast: 2 } } },
  },
  {
    name: 'talkers, a connection per request',
    seconds: 2,
    figures: { rate: { name: 'new connections', unit: '1/s', better: 'more' }, core: CORE_TIME },
    measure: (target) => talk(target, 'connect', TALKS),
    bars: { rate: { [haproxy.name]: { atLeast: 3 }, [nginxStream.name]: { atLeast: 3 } } },
  },
  {
    name: 'iperf3, one stream',
    seconds: 2,
    figures: {
      rate: { name: 'bulk throughput', unit: 'Gbit/s', better: 'more' },
      core: { name: CORE_TIME.name, unit: 'ms per Gbit', better: 'less' },
    },
    measure: bulk,
  },
  {
    name: 'small frames, 1 k flows',
    seconds: 3,
    figures: {
      rate: { name: 'forwarded', unit: '1/s', better: 'more' },
      core: { name: CORE_TIME.name, unit: 'ns each', better: 'less' },
    },
    measure: frames,
    contenders: [tapvsRoute, userModeLinux],
    bars: { rate: { [userModeLinux.name]: { atLeast: 3.5 } } },
  },
];

const IDLE_CASE = 'idle connections';
const IDLE_CONNECTIONS = 100_000;
const IDLE_CONNECTIONS_QUICK = 2000;
const IDLE_SECONDS = 60;
const IDLE_FIGURES: Readonly<Record<string, Figure>> = {
  held: { name: 'connections held', unit: 'connections', better: 'more' },
  base: { name: 'program before the first', unit: 'MB', better: 'less' },
  program: { name: 'memory of the program', unit: 'bytes each', better: 'less' },
  kernel: { name: "the kernel's sockets and entries", unit: 'bytes each', better: 'less' },
  both: { name: 'program and kernel', unit: 'bytes each', better: 'less' },
};

/** Samples of one case: for each contender one for each round. */
type Samples = Map<Contender, Sample[]>;

async function* run(context: Context): AsyncGenerator<Row, void> {
  const { cleanup, progress } = context;
  const chosen = CASES.filter(({ name }) => context.selects(name));
  const idles = context.selects(IDLE_CASE);
  if (chosen.length === 0 && !idles) return;
  installPackages(progress);
  progress('laying out the network');
  const arena = new Arena();
  cleanup.add(() => arena.network.remove());
  arena.layOut();
  await startServers(arena, cleanup);
  const places = new Map<Contender, Place>();
  for (const contender of CONTENDERS) {
    const place = arena.place(contender.host, contender.wayBack);
    if (contender.hasHost) arena.addContender(place);
    places.set(contender, place);
  }
  const target = (contender: Contender, seconds: number): Target => ({
    arena,
    cleanup,
    place: places.get(contender)!,
    seconds,
  });

  if (idles) {
    const connections = context.quick ? IDLE_CONNECTIONS_QUICK : IDLE_CONNECTIONS;
    const samples = await inRounds(context, IDLE_CASE, CONTENDERS, async (contender) => {
      // Started anew each time: a process keeps what it once had.
      const running = await contender.start(arena, places.get(contender)!, cleanup);
      const sample = await idle(target(contender, IDLE_SECONDS), running, connections);
      await running.stop();
      return sample;
    });
    yield* rows(IDLE_CASE, IDLE_FIGURES, samples);
  }
  if (chosen.length === 0) return;
  const running: Running[] = [];
  for (const contender of CONTENDERS) {
    progress(`starting ${contender.name}`);
    running.push(await contender.start(arena, places.get(contender)!, cleanup));
  }
  for (const one of chosen) {
    const seconds = context.quick ? 1 : one.seconds;
    const samples = await inRounds(context, one.name, one.contenders ?? CONTENDERS, (contender) =>
      one.measure(target(contender, seconds)),
    );
    yield* rows(one.name, one.figures, samples, one.bars);
  }
  for (const one of running) await one.stop();
}

/** Who fails in a measure may try again: a proxy can run out of ports for a while. */
const TRIES = 3;
const BETWEEN_TRIES_MS = 10_000;

/** Takes a sample of each contender in each round. Who begins changes: nobody always follows the same other. */
async function inRounds(
  { rounds, progress }: Context,
  name: string,
  contenders: readonly Contender[],
  sample: (contender: Contender) => Promise<Sample>,
): Promise<Samples> {
  const samples: Samples = new Map(contenders.map((contender) => [contender, []]));
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const contender = contenders[(round + turn) % contenders.length];
      const doing = `${name}, round ${round + 1} of ${rounds}: ${contender.name}`;
      for (let tries = 1; ; tries++) {
        progress(doing);
        try {
          samples.get(contender)!.push(await sample(contender));
          break;
        } catch (error) {
          if (tries === TRIES) throw new Error(doing, { cause: error });
          console.log(`${doing} failed and is tried again: ${(error as Error).message}`);
          await pause(BETWEEN_TRIES_MS);
        }
      }
    }
  }
  return samples;
}

/** A row for each figure of each contender; ours with their ratios to the peers. */
function* rows(
  name: string,
  figures: Case['figures'],
  samples: Samples,
  bars: Case['bars'] = {},
): Generator<Row, void> {
  for (const [key, { name: figure, unit, better }] of Object.entries(figures)) {
    const series = (contender: Contender) => samples.get(contender)!.map((sample) => sample[key]);
    for (const contender of samples.keys()) {
      const against = OURS.includes(contender)
        ? PEERS.filter((peer) => samples.has(peer)).map((peer) => {
            const bar = contender === tapvsRoute ? bars[key]?.[peer.name] : undefined;
            return { to: peer.name, samples: series(peer), ...(bar === undefined ? {} : { bar }) };
          })
        : [];
      yield rowOf({
        bench: NAME,
        case: name,
        subject: contender.name,
        figure,
        unit,
        better,
        samples: series(contender),
        against,
      });
    }
  }
}

export const peers: Bench = {
  name: NAME,
  about: 'the director beside HAProxy, nginx, a Node proxy, Linux IPVS in User Mode Linux and nftables',
  run,
};
