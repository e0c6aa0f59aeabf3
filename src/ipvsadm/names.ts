import { readFileSync } from 'node:fs';
import { formatAddress, tryParseAddress } from '../address.ts';
import type { ServiceProtocol } from '../services/config.ts';

/** Translates between addresses or ports and their names. Undefined: no such name, print or demand the number. */
export interface Names {
  /** The name of an address, written as {@link formatAddress} writes it. */
  host(address: string): string | undefined;
  /** The IPv4 address of a host name. */
  address(host: string): string | undefined;
  /** The service name of a port. */
  service(protocol: ServiceProtocol, port: number): string | undefined;
  /** The port of a service name. */
  port(protocol: ServiceProtocol, service: string): number | undefined;
}

/** Services that everybody knows, in the form of /etc/services: for systems that have no such file. */
const WELL_KNOWN_SERVICES = `
ftp-data 20/tcp
ftp 21/tcp
ssh 22/tcp
telnet 23/tcp
smtp 25/tcp mail
domain 53/tcp
domain 53/udp
tftp 69/udp
http 80/tcp www
pop3 110/tcp
ntp 123/udp
imap2 143/tcp imap
snmp 161/tcp
snmp 161/udp
bgp 179/tcp
ldap 389/tcp
ldap 389/udp
https 443/tcp
https 443/udp
syslog 514/udp
ldaps 636/tcp
imaps 993/tcp
pop3s 995/tcp
ms-sql-s 1433/tcp
radius 1812/udp
radius-acct 1813/udp
mysql 3306/tcp
ms-wbt-server 3389/tcp
sip 5060/tcp
sip 5060/udp
sip-tls 5061/tcp
sip-tls 5061/udp
postgresql 5432/tcp
amqp 5672/tcp
redis 6379/tcp
http-alt 8080/tcp webcache
`;

/** The words of each line of a configuration file, without comments. */
function* entries(text: string): Generator<string[]> {
  for (const line of text.split('\n')) {
    const words = line.replace(/#.*/, '').split(/\s+/).filter(Boolean);
    if (words.length > 1) yield words;
  }
}

/**
 * Names out of two texts in the form of hosts(5) and services(5). The first entry for a name, address or port wins, and
 * nothing else is asked: no DNS, as that cannot be done synchronously.
 */
export class FileNames implements Names {
  readonly #hostsText: () => string;
  readonly #servicesText: () => string;
  #hosts: { byAddress: Map<string, string>; byName: Map<string, string> } | undefined;
  #services: { byPort: Map<string, string>; byName: Map<string, number> } | undefined;

  /** The texts are asked for when the first name is, so that numeric use reads no file. */
  constructor(hostsText: () => string, servicesText: () => string) {
    this.#hostsText = hostsText;
    this.#servicesText = servicesText;
  }

  host(address: string): string | undefined {
    return this.#readHosts().byAddress.get(address);
  }

  address(host: string): string | undefined {
    return this.#readHosts().byName.get(host.toLowerCase());
  }

  service(protocol: ServiceProtocol, port: number): string | undefined {
    return this.#readServices().byPort.get(`${port}/${protocol}`);
  }

  port(protocol: ServiceProtocol, service: string): number | undefined {
    return this.#readServices().byName.get(`${service}/${protocol}`);
  }

  #readHosts(): { byAddress: Map<string, string>; byName: Map<string, string> } {
    if (this.#hosts !== undefined) return this.#hosts;
    const byAddress = new Map<string, string>();
    const byName = new Map<string, string>();
    for (const [text, ...names] of entries(this.#hostsText())) {
      const parsed = tryParseAddress(text);
      if (parsed === undefined) continue;
      const address = formatAddress(parsed.family, parsed.words);
      if (!byAddress.has(address)) byAddress.set(address, names[0]);
      if (parsed.family !== 4) continue;
      for (const name of names) if (!byName.has(name.toLowerCase())) byName.set(name.toLowerCase(), address);
    }
    return (this.#hosts = { byAddress, byName });
  }

  #readServices(): { byPort: Map<string, string>; byName: Map<string, number> } {
    if (this.#services !== undefined) return this.#services;
    const byPort = new Map<string, string>();
    const byName = new Map<string, number>();
    for (const [name, key, ...aliases] of entries(this.#servicesText())) {
      const [port, protocol] = key.split('/');
      if (!byPort.has(key)) byPort.set(key, name);
      for (const known of [name, ...aliases]) {
        const nameKey = `${known}/${protocol}`;
        if (!byName.has(nameKey)) byName.set(nameKey, Number(port));
      }
    }
    return (this.#services = { byPort, byName });
  }
}

function readOr(path: string, fallback: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return fallback;
  }
}

/** The names that this machine knows: /etc/hosts, and /etc/services or, where that is missing, a short list. */
export function systemNames(): Names {
  return new FileNames(
    () => readOr('/etc/hosts', ''),
    () => readOr('/etc/services', WELL_KNOWN_SERVICES),
  );
}
