/** Exit status of an operation that failed (the C program returns -1). */
export const STATUS_FAILED = 255;
/** Exit status of a command line that makes no sense. */
export const STATUS_USAGE = 2;

/**
 * Ends the whole run, in the middle of whatever it was doing: further lines of a restore are not read. Failed
 * operations do not throw this; their status is just the status of their line.
 */
export class Exit extends Error {
  readonly status: number;
  /** What to print before leaving: nothing, or whole lines. */
  readonly text: string;

  constructor(status: number, text: string) {
    super(text.trimEnd());
    this.status = status;
    this.text = text;
  }
}

/** The end for a command line that makes no sense, with the reason as text. */
export function usageError(reason: string): Exit {
  return new Exit(STATUS_USAGE, `${reason}\n`);
}

/** The end for a command line that does not even start with a command. */
export function tryHelp(): Exit {
  return new Exit(STATUS_FAILED, "Try `ipvsadm -h' or 'ipvsadm --help' for more information.\n");
}

/** The failure of one line alone: a restore goes on with the next one. Its status is {@link STATUS_FAILED}. */
export class LineFailure extends Error {}
