/** The client's side of the control socket. Loads nothing but sockets: commands that use it start often. */
import { connect } from 'node:net';
import { ControlError, type ControlReply, type ControlRequest, formatRequest } from './protocol.ts';

/**
 * Sends one request to the director that listens on a socket, and waits for its answer.
 * @param onData is told what a verb says as it goes, in order.
 * @param signal ends the request from this side; the promise rejects with its reason.
 * @returns the verb's result.
 * @throws ControlError when the director refuses; the system's error (`ENOENT`, `EACCES`, `ECONNREFUSED` ...) when nobody
 *   can be asked.
 */
export function ask(
  socketPath: string,
  request: ControlRequest,
  onData?: (data: unknown) => void,
  signal?: AbortSignal,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path: socketPath, ...(signal && { signal }) });
    const parts: string[] = [];
    let connected = false;
    let answered = false;
    const take = (line: string) => {
      const reply = JSON.parse(line) as ControlReply;
      if ('data' in reply) return onData?.(reply.data);
      answered = true;
      if ('error' in reply) reject(new ControlError(reply.error.code, reply.error.message));
      else resolve(reply.result);
    };
    socket.setEncoding('utf8');
    socket.on('connect', () => {
      connected = true;
      socket.write(formatRequest(request));
    });
    socket.on('data', (text: string) => {
      const lines = text.split('\n');
      parts.push(lines[0]);
      for (let i = 1; i < lines.length; i++) {
        take(parts.splice(0).join(''));
        parts.push(lines[i]);
      }
    });
    // A server that refuses need not have read the whole request: its answer counts, not how the connection ended.
    let failure: Error | undefined;
    socket.on('error', (error) => {
      failure = error;
    });
    socket.on('close', () => {
      if (answered) return;
      const hungUp = new ControlError('ERR_CLOSED', 'the director closed the connection');
      reject(failure !== undefined && (!connected || signal?.aborted) ? failure : hungUp);
    });
  });
}
