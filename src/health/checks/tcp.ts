/** `tcp`: a connection can be made. It is closed at once. */
import { createConnection, type Socket } from 'node:net';
import type { TcpCheck } from '../config.ts';
import { type CheckKind, TARGET_OPTIONS, type Target, target } from './check.ts';

/** Connects; the socket is destroyed when `signal` is aborted. */
export function connect({ address, port, localAddress }: Target, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: address, port, ...(localAddress !== undefined && { localAddress }) });
    signal.addEventListener('abort', () => socket.destroy(), { once: true });
    socket.once('connect', () => resolve(socket));
    socket.on('error', reject);
  });
}

export const tcp: CheckKind<TcpCheck> = {
  options: TARGET_OPTIONS,
  prepare(options, at) {
    const to = target(options, at);
    return async (server, signal) => (await connect(to(server), signal)).destroy();
  },
};
