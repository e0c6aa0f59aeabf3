/** What a verb of the control socket is: `verbs.ts` lists them, `verbs/` holds a file for each. */
import type { Director } from '../director.ts';
import type { Control } from '../ipvsadm/control.ts';

/** What a verb works with. */
export interface VerbContext {
  readonly director: Director;
  /** The director, with whoever keeps a log of changes in between: verbs that change something use this. */
  readonly control: Control;
  /** Is told of what belongs into a log, though it changes nothing. */
  readonly note?: (what: string, details: Readonly<Record<string, unknown>>) => void;
}

/** The connection that a verb was asked on. */
export interface VerbClient {
  /**
   * Tells the client something before the result. Resolves when there is room for more; rejects when the client has gone
   * or does not take what it is sent.
   */
  send(data: unknown): Promise<void>;
  /** Aborted when the client has closed its direction, has gone, or the server ends. */
  readonly signal: AbortSignal;
}

/** A verb: something that a director can be asked for over its control socket. */
export interface Verb {
  readonly name: string;
  /**
   * Does what was asked for.
   * @param parameters what the client sent, unchecked.
   * @returns the result: anything that JSON can hold.
   * @throws ControlError, DirectorError: the client is told. Anything else is a mistake of this program's.
   */
  run(parameters: Readonly<Record<string, unknown>>, context: VerbContext, client: VerbClient): unknown;
}
