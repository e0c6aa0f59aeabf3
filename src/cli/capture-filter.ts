/** The words of `tapvs capture` that say which connections: `service tcp 192.0.2.100:80 client 198.51.100.0/24`. */
import type { CaptureFilter } from '../engine/capture/options.ts';
import type { ServiceKey } from '../services/config.ts';

/** A filter that cannot be read. */
export class FilterError extends Error {}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function portOf(text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw new FilterError(`${text} is no port`);
  return Number(text);
}

/** `192.0.2.11`, `192.0.2.11:80`, `2001:db8::11`, `[2001:db8::11]:80`. */
function endpointOf(text: string): { address: string; port?: number } {
  // What does not look so is an IPv6 address without a port, or wrong, which the director says.
  const [, bracketed, plain, port] = /^(?:\[(.*)\]|([^:]*))(?::(\d+))?$/.exec(text) ?? [];
  return { address: bracketed ?? plain ?? text, ...(port !== undefined && { port: portOf(port) }) };
}

function serviceOf(kind: string, next: () => string): ServiceKey {
  if (kind === 'fwmark') {
    const mark = next();
    if (!/^\d+$/.test(mark)) throw new FilterError(`${mark} is no firewall mark`);
    return { fwmark: Number(mark) };
  }
  if (kind !== 'tcp' && kind !== 'udp' && kind !== 'sctp') {
    throw new FilterError(`a service is tcp, udp, sctp or fwmark, not ${kind}`);
  }
  const { address, port } = endpointOf(next());
  if (port === undefined) throw new FilterError(`service ${kind} ${address} needs a port`);
  return { protocol: kind, address, port };
}

/** Reads a filter. @throws FilterError */
export function parseCaptureFilter(words: readonly string[]): CaptureFilter {
  const tokens = words.flatMap((word) => word.split(/\s+/)).filter((word) => word !== '');
  const filter: Mutable<CaptureFilter> = {};
  const next = (after: string) => {
    const token = tokens.shift();
    if (token === undefined) throw new FilterError(`something must follow ${after}`);
    return token;
  };
  while (tokens.length > 0) {
    const key = tokens.shift()!;
    if (Object.hasOwn(filter, key)) throw new FilterError(`${key} is there twice`);
    if (key === 'service') filter.service = serviceOf(next(key), () => next(key));
    else if (key === 'client') filter.client = next(key);
    else if (key === 'server') filter.server = endpointOf(next(key));
    else if (key === 'port') filter.port = portOf(next(key));
    else throw new FilterError(`a filter has service, client, server and port, not ${key}`);
  }
  return filter;
}
