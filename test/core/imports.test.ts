/** The house's order, read from its import lines: who may know whom. What is imported as a type alone does not count. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const SRC = fileURLToPath(new URL('../../../src', import.meta.url));

interface Import {
  /** Relative to src. */
  readonly file: string;
  /** Relative to src, or the name of a package. */
  readonly target: string;
  readonly typeOnly: boolean;
}

const STATEMENT = /^(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)';/gm;

function importsOf(file: string): Import[] {
  const text = readFileSync(join(SRC, file), 'utf8');
  return Array.from(text.matchAll(STATEMENT), ([, type, name]) => ({
    file,
    target: name!.startsWith('.') ? posix.join(posix.dirname(file), name!) : name!,
    typeOnly: type !== undefined,
  }));
}

const FILES = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.replaceAll('\\', '/'));
const IMPORTS = FILES.flatMap(importsOf);
const RUNTIME = IMPORTS.filter(({ typeOnly }) => !typeOnly);

/** The parts of the house: folders, and the files beside them. Each knows only those before it. */
const ORDER = [
  'errors.ts',
  'ticks.ts',
  'clock.ts',
  'verdicts.ts',
  'address.ts',
  'sysctl.ts',
  'own-module.ts',
  'native',
  'packet',
  'conntrack',
  'services',
  'schedulers',
  'datapath.ts',
  'host',
  'apps',
  'modes',
  'sync',
  'listing.ts',
  'shortcut.ts',
  'pipeline.ts',
  'configuration.ts',
  'engine',
  'threads',
  'health',
  'ipvsadm',
  'emitter.ts',
  'capture.ts',
  'director.ts',
  'devices',
  'index.ts',
  'metrics',
  'control',
  'daemon',
  'cli',
  'testing',
];

/** Parts that do not know each other, though one comes before the other. */
const STRANGERS: readonly (readonly [string, readonly string[]])[] = [
  ['host', ['conntrack', 'services', 'schedulers', 'modes']],
  ['apps', ['services', 'schedulers']],
  ['modes', ['schedulers']],
  ['pipeline.ts', ['schedulers']],
  ['ipvsadm', ['pipeline.ts', 'host', 'modes', 'schedulers']],
  ['devices', ['conntrack', 'services', 'schedulers', 'host', 'modes', 'pipeline.ts', 'director.ts']],
  [
    'testing',
    ['conntrack', 'services', 'schedulers', 'host', 'modes', 'pipeline.ts', 'director.ts', 'devices', 'native'],
  ],
  ['control', ['devices', 'native', 'pipeline.ts', 'host']],
];

function partOf(file: string): string {
  return file.split('/')[0]!;
}

function lines(imports: readonly Import[]): string[] {
  return imports.map(({ file, target }) => `${file} imports ${target}`);
}

test('the files and their imports were found', (t) => {
  t.true(FILES.length > 100);
  t.true(
    FILES.every((file) => file === 'verdicts.ts' || IMPORTS.some((one) => one.file === file || one.target === file)),
  );
  for (const { target } of IMPORTS) t.true(!target.includes('.ts') || FILES.includes(target), target);
});

test('no file imports itself, not by any way round', (t) => {
  const cycles: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, way: readonly string[]) => {
    if (way.includes(file)) cycles.push([...way.slice(way.indexOf(file)), file].join(' -> '));
    if (done.has(file) || way.includes(file)) return;
    for (const one of RUNTIME) if (one.file === file) visit(one.target, [...way, file]);
    done.add(file);
  };
  for (const file of FILES) visit(file, []);
  t.deepEqual(cycles, []);
});

test('every part knows only the parts before it', (t) => {
  const parts = [...new Set(FILES.map(partOf))];
  t.deepEqual(
    parts.filter((part) => !ORDER.includes(part)),
    [],
    'a part that has no place in the order yet',
  );
  const wrong = RUNTIME.filter(({ file, target }) => ORDER.indexOf(partOf(target)) > ORDER.indexOf(partOf(file)));
  t.deepEqual(lines(wrong), []);
  for (const [part, strangers] of STRANGERS) {
    const met = RUNTIME.filter(({ file, target }) => partOf(file) === part && strangers.includes(partOf(target)));
    t.deepEqual(lines(met), []);
  }
});

test('the director knows devices by their interface only', (t) => {
  const concrete = FILES.filter((file) => dirname(file) === 'devices' && file !== 'devices/device.ts');
  const known = IMPORTS.filter(
    ({ file, target }) => concrete.includes(target) && !['devices', 'index.ts', 'daemon'].includes(partOf(file)),
  );
  t.deepEqual(lines(known), []);
});

test('other people’s code has few doors', (t) => {
  const packages = RUNTIME.filter(({ target }) => !target.endsWith('.ts') && !target.startsWith('node:'));
  t.deepEqual(lines(packages).sort(), [
    'address.ts imports ip6addr',
    'cli/commands/capture.ts imports commander',
    'cli/commands/check.ts imports commander',
    'cli/commands/drain.ts imports commander',
    'cli/commands/explain.ts imports commander',
    'cli/commands/options.ts imports commander',
    'cli/commands/run.ts imports commander',
    'cli/commands/top.ts imports commander',
    'cli/tapvs.ts imports commander',
    'daemon/file.ts imports yaml',
    'daemon/log.ts imports pino',
    'daemon/schema.ts imports ajv',
    'daemon/sections/metrics.ts imports prom-client',
    'emitter.ts imports eventemitter3',
  ]);
});

test('nothing that the frame path stands on needs Node', (t) => {
  const parts = [
    'packet',
    'conntrack',
    'services',
    'schedulers',
    'host',
    'modes',
    'shortcut.ts',
    'pipeline.ts',
    'datapath.ts',
  ];
  t.deepEqual(
    lines(IMPORTS.filter(({ file, target }) => parts.includes(partOf(file)) && target.startsWith('node:'))),
    [],
  );
});

test('files of re-exports are imported by users, not by the house itself', (t) => {
  const inside = RUNTIME.filter(
    ({ file, target }) => target.endsWith('index.ts') && file !== 'index.ts' && target !== 'schedulers/index.ts',
  );
  t.deepEqual(lines(inside), []);
});
