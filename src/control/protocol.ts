/**
 * What is spoken on the control socket, a Unix stream socket: one request for each connection, JSON in UTF-8, one message
 * a line.
 *
 *     client   {"tapvs":1,"verb":"ipvsadm","parameters":{"arguments":["-L","-n"]}}
 *     server   {"data":...}                                 any number, by verbs that tell as they go
 *     server   {"result":{"status":0,"stdout":"...","stderr":""}}    or
 *     server   {"error":{"code":"ERR_UNKNOWN_VERB","message":"..."}}
 *
 * After the result or the error the server closes the connection. The client keeps its own direction open for as long as
 * it wants to be told: closing it ends a verb that goes on (of a client that has gone nothing else is seen), while the
 * result of one that is done at once still comes.
 */

/** The version of the protocol: the number in a request. Grows when an old client would misunderstand a server. */
export const PROTOCOL_VERSION = 1;

/** Where a director listens, and its tools look for it, unless they are told otherwise. */
export const DEFAULT_SOCKET = '/run/tapvs/control.sock';

/** The environment variable that tells tools where the director listens. */
export const SOCKET_VARIABLE = 'TAPVS_SOCKET';

/** The stable codes of what the control socket itself refuses; a verb's own are those of DirectorError. */
export type ControlErrorCode =
  /** Not a request, or more than one. */
  | 'ERR_BAD_REQUEST'
  /** The request is of another version of the protocol. */
  | 'ERR_VERSION'
  | 'ERR_UNKNOWN_VERB'
  /** The request did not come whole in the time that there is for it. */
  | 'ERR_TIMEOUT'
  /** The request is too long. */
  | 'ERR_TOO_LARGE'
  /** The server is at its end, or closed the connection before it had answered. */
  | 'ERR_CLOSED'
  /** A mistake of the server's own. */
  | 'ERR_INTERNAL';

/** A request that was refused, on both sides of the socket. */
export class ControlError extends Error {
  override readonly name = 'ControlError';
  /** A {@link ControlErrorCode}, or that of the DirectorError by which a verb failed. */
  readonly code: string;

  constructor(code: ControlErrorCode | (string & {}), message: string) {
    super(message);
    this.code = code;
  }
}

/** What a client asks for. */
export interface ControlRequest {
  readonly verb: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** One message of the server's. */
export type ControlReply =
  | { readonly data: unknown }
  | { readonly result: unknown }
  | { readonly error: { readonly code: string; readonly message: string } };

/** A request as the line that is sent. */
export function formatRequest({ verb, parameters }: ControlRequest): string {
  return `${JSON.stringify({ tapvs: PROTOCOL_VERSION, verb, parameters })}\n`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Reads the line of a request. @throws ControlError ERR_BAD_REQUEST, ERR_VERSION */
export function parseRequest(line: string): ControlRequest {
  let message: unknown;
  try {
    message = JSON.parse(line);
  } catch {
    throw new ControlError('ERR_BAD_REQUEST', 'the request is not JSON');
  }
  if (!isObject(message)) throw new ControlError('ERR_BAD_REQUEST', 'the request is not an object');
  const { tapvs, verb, parameters = {}, ...others } = message;
  if (tapvs !== PROTOCOL_VERSION) {
    throw new ControlError('ERR_VERSION', `this director speaks version ${PROTOCOL_VERSION} ("tapvs":1)`);
  }
  if (typeof verb !== 'string') throw new ControlError('ERR_BAD_REQUEST', 'verb must be a string');
  if (!isObject(parameters)) throw new ControlError('ERR_BAD_REQUEST', 'parameters must be an object');
  if (Object.keys(others).length > 0) {
    throw new ControlError('ERR_BAD_REQUEST', 'a request has nothing but tapvs, verb and parameters');
  }
  return { verb, parameters };
}
