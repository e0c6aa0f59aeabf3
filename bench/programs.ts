/** The programs of a benchmark: C programs built on demand, and children that end in time, also after Ctrl-C. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Cleanup } from '../examples/lab/cleanup.ts';
import { run } from '../examples/lab/processes.ts';

/** The checkout; this file is compiled to `build/bench`. */
export const ROOT: string = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const SOURCES = join(ROOT, 'bench', 'baseline');
const BINARIES = join(ROOT, 'build', 'baseline');

/**
 * Compiles `bench/baseline/NAME.c` unless that was done since any file there changed. Returns the program's path.
 * @throws CommandFailure with what the compiler says.
 */
export function compileC(name: string): string {
  const program = join(BINARIES, name);
  const newest = Math.max(...readdirSync(SOURCES).map((file) => statSync(join(SOURCES, file)).mtimeMs));
  if ((statSync(program, { throwIfNoEntry: false })?.mtimeMs ?? 0) < newest) {
    mkdirSync(BINARIES, { recursive: true });
    const flags = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror'];
    run('gcc', ...flags, '-o', program, join(SOURCES, `${name}.c`), '-lpthread', '-lm');
  }
  return program;
}

/** How a program ended. */
export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

/**
 * A program that runs beside. Its process is the one that was asked for, for `ip netns exec`, `taskset` and the like
 * become what they start: {@link pid} can be measured.
 */
export class Program {
  readonly pid: number;
  /** What it has printed so far. */
  output = '';
  errors = '';
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  readonly #command: string;
  #watch: () => void = () => {};

  /** @param limitMs how long it may run; then it is killed. */
  constructor(cleanup: Cleanup, limitMs: number, command: readonly string[]) {
    // With the death signal it goes even when this process is killed and can do nothing about it.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...command], { cwd: ROOT, detached: true });
    this.#child = child;
    this.#command = command.join(' ');
    this.pid = child.pid ?? 0;
    const kill = () => child.kill('SIGKILL');
    const timer = setTimeout(kill, limitMs);
    cleanup.add(kill);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.output += text;
      this.#watch();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.errors += text;
    });
    child.stdin.on('error', () => {}); // it has ended, and `ended` says how
    this.ended = new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (status, signal) => {
        clearTimeout(timer);
        this.#watch();
        resolve({ status, signal });
      });
    });
    this.ended.catch(() => {}); // whoever waits for it hears of it
  }

  /** Waits until what it printed matches. @throws Error when it ends before that, which it does after its limit. */
  async prints(pattern: RegExp): Promise<RegExpExecArray> {
    let over = false;
    let how = 'was not started';
    const ended = this.ended.then(
      ({ status, signal }) => {
        over = true;
        how = signal ?? `exit status ${status}`;
      },
      () => {
        over = true;
      },
    );
    for (;;) {
      const match = pattern.exec(this.output);
      if (match !== null) return match;
      if (over) throw this.#failure(`${how}, without having said ${pattern}`);
      await Promise.race([ended, new Promise<void>((resolve) => (this.#watch = resolve))]);
    }
  }

  /** Writes to its standard input. */
  tell(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Waits for its end. Returns what it printed. @throws Error when it failed. */
  async finished(): Promise<string> {
    const { status, signal } = await this.ended;
    if (status !== 0) throw this.#failure(signal === null ? `exit status ${status}` : signal);
    return this.output;
  }

  /** Ends it. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    this.#child.kill(signal);
    await this.ended;
  }

  #failure(problem: string): Error {
    return new Error(`${this.#command}: ${problem}: ${this.errors.trim() || this.output.trim()}`);
  }
}

/** Runs a program to its end. Returns what it printed. @throws Error when it fails or takes longer than `limitMs`. */
export function runProgram(cleanup: Cleanup, limitMs: number, ...command: readonly string[]): Promise<string> {
  return new Program(cleanup, limitMs, command).finished();
}
