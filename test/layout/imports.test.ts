/** Who imports whom: what ARCHITECTURE.md says of it is true. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const COMPILED = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'src');
const SOURCES = join(COMPILED, '..', '..', 'src');

/**
 * The modules that each module needs when it runs, by path. Imports of types are gone from compiled code, and so may
 * lead anywhere.
 */
function imports(): Map<string, string[]> {
  const files = readdirSync(COMPILED, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.js'))
    .filter((file) => existsSync(join(SOURCES, file.replace(/js$/, 'ts')))); // not what a renamed one left behind
  return new Map(
    files.map((file) => {
      const text = readFileSync(join(COMPILED, file), 'utf8');
      const paths = Array.from(text.matchAll(/^(?:import|export)\b[^;]*?from '(\.[^']+)'/gms), ([, path]) => path!);
      return [file, paths.map((path) => normalize(join(dirname(file), path)))];
    }),
  );
}

const IMPORTS = imports();

/** The directory of a module in src/, or its own name where it lies there itself. */
function partOf(path: string): string {
  return path.split('/')[0]!.replace(/\.js$/, '');
}

/** What anybody may use: plain values and functions that need nothing else. */
const COMMON = ['address', 'clock', 'errors', 'ticks', 'verdicts', 'sysctl'];

/** What each directory may use beside those and itself. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  packet: [],
  native: [],
  conntrack: ['packet'],
  schedulers: ['services'],
  services: ['packet', 'conntrack', 'datapath'],
  host: ['packet'],
  modes: ['packet', 'conntrack', 'services', 'host', 'datapath'],
  sync: ['packet', 'conntrack', 'services', 'host'],
  ipvsadm: ['conntrack', 'services'],
  devices: ['packet', 'native'],
  testing: ['packet'],
};

test('no module needs itself, by whatever way', (t) => {
  const done = new Set<string>();
  const way: string[] = [];
  const visit = (path: string): void => {
    if (done.has(path)) return;
    const before = way.indexOf(path);
    if (before >= 0) {
      t.fail([...way.slice(before), path].join(' -> '));
      return;
    }
    way.push(path);
    for (const next of IMPORTS.get(path) ?? []) visit(next);
    way.pop();
    done.add(path);
  };
  for (const path of IMPORTS.keys()) visit(path);
  t.true(done.size > 100);
});

test('directories use those below them only', (t) => {
  for (const [path, needed] of IMPORTS) {
    const allowed = ALLOWED[partOf(path)];
    if (allowed === undefined) continue;
    for (const part of needed.map(partOf)) {
      t.true(part === partOf(path) || COMMON.includes(part) || allowed.includes(part), `${path} uses ${part}`);
    }
  }
});

test('the director and the frame path know no device, only what one is', (t) => {
  for (const [path, needed] of IMPORTS) {
    if (partOf(path) === 'devices' || path === 'index.js') continue;
    t.deepEqual(
      needed.filter((part) => partOf(part) === 'devices'),
      [],
      path,
    );
  }
});
