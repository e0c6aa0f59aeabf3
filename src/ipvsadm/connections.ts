/** The listing of connections, byte for byte as `ipvsadm -Lc` prints it. */
import type { ConnectionEntry, ServiceProtocol } from '../services/config.ts';
import { formatEndpoint } from './endpoints.ts';
import type { Names } from './names.ts';

/** How to list connections. */
export interface ConnectionsFormat {
  /** Show persistence engines and their data (`--persistent-conn`). Default false. */
  readonly engines?: boolean;
  /** Print addresses and ports by these names. Default: numbers (`-n`). */
  readonly names?: Names;
}

/** IP protocol numbers as connection entries name them. */
const PROTOCOLS: ReadonlyMap<number, string> = new Map([
  [0, 'IP'],
  [6, 'TCP'],
  [17, 'UDP'],
  [50, 'ESP'],
  [51, 'AH'],
  [132, 'SCTP'],
]);

/** The protocols whose ports have names. */
const SERVICE_PROTOCOLS: ReadonlyMap<number, ServiceProtocol> = new Map([
  [6, 'tcp'],
  [17, 'udp'],
  [132, 'sctp'],
]);

const HEADING = 'IPVS connection entries';

/** The last column is not padded, so that rows without more to say end with it. */
function columns(protocol: string, expire: string, state: string, source: string, virtual: string): string {
  return `${protocol.padEnd(3)} ${expire.padEnd(6)} ${state.padEnd(11)} ${source.padEnd(18)} ${virtual.padEnd(18)} `;
}

function twoDigits(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}

/** The listing of connections and templates in the given order, as `ipvsadm -Lc` prints it. Takes any number of them. */
export function formatConnections(connections: Iterable<ConnectionEntry>, format: ConnectionsFormat = {}): string {
  const { engines = false, names } = format;
  const header = columns('pro', 'expire', 'state', 'source', 'virtual');
  const lines = [
    HEADING,
    engines ? `${header}${'destination'.padEnd(18)} ${'pe name'.padEnd(16)} pe_data` : `${header}destination`,
  ];
  for (const entry of connections) {
    const named = SERVICE_PROTOCOLS.get(entry.protocol);
    const row = columns(
      PROTOCOLS.get(entry.protocol) ?? `IP_${entry.protocol}`,
      `${twoDigits(Math.floor(entry.expiresInSeconds / 60))}:${twoDigits(entry.expiresInSeconds % 60)}`,
      entry.state,
      formatEndpoint(entry.family, entry.clientAddress, entry.clientPort, named, names),
      formatEndpoint(entry.family, entry.virtualAddress, entry.virtualPort, named, names),
    );
    const { destinationFamily, destinationAddress, destinationPort } = entry;
    const destination = formatEndpoint(destinationFamily, destinationAddress, destinationPort, named, names);
    lines.push(
      engines && entry.engine !== ''
        ? `${row}${destination.padEnd(16)} ${entry.engine.padEnd(18)} ${entry.engineData}`
        : row + destination,
    );
  }
  lines.push('');
  return lines.join('\n');
}
