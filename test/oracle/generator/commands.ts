/** ipvsadm command lines: services and servers that come, change and go, listings, and mistakes. */
import { GUE_PORTS } from '../kernel-choice.ts';
import { DIP, SERVER_NUMBERS, server4, server6, serverBehind, VIP6, VIPS } from '../lab-host.ts';
import type { Weighted } from '../random.ts';
import type { Family, Model, Protocol, ServerModel, ServiceModel } from './model.ts';

/** A command line, and how the model changes when it succeeds. */
export interface Command {
  readonly line: string;
  readonly succeeded: () => void;
}

const SCHEDULERS = ['rr', 'wrr', 'lc', 'wlc', 'fo', 'ovf', 'lblc', 'lblcr', 'dh', 'sh', 'mh', 'sed', 'nq'];
const FLAGS: Readonly<Record<string, readonly string[]>> = {
  sh: ['sh-fallback', 'sh-port', 'sh-fallback,sh-port'],
  mh: ['mh-fallback', 'mh-port', 'mh-fallback,mh-port'],
};
const SERVICE_FLAGS: Readonly<Record<Protocol, string>> = { tcp: '-t', udp: '-u', sctp: '--sctp-service' };
const METHOD_FLAGS: Readonly<Record<ServerModel['method'], string>> = { masq: '-m', route: '-g', tunnel: '-i' };
const PORTS: readonly number[] = [80, 443, 8080, 53];
const FTP_PORT = 21;
const SIP_PORT = 5060;
const MARKS: readonly number[] = [1, 2, 257, 77777];

const LISTS: readonly Weighted<string>[] = [
  [10, '-Ln'],
  [14, '-Lnc'],
  [2, '-Ln --thresholds'],
  [2, '-Ln --persistent-conn'],
  [1, '-Ln --tun-info'],
  [1, '-Ln --nosort'],
  [1, '-Lnc --persistent-conn'],
  [1, '-L --timeout'],
  [1, '-L --daemon'],
  [2, '-S -n'],
];

/** Listings that show counters: only after the kernel has folded them in. */
const STATISTICS: readonly string[] = ['-Ln --stats', '-Ln --stats --exact', '-Ln --rate'];

/** A new service, and what it is in the model. */
export function addService(model: Model): Command {
  const { random, features } = model;
  const family: Family = features.has('ipv6') && random.chance(0.25) ? 6 : 4;
  const byMark = features.has('marks') && random.chance(0.15);
  const protocol = byMark ? null : serviceProtocol(model);
  const pe = features.has('sip') && protocol === 'udp' && random.chance(0.3);
  const persistent = pe || (features.has('persistence') && random.chance(0.25));
  const address = family === 6 ? VIP6 : random.pick(VIPS);
  const port = byMark ? 0 : pe ? SIP_PORT : persistent && random.chance(0.25) ? 0 : servicePort(model, protocol);
  const mark = byMark ? random.pick(MARKS) : 0;
  const ops = features.has('one-packet') && (byMark || protocol === 'udp') && random.chance(0.15);
  const name =
    protocol === null
      ? `-f ${mark}${family === 6 ? ' -6' : ''}`
      : `${SERVICE_FLAGS[protocol]} ${endpoint(family, address, port)}`;
  const service: ServiceModel = { name, family, protocol, address, port, mark, ops, pe, servers: [] };
  const words = ['-A', name, ...serviceOptions(model, service, persistent)];
  return {
    line: `ipvsadm ${words.join(' ')}`,
    succeeded: () => {
      model.services.push(service);
    },
  };
}

function serviceProtocol({ random, features }: Model): Protocol {
  return random.weighted<Protocol>([
    [6, 'tcp'],
    [features.has('udp') ? 3 : 0, 'udp'],
    [features.has('sctp') ? 2 : 0, 'sctp'],
  ]);
}

function servicePort({ random, features }: Model, protocol: Protocol | null): number {
  if (features.has('ftp') && protocol === 'tcp' && random.chance(0.15)) return FTP_PORT;
  return random.pick(PORTS);
}

function endpoint(family: Family, address: string, port: number): string {
  return family === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}

function serviceOptions({ random, isTimed }: Model, service: ServiceModel, persistent: boolean): string[] {
  const words: string[] = [];
  if (random.chance(0.9)) {
    const scheduler = random.pick(SCHEDULERS);
    words.push('-s', scheduler);
    const flags = FLAGS[scheduler];
    if (flags !== undefined && random.chance(0.5)) words.push('-b', random.pick(flags));
  }
  if (persistent) words.push('-p', String(random.pick([isTimed ? 3 : 30, 60, 300, 360, 1000])));
  if (persistent && random.chance(0.4)) {
    words.push(
      '-M',
      service.family === 6
        ? random.pick(['64', '120', '128'])
        : random.pick(['255.255.255.0', '255.255.255.252', '255.255.0.0']),
    );
  }
  if (service.pe) words.push('--pe', 'sip');
  if (service.ops) words.push('-o');
  return words;
}

