/**
 * The vocabulary of ipvsadm: its commands, its options, and which command takes which option. Behaviour: ipvsadm 1.31.
 */

/** Every command, by the name that messages use for it. */
export type CommandName =
  | 'add-service'
  | 'edit-service'
  | 'delete-service'
  | 'flush'
  | 'restore'
  | 'save'
  | 'add-server'
  | 'edit-server'
  | 'delete-server'
  | 'list'
  | 'zero'
  | 'set'
  | 'start-daemon'
  | 'stop-daemon'
  | 'help'
  | 'version';

/**
 * Every option, by the name that messages use for it, in the order in which they are checked: of several mistakes the
 * first in this order is the one that is told.
 */
export const OPTION_NAMES = [
  'numeric',
  'connection',
  'service-address',
  'scheduler',
  'persistent',
  'netmask',
  'real-server',
  'forwarding-method',
  'weight',
  'u-threshold',
  'l-threshold',
  'mcast-interface',
  'timeout',
  'daemon',
  'stats',
  'rate',
  'thresholds',
  'persistent-conn',
  'nosort',
  'syncid',
  'exact',
  'ops',
  'pe',
  'sched-flags',
  'mcast-group',
  'mcast-port',
  'mcast-ttl',
  'sync-maxlen',
  'tun-info',
  'tun-type',
  'tun-port',
  'tun-nocsum',
  'tun-csum',
  'tun-remcsum',
] as const;

export type OptionName = (typeof OPTION_NAMES)[number];

/** Whether an option is followed by a value; `optional` takes the next word unless that starts with `-`. */
export type Argument = 'none' | 'required' | 'optional';

/** One word that may stand on the command line. */
export interface Switch {
  /** The long form without its dashes. */
  readonly long: string;
  /** The short form without its dash. */
  readonly short?: string;
  readonly argument: Argument;
}

function define(argument: Argument, ...forms: string[]): Switch[] {
  return forms.map((form) => {
    const [long, short] = form.split(' ');
    return short === undefined ? { long: long!, argument } : { long: long!, short, argument };
  });
}

/** All switches, commands included. `long` names them everywhere else. */
export const SWITCHES: readonly Switch[] = [
  ...define('none', 'add-service A', 'edit-service E', 'delete-service D', 'clear C', 'restore R', 'save S'),
  ...define('none', 'add-server a', 'edit-server e', 'delete-server d', 'list L', 'list l', 'zero Z', 'set'),
  ...define('required', 'start-daemon', 'stop-daemon'),
  ...define('none', 'help h', 'version v'),
  ...define('required', 'tcp-service t', 'udp-service u', 'sctp-service', 'fwmark-service f'),
  ...define('none', 'ipv6 6', 'ops o', 'gatewaying g', 'masquerading m', 'ipip i', 'numeric n', 'connection c'),
  ...define('required', 'scheduler s', 'netmask M', 'real-server r', 'weight w', 'u-threshold x', 'l-threshold y'),
  ...define('optional', 'persistent p'),
  ...define('required', 'pe', 'sched-flags b', 'syncid', 'sync-maxlen', 'mcast-interface', 'mcast-group'),
  ...define('required', 'mcast-port', 'mcast-ttl', 'tun-type', 'tun-port'),
  ...define('none', 'timeout', 'daemon', 'stats', 'rate', 'thresholds', 'persistent-conn', 'nosort', 'sort'),
  ...define('none', 'exact', 'tun-info', 'tun-nocsum', 'tun-csum', 'tun-remcsum'),
];

/** The command that a switch stands for, by the switch's long form. */
export const COMMANDS: Readonly<Record<string, CommandName>> = {
  'add-service': 'add-service',
  'edit-service': 'edit-service',
  'delete-service': 'delete-service',
  clear: 'flush',
  restore: 'restore',
  save: 'save',
  'add-server': 'add-server',
  'edit-server': 'edit-server',
  'delete-server': 'delete-server',
  list: 'list',
  zero: 'zero',
  set: 'set',
  'start-daemon': 'start-daemon',
  'stop-daemon': 'stop-daemon',
  help: 'help',
  version: 'version',
};

/** Which options something takes: must have, may have, or may have at most one of. All others are illegal. */
export interface OptionRules {
  readonly required?: readonly OptionName[];
  readonly allowed?: readonly OptionName[];
  readonly exclusive?: readonly OptionName[];
}

const SERVICE_RULES: OptionRules = {
  required: ['service-address'],
  allowed: ['scheduler', 'persistent', 'netmask', 'ops', 'pe', 'sched-flags'],
};

const SERVER_RULES: OptionRules = {
  required: ['service-address', 'real-server'],
  allowed: [
    'forwarding-method',
    'weight',
    'u-threshold',
    'l-threshold',
    'tun-type',
    'tun-port',
    'tun-nocsum',
    'tun-csum',
    'tun-remcsum',
  ],
};

/** The options of each command. (That `-L` takes a syncid, which means nothing there, is the program's own.) */
export const COMMAND_RULES: Readonly<Record<Exclude<CommandName, 'help' | 'version'>, OptionRules>> = {
  'add-service': SERVICE_RULES,
  'edit-service': SERVICE_RULES,
  'delete-service': { required: ['service-address'] },
  flush: {},
  restore: {},
  save: { allowed: ['numeric'] },
  'add-server': SERVER_RULES,
  'edit-server': SERVER_RULES,
  'delete-server': { required: ['service-address', 'real-server'] },
  list: {
    allowed: ['numeric', 'stats', 'rate', 'thresholds', 'persistent-conn', 'nosort', 'syncid', 'exact', 'tun-info'],
    exclusive: ['connection', 'service-address', 'timeout', 'daemon'],
  },
  zero: { allowed: ['service-address'] },
  set: {},
  'start-daemon': {
    allowed: ['mcast-interface', 'syncid', 'mcast-group', 'mcast-port', 'mcast-ttl', 'sync-maxlen'],
  },
  'stop-daemon': { allowed: ['syncid'] },
};

/** The tunnel options of each type of tunnel. */
export const TUNNEL_RULES: Readonly<Record<'ipip' | 'gue' | 'gre', OptionRules>> = {
  ipip: {},
  gue: { required: ['tun-port'], exclusive: ['tun-nocsum', 'tun-csum', 'tun-remcsum'] },
  gre: { exclusive: ['tun-nocsum', 'tun-csum'] },
};

/** The options that only make sense on a tunnel, in the order in which they are checked. */
export const TUNNEL_OPTIONS: readonly OptionName[] = ['tun-port', 'tun-nocsum', 'tun-csum', 'tun-remcsum'];
