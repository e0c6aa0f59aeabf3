/** What the lab needs of the system, asked for before anything is made. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  constants as fsConstants,
  mkdirSync,
  readdirSync,
  realpathSync,
  rmdirSync,
  symlinkSync,
} from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { whenNpmIsGone } from './cleanup.ts';
import { makeDirectory } from './namespaces.ts';
import { CommandFailure, findProgram, run, succeeds } from './processes.ts';
import type { Story } from './story.ts';
import { Unavailable } from './unavailable.ts';

const TAP_DEVICE = '/dev/net/tun';

/** Set for the lab that runs as root of its own user namespace: an empty directory where it may mount something. */
const MOUNT_POINT = 'TAPVS_LAB_MOUNT_POINT';

const NEW_USER_NAMESPACE = ['unshare', '--user', '--map-root-user', '--net', '--mount'];

/**
 * Checks that the lab of the story can run.
 * @throws Unavailable with everything that is missing.
 */
export function checkRequirements(story: Story): void {
  if (process.platform !== 'linux') throw new Unavailable('the lab in network namespaces needs Linux');
  const missing = ['ip', 'curl'].filter((name) => findProgram(name) === undefined);
  if (story.router !== undefined && findProgram('iptables') === undefined && findProgram('nft') === undefined) {
    missing.push('iptables (or nft)');
  }
  if (missing.length > 0) throw new Unavailable(`not installed: ${missing.join(', ')}`);
  try {
    accessSync(TAP_DEVICE, fsConstants.R_OK | fsConstants.W_OK);
  } catch (error) {
    const reason =
      (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'is not there' : 'may not be opened by this user';
    throw new Unavailable(`${TAP_DEVICE} ${reason}`);
  }
  if (!isRoot() && !succeeds(...NEW_USER_NAMESPACE, 'true')) {
    throw new Unavailable(
      'this user is not root, and the system does not let it make a user namespace (unshare --user)',
    );
  }
}

/** Whether this process is root, be it only in its own user namespace. */
export function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

/** Whether this process was started by {@link runInUserNamespace}. */
export function isInsideUserNamespace(): boolean {
  return process.env[MOUNT_POINT] !== undefined;
}

/** Runs this program again, as root of a user namespace of its own. @returns its exit status. */
export async function runInUserNamespace(): Promise<number> {
  const mountPoint = makeDirectory();
  const [unshare = '', ...options] = NEW_USER_NAMESPACE;
  const args = [...options, process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const child = spawn(unshare, args, { stdio: 'inherit', env: { ...process.env, [MOUNT_POINT]: mountPoint } });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
  whenNpmIsGone(() => child.kill('SIGTERM'));
  try {
    const [status, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    return status ?? 128 + constants.signals[signal!];
  } finally {
    rmdirSync(mountPoint);
  }
}

/**
 * Makes room for the names of network namespaces: `ip netns` keeps them in a directory below /run that belongs to the
 * machine's root. In this process's own mount namespace /run becomes a directory of ours, with links to what is in the
 * machine's. Inside, nothing may remove the mount point and what is in it: that is the machine's /run.
 * @throws Unavailable where the system does not allow that.
 */
export function makeRoomForNames(): void {
  const machines = process.env[MOUNT_POINT]!;
  const ours = realpathSync('/var/run');
  try {
    run('mount', '--rbind', ours, machines);
    run('mount', '-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', ours);
  } catch (error) {
    if (!(error instanceof CommandFailure) || error.signal !== null) throw error;
    throw new Unavailable(`this system does not let a user mount anything in a namespace (${error.message})`);
  }
  for (const name of readdirSync(machines)) if (name !== 'netns') symlinkSync(join(machines, name), join(ours, name));
  mkdirSync(join(ours, 'netns'));
}
