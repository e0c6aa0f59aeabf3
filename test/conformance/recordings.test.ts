/** The recordings of Linux IPVS, one test each. */
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { compare } from './compare.ts';
import { play } from './play.ts';
import { loadScenarios } from './scenario.ts';

/** What the director does not do yet. A recording that passes must leave this list: its test fails until it does. */
const NOT_YET: readonly string[] = [];

/** The recordings, and what Linux answered to questions that they left open. */
const SCENARIOS = ['golden', 'conformance/asked'].flatMap((directory) =>
  loadScenarios(fileURLToPath(new URL(`../../../test/${directory}`, import.meta.url))),
);

test('there are recordings, and the exceptions are among them', (t) => {
  const names = SCENARIOS.map(({ name }) => name);
  t.true(names.length >= 50);
  t.deepEqual(
    NOT_YET.filter((name) => !names.includes(name)),
    [],
  );
});

for (const scenario of SCENARIOS) {
  const declare = NOT_YET.includes(scenario.name) ? test.failing : test;
  declare(scenario.name, (t) => {
    const differences = compare(scenario, play(scenario));
    t.deepEqual(
      differences.map(({ step, text }) => `step ${step}: ${text}`),
      [],
    );
  });
}
