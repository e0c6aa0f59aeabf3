/**
 * A packet written in one line, as people write it at a prompt:
 *
 *     tcp 192.0.2.1:40000 > 10.0.0.100:80 S
 *     tcp [2001:db8::1]:40000 > [2001:db8::64]:80 PA len 1000 ttl 63
 *     udp 192.0.2.1:5353 > 10.0.0.100:53 df len 512
 *     sctp 192.0.2.1:5000 > 10.0.0.100:5000
 *     icmp 192.0.2.1 > 10.0.0.100
 */
import { tryParseAddress } from '../address.ts';
import { DirectorError, invalidOption } from '../errors.ts';
import type { IpFields, PacketFields } from './build-fields.ts';
import { ICMP_ECHO } from './icmp.ts';
import { ICMPV6_ECHO } from './icmpv6.ts';
import { CHUNK_INIT } from './sctp.ts';
import { parseFlags } from './tcp-flags.ts';

const FORM =
  "PROTOCOL SOURCE > DESTINATION [FLAGS] [len BYTES] [ttl HOPS] [df], as in 'tcp 192.0.2.1:40000 > 10.0.0.100:80 S'";
const LINE = /^\s*(\w+)\s+(\S+)\s*>\s*(\S+)((?:\s+\S+)*)\s*$/;
const BRACKETED = /^\[([^\]]+)\](?::(\d+))?$/;
/** What an IPv4 packet can hold beside the largest header that is built here. */
const MOST_DATA = 65535 - 60;

interface End {
  readonly address: string;
  readonly port: number | undefined;
}

/** What may follow the two ends. */
interface Words {
  flags: string | undefined;
  length: number | undefined;
  ttl: number | undefined;
  df: boolean;
}

/**
 * Reads a packet written in one line: `tcp`, `udp` or `sctp` between two ends with ports, or `icmp` (an echo request, of
 * either family) between two addresses. Behind them: TCP's flags as letters of `FSRPAUEC` (default `S`), `len` and the
 * bytes of payload, `ttl` (IPv6: the hop limit; default 64), `df`.
 * @param option what errors call it.
 * @returns what `buildPacket` takes.
 * @throws DirectorError ERR_INVALID_OPTION naming `option` and the part that cannot be read.
 */
export function parsePacket(text: string, option = 'packet'): PacketFields {
  const match = typeof text === 'string' ? LINE.exec(text) : null;
  if (match === null) throw invalidOption(option, text, FORM);
  const [, name, from, to, rest] = match;
  const protocol = name!.toLowerCase();
  const hasPorts = protocol !== 'icmp';
  const source = parseEnd(from!, hasPorts, option);
  const destination = parseEnd(to!, hasPorts, option);
  const words = parseWords(rest!.trim(), protocol, option);
  const ip: IpFields = {
    source: source.address,
    destination: destination.address,
    ...(words.ttl === undefined ? {} : { ttl: words.ttl }),
    ...(words.df ? { df: true } : {}),
  };
  const ports = { sourcePort: source.port ?? 0, destinationPort: destination.port ?? 0 };
  const data = words.length === undefined ? undefined : new Uint8Array(words.length);
  const payload = data === undefined ? {} : { data };
  switch (protocol) {
    case 'tcp':
      return { ip, tcp: { ...ports, ...payload, flags: words.flags ?? 'S' } };
    case 'udp':
      return { ip, udp: { ...ports, ...payload } };
    case 'sctp':
      return { ip, sctp: { ...ports, chunks: [{ type: CHUNK_INIT, ...payload }] } };
    case 'icmp':
      return tryParseAddress(source.address)?.family === 6
        ? { ip, icmpv6: { type: ICMPV6_ECHO, ...payload } }
        : { ip, icmp: { type: ICMP_ECHO, ...payload } };
    default:
      throw invalidOption(option, name, 'tcp, udp, sctp or icmp');
  }
}

function parseEnd(text: string, hasPort: boolean, option: string): End {
  const expected = hasPort ? 'ADDRESS:PORT, an IPv6 address in brackets' : 'an address';
  const [, bracketed, itsPort] = BRACKETED.exec(text) ?? [];
  const colon = bracketed === undefined && hasPort ? text.lastIndexOf(':') : -1;
  const address = bracketed ?? (colon < 0 ? text : text.slice(0, colon));
  const portText = bracketed === undefined ? (colon < 0 ? undefined : text.slice(colon + 1)) : itsPort;
  // Without brackets nobody can tell where an IPv6 address ends and its port begins.
  const isAmbiguous = hasPort && bracketed === undefined && address.includes(':');
  if (isAmbiguous || tryParseAddress(address) === undefined) throw invalidOption(option, text, expected);
  if (!hasPort && portText === undefined) return { address, port: undefined };
  if (!hasPort || portText === undefined || !/^\d+$/.test(portText)) throw invalidOption(option, text, expected);
  const port = Number(portText);
  if (port > 65535) throw invalidOption(option, text, 'ADDRESS:PORT with a port from 0 to 65535');
  return { address, port };
}

function parseWords(text: string, protocol: string, option: string): Words {
  const result: Words = { flags: undefined, length: undefined, ttl: undefined, df: false };
  const given = text === '' ? [] : text.split(/\s+/);
  for (let i = 0; i < given.length; i++) {
    const word = given[i]!;
    if (word === 'df') result.df = true;
    else if (word === 'len') result.length = number(given[++i], word, MOST_DATA, option);
    else if (word === 'ttl') result.ttl = number(given[++i], word, 255, option);
    else if (protocol === 'tcp' && result.flags === undefined) result.flags = flagLetters(word, option);
    else throw invalidOption(option, word, FORM);
  }
  return result;
}

function number(text: string | undefined, word: string, most: number, option: string): number {
  if (text === undefined || !/^\d+$/.test(text) || Number(text) > most) {
    throw invalidOption(option, text, `a number from 0 to ${most}, as it must be after '${word}'`);
  }
  return Number(text);
}

/** Flags as `printFrame` writes them: letters, with or without brackets. */
function flagLetters(word: string, option: string): string {
  const letters = /^\[(\w*)\]$/.exec(word)?.[1] ?? word;
  try {
    parseFlags(letters, option);
  } catch (error) {
    if (error instanceof DirectorError) throw invalidOption(option, word, FORM);
    throw error;
  }
  return letters;
}
