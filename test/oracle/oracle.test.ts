/** A few random scenarios against real Linux, where it can be booted; `npm run oracle` plays many. */
import { existsSync } from 'node:fs';
import test from 'ava';
import { contest, type Found } from './contest.ts';
import { chooseFeatures } from './generator/features.ts';
import { HOST } from './lab-host.ts';
import { Linux } from './linux.ts';
import { stepText } from './report.ts';

const PROGRAMS = ['/usr/bin/linux.uml', '/bin/busybox', '/sbin/ipvsadm', '/sbin/ip', '/sbin/ethtool'];
const testWithLinux = PROGRAMS.every((program) => existsSync(program)) ? test : test.skip;

function textOf({ seed, steps, text }: Found): string {
  return [`seed ${seed}`, ...steps.map(stepText), `=> ${text}`].join('\n');
}

testWithLinux('random scenarios play the same on Linux and on the director', async (t) => {
  const linux = await Linux.boot(HOST);
  t.teardown(() => linux.close());
  const found: Found[] = [];
  const { steps } = await contest([linux], {
    seed: 1,
    steps: 400,
    durationMs: Number.POSITIVE_INFINITY,
    stepsPerScenario: 100,
    // Without waiting: this one is for every day.
    features: chooseFeatures([], ['time', 'statistics']),
    shrinks: false,
    onDifference: (difference) => found.push(difference),
  });
  t.true(steps >= 400);
  t.deepEqual(found.filter(({ isStable }) => isStable).map(textOf), []);
});
