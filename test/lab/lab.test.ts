/** The lab as a reader runs it: a process of its own, with real namespaces, real servers and real curl. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { checkRequirements, isRoot } from '../../examples/lab/privileges.ts';
import { LAB_MODES, storyOf } from '../../examples/lab/story.ts';

const LAB = fileURLToPath(new URL('../../examples/lab/main.js', import.meta.url));

function whyNot(): string | undefined {
  try {
    checkRequirements(storyOf('dr'));
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

const missing = whyNot();
if (missing !== undefined) console.error(`The lab in namespaces is not tested here: ${missing}`);
const inNamespaces = missing === undefined ? test.serial : test.serial.skip;
const inNamespacesAsRoot = missing === undefined && isRoot() ? test.serial : test.serial.skip;

/** A lab that runs, with a directory for temporary files that only it uses: by that its processes are found. */
class RunningLab {
  readonly directory: string = mkdtempSync(join(tmpdir(), 'lab-test-'));
  readonly child: ChildProcess;
  out = '';

  constructor(command: readonly string[], path = '') {
    chmodSync(this.directory, 0o1777);
    const [program = '', ...args] = command;
    this.child = spawn(program, args, {
      env: { ...process.env, TMPDIR: this.directory, PATH: `${path}:${process.env.PATH}` },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 60_000,
      killSignal: 'SIGTERM',
      detached: true,
    });
    const collect = (text: string) => {
      this.out += text;
    };
    this.child.stdout!.setEncoding('utf8').on('data', collect);
    this.child.stderr!.setEncoding('utf8').on('data', collect);
  }

  /** Waits until the lab has printed the text. */
  async printed(text: string): Promise<void> {
    while (!this.out.includes(text) && this.child.exitCode === null) await pause(10);
  }

  /** What a terminal does on Ctrl-C: the signal reaches the lab and all that it runs. */
  pressCtrlC(): void {
    process.kill(-this.child.pid!, 'SIGINT');
  }

  /** Waits for the lab's end. @returns its exit status; `null` when a signal ended it. */
  async ended(): Promise<number | null> {
    const [status] = (await once(this.child, 'close')) as [number | null];
    return status;
  }

  /** What of the lab is still there: files, processes that name them, network namespaces. */
  leftovers(): string[] {
    const files = readdirSync(this.directory);
    const namespaces = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' })
      .split('\n')
      .filter((line) => line.startsWith(`tapvs-lab-${this.child.pid}-`));
    return [...files, ...namespaces, ...processesNaming(this.directory)];
  }

  discard(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function processesNaming(text: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => commandLineOf(pid))
    .filter((commandLine) => commandLine.includes(text));
}

function commandLineOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return ''; // ended in the meantime
  }
}

/** A killed process takes a moment to go. */
async function assertNothingLeft(t: ExecutionContext, lab: RunningLab): Promise<void> {
  for (let tries = 0; tries < 100 && lab.leftovers().length > 0; tries++) await pause(50);
  t.deepEqual(lab.leftovers(), []);
}

function assertTold(t: ExecutionContext, out: string): void {
  const pages = out.match(/^node\d\.xuzhichao\.com page$/gm) ?? [];
  const pair = ['node2.xuzhichao.com page', 'node1.xuzhichao.com page'];
  t.deepEqual(
    pages,
    Array.from({ length: 20 }, (_, i) => pair[i % 2]!),
  );
  for (const listing of ['-Ln', '-Lnc', '-Ln --stats', '-Ln --rate'])
    t.true(out.includes(`ipvsadm ${listing}\n`), listing);
}

for (const mode of LAB_MODES) {
  inNamespaces(`${mode}: the lab tells its story and leaves nothing behind`, async (t) => {
    const lab = new RunningLab([process.execPath, LAB, mode]);
    t.teardown(() => lab.discard());
    t.is(await lab.ended(), 0, lab.out);
    assertTold(t, lab.out);
    await assertNothingLeft(t, lab);
  });
}

