/**
 * What `npm test` runs: compiles everything, the addon too, runs the tests and ends with a line `N passed, N failed`.
 *
 *     npm test                        all tests
 *     npm test -- packet conntrack    those whose path holds one of the words
 *
 * Tests that open TAPs, lay networks or measure time would disturb each other: their files run one at a time, after all
 * others, which run two at a time.
 */
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const BIN = join(ROOT, 'node_modules', '.bin');

/** Directories and files of test/ that use what there is only one of: the kernel, its interfaces, its processors. */
const ALONE = [
  'devices/packet',
  'devices/tap',
  'examples/',
  'lab/',
  'native/',
  'offload/',
  'operation/',
  'oracle/',
  'package/',
  'sync/',
  'threads/packet',
  'threads/tap',
];

const counts = { passed: 0, failed: 0, skipped: 0 };

function build(program, ...args) {
  const { status, error } = spawnSync(join(BIN, program), args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
  if (status === 0) return true;
  console.log(`${program} failed${error === undefined ? '' : `: ${error.message}`}`);
  counts.failed++;
  return false;
}

/** The tests that there are sources of: what was compiled of tests that were renamed since is left alone. */
function testFiles(words) {
  return readdirSync(join(ROOT, 'test'), { recursive: true })
    .filter((path) => path.endsWith('.test.ts'))
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => words.length === 0 || words.some((word) => path.includes(word)))
    .sort();
}

/** One line of AVA's TAP: `ok 12 - area › file › title`, `not ok ...`, either with `# SKIP`; comments; the rest is YAML. */
function readLine(line, progress) {
  const [, no, title, skip] = /^(not )?ok \d+(?: - (.*?))?( # SKIP)?$/.exec(line) ?? [];
  if (title === undefined) {
    if (progress.failing && line.startsWith('  ')) console.log(line);
    return;
  }
  // With a single file AVA leaves its name out.
  const file = progress.only ?? title.split(' › ').slice(0, 2).join(' › ');
  if (!progress.seen.has(file)) console.log(file);
  progress.seen.add(file);
  progress.failing = no !== undefined;
  if (skip !== undefined) counts.skipped++;
  else if (no === undefined) counts.passed++;
  else counts.failed++;
  if (skip !== undefined) console.log(`  skipped: ${title}`);
  if (no !== undefined) console.log(`  FAILED: ${title}`);
}

/** Runs AVA on compiled test files, `concurrency` of them at a time. */
async function run(files, concurrency) {
  if (files.length === 0) return;
  const paths = files.map((path) => `build/test/${path.replace(/ts$/, 'js')}`);
  const before = counts.failed;
  const ava = spawn(join(BIN, 'ava'), ['--tap', '--concurrency', String(concurrency), ...paths], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => {
    ava.on('error', (error) => resolve(error.message));
    ava.on('close', (status, signal) => resolve(status ?? signal));
  });
  const progress = { only: files.length === 1 ? files[0] : undefined, seen: new Set(), failing: false };
  for await (const line of createInterface({ input: ava.stdout })) readLine(line, progress);
  const status = await ended;
  // A run that fails without a failed test is a failure all the same.
  if (status === 0 || counts.failed > before) return;
  console.log(`ava ended with ${status}`);
  counts.failed++;
}

// The addon is for Linux; elsewhere the tests that need it are skipped.
const built =
  build('tsc', '-p', 'tsconfig.json') &&
  (process.platform !== 'linux' || build('node-gyp', 'configure', 'build', '--werror', '--loglevel=warn'));
if (built) {
  const words = process.argv.slice(2);
  const files = testFiles(words);
  if (files.length === 0) console.log(`There is no test whose path holds ${words.join(' or ')}.`);
  const alone = (path) => ALONE.some((start) => path.startsWith(start));
  await run(
    files.filter((path) => !alone(path)),
    2,
  );
  await run(files.filter(alone), 1);
}
if (counts.skipped > 0) console.log(`${counts.skipped} skipped`);
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = built && counts.failed === 0 && counts.passed > 0 ? 0 : 1;
