import test from 'ava';
import fc from 'fast-check';
import type { Family } from '../../src/address.ts';
import { SCHEDULERS } from '../../src/schedulers/index.ts';
import type { Destination } from '../../src/services/destination.ts';
import { type Service, SVC_SCHED1, SVC_SCHED2 } from '../../src/services/service.ts';
import { Bench, packet, seededRandom } from './fixture.ts';
import {
  type Naive,
  NaiveMh,
  NaiveRr,
  NaiveWrr,
  naiveDh,
  naiveFo,
  naiveLblc,
  naiveLblcr,
  naiveLc,
  naiveNq,
  naiveOvf,
  naiveSed,
  naiveSh,
  naiveTwos,
  naiveWlc,
} from './naive.ts';

const LBLCR_SECONDS = 20;
const SEED = 7;

const NAIVE: ReadonlyMap<string, (service: Service) => Naive> = new Map([
  ['rr', (service) => new NaiveRr(service)],
  ['wrr', (service) => new NaiveWrr(service)],
  ['lc', naiveLc],
  ['wlc', naiveWlc],
  ['sed', naiveSed],
  ['nq', naiveNq],
  ['sh', naiveSh],
  ['dh', naiveDh],
  ['lblc', naiveLblc],
  ['lblcr', (service) => naiveLblcr(service, LBLCR_SECONDS * 1000)],
  ['fo', naiveFo],
  ['ovf', naiveOvf],
  ['mh', (service) => new NaiveMh(service)],
  ['twos', (service) => naiveTwos(service, seededRandom(SEED))],
] as [string, (service: Service) => Naive][]);

type Step =
  | { readonly do: 'add'; readonly weight: number }
  | { readonly do: 'revive' | 'delete'; readonly which: number }
  | { readonly do: 'edit'; readonly which: number; readonly weight: number }
  | { readonly do: 'load'; readonly which: number; readonly active: number; readonly inactive: number }
  | { readonly do: 'threshold'; readonly which: number; readonly overloaded: boolean }
  | { readonly do: 'all-thresholds'; readonly overloaded: boolean }
  | { readonly do: 'flags'; readonly flags: number }
  | { readonly do: 'wait'; readonly seconds: number }
  | { readonly do: 'replace' }
  | {
      readonly do: 'pick';
      readonly client: number;
      readonly server: number;
      readonly port: number;
      readonly protocol: number;
      readonly inverse: boolean;
    };

const which = fc.nat({ max: 9 });

function steps(weight: fc.Arbitrary<number>, maxChanges: number): fc.Arbitrary<Step[]> {
  const change: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ do: fc.constant('add'), weight }),
    fc.record({ do: fc.constantFrom('revive', 'delete'), which }),
    fc.record({ do: fc.constant('edit'), which, weight }),
    fc.record({
      do: fc.constantFrom('flags'),
      flags: fc.constantFrom(0, SVC_SCHED1, SVC_SCHED2, SVC_SCHED1 | SVC_SCHED2),
    }),
    fc.constant({ do: 'replace' }),
  ) as fc.Arbitrary<Step>;
  const pick = fc.record({
    do: fc.constant('pick'),
    client: fc.nat({ max: 0xffff }),
    server: fc.nat({ max: 2 }),
    port: fc.integer({ min: 1, max: 65535 }),
    protocol: fc.constantFrom(6, 17, 132, 47),
    inverse: fc.boolean(),
  }) as fc.Arbitrary<Step>;
  const other = fc.oneof(
    { weight: 6, arbitrary: pick },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('load'),
        which,
        active: fc.oneof({ weight: 5, arbitrary: fc.nat({ max: 8 }) }, fc.nat({ max: 2_000_000 })),
        inactive: fc.oneof(fc.constant(0), fc.nat({ max: 600 })),
      }) as fc.Arbitrary<Step>,
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('threshold'),
        which,
        overloaded: fc.boolean(),
      }) as fc.Arbitrary<Step>,
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('all-thresholds'), overloaded: fc.boolean() }) as fc.Arbitrary<Step>,
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('wait'), seconds: fc.nat({ max: 30 }) }) as fc.Arbitrary<Step>,
    },
  );
  const piece = fc
    .tuple(change, fc.array(other, { minLength: 1, maxLength: 20 }))
    .map(([first, rest]) => [first, ...rest]);
  return fc.array(piece, { minLength: 1, maxLength: maxChanges }).map((pieces) => pieces.flat());
}

function address(family: Family, group: string, n: number): string {
  return family === 4
    ? `198.51.${group === 'c' ? n >> 8 : 255}.${n & 255}`
    : `2001:db8:${group}:${n % 7}::${n.toString(16)}`;
}

