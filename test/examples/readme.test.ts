/** The README keeps its word: its programs run as they stand, in an empty folder that has the package. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { SCHEDULERS, VERDICT_TEXTS } from '../../src/index.ts';
import { testWithTaps } from '../devices/support/namespace.ts';

const COMPILED = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const ROOT = join(COMPILED, '..');
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');

/** The programs of the section with this heading. */
function programsUnder(heading: string): string[] {
  const section = README.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? '';
  return Array.from(section.matchAll(/^```js\n(.*?)^```$/gms), ([, program]) => program!);
}

/** An empty folder in which the package is installed: its `dist` is what was just compiled. */
function folderWithPackage(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tapvs-readme-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const installed = join(folder, 'node_modules', 'tapvs');
  mkdirSync(installed, { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(installed, 'package.json'));
  symlinkSync(join(COMPILED, 'src'), join(installed, 'dist'));
  return folder;
}

function run(t: ExecutionContext, program: string, others: readonly string[] = []): string {
  const folder = folderWithPackage(t);
  for (const other of others) symlinkSync(join(ROOT, 'node_modules', other), join(folder, 'node_modules', other));
  writeFileSync(join(folder, 'program.mjs'), program);
  return execFileSync(process.execPath, ['program.mjs'], { cwd: folder, encoding: 'utf8', timeout: 20_000 });
}

test('the first program runs as it stands, and is the one of the examples', (t) => {
  const [program = ''] = programsUnder('A first program');
  const lines = run(t, program).split('\n');
  const servers = lines.slice(0, 3).map((line) => line.slice('02:00:00:00:00:01 > '.length).split(' ')[0]);
  t.deepEqual(servers, ['02:00:00:00:00:12', '02:00:00:00:00:11', '02:00:00:00:00:12']);
  t.is(lines.filter((line) => /^TCP 0[01]:\d\d {2}SYN_RECV {4}192\.0\.2\.17:4000\d /.test(line)).length, 3);
  const example = readFileSync(join(ROOT, 'examples', 'first-program.ts'), 'utf8');
  t.is(program, example.replace('../src/index.ts', 'tapvs').replace('../src/packet/index.ts', 'tapvs/packet'));
});

test('the pieces that show the API make one program, which runs', (t) => {
  const output = run(t, programsUnder('The API').join('\n'));
  t.regex(output, /^0 -- the command was silent$|^0 /m);
  t.regex(output, /ERR_INVALID_OPTION weight -1/);
  t.regex(output, /master sync daemon \(mcast=eth1, syncid=7/);
});

test('the program in threads runs as it stands', (t) => {
  t.is(run(t, programsUnder('In threads of its own')[0]!), '1 0\n');
});

test('the program with metrics runs as it stands', (t) => {
  t.true(Number(run(t, programsUnder('Seeing what it does')[0]!, ['prom-client'])) > 100);
});

testWithTaps('the program on a TAP answers ping, and refuses what it has no server for', (t) => {
  const [program = ''] = programsUnder('On a TAP');
  const folder = folderWithPackage(t);
  writeFileSync(join(folder, 'program.mjs'), program);
  const script = `
    "$0" program.mjs > out & director=$!
    until grep -q terminal out; do sleep 0.1; done
    ping -c 1 -W 5 192.0.2.1
    curl -s --max-time 5 http://192.0.2.100/; echo "curl: $?"
    kill $director; wait $director; cat out`;
  const output = execFileSync('unshare', ['--net', 'sh', '-c', script, process.execPath], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 30_000,
    stdio: 'pipe',
  });
  t.regex(output, /1 received/);
  t.regex(output, /^curl: 7$/m);
  t.regex(output, / in +\S+ > \S+ IPv4 192\.0\.2\.2 > 192\.0\.2\.1 .*echo request/);
  t.regex(output, / out +\S+ > \S+ IPv4 192\.0\.2\.1 > 192\.0\.2\.2 .*echo reply/);
});

testWithTaps('the file of the daemon runs as it stands, its commands too, and the unit asks for what there is', (t) => {
  const section = README.split(/^## /m).find((text) => text.startsWith('As a daemon\n')) ?? '';
  const [, file = ''] = /^```yaml\n(.*?)^```$/ms.exec(section) ?? [];
  const folder = folderWithPackage(t);
  writeFileSync(join(folder, 'tapvs.yaml'), file);
  const cli = join(COMPILED, 'src', 'cli');
  // A /run of its own: the control socket is where it is by default.
  const script = `
    mount -t tmpfs tmpfs /run
    "$0" "$1/tapvs.js" run --config tapvs.yaml > out & director=$!
    until grep -q 'director runs' out; do kill -0 $director || exit 1; sleep 0.1; done
    "$0" "$1/ipvsadm.js" -Sn
    kill $director; wait $director; echo "ended: $?"`;
  const { TAPVS_SOCKET: _, ...env } = process.env;
  const output = execFileSync('unshare', ['--net', '--mount', 'sh', '-c', script, process.execPath, cli], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 60_000,
    env,
  });
  t.deepEqual(output.trim().split('\n'), [
    '-A -t 192.0.2.100:80 -s wrr',
    '-a -t 192.0.2.100:80 -r 192.0.2.11:80 -g -w 2',
    '-a -t 192.0.2.100:80 -r 192.0.2.12:80 -g -w 1',
    'ended: 0',
  ]);
  const unit = readFileSync(join(ROOT, 'examples', 'systemd', 'tapvs.service'), 'utf8');
  const commands = Array.from(unit.matchAll(/^ExecStart(?:Pre)?=\S+ (\w+) --config /gm), ([, command]) => command);
  t.deepEqual(commands, ['check', 'run']);
});

test('every verdict is explained', (t) => {
  const [, table = ''] = /<!-- verdicts -->\n(.*?)<!-- \/verdicts -->/s.exec(README) ?? [];
  const rows = Object.entries(VERDICT_TEXTS).map(([name, text]) => `| ${name} | ${text} |`);
  t.is(table.trim(), ['| | |', '|---|---|', ...rows].join('\n'));
});

test('every scheduler, example and script that it names is there, and no scheduler or example is left out', (t) => {
  const [, listed = ''] = /^\| Schedulers \| (.*?), and your own/m.exec(README) ?? [];
  t.deepEqual(listed.split(' ').sort(), [...SCHEDULERS.keys()].sort());
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  for (const [, name] of README.matchAll(/npm run ([\w-]+)/g)) t.true(name! in scripts, name);
  const sources = readdirSync(join(ROOT, 'examples')).filter((file) => file.endsWith('.ts'));
  for (const source of sources) t.true(README.includes(`\`${source.slice(0, -'.ts'.length)}\``), source);
});
