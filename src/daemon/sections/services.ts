/** `services`: virtual services with their servers. */
import { isDeepStrictEqual } from 'node:util';
import { formatAddress, parseAddress } from '../../address.ts';
import { DirectorError, type DirectorErrorCode } from '../../errors.ts';
import type { HealthOptions } from '../../health/config.ts';
import type { Control } from '../../ipvsadm/control.ts';
import { SCHEDULERS } from '../../schedulers/index.ts';
import type { DestinationKey, DestinationOptions, ServiceKey, ServiceOptions } from '../../services/config.ts';
import { serviceName } from '../../services/settings.ts';
import type { ServerConfiguration, ServiceConfiguration } from '../configuration.ts';
import { flag, integer, list, MAX_INT, object, oneOf, text } from '../schema-parts.ts';
import type { Change, Path, Problem, Schema, Section } from '../section.ts';
import { healthSchema, SERVER_CHECK, watch } from './health.ts';

const SCHEDULER_FLAGS = ['sh-fallback', 'sh-port', 'mh-fallback', 'mh-port', 'flag-1', 'flag-2', 'flag-3'];

const serverProperties = {
  address: text('Its address.'),
  port: integer("Its port, for NAT. Default: the service's.", 0, 65535),
  method: oneOf('How packets reach it: DR, NAT, or a tunnel.', ['route', 'masq', 'tunnel'], { default: 'route' }),
  weight: integer('0 takes no new connections.', 0, MAX_INT, { default: 1 }),
  upperThreshold: integer('No new connections from this many on; 0 is no limit.', 0, MAX_INT, { default: 0 }),
  lowerThreshold: integer('New connections again below this many.', 0, MAX_INT, { default: 0 }),
  tunnel: object(
    'How packets are wrapped when the method is `tunnel`.',
    {
      type: oneOf('The kind of tunnel.', ['ipip', 'gue', 'gre'], { default: 'ipip' }),
      port: integer('UDP port of GUE.', 0, 65535),
      checksum: oneOf('Checksums in the tunnel header.', ['none', 'csum', 'remcsum'], { default: 'none' }),
    },
    [],
    { default: {} },
  ),
};

const server = object('A real server.', { ...serverProperties, check: SERVER_CHECK }, ['address']);

const service = object(
  'A service: by `protocol`, `address` and `port`, or by `fwmark`.',
  {
    protocol: oneOf('Its protocol.', ['tcp', 'udp', 'sctp']),
    address: text('Its address, the VIP.'),
    port: integer('Its port; 0 is all ports, with `persistent`.', 0, 65535),
    fwmark: integer('The firewall mark by which it is known.', 1, 2 ** 32 - 1),
    family: { type: 'integer', description: 'The family of a service by firewall mark. Default: 4.', enum: [4, 6] },
    scheduler: oneOf('Who chooses the server of a new connection.', [...SCHEDULERS.keys(), 'none'], {
      default: 'wlc',
    }),
    persistent: integer('Seconds for which a client stays with its server; 0: not.', 0, 31 * 86_400, { default: 0 }),
    netmask: {
      description: 'Which clients count as one: a dotted mask (IPv4) or a prefix length. Default: each on its own.',
      type: ['string', 'integer'],
    },
    engine: text('Persistence engine.', { enum: ['', 'sip'], default: '' }),
    onePacket: flag('Schedule every datagram on its own; UDP and firewall marks only.', { default: false }),
    schedulerFlags: list('Scheduler flags.', { type: 'string', enum: SCHEDULER_FLAGS }, { uniqueItems: true }),
    servers: list('Its real servers.', server),
    health: healthSchema(serverProperties),
  },
  [],
  {
    if: { required: ['fwmark'] },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: { properties: { protocol: false, address: false, port: false } },
    else: { required: ['protocol', 'address', 'port'], properties: { family: false } },
  } satisfies Schema,
);

export const services: Section<'services'> = {
  name: 'services',
  schema: list('Virtual services.', service),
  triable: true,
  check: (value) => [
    ...repeated(value.map(serviceId), ['services']),
    ...value.flatMap((one, i) =>
      repeated(
        one.servers.map((each) => serverId(one, each)),
        ['services', i, 'servers'],
      ),
    ),
  ],
  plan: planServices,
};

/** Entries with the same id as an earlier one; those whose id cannot be told are no repetition. */
function repeated(ids: readonly string[], path: Path): Problem[] {
  return ids.flatMap((id, i) =>
    id !== '' && ids.indexOf(id) !== i ? [{ path: [...path, i], message: 'is there already' }] : [],
  );
}

/** A service's key. */
function keyOf({ fwmark, family = 4, protocol, address, port }: ServiceConfiguration): ServiceKey {
  return fwmark === undefined ? { protocol: protocol!, address: address!, port: port! } : { fwmark, family };
}

/** What two entries for one service have in common, however they are written; empty when it is none. */
function serviceId(one: ServiceConfiguration): string {
  try {
    const { family, text: id } = serviceName(keyOf(one));
    return `${family} ${id}`;
  } catch {
    return '';
  }
}

/** The port that a server is known by: unless packets are rewritten, that of an address service. */
function portOf(one: ServiceConfiguration, { method, port }: ServerConfiguration): number {
  const own = method === 'masq' || one.fwmark !== undefined ? port : undefined;
  return own ?? one.port ?? 0;
}

/** The same for a server within its service. */
function serverId(one: ServiceConfiguration, server: ServerConfiguration): string {
  try {
    const { family, words } = parseAddress(server.address, 'address');
    return `${formatAddress(family, words)} ${portOf(one, server)}`;
  } catch {
    return '';
  }
}

