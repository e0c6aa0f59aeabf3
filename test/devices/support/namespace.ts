import { execFile, execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { promisify } from 'node:util';
import ava, { type ExecutionContext, type SerialFn, type SkipFn } from 'ava';

const execFileAsync = promisify(execFile);

function canOpenTaps(): boolean {
  if (process.platform !== 'linux' || process.geteuid?.() !== 0) return false;
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * For tests with real TAPs, one after the other: programs at the other end of a wire do not wait for long. Skipped where
 * there are no TAPs, that is, for other users than root and without a driver.
 */
export const testWithTaps: SerialFn | SkipFn = canOpenTaps() ? ava.serial : ava.skip;

let made = 0;

/** A network namespace of this test process, quiet (no IPv6), gone when the test is over. */
export class Namespace {
  readonly name: string;

  constructor(t: ExecutionContext) {
    made++;
    this.name = `tapvs-${process.pid}-${made}`;
    execFileSync('ip', ['netns', 'add', this.name]);
    t.teardown(() => execFileSync('ip', ['netns', 'del', this.name]));
    this.run('sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6');
    this.ip('link', 'set', 'lo', 'up');
  }

  /** Runs `ip` in the namespace. Throws when it fails. */
  ip(...args: readonly string[]): string {
    return execFileSync('ip', ['-n', this.name, ...args], { encoding: 'utf8', stdio: 'pipe' });
  }

  /** Runs a program in the namespace, waiting for it with the event loop stopped. */
  run(program: string, ...args: readonly string[]): string {
    return execFileSync('ip', ['netns', 'exec', this.name, program, ...args], { encoding: 'utf8', stdio: 'pipe' });
  }

  /** Runs a program in the namespace while the event loop goes on. Rejects when it fails. */
  async runAside(program: string, ...args: readonly string[]): Promise<string> {
    const { stdout } = await execFileAsync('ip', ['netns', 'exec', this.name, program, ...args], { timeout: 20_000 });
    return stdout;
  }

  /** What `ip link` says of an interface: flags, address, MTU. */
  link(name: string): { flags: readonly string[]; address: string; mtu: number } {
    return JSON.parse(this.ip('-json', 'link', 'show', name))[0];
  }

  /** The names of all interfaces but `lo`. */
  links(): string[] {
    const links = JSON.parse(this.ip('-json', 'link', 'show')) as { ifname: string }[];
    return links.map((link) => link.ifname).filter((name) => name !== 'lo');
  }

  /** Connects interfaces by a bridge. */
  bridge(...names: readonly string[]): void {
    // Snooping bridges join a group, and say so.
    this.ip('link', 'add', 'br0', 'type', 'bridge', 'mcast_snooping', '0');
    this.ip('link', 'set', 'br0', 'up');
    for (const name of names) this.ip('link', 'set', name, 'master', 'br0');
  }
}
