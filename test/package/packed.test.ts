/** What is published: packed as a release is, installed elsewhere, used from there. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ava, { type ExecutionContext } from 'ava';
import { Namespace, testWithTaps } from '../devices/support/namespace.ts';

// The addon is compiled for Linux only, and a release is made there.
const test = process.platform === 'linux' ? ava.serial : ava.skip;

/** The oldest C library that Node.js 20 runs on; the addon must not need a newer one. */
const OLDEST_GLIBC_MINOR = 28;

function repository(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'binding.gyp'))) folder = dirname(folder);
  return folder;
}

function programOf(name: string): string {
  const found = process.env.PATH!.split(delimiter).map((folder) => join(folder, name));
  return realpathSync(found.find((path) => existsSync(path))!);
}

/** This process's environment without what npm, which may have started it, says of this project. */
function environment(more: object): NodeJS.ProcessEnv {
  const kept = /^npm_config_(cache|registry|userconfig|nodedir)$/;
  const entries = Object.entries(process.env).filter(([key]) => !key.startsWith('npm_') || kept.test(key));
  return { ...Object.fromEntries(entries), npm_config_update_notifier: 'false', ...more };
}

function npm(folder: string, args: readonly string[], env: object = {}): string {
  const options = { cwd: folder, encoding: 'utf8', env: environment(env), stdio: 'pipe', timeout: 100_000 } as const;
  return execFileSync(process.execPath, [programOf('npm'), ...args], options);
}

