/** From the words of a command line to a {@link Request}: everything that ipvsadm checks itself, in its order. */
import type {
  DaemonRole,
  DestinationOptions,
  SchedulerFlag,
  ServiceKey,
  ServiceOptions,
  Timeouts,
} from '../services/config.ts';
import { applySwitch, type Draft, demandTimeout, emptyDraft } from './draft.ts';
import { Exit, LineFailure, tryHelp, usageError } from './exit.ts';
import type { Names } from './names.ts';
import { COMMAND_RULES, COMMANDS, type CommandName, OPTION_NAMES, TUNNEL_OPTIONS, TUNNEL_RULES } from './options.ts';
import type { ListRequest, Request, ServiceView } from './request.ts';
import { checkRules } from './rules.ts';
import { Scanner } from './scanner.ts';
import { USAGE, VERSION } from './usage.ts';

const DAEMON_ERRORS: Readonly<Record<string, string>> = {
  'start-daemon': 'illegal start-daemon parameter specified',
  'stop-daemon': 'illegal start_daemon specified',
};

/**
 * Reads one command line, without the word `ipvsadm`.
 * @throws Exit for `-h`, `-v` and everything that makes no sense.
 * @throws LineFailure for an option that does not exist or lacks its value.
 */
export function parseCommandLine(words: readonly string[], names: Names): Request {
  const scanner = new Scanner(words);
  const first = scanner.next();
  const command = typeof first === 'object' ? COMMANDS[first.long] : undefined;
  if (typeof first !== 'object' || command === undefined) throw tryHelp();
  if (command === 'help') throw new Exit(0, VERSION + USAGE);
  if (command === 'version') throw new Exit(0, VERSION);
  const role = first.value as DaemonRole;
  const daemonError = DAEMON_ERRORS[command];
  if (daemonError !== undefined && role !== 'master' && role !== 'backup') throw usageError(daemonError);

  const draft = emptyDraft(names);
  for (;;) {
    const found = scanner.next();
    if (found === undefined) break;
    if (typeof found === 'string') throw new LineFailure(`${scanner.word}: ${found}\n`);
    if (!applySwitch(draft, found.long, found.value)) throw usageError(`invalid option \`${scanner.word}'`);
  }
  const timeouts = command === 'set' ? takeTimeouts(scanner.rest) : {};
  if (scanner.rest.length > 0) throw usageError(`unexpected argument ${scanner.rest[0]}`);
  const schedulerFlags = parseSchedulerFlags(draft);
  checkRules(draft.given, OPTION_NAMES, COMMAND_RULES[command], { name: command, kind: 'command' });
  return finish(command, draft, schedulerFlags, timeouts, role);
}

function finish(
  command: Exclude<CommandName, 'help' | 'version'>,
  draft: Draft,
  schedulerFlags: readonly SchedulerFlag[],
  timeouts: Partial<Timeouts>,
  role: DaemonRole,
): Request {
  switch (command) {
    case 'add-service':
    case 'edit-service':
      return { command, key: serviceKey(draft), options: serviceOptions(draft, schedulerFlags) };
    case 'delete-service':
      return { command, key: serviceKey(draft) };
    case 'add-server':
    case 'edit-server':
      return { command, key: serviceKey(draft), ...serverOptions(draft) };
    case 'delete-server':
      return { command, key: serviceKey(draft), destination: draft.server };
    case 'zero':
      return { command, key: draft.given.has('service-address') ? serviceKey(draft) : undefined };
    case 'save':
      return { command, numeric: draft.given.has('numeric') };
    case 'list':
      return { command, list: listRequest(draft) };
    case 'set':
      return { command, timeouts };
    case 'start-daemon':
      return { command, options: { role, ...draft.daemon } };
    case 'stop-daemon':
      return { command, role };
    default:
      return { command };
  }
}

/** Takes the three values of `--set` off the words; 0 leaves a timeout as it is. */
function takeTimeouts(rest: string[]): Partial<Timeouts> {
  const values = rest.splice(0, 3);
  if (values.length < 3) throw usageError('--set option requires 3 timeout values');
  const [tcp, tcpfin, udp] = values.map((value) => demandTimeout(value, 0));
  return { ...(tcp && { tcp }), ...(tcpfin && { tcpfin }), ...(udp && { udp }) };
}