/** A new server for a service. */
export function addServer(model: Model, service: ServiceModel): Command {
  const server = newServer(model, service);
  return {
    line: `ipvsadm -a ${service.name} -r ${server.name} ${serverOptions(model, server)}`,
    succeeded: () => {
      // Restoring goes on after a line that fails, such as a second server at the same address.
      if (!service.servers.some(({ name }) => name === server.name)) service.servers.push(server);
    },
  };
}

function newServer({ random, features }: Model, service: ServiceModel): ServerModel {
  const method = random.weighted<ServerModel['method']>([
    [5, 'masq'],
    [4, 'route'],
    [features.has('tunnels') ? 3 : 0, 'tunnel'],
  ]);
  const isMixed = method === 'tunnel' && features.has('mixed-families') && features.has('ipv6') && random.chance(0.2);
  const family = isMixed ? (service.family === 6 ? 4 : 6) : service.family;
  const number = random.pick(SERVER_NUMBERS);
  const isLocal = features.has('local-node') && !isMixed && random.chance(0.04);
  const address =
    family === 6
      ? isLocal
        ? VIP6
        : server6(number)
      : isLocal
        ? random.pick([DIP, VIPS[1]])
        : random.chance(0.2)
          ? serverBehind(number)
          : server4(number);
  const port = method === 'masq' && random.chance(0.5) ? random.pick([80, 8080, 9000]) : service.port;
  const hasPort = port !== service.port || service.port !== 0 || random.chance(0.5);
  const name = hasPort ? endpoint(family, address, port) : family === 6 ? `[${address}]` : address;
  return { name, method };
}

function serverOptions({ random, features }: Model, { method }: ServerModel): string {
  const words = [METHOD_FLAGS[method]];
  if (method === 'tunnel' && features.has('gue-gre') && random.chance(0.5)) {
    const checksum = random.pick([[], ['--tun-nocsum'], ['--tun-csum']]);
    if (random.chance(0.5)) words.push('--tun-type', 'gre', ...checksum);
    else
      words.push(
        '--tun-type',
        'gue',
        '--tun-port',
        String(random.pick(GUE_PORTS)),
        ...(random.chance(0.3) ? ['--tun-remcsum'] : checksum),
      );
  }
  if (random.chance(0.6)) words.push('-w', String(weight(random.next(), random.int(1, 9))));
  if (features.has('thresholds') && random.chance(0.15)) {
    const upper = random.int(1, 5);
    words.push('-x', String(upper));
    if (random.chance(0.5)) words.push('-y', String(random.int(0, upper)));
  }
  return words.join(' ');
}

/** None much larger: Linux's wrr counts down from the largest weight, one by one, and stands still meanwhile. */
function weight(share: number, usual: number): number {
  if (share < 0.1) return 0;
  if (share < 0.13) return 65535;
  if (share < 0.15) return 1_000_000;
  if (share < 0.17) return 100;
  return usual;
}

/** A change of services and servers. */
export function change(model: Model): Command {
  const { random, services } = model;
  if (services.length === 0) return addService(model);
  const service = random.pick(services);
  const server = service.servers.length > 0 ? random.pick(service.servers) : null;
  const kind = random.weighted<string>([
    [services.length < 5 ? 2 : 0, 'add service'],
    [service.servers.length < 6 ? 5 : 1, 'add server'],
    [server === null ? 0 : 6, 'edit server'],
    [server === null ? 0 : 5, 'delete server'],
    [3, 'edit service'],
    [1, 'delete service'],
    [0.3, 'clear'],
    [1, 'timeouts'],
  ]);
  switch (kind) {
    case 'add service':
      return addService(model);
    case 'add server':
      return addServer(model, service);
    case 'edit server':
      return editServer(model, service, server!);
    case 'delete server':
      return {
        line: `ipvsadm -d ${service.name} -r ${server!.name}`,
        succeeded: () => {
          service.servers = service.servers.filter((other) => other !== server);
        },
      };
    case 'edit service': {
      const persistent = service.pe || (service.protocol !== null && service.port === 0) || random.chance(0.2);
      return command(`ipvsadm -E ${service.name} ${serviceOptions(model, service, persistent).join(' ')}`);
    }
    case 'delete service':
      return {
        line: `ipvsadm -D ${service.name}`,
        succeeded: () => {
          services.splice(services.indexOf(service), 1);
        },
      };
    case 'clear':
      return {
        line: 'ipvsadm -C',
        succeeded: () => {
          services.length = 0;
        },
      };
    default:
      return command(timeouts(model));
  }
}

