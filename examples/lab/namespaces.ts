/** Network namespaces as hosts and bridges as networks: the lab's cables, through iproute2. */
import { existsSync, lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommandFailure, run } from './processes.ts';
import { Unavailable } from './unavailable.ts';

/** Everything the lab makes is called `tapvs-lab-PID-NAME`: whose it is shows, and whether that process still lives. */
const PREFIX = 'tapvs-lab-';
const OWN_PREFIX = `${PREFIX}${process.pid}-`;

/** Where `ip netns` keeps the names of network namespaces. */
const NAMES = '/var/run/netns';

/** The namespace that holds the bridges. It has no addresses and sees frames only. */
const SWITCH = 'switch';

/** Deaf to signals: a second, impatient Ctrl-C reaches this command too, and must not leave half of the work. */
const REMOVE_ALL = 'trap "" INT TERM HUP; status=0; for name; do ip netns del "$name" || status=1; done; exit $status';
const REMOVE_TRIES = 10;

const WRITE_SYSCTLS = 'set -e; while [ $# -gt 0 ]; do echo "$2" >"/proc/sys/net/$1"; shift 2; done';

/** Hosts (network namespaces), and networks (bridges) that their interfaces are plugged into. */
export class Network {
  readonly #hosts = new Set<string>();
  readonly #bridges = new Set<string>();

  /** The name of the network namespace that is this host. */
  namespaceOf(host: string): string {
    return OWN_PREFIX + host;
  }

  /** The command that runs `command` on the host. */
  on(host: string, ...command: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', this.namespaceOf(host), ...command];
  }

  /** Runs `ip ARGUMENTS` for the host. @throws CommandFailure */
  ip(host: string, ...args: readonly string[]): string {
    return run('ip', '-n', this.namespaceOf(host), ...args);
  }

  /** Sets kernel parameters of the host: paths below `/proc/sys/net`. @throws CommandFailure */
  sysctl(host: string, settings: Readonly<Record<string, number>>): void {
    const words = Object.entries(settings).flatMap(([path, value]) => [path, `${value}`]);
    run(...this.on(host, 'sh', '-c', WRITE_SYSCTLS, 'sh', ...words));
  }

  /**
   * Adds a host: no interfaces yet but `lo`, and none of the machine's own settings that would get in the way.
   * @throws Unavailable where the system does not let the lab make namespaces.
   */
  addHost(host: string): void {
    try {
      run('ip', 'netns', 'add', this.namespaceOf(host));
    } catch (error) {
      if (this.#hosts.size > 0 || !(error instanceof CommandFailure) || error.signal !== null) throw error;
      throw new Unavailable(`this system does not let the lab make network namespaces (${error.message})`);
    }
    this.#hosts.add(host);
    // Strict reverse path filtering, which a new namespace may inherit, would drop what takes another way back: all of
    // what DR and TUN do.
    this.sysctl(host, { 'ipv4/conf/all/rp_filter': 0, 'ipv4/conf/default/rp_filter': 0 });
    // Nothing here speaks IPv6; without this every interface would announce itself to its neighbours.
    if (existsSync('/proc/sys/net/ipv6')) {
      this.sysctl(host, { 'ipv6/conf/all/disable_ipv6': 1, 'ipv6/conf/default/disable_ipv6': 1 });
    }
    this.ip(host, 'link', 'set', 'lo', 'up');
  }

  /** Plugs an interface of the host into a network, which is made when it is the first one. */
  connect(host: string, name: string, network: string, address: string): void {
    this.#addBridge(network);
    const port = `${network}-${host}`.slice(0, 15);
    const namespace = this.namespaceOf(SWITCH);
    this.ip(host, 'link', 'add', name, 'type', 'veth', 'peer', 'name', port, 'netns', namespace);
    this.plugIn(port, network);
    this.ip(host, 'address', 'add', address, 'dev', name);
    this.ip(host, 'link', 'set', name, 'up');
  }

  /** The namespace in which interfaces must be that are to be plugged in. */
  get switchNamespace(): string {
    return this.namespaceOf(SWITCH);
  }

  /** Makes an interface of the switch a port of the network. */
  plugIn(port: string, network: string): void {
    this.#addBridge(network);
    this.ip(SWITCH, 'link', 'set', port, 'master', network, 'up');
  }

  #addBridge(network: string): void {
    if (!this.#hosts.has(SWITCH)) this.addHost(SWITCH);
    if (this.#bridges.has(network)) return;
    this.ip(SWITCH, 'link', 'add', network, 'type', 'bridge');
    this.ip(SWITCH, 'link', 'set', network, 'up');
    this.#bridges.add(network);
  }

  /** Removes all hosts with everything in them. */
  remove(): void {
    removeNamespaces((name) => name.startsWith(OWN_PREFIX));
    this.#hosts.clear();
    this.#bridges.clear();
  }
}

/** Makes a directory for the lab's files. */
export function makeDirectory(): string {
  return mkdtempSync(join(tmpdir(), OWN_PREFIX));
}

/** Removes what labs left behind that were killed outright: their namespaces with what runs in them. */
export function removeLeftoverNamespaces(): void {
  for (const name of namespaces().filter(isLeftover)) for (const pid of processesIn(name)) kill(pid);
  removeNamespaces(isLeftover);
}

/** Removes what labs left behind that were killed outright: their directories. */
export function removeLeftoverDirectories(): void {
  for (const name of readdirSync(tmpdir()).filter(isLeftover)) {
    const path = join(tmpdir(), name);
    const entry = lstatSync(path, { throwIfNoEntry: false });
    if (entry?.isDirectory() && entry.uid === process.getuid?.()) rmSync(path, { recursive: true, force: true });
  }
}

function isLeftover(name: string): boolean {
  const pid = name.startsWith(PREFIX) ? Number.parseInt(name.slice(PREFIX.length), 10) : Number.NaN;
  return Number.isInteger(pid) && pid > 0 && !isAlive(pid);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

function processesIn(namespace: string): number[] {
  try {
    return run('ip', 'netns', 'pids', namespace).split('\n').filter(Boolean).map(Number);
  } catch {
    return []; // removed in the meantime
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // ended in the meantime
  }
}

function namespaces(): string[] {
  return existsSync(NAMES) ? readdirSync(NAMES) : [];
}

/**
 * Removes the namespaces of which this holds. What fails is tried again: a signal may come before the shell has grown deaf,
 * and another lab may be removing the same leftovers.
 * @throws CommandFailure when one cannot be removed.
 */
function removeNamespaces(which: (name: string) => boolean): void {
  for (let triesLeft = REMOVE_TRIES; ; triesLeft--) {
    const names = namespaces().filter(which);
    if (names.length === 0) return;
    try {
      run('sh', '-c', REMOVE_ALL, 'sh', ...names);
    } catch (error) {
      if (triesLeft === 0) throw error;
    }
  }
}
