/** Other programs: finding them, running them, and being sure that none outlives the lab. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';

/**
 * Where to look for programs. An ordinary user's PATH often lacks the directories of `ip`, `iptables` and `nginx`; and
 * npm puts directories of packages first, whose programs may have the same names (there is another `nft`).
 */
const SEARCH_PATH = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin']
  .filter((directory) => isAbsolute(directory) && !directory.endsWith('/node_modules/.bin'))
  .join(delimiter);
const ENVIRONMENT = { ...process.env, PATH: SEARCH_PATH, LC_ALL: 'C' };

/** A program that did not do what it was asked for. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';
  /** The signal that ended the program, when one did. */
  readonly signal: NodeJS.Signals | null;

  constructor(command: readonly string[], status: number | null, signal: NodeJS.Signals | null, said: string) {
    const how = signal === null ? `exit status ${status}` : signal;
    super(`${command.join(' ')}: ${said.trim().split('\n').join('; ') || how}`);
    this.signal = signal;
  }
}

/** Where the program is, or `undefined` where it is not installed. */
export function findProgram(name: string): string | undefined {
  for (const directory of SEARCH_PATH.split(delimiter)) {
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not here
    }
  }
  return undefined;
}

/**
 * Runs a short command to its end. Everything else stands still meanwhile, the director too: only for laying out and
 * clearing away.
 * @returns what the command printed.
 * @throws CommandFailure when it fails.
 */
export function run(...command: readonly string[]): string {
  const [program = '', ...args] = command;
  const { status, signal, stdout, stderr, error } = spawnSync(program, args, { env: ENVIRONMENT, encoding: 'utf8' });
  if (error !== undefined) throw new CommandFailure(command, null, null, error.message);
  if (status !== 0) throw new CommandFailure(command, status, signal, stderr);
  return stdout;
}

/** Runs a short command to its end and says whether it succeeded. */
export function succeeds(...command: readonly string[]): boolean {
  const [program = '', ...args] = command;
  return spawnSync(program, args, { env: ENVIRONMENT, stdio: 'ignore' }).status === 0;
}

/** How a program ended and what it printed. */
export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The programs that run beside the director. */
export class Children {
  readonly #running = new Set<ChildProcess>();
  /** `setpriv` lets a program die with the lab even when the lab is killed and can do nothing about it. */
  readonly #leash = succeeds('setpriv', '--pdeathsig', 'KILL', 'true') ? ['setpriv', '--pdeathsig', 'KILL'] : [];

  /** Starts a program; the promise settles when it ends. It does not hear the terminal's Ctrl-C: the lab ends it. */
  start(...command: readonly string[]): Promise<Ended> {
    const [program = '', ...args] = [...this.#leash, ...command];
    const child = spawn(program, args, { env: ENVIRONMENT, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    this.#running.add(child);
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    return new Promise((resolve, reject) => {
      child.on('error', (error) => {
        this.#running.delete(child);
        reject(error);
      });
      child.on('close', (status, signal) => {
        this.#running.delete(child);
        resolve({ status, signal, stdout, stderr });
      });
    });
  }

  /** Ends all that still run, at once. */
  killAll(): void {
    for (const child of this.#running) child.kill('SIGKILL');
    this.#running.clear();
  }
}