for (const [mode, threads] of [
  ['dr', 1],
  ['nat', 2],
] as const) {
  inNamespaces(`${mode}: the story is the same with ${threads} threads`, async (t) => {
    const lab = new RunningLab([process.execPath, LAB, mode, `--threads=${threads}`]);
    t.teardown(() => lab.discard());
    t.is(await lab.ended(), 0, lab.out);
    assertTold(t, lab.out);
    await assertNothingLeft(t, lab);
  });
}

inNamespaces('the lab records what passes the director', async (t) => {
  const files = mkdtempSync(join(tmpdir(), 'lab-test-pcap-'));
  t.teardown(() => rmSync(files, { recursive: true }));
  const lab = new RunningLab([process.execPath, LAB, 'nat', `--pcap=${join(files, 'lab.pcap')}`]);
  t.teardown(() => lab.discard());
  t.is(await lab.ended(), 0, lab.out);
  const magic = '\xd4\xc3\xb2\xa1';
  t.deepEqual(readdirSync(files).sort(), ['lab-tap0.pcap', 'lab-tap1.pcap']);
  for (const name of readdirSync(files)) {
    const recording = readFileSync(join(files, name), 'latin1');
    t.true(recording.startsWith(magic) && recording.includes('GET / HTTP/1.1'), name);
  }
});

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  inNamespaces(`${signal} in the middle ends the lab and leaves nothing behind`, async (t) => {
    const lab = new RunningLab([process.execPath, LAB]);
    t.teardown(() => lab.discard());
    await lab.printed('node2.xuzhichao.com page');
    lab.child.kill(signal);
    t.is(await lab.ended(), 128 + constants.signals[signal], lab.out);
    await assertNothingLeft(t, lab);
  });
}

for (const afterMs of [150, 250, 350, 600]) {
  inNamespaces(`Ctrl-C after ${afterMs} ms, pressed twice, leaves nothing behind`, async (t) => {
    const lab = new RunningLab([process.execPath, LAB]);
    t.teardown(() => lab.discard());
    const ended = lab.ended();
    await pause(afterMs);
    lab.pressCtrlC();
    await pause(20);
    if (lab.child.exitCode === null && lab.child.signalCode === null) lab.pressCtrlC();
    t.not(await ended, 0, lab.out);
    await assertNothingLeft(t, lab);
  });
}

inNamespaces('a failed request ends the lab with a sentence and leaves nothing behind', async (t) => {
  const bin = mkdtempSync(join(tmpdir(), 'lab-test-bin-'));
  t.teardown(() => rmSync(bin, { recursive: true }));
  const curl = execFileSync('sh', ['-c', 'command -v curl'], { encoding: 'utf8' }).trim();
  const broken = `#!/bin/sh\ncase "$*" in *https://192.168.20.50*) exit 7;; esac\nexec ${curl} "$@"\n`;
  writeFileSync(join(bin, 'curl'), broken, { mode: 0o755 });
  chmodSync(bin, 0o755);
  const lab = new RunningLab([process.execPath, LAB], bin);
  t.teardown(() => lab.discard());
  t.is(await lab.ended(), 1, lab.out);
  t.true(lab.out.trimEnd().endsWith('lab: the request to https://192.168.20.50/ failed: curl: 7'), lab.out);
  await assertNothingLeft(t, lab);
});

inNamespacesAsRoot('what a killed lab left behind, the next one removes', async (t) => {
  const killed = new RunningLab([process.execPath, LAB]);
  t.teardown(() => killed.discard());
  await killed.printed('node2.xuzhichao.com page');
  killed.child.kill('SIGKILL');
  t.is(await killed.ended(), null);
  t.not(killed.leftovers().length, 0);
  const next = new RunningLab(['env', `TMPDIR=${killed.directory}`, process.execPath, LAB]);
  t.teardown(() => next.discard());
  t.is(await next.ended(), 0, next.out);
  await assertNothingLeft(t, killed);
});

/** Hides a program from the lab, in a mount namespace of its own. */
function without(programs: readonly string[]): string[] {
  const hide =
    'PATH=/usr/sbin:/usr/bin:/sbin:/bin; for name in $0; do path=$(command -v $name) && mount --bind /dev/null "$(readlink -f $path)"; done; exec "$@"';
  return ['unshare', '--mount', 'sh', '-c', hide, programs.join(' '), process.execPath, LAB];
}