/** Short timeouts only where time is meant to pass: elsewhere they would end in the middle of nowhere. */
function timeouts({ random, isTimed }: Model): string {
  const short = isTimed ? 3 : 60;
  const [tcp, fin, udp] = [900, 120, 300].map((usual) => random.pick([0, usual, 40, short]));
  return `ipvsadm --set ${tcp} ${fin} ${udp}`;
}

function editServer(model: Model, service: ServiceModel, server: ServerModel): Command {
  const { random } = model;
  // Most edits only change the weight.
  if (random.chance(0.6)) {
    return command(
      `ipvsadm -e ${service.name} -r ${server.name} ${METHOD_FLAGS[server.method]} -w ${random.pick([0, 0, 1, 2, 5])}`,
    );
  }
  // Never another method: Linux then sends the old connections' packets by the route of the new ones, to nowhere.
  return command(`ipvsadm -e ${service.name} -r ${server.name} ${serverOptions(model, server)}`);
}

function command(line: string): Command {
  return { line: line.trimEnd(), succeeded: () => {} };
}

/** A listing that shows the state at once. */
export function list({ random, services }: Model): string {
  if (services.length > 0 && random.chance(0.1)) return `ipvsadm -Ln ${random.pick(services).name}`;
  return `ipvsadm ${random.weighted(LISTS)}`;
}

/** A listing of counters, or a command that zeroes them. */
export function statistics({ random, services }: Model): string {
  if (random.chance(0.3)) {
    return services.length > 0 && random.chance(0.5) ? `ipvsadm -Z ${random.pick(services).name}` : 'ipvsadm -Z';
  }
  return `ipvsadm ${random.pick(STATISTICS)}`;
}

/** A command that ipvsadm or the kernel refuses, or that is at least unusual. */
export function mistake(model: Model): string {
  const { random, services } = model;
  const service = services.length > 0 ? random.pick(services) : null;
  const name = service?.name ?? '-t 10.0.0.100:80';
  const server = service !== null && service.servers.length > 0 ? random.pick(service.servers).name : '10.0.0.11:80';
  return `ipvsadm ${random.pick([
    `-A ${name} -s rr`,
    `-a ${name} -r ${server} -m`,
    `-d ${name} -r 10.0.0.99:80`,
    `-e ${name} -r 10.0.0.99:80 -w 2`,
    '-D -t 10.0.0.101:9999',
    '-E -t 10.0.0.101:9999 -s rr',
    '-a -t 10.0.0.101:9999 -r 10.0.0.11',
    '-A -t 10.0.0.101:7777 -s nosuch',
    '-A -t 10.0.0.101:0 -s rr',
    '-A -t 10.0.0.101:7777 -o',
    '-A -t 10.0.0.101:7777 -p 3000000',
    '-A -t 10.0.0.101:7777 --pe nosuch -p 10',
    '-A -t 10.0.0.101:99999 -s rr',
    '-A -t 10.0.0.300:80 -s rr',
    '-A -f 0 -s rr',
    '-A -f abc -s rr',
    `-a ${name} -r 10.0.0.18 -w -1`,
    `-a ${name} -r 10.0.0.18 -w 2147483648`,
    `-a ${name} -r 10.0.0.18 -x 2 -y 3`,
    `-a ${name} -r 10.0.0.18 -x 70000`,
    `-a ${name} -r 224.0.0.5 -g`,
    `-a ${name} -r 10.0.0.255 -m`,
    `-a ${name} -r 10.0.0.18 -i --tun-type gue`,
    `-a ${name} -r 10.0.0.18 -i --tun-type nosuch`,
    `-a ${name} -r 10.0.0.18 -g -m`,
    `-a ${name} -r 10.0.0.18 -s rr`,
    `-a ${name}`,
    `-A ${name} -r 10.0.0.18`,
    `-E ${name} -s nosuch`,
    `-E ${name} -s rr -b sh-port`,
    `-D ${name} -s rr`,
    '-Ln --stats --timeout',
    '-Lnc --rate',
    '-Z -t 10.0.0.101:9999',
    '-Ln -t 10.0.0.101:9999',
    '--set 1 2',
    '--set -1 2 3',
    '--stop-daemon master',
    '-X',
    '-A',
  ])}`.trimEnd();
}

/** All commands of a set-up as one, which is what restoring does. */
export function restore(commands: readonly Command[]): Command {
  const lines = commands.map(({ line }) => line.replace(/^ipvsadm /, ''));
  return {
    line: `printf '%s\\n' ${lines.map((line) => `'${line}'`).join(' ')} | ipvsadm -R`,
    succeeded: () => {
      for (const { succeeded } of commands) succeeded();
    },
  };
}