/** Plays the steps on the scheduler and on its restatement, and compares every choice. */
function compare(name: string, family: Family, weights: readonly number[], script: readonly Step[]): void {
  const factory = SCHEDULERS.get(name)!;
  const makeNaive = NAIVE.get(name)!;
  const bench = new Bench(factory, family);
  bench.source = seededRandom(SEED);
  bench.expirationSeconds = LBLCR_SECONDS;
  const { destinations } = bench.service;
  const deleted: Destination[] = [];
  let made = 0;
  let naive = makeNaive(bench.service);
  const add = (weight: number) => {
    made++;
    const destination = bench.add(family === 4 ? `10.0.0.${made}` : `2001:db8::${made}`, weight, 80 + (made % 3));
    naive.added?.(destination);
  };
  for (const weight of weights) add(weight);
  for (const [index, step] of script.entries()) {
    const chosen = 'which' in step ? destinations[step.which % destinations.length] : undefined;
    switch (step.do) {
      case 'add':
        if (destinations.length < 10) add(step.weight);
        break;
      case 'revive': {
        const back = deleted.splice(step.which, 1)[0];
        if (back !== undefined) {
          bench.revive(back);
          naive.added?.(back);
        }
        break;
      }
      case 'delete':
        if (chosen !== undefined) {
          const at = destinations.indexOf(chosen);
          bench.delete(chosen);
          naive.removed?.(chosen, at);
          deleted.push(chosen);
        }
        break;
      case 'edit':
        if (chosen !== undefined) {
          bench.edit(chosen, step.weight);
          naive.updated?.(chosen);
        }
        break;
      case 'load':
        if (chosen !== undefined) {
          chosen.activeConns = step.active;
          chosen.inactConns = step.inactive;
        }
        break;
      case 'threshold':
        if (chosen !== undefined) chosen.overloaded = step.overloaded;
        break;
      case 'all-thresholds':
        for (const destination of destinations) destination.overloaded = step.overloaded;
        break;
      case 'flags':
        bench.service.flags = step.flags;
        break;
      case 'wait':
        bench.wait(step.seconds);
        break;
      case 'replace':
        bench.use(factory);
        bench.source = seededRandom(SEED);
        naive = makeNaive(bench.service);
        break;
      case 'pick': {
        const from = packet({
          source: address(family, 'c', step.client),
          destination: address(family, 'd', step.server),
          sourcePort: step.port,
          destinationPort: 80,
          protocol: step.protocol,
          inverse: step.inverse,
        });
        const { choice, compared } = bench.scheduler.explain!(from);
        const actual = bench.pick(from);
        if (choice !== undefined && choice !== actual) {
          throw new Error(`step ${index}: chose ${actual?.address}, but explained ${choice?.address}`);
        }
        if (compared.length !== destinations.length) throw new Error(`step ${index}: not every server is compared`);
        const expected = naive.schedule(from, bench.nowMs);
        if (actual !== expected) {
          throw new Error(`step ${index}: chose ${actual?.address}, by definition it is ${expected?.address}`);
        }
        if (actual !== null && (actual.weight === 0 || !destinations.includes(actual))) {
          throw new Error(`step ${index}: chose ${actual.address}, which takes no connections`);
        }
      }
    }
  }
}

const SMALL = fc.oneof(
  { weight: 1, arbitrary: fc.constant(0) },
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 12 }) },
);
const LARGE = fc.oneof(SMALL, fc.constantFrom(1000, 65_535, 999_999_937, 2_147_483_647));
/** Restated step by step, these would take too long for large weights; the restatement of `mh` is slow in any case. */
const LIMITS = new Map([
  ['wrr', { weight: fc.oneof(SMALL, fc.constantFrom(30, 100, 250)) }],
  ['twos', { weight: SMALL }],
  ['sh', { weight: fc.oneof(SMALL, fc.constantFrom(100, 1000)) }],
  ['mh', { weight: fc.oneof(SMALL, fc.constantFrom(1000, 65_535, 70_000)), runs: 40, changes: 6 }],
] as [string, { weight: fc.Arbitrary<number>; runs?: number; changes?: number }][]);

for (const name of SCHEDULERS.keys()) {
  const { weight, runs = 200, changes = 15 } = LIMITS.get(name) ?? { weight: LARGE };
  test(`${name} does what its definition says`, (t) => {
    fc.assert(
      fc.property(
        fc.constantFrom<Family>(4, 6),
        fc.array(weight, { maxLength: 5 }),
        steps(weight, changes),
        (family, weights, script) => compare(name, family, weights, script),
      ),
      { numRuns: runs, seed: 1 },
    );
    t.pass();
  });
}
