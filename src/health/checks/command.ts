/** `command`: a program ends with status 0. */
import { execFile } from 'node:child_process';
import { invalidOption } from '../../errors.ts';
import type { CommandCheck } from '../config.ts';
import type { CheckKind } from './check.ts';

/** How much of its output is kept: the first line of it is the reason when it fails. */
const MAX_OUTPUT = 2 ** 16;

export const command: CheckKind<CommandCheck> = {
  options: ['command'],
  prepare(options, at) {
    const { command: words } = options;
    const areWords = Array.isArray(words) && words.every((word) => typeof word === 'string' && !word.includes('\0'));
    if (!areWords || words.length === 0 || words[0] === '') {
      throw invalidOption(`${at}.command`, words, 'a program and its arguments');
    }
    const [program, ...args] = words;
    return ({ address, port }, signal) =>
      new Promise<void>((resolve, reject) => {
        const env = { ...process.env, SERVER_ADDRESS: address, SERVER_PORT: String(port) };
        const limits = { signal, killSignal: 'SIGKILL', maxBuffer: MAX_OUTPUT, env } as const;
        execFile(program, args, limits, (error, _out, said) => {
          if (error === null) return resolve();
          const status =
            typeof error.code === 'number' ? `ended with ${error.code}` : String(error.code ?? error.signal);
          const line = said.split('\n', 1)[0].slice(0, 200);
          reject(new Error(line === '' ? status : `${status}: ${line}`));
        });
      });
  },
};
