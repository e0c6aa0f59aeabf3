/** What a kind of check is: `checks.ts` lists them, `checks/` holds a file for each. */
import { tryParseAddress } from '../../address.ts';
import { invalidOption } from '../../errors.ts';
import { integer } from '../../services/settings.ts';
import type { CheckedServer, CheckTarget } from '../config.ts';

/**
 * Looks whether a server is well: its promise is rejected when it is not, with a reason for people. It leaves nothing
 * open once `signal` is aborted.
 */
export type Probe = (server: CheckedServer, signal: AbortSignal) => Promise<unknown>;

/** A kind of check. */
export interface CheckKind<Options> {
  /** The options beside `type`. */
  readonly options: readonly string[];
  /**
   * Checks the options, and makes the probe.
   * @param at what errors put in front of an option's name.
   * @throws DirectorError ERR_INVALID_OPTION
   */
  prepare(options: Options, at: string): Probe;
}

/** The options of {@link CheckTarget}. */
export const TARGET_OPTIONS: readonly string[] = ['address', 'port', 'localAddress'];

/** Where a probe goes. */
export interface Target {
  readonly address: string;
  readonly port: number;
  readonly localAddress: string | undefined;
}

/** Checks where a check is to go; what it is for one server the returned function says. */
export function target({ address, port, localAddress }: CheckTarget, at: string): (server: CheckedServer) => Target {
  for (const [name, value] of Object.entries({ address, localAddress })) {
    if (value !== undefined && tryParseAddress(value) === undefined) {
      throw invalidOption(`${at}.${name}`, value, 'an address');
    }
  }
  integer(`${at}.port`, port, 1, 65535, 1);
  return (server) => ({ address: address ?? server.address, port: port ?? server.port, localAddress });
}

/** Checks an option that is text; `otherwise` when it is not given. */
export function text<T extends string | undefined>(option: string, value: unknown, otherwise: T): string | T {
  if (value === undefined) return otherwise;
  if (typeof value !== 'string') throw invalidOption(option, value, 'text');
  return value;
}