/** Packs a copy of the checkout, without anything that was compiled in it. Returns the tarball's path. */
function pack(folder: string): { tarball: string; files: readonly string[] } {
  const root = repository();
  const copy = join(folder, 'checkout');
  mkdirSync(copy);
  const parts = ['tsconfig.json', 'tsconfig.build.json', 'binding.gyp', 'LICENSE', 'scripts', 'src'];
  parts.push('package.json', 'config.schema.json', 'CONFIGURATION.md', 'grafana');
  for (const part of parts) cpSync(join(root, part), join(copy, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  npm(copy, ['pack', '--silent', '--pack-destination', folder]);
  const { name, version } = JSON.parse(readFileSync(join(copy, 'package.json'), 'utf8'));
  const tarball = join(folder, `${name}-${version}.tgz`);
  const files = execFileSync('tar', ['-tzf', tarball], { encoding: 'utf8' }).trim().split('\n');
  return { tarball, files: files.map((file) => file.replace(/^package\//, '')) };
}

/** Installs a tarball into an empty project on a machine that has Node.js, a shell, and nothing to compile with. */
function install(folder: string, tarball: string): string {
  const project = join(folder, 'project');
  const programs = join(folder, 'programs');
  for (const each of [project, programs]) mkdirSync(each);
  for (const name of ['node', 'sh']) symlinkSync(programOf(name), join(programs, name));
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }');
  const args = [
    'install',
    '--ignore-scripts=false',
    '--foreground-scripts',
    '--prefer-offline',
    '--no-audit',
    '--no-fund',
  ];
  const output = npm(project, [...args, tarball], { PATH: programs });
  if (/compiled|node-gyp/.test(output)) throw new Error(output);
  return project;
}

let folder = '';
let project = '';
let files: readonly string[] = [];

/** Runs an ES module in the project. */
function run(t: ExecutionContext, source: string, ...args: readonly string[]): string {
  const path = join(project, `${t.title.replaceAll(/\W+/g, '-')}.js`);
  writeFileSync(path, source);
  return execFileSync(process.execPath, [path, ...args], { cwd: project, encoding: 'utf8', timeout: 20_000 });
}

ava.serial.before((t) => {
  t.timeout(150_000);
  if (process.platform !== 'linux') return;
  folder = mkdtempSync(join(tmpdir(), 'tapvs-packed-'));
  const packed = pack(folder);
  files = packed.files;
  project = install(folder, packed.tarball);
});

ava.after.always(() => {
  if (folder !== '') rmSync(folder, { recursive: true });
});

test('the package holds what it needs and nothing else', (t) => {
  for (const needed of [
    'package.json',
    'LICENSE',
    'binding.gyp',
    'scripts/install.mjs',
    'src/native/tap.c',
    'dist/index.js',
    'config.schema.json',
    'CONFIGURATION.md',
    'grafana/dashboard.json',
  ]) {
    t.true(files.includes(needed), needed);
  }
  const allowed =
    /^(package\.json|config\.schema\.json|LICENSE|[A-Z]+\.md|binding\.gyp|scripts\/install\.mjs|grafana\/dashboard\.json|prebuilds\/.*\.node|src\/.*\.(ts|c|h)|dist\/.*\.(js|d\.ts|js\.map))$/;
  t.deepEqual(
    files.filter((file) => !allowed.test(file)),
    [],
  );
});

test('every path that package.json exports can be imported, and has types', (t) => {
  const installed = join(project, 'node_modules', 'tapvs');
  const { exports } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
  const modules = Object.entries(exports as Record<string, string | { types: string }>).filter(
    (entry): entry is [string, { types: string }] => typeof entry[1] === 'object',
  );
  t.true(modules.length >= 5);
  const names = modules.map(([path]) => path.replace(/^\./, 'tapvs'));
  const source = names.map((name) => `console.log('${name}', Object.keys(await import('${name}')).length);`);
  const output = run(t, `${source.join('\n')}\nimport.meta.resolve('tapvs/package.json');`);
  for (const name of names) t.regex(output, new RegExp(`^${name} [1-9]`, 'm'));
  for (const [path, { types }] of modules) t.true(existsSync(join(installed, types)), path);
});

test('TypeScript understands the types that come with it', (t) => {
  const root = repository();
  writeFileSync(
    join(project, 'consumer.ts'),
    [
      "import { Director } from 'tapvs';",
      "import { type Device, MemoryDevice, TapDevice } from 'tapvs/devices';",
      "const device: Device = new MemoryDevice({ name: 'eth0' });",
      'export const all = [Director, device, TapDevice.open];',
    ].join('\n'),
  );
  const strict = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2023', '--types', 'node'];
  const types = ['--typeRoots', join(root, 'node_modules', '@types')];
  const compiler = join(root, 'node_modules', '.bin', 'tsc');
  t.is(execFileSync(compiler, [...strict, ...types, 'consumer.ts'], { cwd: project, encoding: 'utf8' }), '');
});

test('the shipped addon runs on every C library that Node.js does', (t) => {
  const prebuilds = files.filter((file) => file.endsWith('.node'));
  t.is(prebuilds.length, 1);
  const bytes = readFileSync(join(project, 'node_modules', 'tapvs', prebuilds[0]!), 'latin1');
  for (const [, minor] of bytes.matchAll(/GLIBC_2\.(\d+)/g)) t.true(Number(minor) <= OLDEST_GLIBC_MINOR, minor);
});

test('its commands are there, and find out that no director runs', (t) => {
  const env = environment({ TAPVS_SOCKET: join(folder, 'nobody') });
  const say = (name: string, ...args: readonly string[]) => {
    const command = join(project, 'node_modules', '.bin', name);
    const { status, stdout, stderr } = spawnSync(command, args, { cwd: project, encoding: 'utf8', env, input: '' });
    return { status, stdout, stderr };
  };
  for (const name of ['ipvsadm', 'ipvsadm-save', 'ipvsadm-restore']) {
    const { status, stderr } = say(name);
    t.is(status, 2, stderr);
    t.regex(stderr, /^Can't initialize ipvs: /);
  }
  t.regex(say('tapvs', '--help').stdout, /^Usage: tapvs /);
  writeFileSync(
    join(project, 'tapvs.yaml'),
    'devices: [{ type: tap, name: wire0 }]\ninterfaces: [{ device: wire0 }]\n',
  );
  t.deepEqual(say('tapvs', 'check', '--config', 'tapvs.yaml'), { status: 0, stdout: '', stderr: '' });
  writeFileSync(join(project, 'tapvs.yaml'), 'interfaces: []\n');
  t.is(say('tapvs', 'run', '--config', 'tapvs.yaml').status, 78);
});

testWithTaps('opens a TAP with the addon that was shipped, nothing having been compiled', (t) => {
  t.false(existsSync(join(project, 'node_modules', 'tapvs', 'build')));
  const namespace = new Namespace(t);
  const source = `
    import { TapDevice } from 'tapvs';
    const device = TapDevice.open({ name: 'wire0', namespace: process.argv[2] });
    console.log(device.name, device.mtu);
    device.close();`;
  t.is(run(t, source, namespace.name), 'wire0 1500\n');
});

test('installing never fails for want of a compiler, nor on another system', (t) => {
  const bare = join(folder, 'bare', 'node_modules', 'tapvs');
  const installed = join(project, 'node_modules', 'tapvs');
  cpSync(installed, bare, { recursive: true });
  rmSync(join(bare, 'prebuilds'), { recursive: true });
  const script = join(bare, 'scripts', 'install.mjs');
  const elsewhere = 'data:text/javascript,Object.defineProperty(process, "platform", { value: "win32" })';
  const env = environment({ PATH: join(folder, 'programs') });
  const here = spawnSync(process.execPath, [script], { encoding: 'utf8', env });
  t.is(here.status, 0);
  t.regex(here.stderr, /could not be compiled .*TapDevice/);
  const there = spawnSync(process.execPath, ['--import', elsewhere, script], { encoding: 'utf8', env });
  t.deepEqual([there.status, there.stdout, there.stderr], [0, '', '']);
});
