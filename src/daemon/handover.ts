/**
 * A director's state from one process to the next. What was set by hand comes along, and the file decides as in a reload:
 * where it says the same as the predecessor's did, what was set by hand stays; where it says something else, that counts.
 */
import { rmSync } from 'node:fs';
import type { Logger } from 'pino';
import type { Director } from '../director.ts';
import { inspectHandover } from '../engine/handover/handover.ts';
import { DirectorError } from '../errors.ts';
import type { Configuration, HandoverConfiguration } from './configuration.ts';
import { withHandover, writeHandover, writeSnapshot } from './handover-file.ts';
import { checkSchema, emptyConfiguration } from './schema.ts';

/** The sections of which something can be changed by hand, and so is handed over. */
const SECTIONS = ['services', 'timeouts', 'sync'] as const;

function noteOf(configuration: Configuration): unknown {
  return Object.fromEntries(SECTIONS.map((name) => [name, configuration[name]]));
}

/** The configuration that a predecessor had last: the empty one where that cannot be told. */
function configurationOf(note: unknown): Configuration {
  const empty = emptyConfiguration();
  if (typeof note !== 'object' || note === null) return empty;
  const sections = Object.fromEntries(Object.entries(note).filter(([name]) => SECTIONS.some((one) => one === name)));
  // Whatever else a whole file must have is no matter here.
  const whole = { devices: [{ type: 'tap', name: 'x' }], interfaces: [{ device: 'x' }], ...structuredClone(sections) };
  if (checkSchema(whole).length > 0) return empty;
  const before = { ...empty, ...sections };
  // Nobody watches servers yet: that is not handed over.
  return { ...before, services: before.services.map(({ health: _, ...service }) => service) };
}

/**
 * Goes on with what a predecessor has left, if it has left something that is whole and not too old.
 * @returns the configuration that the director now is in, and when the predecessor has stopped to work; null for none.
 */
export function takeOverFrom(
  { file, maxAgeSeconds }: HandoverConfiguration,
  director: Director,
  logger: Logger,
): { readonly configuration: Configuration; readonly stoppedAt: number | null } {
  const nothing = { configuration: emptyConfiguration(), stoppedAt: null };
  if (file === undefined) return nothing;
  try {
    const { at, note } = withHandover(file, inspectHandover);
    const ageSeconds = (Date.now() - at) / 1000;
    if (ageSeconds > maxAgeSeconds) {
      logger.warn({ ageSeconds: Math.round(ageSeconds) }, 'handover too old: not taken over');
      return nothing;
    }
    const { problems, ...taken } = withHandover(file, (read) => director.takeOver(read));
    for (const problem of problems) logger.warn({ problem }, 'not taken over');
    logger.info(taken, 'taken over');
    return { configuration: configurationOf(note), stoppedAt: at };
  } catch (error) {
    if (error instanceof DirectorError) logger.error({ problem: error.message }, 'handover not taken over');
    else if (codeOf(error) === 'ENOENT') logger.info('no handover to take over');
    else logger.error({ problem: codeOf(error) }, 'handover cannot be read');
    return nothing;
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}

/** Writes the state down while the director works, and once more at its end. */
export class HandoverKeeper {
  readonly #director: Director;
  readonly #logger: Logger;
  readonly #options: HandoverConfiguration;
  readonly #configuration: () => Configuration;
  readonly #ended = new AbortController();
  readonly #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | null = null;

  /** @param configuration what the director is in now. */
  constructor(options: HandoverConfiguration, director: Director, logger: Logger, configuration: () => Configuration) {
    this.#options = options;
    this.#director = director;
    this.#logger = logger;
    this.#configuration = configuration;
    const { file, snapshotSeconds } = options;
    if (file === undefined || snapshotSeconds === 0) return;
    this.#timer = setInterval(() => {
      this.#writing ??= this.#snapshot(file).finally(() => {
        this.#writing = null;
      });
    }, snapshotSeconds * 1000);
  }

  /** Whether there is a file to leave the state in. */
  get isWanted(): boolean {
    return this.#options.file !== undefined;
  }

  async #snapshot(file: string): Promise<void> {
    try {
      const pieces = this.#director.handOver(noteOf(this.#configuration()));
      const longestMs = await writeSnapshot(file, pieces, this.#ended.signal);
      this.#logger.debug({ longestMs }, 'snapshot written');
    } catch (error) {
      if (!this.#ended.signal.aborted) this.#logger.error({ problem: codeOf(error) }, 'snapshot not written');
    }
  }

  async #end(): Promise<void> {
    clearInterval(this.#timer);
    this.#ended.abort();
    await this.#writing;
  }

  /**
   * Stops the director's work and leaves its state for the next one.
   * @returns whether that is written; if not, the director goes on as it was.
   */
  async leave(): Promise<boolean> {
    const { file } = this.#options;
    if (file === undefined) return false;
    await this.#end();
    this.#director.pause();
    const startMs = performance.now();
    try {
      writeHandover(file, this.#director.handOver(noteOf(this.#configuration())));
    } catch (error) {
      this.#logger.error({ problem: codeOf(error) }, 'handover not written');
      return false;
    }
    this.#logger.info({ ms: Math.round(performance.now() - startMs) }, 'handed over');
    return true;
  }

  /** Leaves nothing: the director ends for good, and its connections with it. */
  async forget(): Promise<void> {
    await this.#end();
    this.removeFile();
  }

  /** What was taken over is not taken over again. */
  removeFile(): void {
    const { file } = this.#options;
    if (file === undefined) return;
    try {
      rmSync(file, { force: true });
    } catch (error) {
      this.#logger.warn({ problem: codeOf(error) }, 'old handover not removed');
    }
  }
}
