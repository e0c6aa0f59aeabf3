/** Options that several subcommands take. */
import { Option } from 'commander';

/** Where a director's configuration is, unless it is said. */
export const DEFAULT_CONFIGURATION = '/etc/tapvs/tapvs.yaml';

/** `--config FILE`. */
export function configOption(): Option {
  return new Option('-c, --config <file>', 'the configuration file, YAML or JSON').default(DEFAULT_CONFIGURATION);
}

/** Exit status for a configuration that is wrong (sysexits.h: EX_CONFIG): starting again will not help. */
export const STATUS_CONFIGURATION = 78;