function serviceOptions(one: ServiceConfiguration): ServiceOptions {
  const { scheduler, persistent, netmask, engine, onePacket, schedulerFlags } = one;
  return {
    scheduler,
    ...(persistent !== undefined && { persistent }),
    ...(netmask !== undefined && { netmask }),
    ...(engine !== undefined && { engine }),
    ...(onePacket !== undefined && { onePacket }),
    ...(schedulerFlags !== undefined && { schedulerFlags }),
  };
}

function serverKey(one: ServiceConfiguration, server: ServerConfiguration): DestinationKey {
  return { address: server.address, port: portOf(one, server) };
}

function serverOptions(server: ServerConfiguration): DestinationOptions {
  const { address: _, port: __, check: ___, tunnel, ...options } = server;
  return { ...options, ...(options.method === 'tunnel' && tunnel !== undefined && { tunnel }) };
}

/** What a service is to be watched with; undefined when it is not. */
function healthOf(one: ServiceConfiguration): HealthOptions | undefined {
  const { health, servers } = one;
  if (health === undefined) return undefined;
  const { sorryServer, ...others } = health;
  const { address, port } = sorryServer ?? {};
  const sorry = sorryServer && {
    address: address!,
    ...(port !== undefined && { port }),
    ...serverOptions(sorryServer),
  };
  const checks = servers.map((each) => ({
    ...serverKey(one, each),
    ...(each.check !== undefined && { check: each.check }),
  }));
  const hasOwn = checks.some(({ check }) => check !== undefined);
  return { ...others, ...(sorry !== undefined && { sorryServer: sorry }), ...(hasOwn && { servers: checks }) };
}

/** What is added or changed comes first, what goes last: a service is not without servers in between. */
function planServices(before: readonly ServiceConfiguration[], after: readonly ServiceConfiguration[]): Change[] {
  const old = new Map(before.map((one) => [serviceId(one), one]));
  const now = new Set(after.map(serviceId));
  const changes = after.flatMap((one, i) => planService(old.get(serviceId(one)), one, ['services', i]));
  before.forEach((one, i) => {
    if (now.has(serviceId(one))) return;
    changes.push({ path: ['services', i], apply: ({ control }) => remove(() => control.deleteService(keyOf(one))) });
  });
  return changes;
}

function planService(before: ServiceConfiguration | undefined, after: ServiceConfiguration, path: Path): Change[] {
  const key = keyOf(after);
  const changes: Change[] = [];
  const options = serviceOptions(after);
  const isEnsured = before === undefined || !isDeepStrictEqual(serviceOptions(before), options);
  if (isEnsured) changes.push({ path, apply: ({ control }) => ensureService(control, key, options) });
  const health = healthOf(after);
  const wasHealth = before && healthOf(before);
  const watchBy = (how: HealthOptions): Change => ({
    path,
    apply: ({ director }) => remove(() => watch(director, key, how)),
  });
  if (health === undefined && wasHealth !== undefined) {
    changes.push({ path, apply: ({ director }) => remove(() => director.unwatch(key)) });
  }
  // Who was the sorry server may be one of the others now.
  const { sorryServer, ...withoutSorry } = health ?? {};
  const freesSorry = wasHealth?.sorryServer !== undefined && !isDeepStrictEqual(wasHealth.sorryServer, sorryServer);
  if (health !== undefined && freesSorry) changes.push(watchBy(withoutSorry));
  const old = new Map(before?.servers.map((each) => [serverId(after, each), each]));
  const now = new Set(after.servers.map((each) => serverId(after, each)));
  after.servers.forEach((each, i) => {
    const was = old.get(serverId(after, each));
    if (was !== undefined && isDeepStrictEqual(serverOptions(was), serverOptions(each))) return;
    changes.push({
      path: [...path, 'servers', i],
      apply: ({ control }) => ensureServer(control, key, serverKey(after, each), serverOptions(each)),
    });
  });
  for (const [id, each] of old) {
    if (now.has(id)) continue;
    const apply: Change['apply'] = ({ control }) =>
      remove(() => control.deleteDestination(key, serverKey(after, each)));
    changes.push({ path, apply });
  }
  // A service that was deleted by hand, and is made again, is watched again.
  if (health !== undefined && (isEnsured || !isDeepStrictEqual(health, wasHealth))) changes.push(watchBy(health));
  return changes;
}

/** Does something; whether it failed for one of these reasons, which means that it is so already. */
function failedFor(codes: readonly DirectorErrorCode[], action: () => void): boolean {
  try {
    action();
    return false;
  } catch (error) {
    if (error instanceof DirectorError && codes.includes(error.code)) return true;
    throw error;
  }
}

function ensureService(control: Control, key: ServiceKey, options: ServiceOptions): void {
  if (failedFor(['ERR_SERVICE_EXISTS'], () => control.addService(key, options))) control.editService(key, options);
}

/** The server of a service that was deleted by hand stays deleted with it. */
function ensureServer(control: Control, key: ServiceKey, server: DestinationKey, options: DestinationOptions): void {
  const add = () => control.addDestination(key, server, options);
  const edit = () => control.editDestination(key, server, options);
  if (failedFor(['ERR_DESTINATION_EXISTS'], () => remove(add))) edit();
}

/** Does something to what may be gone. */
function remove(action: () => void): void {
  failedFor(['ERR_NO_SUCH_SERVICE', 'ERR_NO_SUCH_DESTINATION'], action);
}
