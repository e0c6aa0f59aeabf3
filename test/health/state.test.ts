/** The health of a service as a function of what happened: its properties, whatever happens. */
import test from 'ava';
import fc from 'fast-check';
import { type Happening, look, type Rules, reduce, type Servers, usable } from '../../src/health/state.ts';

fc.configureGlobal({ seed: Number(process.env.FC_SEED ?? 1) });

const RULES: Rules = {
  rise: 2,
  fall: 3,
  removes: false,
  quorum: 1,
  hasSorryServer: false,
  slowStart: null,
  least: 0.1,
  most: 1,
  ejectMs: 30_000,
};

const rules: fc.Arbitrary<Rules> = fc.record({
  rise: fc.integer({ min: 1, max: 4 }),
  fall: fc.integer({ min: 1, max: 4 }),
  removes: fc.boolean(),
  quorum: fc.integer({ min: 1, max: 3 }),
  hasSorryServer: fc.boolean(),
  slowStart: fc.option(
    fc.record({
      durationMs: fc.integer({ min: 1, max: 60_000 }),
      from: fc.double({ min: 0.01, max: 1, noNaN: true }),
      steps: fc.integer({ min: 1, max: 20 }),
    }),
  ),
  least: fc.constantFrom(0, 0.1, 0.5),
  most: fc.constantFrom(1, 2),
  ejectMs: fc.integer({ min: 1, max: 60_000 }),
});

const id = fc.constantFrom('a', 'b', 'c', 'd');
const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ what: fc.constant('configured'), server: id, weight: fc.nat({ max: 200 }) }) },
  fc.record({ what: fc.constant('removed'), server: id }),
  {
    weight: 8,
    arbitrary: fc.record({ what: fc.constant('checked'), server: id, failure: fc.constantFrom(null, 'no') }),
  },
  fc.record({ what: fc.constant('load'), server: id, load: fc.double({ min: -1, max: 2, noNaN: true }) }),
  { weight: 3, arbitrary: fc.record({ what: fc.constant('suspected'), server: id, reason: fc.constant('resets') }) },
  fc.record({ what: fc.constant('time') }),
) as fc.Arbitrary<Happening>;
const story = fc.array(fc.tuple(fc.nat({ max: 20_000 }), happening), { maxLength: 60 });

/** Tells a story, calling `each` after every happening. */
function tell(
  events: readonly (readonly [number, Happening])[],
  by: Rules,
  each: (servers: Servers, atMs: number, event: Happening, before: Servers) => void = () => {},
): { servers: Servers; atMs: number } {
  let servers: Servers = new Map();
  let atMs = 0;
  for (const [laterMs, event] of events) {
    atMs += laterMs;
    const before = servers;
    servers = reduce(servers, event, atMs, by);
    each(servers, atMs, event, before);
  }
  return { servers, atMs };
}

test('a weight is within what was configured, and 0 or absent where the server may not serve', (t) => {
  fc.assert(
    fc.property(story, rules, (events, by) => {
      tell(events, by, (servers, atMs) => {
        const view = look(servers, atMs, by);
        t.deepEqual([...view.servers.keys()], [...servers.keys()]);
        for (const [name, { weight, state }] of view.servers) {
          const { configured } = servers.get(name)!;
          if (weight === null) t.true(by.removes && state === 'down');
          else t.true(Number.isInteger(weight) && weight >= 0 && weight <= configured * by.most);
          const mayServe = state !== 'down' && state !== 'ejected' && configured > 0 && view.state !== 'sorry';
          if (!mayServe) t.true(weight === 0 || weight === null);
          else if (by.least > 0) t.true(weight! > 0);
        }
      });
    }),
  );
});

test('the sorry server serves exactly when fewer than the quorum are in use', (t) => {
  fc.assert(
    fc.property(story, rules, (events, by) => {
      tell(events, by, (servers, atMs) => {
        const view = look(servers, atMs, by);
        const inUse = [...servers.values()].filter(
          ({ configured, checked, ejectedUntilMs }) => configured > 0 && checked !== 'down' && ejectedUntilMs === null,
        ).length;
        t.is(view.inUse, inUse);
        t.is(view.state, inUse >= by.quorum ? 'served' : by.hasSorryServer ? 'sorry' : 'short');
      });
    }),
  );
});

