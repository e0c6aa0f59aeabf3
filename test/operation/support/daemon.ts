/** A director that `tapvs run` runs, and `ipvsadm` for it. */
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { stringify } from 'yaml';
import { commandFile, Program } from './program.ts';

/** What a command left. */
export interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, while everything else goes on. */
export function finish(command: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const [program, ...args] = command;
  const options = { env: { ...process.env, ...env }, timeout: 30_000, encoding: 'utf8' } as const;
  return new Promise((resolve) => {
    execFile(program, args, options, (error, stdout, stderr) => {
      const { code = 0 } = (error ?? {}) as { code?: number | string };
      resolve({ status: typeof code === 'number' ? code : -1, stdout, stderr: stderr || (error?.message ?? '') });
    });
  });
}

/** A folder for one director: its file and its socket. */
export class Site {
  readonly folder: string;
  readonly file: string;
  readonly socket: string;

  constructor(t: ExecutionContext) {
    this.folder = mkdtempSync(join(tmpdir(), 'tapvs-operation-'));
    t.teardown(() => rmSync(this.folder, { recursive: true }));
    // An ordinary user, too, may read the file and make a socket.
    chmodSync(this.folder, 0o755);
    const run = join(this.folder, 'run');
    mkdirSync(run);
    chmodSync(run, 0o777);
    this.file = join(this.folder, 'tapvs.yaml');
    this.socket = join(run, 'control.sock');
  }

  /** Writes the file. The control socket is this site's. */
  write(configuration: object): void {
    writeFileSync(this.file, stringify({ control: { socket: this.socket }, ...configuration }));
  }

  /** Starts a director and waits until it runs. @param before what the command runs under, `ip netns exec NAME` say */
  async start(t: ExecutionContext, before: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<Program> {
    const command = [...before, process.execPath, commandFile('tapvs'), 'run', '--config', this.file];
    const program = new Program(t, command, env);
    await program.printed(/"msg":"director runs"/);
    return program;
  }

  /** Runs `ipvsadm`. */
  ipvsadm(line: string, before: readonly string[] = []): Promise<Ended> {
    const words = line.split(' ').filter((word) => word !== '');
    return finish([...before, process.execPath, commandFile('ipvsadm'), ...words], { TAPVS_SOCKET: this.socket });
  }
}
