/**
 * The stable codes of {@link DirectorError}. The text of an error may change between versions, its code never.
 */
export type DirectorErrorCode =
  | 'ERR_INVALID_OPTION'
  | 'ERR_SERVICE_EXISTS'
  | 'ERR_NO_SUCH_SERVICE'
  | 'ERR_DESTINATION_EXISTS'
  | 'ERR_NO_SUCH_DESTINATION'
  | 'ERR_DRAINING'
  | 'ERR_UNKNOWN_SCHEDULER'
  | 'ERR_UNKNOWN_ENGINE'
  | 'ERR_DAEMON_RUNNING'
  | 'ERR_NO_DAEMON'
  | 'ERR_DEVICE'
  | 'ERR_HANDOVER'
  | 'ERR_CONTROL'
  | 'ERR_METRICS'
  | 'ERR_TOO_MANY_CAPTURES'
  | 'ERR_CLOSED'
  | 'ERR_WORKER'
  | 'ERR_UNSUPPORTED'
  | 'ERR_UNSUPPORTED_PLATFORM';

/** What a {@link DirectorError} knows beside its text. */
export interface DirectorErrorDetails {
  /** The option that was wrong, as a path: `port`, `interfaces[0].addresses[1]`. */
  readonly option?: string;
  /** The value that was given for it. */
  readonly value?: unknown;
  /** The error this one was made from (a failed system call, say). */
  readonly cause?: unknown;
}

/**
 * The only class of error that this library throws on purpose: bad input, a conflict with what is configured, a device
 * that cannot be opened. Bad packets never throw; they are counted.
 */
export class DirectorError extends Error {
  override readonly name = 'DirectorError';
  readonly code: DirectorErrorCode;
  readonly option: string | undefined;
  readonly value: unknown;

  constructor(code: DirectorErrorCode, message: string, details: DirectorErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.option = details.option;
    this.value = details.value;
  }
}

function show(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return String(value);
  const name: unknown = value.constructor?.name;
  return typeof name === 'string' && name !== '' ? name : 'object';
}

/** The error for one wrong option: names the option, the value, and what would have been right. */
export function invalidOption(option: string, value: unknown, expected: string): DirectorError {
  return new DirectorError('ERR_INVALID_OPTION', `${option}: ${show(value)} is not ${expected}`, { option, value });
}
