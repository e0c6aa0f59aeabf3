/** `npm run --silent conformance -- DIR [--record OUT]`: plays recordings of Linux IPVS and says how they compare. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compare, comparedSteps } from './compare.ts';
import { play } from './play.ts';
import { loadScenarios, type Scenario } from './scenario.ts';

const USAGE = 'usage: npm run --silent conformance -- DIR [--record OUT]';

function check(scenario: Scenario, record: string | undefined): boolean {
  let answers: Scenario;
  try {
    answers = play(scenario);
  } catch (error) {
    console.log(`${scenario.name}: cannot be played: ${error instanceof Error ? error.message : error}`);
    return false;
  }
  if (record !== undefined)
    writeFileSync(join(record, `${scenario.name}.json`), `${JSON.stringify(answers, null, 1)}\n`);
  const differences = compare(scenario, answers);
  if (differences.length === 0) {
    console.log(`${scenario.name}: ok`);
    return true;
  }
  const [{ step, text }] = differences;
  console.log(
    `${scenario.name}: ${differences.length} of ${comparedSteps(scenario)} steps differ, the first is step ${step}: ${text}`,
  );
  return false;
}

function main(): number {
  let args: ReturnType<typeof parse>;
  try {
    args = parse();
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`);
    return 2;
  }
  const [directory] = args.positionals;
  if (directory === undefined || args.positionals.length > 1) {
    console.error(USAGE);
    return 2;
  }
  const { record } = args.values;
  if (record !== undefined) mkdirSync(record, { recursive: true });
  const scenarios = loadScenarios(directory);
  const passed = scenarios.filter((scenario) => check(scenario, record)).length;
  console.log(`${passed} passed, ${scenarios.length - passed} failed`);
  return passed === scenarios.length && passed > 0 ? 0 : 1;
}

function parse() {
  return parseArgs({ allowPositionals: true, options: { record: { type: 'string' } } });
}

process.exitCode = main();
