/** `tapvs drain`: takes a real server out of service without breaking a connection. */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { DrainProgress } from '../../engine/drains.ts';
import type { DestinationKey, ServiceKey, ServiceProtocol } from '../../services/config.ts';
import { askDirector } from '../ask-director.ts';
import { socketOption } from './options.ts';

interface Options {
  readonly tcpService?: string;
  readonly udpService?: string;
  readonly sctpService?: string;
  readonly fwmarkService?: number;
  readonly ipv6: boolean;
  readonly realServer?: string;
  readonly deadline?: number;
  readonly expire: boolean;
  readonly remove: boolean;
  readonly wait: boolean;
  readonly cancel: boolean;
  readonly list: boolean;
  readonly socket: string;
}

const HELP = `
Its weight becomes 0; connections and persistence templates go on until they end, or until the deadline.
  tapvs drain -t 192.0.2.100:80 -r 192.0.2.11 --deadline 300 --expire --remove
  tapvs drain -t 192.0.2.100:80 -r 192.0.2.11 --cancel
Exit status: 0 drained (or cancelled, as asked), 3 the deadline came first, 4 it was cancelled or overruled, 1 refused.`;

const STATUS: Readonly<Record<DrainProgress['state'], number>> = {
  draining: 0,
  drained: 0,
  deadline: 3,
  cancelled: 4,
  overruled: 4,
  stopped: 4,
};

function whole(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError('Not a whole number.');
  return Number(text);
}

export const drain: Command = new Command('drain')
  .description('take a real server out of service without breaking a connection')
  .option('-t, --tcp-service <address:port>', 'the service')
  .option('-u, --udp-service <address:port>', 'the service')
  .option('--sctp-service <address:port>', 'the service')
  .addOption(new Option('-f, --fwmark-service <mark>', 'the service').argParser(whole))
  .option('-6, --ipv6', 'the service by firewall mark is of IPv6', false)
  .option('-r, --real-server <address[:port]>', "the server; default port: the service's")
  .addOption(new Option('-d, --deadline <seconds>', 'how long it may take; default: however long').argParser(whole))
  .option('--expire', 'end what is left at the deadline', false)
  .option('--remove', 'remove the server in the end', false)
  .option('--no-wait', 'do not wait until it is over')
  .option('--cancel', 'give a server that is being drained its weight back', false)
  .option('-l, --list', 'list the servers that are being drained', false)
  .addOption(socketOption())
  .addHelpText('after', HELP)
  .action(async (options: Options, command: Command) => {
    if (options.list) return list(options.socket);
    const names = await keysOf(options);
    if (typeof names === 'string') command.error(`error: ${names}`);
    const { deadline, expire, remove, wait, cancel } = options;
    const parameters = cancel
      ? { action: 'cancel', ...names }
      : { ...names, wait, options: { expire, remove, ...(deadline === undefined ? {} : { deadline }) } };
    const told = (data: unknown) => void process.stdout.write(line(data as DrainProgress));
    const ended = (await askDirector(options.socket, { verb: 'drain', parameters }, told)) as DrainProgress | undefined;
    if (ended === undefined) return;
    process.stdout.write(line(ended));
    process.exitCode = cancel && ended.state === 'cancelled' ? 0 : STATUS[ended.state];
  });

async function list(socket: string): Promise<void> {
  const drains = (await askDirector(socket, { verb: 'drain', parameters: { action: 'list' } })) as
    | readonly DrainProgress[]
    | undefined;
  for (const progress of drains ?? []) process.stdout.write(line(progress));
}

/** @returns the keys, or what is wrong. */
async function keysOf(options: Options): Promise<string | { service: ServiceKey; server: DestinationKey }> {
  const [{ parseEndpoint }, { systemNames }] = await Promise.all([
    import('../../ipvsadm/endpoints.ts'),
    import('../../ipvsadm/names.ts'),
  ]);
  const { tcpService: tcp, udpService: udp, sctpService: sctp, fwmarkService: fwmark, ipv6, realServer } = options;
  const given = Object.entries({ tcp, udp, sctp }).filter(([, text]) => text !== undefined);
  if (given.length + (fwmark === undefined ? 0 : 1) !== 1) return 'one service is needed: -t, -u, --sctp-service or -f';
  if (realServer === undefined) return 'a server is needed: -r';
  const [protocol, text] = (given[0] ?? []) as [ServiceProtocol?, string?];
  const names = systemNames();
  const server = parseEndpoint(realServer, protocol, names);
  if (server === undefined) return `'${realServer}' is no server`;
  const { address, port } = server;
  const key = { address, ...(port === undefined ? {} : { port }) };
  if (protocol === undefined) return { service: { fwmark: fwmark!, family: ipv6 ? 6 : 4 }, server: key };
  const service = parseEndpoint(text!, protocol, names);
  if (service?.port === undefined) return `'${text}' is no service`;
  return { service: { protocol, address: service.address, port: service.port }, server: key };
}

function line({ service, destination, state, ...numbers }: DrainProgress): string {
  const { activeConns, inactConns, persistConns, secondsLeft } = numbers;
  const place = (address: string, port: number) => `${address.includes(':') ? `[${address}]` : address}:${port}`;
  const name =
    'address' in service ? `${service.protocol} ${place(service.address, service.port)}` : `fwmark ${service.fwmark}`;
  const left = secondsLeft === null || state !== 'draining' ? '' : `, ${secondsLeft} s left`;
  const counts = `${activeConns} active, ${inactConns} inactive, ${persistConns} templates`;
  return `${name} -> ${place(destination.address, destination.port)}: ${state}, ${counts}${left}\n`;
}
