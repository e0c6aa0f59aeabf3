/**
 * What the commands `ipvsadm`, `ipvsadm-save` and `ipvsadm-restore` share: asking the running director. They are called
 * often (ldirectord: twice for each change), so they load sockets and little else.
 */
import { ask } from '../control/client.ts';
import { ControlError, DEFAULT_SOCKET, SOCKET_VARIABLE } from '../control/protocol.ts';
import type { IpvsadmAnswer } from '../control/verbs/ipvsadm.ts';
import { reasonOf } from './reason.ts';

/** ipvsadm's exit status when it finds no IPVS. */
const STATUS_NO_DIRECTOR = 2;

/** All of standard input. */
export async function readInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

/**
 * Lets the director run an ipvsadm command line, and prints what that prints.
 * @param input what `-R` reads.
 * @returns the exit status.
 */
export async function ipvsadmCommand(words: readonly string[], input = ''): Promise<number> {
  // `ipvsadm -L | head -1` closes our output before we are done: nothing to complain of.
  process.stdout.on('error', () => {});
  const path = process.env[SOCKET_VARIABLE] || DEFAULT_SOCKET;
  try {
    const parameters = { arguments: words, input };
    const answer = (await ask(path, { verb: 'ipvsadm', parameters })) as IpvsadmAnswer;
    if (answer.stdout !== '') process.stdout.write(answer.stdout);
    if (answer.stderr !== '') process.stderr.write(answer.stderr);
    return answer.status;
  } catch (error) {
    const reason = error instanceof ControlError ? error.message : reasonOf(error);
    process.stderr.write(
      `Can't initialize ipvs: ${reason}\nAre you sure that \`tapvs run' listens on ${path}? (${SOCKET_VARIABLE} names another socket.)\n`,
    );
    return STATUS_NO_DIRECTOR;
  }
}