test('nobody is left out below the quorum, nor beyond the time', (t) => {
  fc.assert(
    fc.property(story, rules, (events, by) => {
      tell(events, by, (servers, atMs) => {
        for (const { ejectedUntilMs, checked, configured } of servers.values()) {
          if (ejectedUntilMs === null) continue;
          t.true(ejectedUntilMs > atMs);
          if (checked !== 'down' && configured > 0) t.true(usable(servers) >= by.quorum);
        }
      });
    }),
  );
});

test('a server changes when enough checks in a row say so, and not before; the first one decides at once', (t) => {
  const results = fc.array(fc.boolean(), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(results, rules, (list, by) => {
      const model = { state: list[0], before: [] as boolean[] };
      let servers = reduce(new Map(), { what: 'configured', server: 'a', weight: 1 }, 0, by);
      list.forEach((well, i) => {
        servers = reduce(servers, { what: 'checked', server: 'a', failure: well ? null : 'no' }, i, by);
        model.before.push(well);
        const needed = model.state ? by.fall : by.rise;
        const last = model.before.slice(-needed);
        if (last.length === needed && last.every((one) => one !== model.state)) {
          model.state = !model.state;
          model.before = [];
        }
        t.is(servers.get('a')!.checked, model.state ? 'up' : 'down');
      });
    }),
  );
});

test('what is the same for all is the same whatever happens to others', (t) => {
  fc.assert(
    fc.property(story, rules, (events, by) => {
      const alone = events.map(
        ([ms, event]) => [ms, 'server' in event && event.server !== 'a' ? ({ what: 'time' } as const) : event] as const,
      );
      // Ejections do depend on others: on how many are in use.
      const without = (list: typeof alone) =>
        list.map(([ms, event]) => [ms, event.what === 'suspected' ? ({ what: 'time' } as const) : event] as const);
      const one = tell(without(events), by).servers.get('a');
      t.deepEqual(tell(without(alone), by).servers.get('a'), one);
    }),
  );
});

test('a weight grows from its beginning to the whole in the steps that were asked for', (t) => {
  const by: Rules = { ...RULES, fall: 1, rise: 1, slowStart: { durationMs: 10_000, from: 0.2, steps: 4 } };
  let servers = reduce(new Map(), { what: 'configured', server: 'a', weight: 100 }, 0, by);
  const check = (failure: string | null, atMs: number) => {
    servers = reduce(servers, { what: 'checked', server: 'a', failure }, atMs, by);
  };
  const weight = (atMs: number) => look(servers, atMs, by).servers.get('a')!.weight;
  check(null, 0);
  t.is(weight(0), 100, 'who was in use from the beginning has its whole weight');
  check('ECONNREFUSED', 1000);
  t.is(weight(1000), 0);
  check(null, 2000);
  t.deepEqual([2000, 4499, 4500, 7000, 9500, 11_999, 12_000].map(weight), [20, 20, 40, 60, 80, 80, 100]);
  check('ECONNREFUSED', 7000);
  check(null, 8000);
  t.is(weight(8000), 20, 'who falls meanwhile begins anew');
  t.regex(look(servers, 8000, by).servers.get('a')!.because, /slow start, step 0 of 4/);
});

test('growing weights never shrink with time', (t) => {
  fc.assert(
    fc.property(story, rules, fc.array(fc.nat({ max: 30_000 }), { maxLength: 20 }), (events, by, later) => {
      let { servers, atMs } = tell(events, by);
      let before = look(servers, atMs, by);
      for (const ms of later) {
        atMs += ms;
        servers = reduce(servers, { what: 'time' }, atMs, by);
        const now = look(servers, atMs, by);
        for (const [name, { weight }] of now.servers) {
          // Unless the sorry server goes, or a server comes back, which begins anew.
          if (before.servers.get(name)!.state !== now.servers.get(name)!.state || before.state !== now.state) continue;
          t.true((weight ?? 0) >= (before.servers.get(name)!.weight ?? 0));
        }
        before = now;
      }
    }),
  );
});

test('a load is a part of the weight, within its bounds', (t) => {
  let servers = reduce(new Map(), { what: 'configured', server: 'a', weight: 50 }, 0, RULES);
  const weight = (load: number) => {
    servers = reduce(servers, { what: 'load', server: 'a', load }, 0, RULES);
    return look(servers, 0, RULES).servers.get('a')!.weight;
  };
  t.deepEqual([0, 0.25, 0.5, 0.9, 1, 2, -1].map(weight), [50, 38, 25, 5, 5, 5, 50]);
  t.is(look(servers, 0, { ...RULES, least: 0, most: 2 }).servers.get('a')!.weight, 100);
});
