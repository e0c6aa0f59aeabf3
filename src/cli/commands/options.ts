/** Options that several subcommands take. */
import { Option } from 'commander';
import { DEFAULT_SOCKET, SOCKET_VARIABLE } from '../../control/protocol.ts';

/** Where a director's configuration is, unless it is said. */
export const DEFAULT_CONFIGURATION = '/etc/tapvs/tapvs.yaml';

/** `--config FILE`. */
export function configOption(): Option {
  return new Option('-c, --config <file>', 'the configuration file, YAML or JSON').default(DEFAULT_CONFIGURATION);
}

/** `--socket PATH`. */
export function socketOption(): Option {
  return new Option('-s, --socket <path>', "the director's control socket")
    .env(SOCKET_VARIABLE)
    .default(DEFAULT_SOCKET);
}

/** Exit status for a configuration that is wrong (sysexits.h: EX_CONFIG): starting again will not help. */
export const STATUS_CONFIGURATION = 78;
