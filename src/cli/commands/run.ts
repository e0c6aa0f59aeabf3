/** `tapvs run`: a director in the foreground, until SIGTERM or SIGINT. */
import { setFlagsFromString } from 'node:v8';
import { Command } from 'commander';
import { configOption, STATUS_CONFIGURATION } from './options.ts';

/**
 * The frame path is made of many small functions, and V8 puts only so many of them into one another. With three times as many
 * a packet takes 10 to 25 % less time in memory (`npm run bench -- micro --only bursts`). A library may not choose that
 * for its program; this is one.
 */
export const INLINE_MORE: string = '--max-inlined-bytecode-size-cumulative=3000';

export const run: Command = new Command('run')
  .description('run a director in the foreground: SIGHUP reloads the file, SIGTERM hands over or drains, and stops')
  .addOption(configOption())
  .action(async ({ config }: { config: string }) => {
    setFlagsFromString(INLINE_MORE);
    const [{ Daemon }, { ConfigurationError, loadConfiguration }, { openLog }] = await Promise.all([
      import('../../daemon/daemon.ts'),
      import('../../daemon/file.ts'),
      import('../../daemon/log.ts'),
    ]);
    const { logger, close } = openLog();
    const exit = (status: number): never => {
      close();
      process.exit(status);
    };
    process.on('uncaughtException', ({ name, message }) => {
      logger.fatal({ mistake: `${name}: ${message}` }, 'the director ends by a mistake of its own');
      exit(1);
    });
    let failure = STATUS_CONFIGURATION;
    try {
      const loaded = loadConfiguration(config);
      failure = 1;
      const daemon = await Daemon.start(config, loaded, logger, () => exit(1));
      for (const signal of ['SIGTERM', 'SIGINT'] as const) {
        process.on(signal, () => daemon.stop(signal === 'SIGINT').then(() => exit(0)));
      }
      process.on('SIGHUP', () => daemon.reload());
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error;
      process.stderr.write(`${error.message}\n`);
      exit(failure);
    }
  });
