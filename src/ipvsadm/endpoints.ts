/** Addresses and ports as ipvsadm reads and prints them. */
import { type Family, formatAddress, tryParseAddress } from '../address.ts';
import type { ServiceProtocol } from '../services/config.ts';
import type { Names } from './names.ts';
import { parseNumber } from './numbers.ts';

/** What `host[:port]` means. The address is in its canonical form. */
export interface Endpoint {
  readonly family: Family;
  readonly address: string;
  /** Absent where none was given. */
  readonly port: number | undefined;
}

/**
 * Reads an IPv4 address in any form that C's `inet_aton` takes (`10.0.0.1`, `10.1`, `0x0a000001`, octal parts; anything
 * may follow a blank) and returns it dotted; undefined where it is none.
 */
export function parseIpv4(text: string): string | undefined {
  const match = /^(?:[0-9a-fx]+\.){0,3}[0-9a-fx]+(?=\s|$)/i.exec(text);
  if (match === null) return undefined;
  const parts = match[0].split('.').map((part) => {
    if (/^0x[0-9a-f]+$/i.test(part)) return Number(part);
    if (/^0[0-7]*$/.test(part)) return Number.parseInt(part, 8);
    return /^[1-9]\d*$/.test(part) ? Number(part) : Number.NaN;
  });
  const last = parts.pop()!;
  if (!(last < 256 ** (4 - parts.length)) || !parts.every((part) => part < 256)) return undefined;
  const value = parts.reduce((sum, part, i) => sum + part * 256 ** (3 - i), last);
  return formatAddress(4, Int32Array.of(value | 0));
}

/** Reads an IPv6 address (no zone) and returns its canonical form; undefined where it is none. */
export function parseIpv6(text: string): string | undefined {
  if (!/^[0-9a-f:.]*$/i.test(text) || !text.includes(':')) return undefined;
  const parsed = tryParseAddress(text);
  return parsed?.family === 6 ? formatAddress(6, parsed.words) : undefined;
}

/**
 * Reads `address`, `address:port`, `[IPv6 address]:port` or a bare IPv6 address; hosts and ports may be names. A text
 * of digits alone is not an address here, and an IPv4 address in brackets loses its port, as with the real program.
 * @param protocol of the service, for port names; undefined while it is not known: then names mean nothing.
 */
export function parseEndpoint(text: string, protocol: ServiceProtocol | undefined, names: Names): Endpoint | undefined {
  if (/^\d*$/.test(text)) return undefined;
  let host = text;
  let portText: string | undefined;
  if (text.startsWith('[')) {
    const end = text.indexOf(']');
    if (end < 0 || text[end + 1] !== ':') return undefined;
    host = text.slice(1, end);
    portText = text.slice(end + 2);
  }
  let family: Family = 6;
  let address = parseIpv6(host);
  if (address === undefined) {
    const colon = host.lastIndexOf(':');
    portText = colon < 0 ? undefined : host.slice(colon + 1);
    if (colon >= 0) host = host.slice(0, colon);
    family = 4;
    address = parseIpv4(host) ?? names.address(host);
  }
  if (address === undefined) return undefined;
  if (portText === undefined) return { family, address, port: undefined };
  const port = parseNumber(portText, 0, 0xffff) ?? (protocol && names.port(protocol, portText));
  return port === undefined ? undefined : { family, address, port };
}

/** Prints `address:port` or `[address]:port`. With `names` addresses and, if the protocol is known, ports go by name. */
export function formatEndpoint(
  family: Family,
  address: string,
  port: number,
  protocol?: ServiceProtocol,
  names?: Names,
): string {
  const host = names?.host(address) ?? address;
  const service = (protocol && names?.service(protocol, port)) ?? port;
  return family === 4 ? `${host}:${service}` : `[${host}]:${service}`;
}