/** Reads `-b`: flags of `sh` and `mh` need that scheduler, the raw ones go with any. */
function parseSchedulerFlags(draft: Draft): SchedulerFlag[] {
  const flags = draft.schedulerFlags.split(',').filter((flag) => flag !== '');
  for (const flag of flags) {
    const [, scheduler] = /^(?:(sh|mh)-(?:fallback|port)|flag-[123])$/.exec(flag) ?? [undefined, null];
    if (scheduler === null) throw usageError(`invalid scheduler flag \`${flag}'`);
    if (scheduler !== undefined && scheduler !== draft.scheduler) {
      throw usageError(`incompatible scheduler flag \`${flag}'`);
    }
  }
  return flags as SchedulerFlag[];
}

function serviceKey(draft: Draft): ServiceKey {
  const { fwmark, family, protocol, address, port } = draft;
  return fwmark > 0 ? { fwmark, family } : { protocol: protocol!, address, port };
}

function serviceOptions(draft: Draft, schedulerFlags: readonly SchedulerFlag[]): ServiceOptions {
  const { fwmark, port, persistent, protocol, onePacket, scheduler, netmask, engine } = draft;
  if (fwmark === 0 && port === 0 && persistent === 0) {
    throw usageError('Zero port specified for non-persistent service');
  }
  if (onePacket && fwmark === 0 && protocol !== 'udp') {
    throw usageError('One-Packet Scheduling is only for UDP virtual services');
  }
  return {
    ...(scheduler !== '' && { scheduler }),
    ...(persistent > 0 && { persistent }),
    ...(netmask !== undefined && { netmask }),
    ...(engine !== '' && { engine }),
    ...(onePacket && { onePacket }),
    ...(schedulerFlags.length > 0 && { schedulerFlags }),
  };
}

function serverOptions(draft: Draft): { destination: Draft['server']; options: DestinationOptions } {
  const { given, fwmark, family, method, tunnel, weight, upperThreshold, lowerThreshold } = draft;
  if (draft.serverFamily !== family && method !== 'tunnel') {
    throw usageError('Different address family is allowed only for tunneling servers');
  }
  if (method !== 'tunnel' && [...TUNNEL_OPTIONS, 'tun-type' as const].some((option) => given.has(option))) {
    throw usageError('Tunnel options conflict with forward method');
  }
  if (method === 'tunnel') {
    checkRules(given, TUNNEL_OPTIONS, TUNNEL_RULES[tunnel.type], { name: tunnel.type, kind: 'tunnel type' });
  }
  // Without rewriting, packets reach the server on the port that they were sent to.
  const port = method !== 'masq' && fwmark === 0 ? draft.port : draft.server.port;
  return {
    destination: { address: draft.server.address, port },
    options: { method, weight, upperThreshold, lowerThreshold, ...(method === 'tunnel' && { tunnel }) },
  };
}

/** The views in the order in which they win over each other. */
const VIEWS: readonly Exclude<ServiceView, 'default'>[] = [
  'stats',
  'rate',
  'thresholds',
  'persistent-conn',
  'tun-info',
];

function listRequest(draft: Draft): ListRequest {
  const { given } = draft;
  const what = (['connection', 'timeout', 'daemon'] as const).find((option) => given.has(option));
  const clashing = VIEWS.slice(0, what === 'connection' ? 3 : 4);
  if (what !== undefined && clashing.some((view) => given.has(view))) {
    throw usageError('options conflicts in the list command');
  }
  const numeric = given.has('numeric');
  switch (what) {
    case 'timeout':
      return { what: 'timeouts' };
    case 'daemon':
      return { what: 'daemons' };
    case 'connection':
      return { what: 'connections', numeric, engines: given.has('persistent-conn') };
    default:
      return {
        what: 'services',
        key: given.has('service-address') ? serviceKey(draft) : undefined,
        view: VIEWS.find((view) => given.has(view)) ?? 'default',
        numeric,
        exact: given.has('exact'),
        sorted: !given.has('nosort'),
      };
  }
}
