/** The daemon's log: a line of JSON on standard output for each thing worth knowing. */
import { type Logger, pino } from 'pino';

/** What may wait to be written, in bytes; more is lost. A log that nobody reads must not take the memory. */
const MAX_WAITING = 2 ** 20;

/**
 * The log, and how to write out what is left of it. Neither a slow reader nor one that has gone stops the director.
 */
export function openLog(): { logger: Logger; close: () => void } {
  const destination = pino.destination({ dest: 1, sync: false, maxLength: MAX_WAITING });
  destination.on('error', () => {});
  const logger = pino(
    {
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  );
  const close = () => {
    try {
      destination.flushSync();
    } catch {
      // The reader has gone.
    }
  };
  return { logger, close };
}

/** A log that keeps nothing. */
export function silentLog(): Logger {
  return pino({ enabled: false });
}
