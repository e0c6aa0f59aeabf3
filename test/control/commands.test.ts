/** `ipvsadm`, `ipvsadm-save` and `ipvsadm-restore` as commands: what `director.ipvsadm` says, on the right streams. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { ControlServer } from '../../src/control/server.ts';
import { VERBS } from '../../src/control/verbs.ts';
import { Director, MemoryDevice } from '../../src/index.ts';

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function command(name: string, words: readonly string[], socket: string, input = ''): Promise<Ended> {
  const program = fileURLToPath(new URL(`../../src/cli/${name}.js`, import.meta.url));
  const child = spawn(process.execPath, [program, ...words], { env: { ...process.env, TAPVS_SOCKET: socket } });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.on('error', () => {}).end(input);
  return new Promise((resolve) => child.on('close', (status) => resolve({ status, stdout, stderr })));
}

async function serve(t: ExecutionContext): Promise<{ director: Director; socket: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'tapvs-commands-'));
  const socket = join(folder, 'control.sock');
  const device = new MemoryDevice({ name: 'eth0' });
  const director = new Director({ interfaces: [{ device, addresses: ['192.0.2.1/24'] }] });
  const server = await ControlServer.listen({
    path: socket,
    verbs: VERBS,
    context: { director, control: director },
    onMistake: (_verb, error) => t.fail(String(error)),
  });
  t.teardown(async () => {
    await server.close(0);
    rmSync(folder, { recursive: true });
  });
  return { director, socket };
}

test('tapvs tells its version', async (t) => {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
  t.deepEqual(await command('tapvs', ['--version'], ''), { status: 0, stdout: `${version}\n`, stderr: '' });
});

test('tapvs explain says what the director would do', async (t) => {
  const { director, socket } = await serve(t);
  director.ipvsadm('-A -t 192.0.2.100:80 -s rr');
  director.ipvsadm('-a -t 192.0.2.100:80 -r 192.0.2.11 -g');
  const packet = 'tcp 192.0.2.9:40000 > 192.0.2.100:80 S';
  const { text } = director.explain(packet);
  t.deepEqual(await command('tapvs', ['explain', packet], socket), { status: 0, stdout: text, stderr: '' });
  const { stdout } = await command('tapvs', ['explain', '--json', '-i', 'eth0', ...packet.split(' ')], socket);
  const { verdict, sent, frame } = JSON.parse(stdout);
  t.is(verdict, 'ROUTE');
  t.is(sent.length, 1);
  t.is((await command('tapvs', ['explain', frame], socket)).stdout, text);

  director.editService({ protocol: 'tcp', address: '192.0.2.100', port: 80 }, { scheduler: 'twos' });
  t.regex((await command('tapvs', ['explain', packet], socket)).stdout, /It might be another server/);
});

test('tapvs explain says why it cannot', async (t) => {
  const { socket } = await serve(t);
  const wrong = await command('tapvs', ['explain', 'nonsense'], socket);
  t.like(wrong, { status: 1, stdout: '' });
  t.regex(wrong.stderr, /^packet: 'nonsense' is not/);
  t.is((await command('tapvs', ['explain', 'aabb', '-i', 'eth9'], socket)).status, 1);
  const nobody = await command('tapvs', ['explain', 'aabb', '--socket', `${socket}.none`], socket);
  t.like(nobody, { status: 2, stdout: '' });
  t.regex(nobody.stderr, /^No director is running: asked on /);
});

test('tapvs drain takes a server out of service, tells how it stands, and takes it back', async (t) => {
  const { director, socket } = await serve(t);
  director.ipvsadm('-A -t 192.0.2.100:80 -p 300');
  director.ipvsadm('-a -t 192.0.2.100:80 -r 192.0.2.11 -w 5');
  director.ipvsadm('-A -f 7');
  director.ipvsadm('-a -f 7 -r 192.0.2.11');
  const weight = () => director.services().map(({ destinations }) => destinations[0]?.weight);
  const drain = (...words: string[]) => command('tapvs', ['drain', ...words], socket);
  const place = ['-t', '192.0.2.100:80', '-r', '192.0.2.11'];
  t.deepEqual(await drain(...place), {
    status: 0,
    stdout: 'tcp 192.0.2.100:80 -> 192.0.2.11:80: drained, 0 active, 0 inactive, 0 templates\n',
    stderr: '',
  });
  t.deepEqual(weight(), [0, 1]);
  t.like(await drain('-f', '7', '-r', '192.0.2.11', '--remove'), { status: 0 });
  t.deepEqual(weight(), [0, undefined]);

  t.like(await drain('-l'), { status: 0, stdout: '' });
  t.like(await drain('--cancel', ...place), { status: 1, stderr: 'this server is not being drained\n' });
  for (const words of [[], ['-t', '192.0.2.100:80'], [...place, '-u', '192.0.2.100:80'], [...place, '-d', 'x']]) {
    t.like(await drain(...words), { status: 1, stdout: '' }, words.join(' '));
  }
  t.regex((await drain('-t', '192.0.2.100:80', '-r', '192.0.2.12')).stderr, /^no such destination/);
});

const LINES = [
  '-A -t 192.0.2.100:80 -s rr',
  '-A -t 192.0.2.100:80',
  '-a -t 192.0.2.100:80 -r 192.0.2.11',
  '-a -t 192.0.2.100:80 -r 192.0.2.12 -m -w 3',
  '-a -t 192.0.2.101:80 -r 192.0.2.12',
  '-a -t 192.0.2.100:80 -r 192.0.2.12 -w',
  '-A -u 192.0.2.100:53 -s zz',
  '-L -n',
  '-Ln --stats',
  '-L -t 192.0.2.102:80',
  '',
  '-S -n',
  '-v',
  '-h',
  '-Q',
  '-L --frob',
  '--set 1',
  'ipvsadm -L',
];

test('the command prints and returns what the director does: results on one stream, complaints on the other', async (t) => {
  const { socket } = await serve(t);
  const twin = new Director({ interfaces: [{ device: new MemoryDevice({ name: 'eth0' }) }] });
  for (const line of LINES) {
    const words = line.split(' ').filter((word) => word !== '');
    // The word `ipvsadm` is the command's own name for a director, an argument like others for the command.
    const { status, out } = twin.ipvsadm(words[0] === 'ipvsadm' ? ['ipvsadm', ...words] : words);
    const ended = await command('ipvsadm', words, socket);
    t.deepEqual(ended, { status, stdout: status === 0 ? out : '', stderr: status === 0 ? '' : out }, line);
  }
});

test('-R reads standard input, also a large one', async (t) => {
  const { director, socket } = await serve(t);
  const lines = Array.from({ length: 2000 }, (_, i) => `-A -t 192.0.2.100:${i + 1} -s rr\n`);
  t.deepEqual(await command('ipvsadm', ['-R'], socket, lines.join('')), { status: 0, stdout: '', stderr: '' });
  t.is(director.services().length, 2000);
  const again = await command('ipvsadm', ['--restore'], socket, `${lines[0]}-A -t 192.0.2.101:80\n`);
  t.deepEqual(again, { status: 0, stdout: '', stderr: 'Service already exists\n' });
  t.is(director.services().length, 2001);
});

test('what was saved can be restored; comments are none of it', async (t) => {
  const { director, socket } = await serve(t);
  director.ipvsadm('-A -t 192.0.2.100:80 -s wrr -p 300');
  director.ipvsadm('-a -t 192.0.2.100:80 -r 192.0.2.11 -m -w 5');
  const saved = await command('ipvsadm-save', ['-n'], socket);
  t.deepEqual(saved, { status: 0, stdout: director.ipvsadm('-S -n').out, stderr: '' });
  t.regex((await command('ipvsadm-save', [], socket)).stdout, /192\.0\.2\.100:http/);
  t.like(await command('ipvsadm-save', ['-x'], socket), { status: 1, stdout: '' });
  director.ipvsadm('-C');
  director.ipvsadm('-A -t 192.0.2.101:80');
  t.like(await command('ipvsadm-restore', [], socket, `# saved\n${saved.stdout}`), { status: 0, stderr: '' });
  t.is(director.ipvsadm('-S -n').out, saved.stdout);
});

test('without a director it fails as ipvsadm does where there is no IPVS', async (t) => {
  const socket = join(tmpdir(), `tapvs-nobody-${process.pid}`);
  const [first, second] = (await command('ipvsadm', ['-L'], socket)).stderr.split('\n');
  t.is(first, "Can't initialize ipvs: No director is running");
  t.true(second.startsWith('Are you sure that '));
  for (const name of ['ipvsadm', 'ipvsadm-save', 'ipvsadm-restore']) {
    t.like(await command(name, [], socket), { status: 2, stdout: '' }, name);
  }
  const real = spawnSync('/usr/sbin/ipvsadm', ['-L'], { encoding: 'utf8' });
  if (real.status !== 2) return;
  t.is(real.stderr.split(':')[0], "Can't initialize ipvs");
});

test('a reader that has seen enough is no mistake', async (t) => {
  const { director, socket } = await serve(t);
  for (let port = 1; port <= 5000; port++) director.addService({ protocol: 'tcp', address: '192.0.2.100', port });
  const program = fileURLToPath(new URL('../../src/cli/ipvsadm.js', import.meta.url));
  const shell = spawn('sh', ['-c', '"$0" "$1" -Ln | head -n 1', process.execPath, program], {
    env: { ...process.env, TAPVS_SOCKET: socket },
  });
  let stderr = '';
  shell.stderr.on('data', (text) => (stderr += text));
  shell.stdout.resume();
  await new Promise((resolve) => shell.on('close', resolve));
  t.is(stderr, '');
});
