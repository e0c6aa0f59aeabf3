/** Sync messages as tests look at them: every connection as a plain object. */
import { formatAddress } from '../../src/address.ts';
import { CLIENT, SERVER, SyncConnection, VIRTUAL } from '../../src/sync/connection.ts';
import { readMessage, SYNC_REFUSALS } from '../../src/sync/message.ts';

export interface PlainConnection {
  readonly protocol: number;
  readonly flags: number;
  readonly state: number;
  /** `client virtual server`, each as address and port. */
  readonly ends: string;
  readonly mark: number;
  readonly timeout: number;
  readonly sequences: readonly number[] | null;
  readonly engine: string;
  readonly engineData: string;
}

export function plain(connection: SyncConnection): PlainConnection {
  const { family, address, clientPort, virtualPort, serverPort, hasSequences, sequences } = connection;
  const end = (at: number, port: number) => `${formatAddress(family, address, at)}/${port}`;
  return {
    protocol: connection.protocol,
    flags: connection.flags,
    state: connection.state,
    ends: `${end(CLIENT, clientPort)} ${end(VIRTUAL, virtualPort)} ${end(SERVER, serverPort)}`,
    mark: connection.mark,
    timeout: connection.timeout,
    sequences: hasSequences ? [...sequences] : null,
    engine: connection.engine,
    engineData: connection.engineData,
  };
}

/** What a datagram says: its connections, and the names of the reasons why others were refused. */
export function read(datagram: Uint8Array, syncId = 0): { connections: PlainConnection[]; refused: string[] } {
  const connections: PlainConnection[] = [];
  const refused: string[] = [];
  const connection = new SyncConnection();
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  readMessage(view, 0, datagram.length, syncId, {
    connection,
    take: () => connections.push(plain(connection)),
    refuse: (reason) => refused.push(SYNC_REFUSALS[reason]),
  });
  return { connections, refused };
}
