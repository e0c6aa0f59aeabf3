/** `tapvs check`: says whether a configuration file is right, without running it. */
import { Command } from 'commander';
import { configOption, STATUS_CONFIGURATION } from './options.ts';

export const check: Command = new Command('check')
  .description('check a configuration file; its complaints go to standard error')
  .addOption(configOption())
  .action(async ({ config }: { config: string }) => {
    const { ConfigurationError, loadConfiguration } = await import('../../daemon/file.ts');
    try {
      loadConfiguration(config);
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error;
      process.stderr.write(`${error.message}\n`);
      process.exitCode = STATUS_CONFIGURATION;
    }
  });