inNamespacesAsRoot('without nginx the servers are Node', async (t) => {
  const lab = new RunningLab(without(['nginx']));
  t.teardown(() => lab.discard());
  t.is(await lab.ended(), 0, lab.out);
  t.true(lab.out.includes('The servers are Node'));
  assertTold(t, lab.out);
  await assertNothingLeft(t, lab);
});

inNamespacesAsRoot('missing programs are named in one sentence', async (t) => {
  const lab = new RunningLab(without(['curl', 'iptables', 'nft']));
  t.teardown(() => lab.discard());
  t.is(await lab.ended(), 1, lab.out);
  t.is(lab.out, "lab: not installed: curl, iptables (or nft); 'npm run lab -- --memory' needs nothing of the system\n");
});

/** The words before a command that make it an ordinary user's. */
const AS_NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];

/** Gives everybody a /dev/net/tun that may be opened, as many systems do: in a mount namespace of its own. */
const WITH_OPEN_TUN = [
  'unshare',
  '--mount',
  'sh',
  '-ec',
  'mount -t tmpfs tmpfs "$0"; mknod -m 666 "$0/tun" c 10 200; mount --bind "$0/tun" /dev/net/tun; exec "$@"',
];

const nobodyCanRead = isRoot() && spawnSync(AS_NOBODY[0]!, [...AS_NOBODY.slice(1), 'cat', LAB]).status === 0;
const asNobody = nobodyCanRead ? inNamespacesAsRoot : test.serial.skip;

function openTunDirectory(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'lab-test-tun-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  return directory;
}

asNobody('an ordinary user runs the lab in a user namespace', async (t) => {
  const lab = new RunningLab([...WITH_OPEN_TUN, openTunDirectory(t), ...AS_NOBODY, process.execPath, LAB, 'tun']);
  t.teardown(() => lab.discard());
  t.is(await lab.ended(), 0, lab.out);
  assertTold(t, lab.out);
  await assertNothingLeft(t, lab);
});

asNobody("SIGINT ends an ordinary user's lab and leaves nothing behind", async (t) => {
  const lab = new RunningLab([...WITH_OPEN_TUN, openTunDirectory(t), ...AS_NOBODY, process.execPath, LAB]);
  t.teardown(() => lab.discard());
  await lab.printed('node2.xuzhichao.com page');
  lab.child.kill('SIGINT');
  t.is(await lab.ended(), 130, lab.out);
  await assertNothingLeft(t, lab);
});

asNobody('an ordinary user who may not open /dev/net/tun is told so in one sentence', async (t) => {
  const hidden = WITH_OPEN_TUN.map((word) => word.replace('666', '600'));
  const lab = new RunningLab([...hidden, openTunDirectory(t), ...AS_NOBODY, process.execPath, LAB]);
  t.teardown(() => lab.discard());
  t.is(await lab.ended(), 1, lab.out);
  t.is(
    lab.out,
    "lab: /dev/net/tun may not be opened by this user; 'npm run lab -- --memory' needs nothing of the system\n",
  );
});

for (const mode of LAB_MODES) {
  test.serial(`${mode}: the lab in memory needs nothing of the system`, async (t) => {
    const lab = new RunningLab([process.execPath, LAB, mode, '--memory']);
    t.teardown(() => lab.discard());
    t.is(await lab.ended(), 0, lab.out);
    for (const listing of ['-Ln', '-Lnc', '-Ln --stats', '-Ln --rate'])
      t.true(lab.out.includes(`ipvsadm ${listing}\n`));
  });
}

test.serial('the lab explains its options and refuses others', async (t) => {
  const help = new RunningLab([process.execPath, LAB, '--help']);
  t.teardown(() => help.discard());
  t.is(await help.ended(), 0);
  t.true(help.out.startsWith('Usage: npm run lab'));
  const wrong = new RunningLab([process.execPath, LAB, 'bridge']);
  t.teardown(() => wrong.discard());
  t.is(await wrong.ended(), 2);
  t.true(wrong.out.startsWith("lab: 'bridge' is not dr, nat or tun\n"));
});
