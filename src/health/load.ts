/** How a server's load is asked for: of an agent on it, or of the user's function. */
import { invalidOption } from '../errors.ts';
import { integer, optionsOf } from '../services/settings.ts';
import { TARGET_OPTIONS, target } from './checks/check.ts';
import { connect } from './checks/tcp.ts';
import type { CheckedServer, LoadAgent, OwnLoad } from './config.ts';

/** Asks for a server's load: 0 is idle, 1 as much as it can do. Its promise is rejected when there is no telling. */
export type AskLoad = (server: CheckedServer, signal: AbortSignal) => Promise<number>;

/** Longest answer of an agent, in bytes. */
const MAX_LINE = 1024;

/** @param at the option that it is. @throws DirectorError ERR_INVALID_OPTION */
export function prepareLoad(from: LoadAgent | OwnLoad, at: string): AskLoad {
  if (typeof from === 'function') return async (server, signal) => checked(await from(server, signal));
  optionsOf(at, from, TARGET_OPTIONS, `${at}.`);
  if (from.port === undefined) throw invalidOption(`${at}.port`, from.port, 'an integer from 1 to 65535');
  integer(`${at}.port`, from.port, 1, 65535, 1);
  const to = target(from, at);
  return async (server, signal) => {
    const socket = await connect(to(server), signal);
    try {
      socket.setEncoding('latin1');
      let said = '';
      for await (const piece of socket as AsyncIterable<string>) {
        said += piece;
        if (said.includes('\n') || said.length > MAX_LINE) break;
      }
      const [, percent] = /^[^\n]*?\b(\d{1,3})%/.exec(said) ?? [];
      if (percent === undefined) throw new Error('no percentage in the answer of the agent');
      return 1 - Number(percent) / 100;
    } finally {
      socket.destroy();
    }
  };
}

function checked(load: unknown): number {
  if (typeof load !== 'number' || !Number.isFinite(load)) throw new Error(`a load of ${String(load)}`);
  return load;
}
