/** The verb `ipvsadm`: runs one command line, as the command of that name does. */
import { runIpvsadm } from '../../ipvsadm/ipvsadm.ts';
import { ControlError } from '../protocol.ts';
import type { Verb } from '../verb.ts';

/** What a command left: its exit status, and what it printed. */
export interface IpvsadmAnswer {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

function areWords(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((word) => typeof word === 'string');
}

/**
 * Parameters: `arguments`, the words after `ipvsadm`; `input`, what `-R` reads from standard input (default: nothing).
 * Result: {@link IpvsadmAnswer}.
 */
export const ipvsadmVerb: Verb = {
  name: 'ipvsadm',
  run(parameters, { control }): IpvsadmAnswer {
    const { arguments: words, input = '', ...others } = parameters;
    if (!areWords(words)) throw new ControlError('ERR_BAD_REQUEST', 'arguments must be an array of strings');
    if (typeof input !== 'string') throw new ControlError('ERR_BAD_REQUEST', 'input must be a string');
    if (Object.keys(others).length > 0) {
      throw new ControlError('ERR_BAD_REQUEST', 'ipvsadm has no other parameters than arguments and input');
    }
    const out: string[] = [];
    const errors: string[] = [];
    const printer = { out: (text: string) => void out.push(text), error: (text: string) => void errors.push(text) };
    const status = runIpvsadm(control, words, input, printer);
    return { status, stdout: out.join(''), stderr: errors.join('') };
  },
};
