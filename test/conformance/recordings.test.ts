/** The recordings of Linux IPVS, one test each. */
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { compare } from './compare.ts';
import { play } from './play.ts';
import { loadScenarios } from './scenario.ts';

const SCENARIOS = loadScenarios(fileURLToPath(new URL('../../../test/golden', import.meta.url)));

test('there are recordings', (t) => {
  t.true(SCENARIOS.length >= 50);
});

for (const scenario of SCENARIOS) {
  test(scenario.name, (t) => {
    const differences = compare(scenario, play(scenario));
    t.deepEqual(
      differences.map(({ step, text }) => `step ${step}: ${text}`),
      [],
    );
  });
}
