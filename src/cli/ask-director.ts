/** Asking the running director, for the subcommands of `tapvs`. */
import { ask } from '../control/client.ts';
import { ControlError, type ControlRequest, SOCKET_VARIABLE } from '../control/protocol.ts';
import { reasonOf } from './reason.ts';

/** Exit status when there is no director to ask. */
const STATUS_NO_DIRECTOR = 2;

/**
 * The director's answer. Where there is none, the reason goes to standard error, the exit status is set to 1 (refused) or 2
 * (nobody to ask), and the result is undefined.
 * @param onData is told what a verb says as it goes.
 * @param signal ends it from this side: the result is undefined then, and nothing is said.
 */
export async function askDirector(
  socket: string,
  request: ControlRequest,
  onData?: (data: unknown) => void,
  signal?: AbortSignal,
): Promise<unknown> {
  // `tapvs explain ... | head -1` closes our output before we are done: nothing to complain of.
  process.stdout.on('error', () => {});
  try {
    return await ask(socket, request, onData, signal);
  } catch (error) {
    if (signal?.aborted) return undefined;
    const refused = error instanceof ControlError;
    process.stderr.write(
      refused
        ? `${error.message}\n`
        : `${reasonOf(error)}: asked on ${socket} (--socket or ${SOCKET_VARIABLE} names another)\n`,
    );
    process.exitCode = refused ? 1 : STATUS_NO_DIRECTOR;
    return undefined;
  }
}
