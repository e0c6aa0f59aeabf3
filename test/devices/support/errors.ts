import { DirectorError } from '../../../src/errors.ts';

/** For devices that are not expected to fail. */
export const failOnError = (error: Error): void => {
  throw error;
};

/** The DirectorError that opening a device throws. */
export function errorOf(open: () => { close(): void }): DirectorError {
  try {
    open().close();
  } catch (error) {
    if (error instanceof DirectorError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/** The failed system call behind it. */
export function causeOf(error: DirectorError): { code?: string; syscall?: string; device?: string } {
  return error.cause as { code?: string; syscall?: string; device?: string };
}
