/** Programs that run beside a test: their output as it comes, and an end that is certain. */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';

/** The file of a command that was compiled with the tests. */
export function commandFile(name: string): string {
  return fileURLToPath(new URL(`../../../src/cli/${name}.js`, import.meta.url));
}

/** Waits until something holds. @throws Error with what is so instead, after `seconds` */
export async function until(holds: () => boolean | Promise<boolean>, what: () => unknown, seconds = 15): Promise<void> {
  const deadlineMs = performance.now() + seconds * 1000;
  while (!(await holds())) {
    if (performance.now() > deadlineMs) throw new Error(`waited ${seconds} s in vain: ${what()}`);
    await pause(50);
  }
}

/** A program of this test's; it dies with the test. */
export class Program {
  readonly pid: number;
  out = '';
  error = '';
  /** Exit status, or the signal that ended it; null while it runs. */
  ended: number | NodeJS.Signals | null = null;
  readonly #child: ChildProcess;

  constructor(t: ExecutionContext, command: readonly string[], env: NodeJS.ProcessEnv = {}) {
    const words = ['--pdeathsig', 'KILL', ...command];
    const child = spawn('setpriv', words, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    this.pid = child.pid!;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.error += text;
    });
    child.on('close', (status, signal) => {
      this.ended = signal ?? status;
    });
    t.teardown(() => this.end('SIGKILL'));
  }

  /** Waits until it has printed something. */
  async printed(pattern: RegExp, seconds = 15): Promise<void> {
    const holds = () => {
      if (pattern.test(this.out)) return true;
      if (this.ended !== null) throw new Error(`ended with ${this.ended}: ${this.out}${this.error}`);
      return false;
    };
    await until(holds, () => `${pattern} in ${this.out}${this.error}`, seconds);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends it, and waits for that. @returns its exit status or signal */
  async end(signal: NodeJS.Signals = 'SIGTERM', seconds = 15): Promise<number | NodeJS.Signals | null> {
    if (this.ended === null) this.signal(signal);
    await until(
      () => this.ended !== null,
      () => `it does not end: ${this.out}${this.error}`,
      seconds,
    );
    return this.ended;
  }
}
