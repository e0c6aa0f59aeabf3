/** The datagrams of the sync daemons: as Linux sends them, there and back, and whatever else may arrive. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import type { SyncConnection } from '../../src/sync/connection.ts';
import { SyncMessage, type SyncVersion } from '../../src/sync/message.ts';
import '../core/lab.ts';
import { type PlainConnection, plain, read } from './recorded.ts';
import { type ConnectionFields, connectionOf, message } from './steps.ts';

interface Recording {
  readonly name: string;
  readonly datagrams: readonly string[];
}

const RECORDINGS: readonly Recording[] = JSON.parse(
  readFileSync(new URL('../../../test/sync/linux-master.json', import.meta.url), 'utf8'),
).recordings;

/** The connections of a datagram, whole, to be sent again. */
function parts(datagram: Uint8Array): SyncConnection[] {
  return read(datagram).connections.map((connection) => connectionOf(fieldsOf(connection)));
}

function fieldsOf(connection: PlainConnection): ConnectionFields {
  const [client, virtual, server] = connection.ends.split(' ').map((end) => {
    const [address, port] = end.split('/');
    return { address: address!, port: Number(port) };
  });
  return {
    protocol: connection.protocol,
    flags: connection.flags,
    state: connection.state,
    client: client!.address,
    clientPort: client!.port,
    virtual: virtual!.address,
    virtualPort: virtual!.port,
    server: server!.address,
    serverPort: server!.port,
    mark: connection.mark,
    timeout: connection.timeout,
    ...(connection.sequences === null ? {} : { sequences: connection.sequences }),
    engine: connection.engine,
    engineData: connection.engineData,
  };
}

for (const { name, datagrams } of RECORDINGS) {
  test(`What Linux sent is read, and written again byte for byte: ${name}`, (t) => {
    for (const hex of datagrams) {
      const bytes = Buffer.from(hex, 'hex');
      t.deepEqual(read(bytes).refused, []);
      const connections = parts(bytes);
      const version: SyncVersion = bytes[0] === 0 ? 1 : 0;
      const written = new SyncMessage(1472);
      written.begin(version, bytes[1]!, 1472, 0);
      for (const connection of connections) t.true(written.add(connection));
      t.is(Buffer.from(written.bytes.subarray(0, written.length)).toString('hex'), hex);
    }
  });
}

test('A recorded message says what Linux knew', (t) => {
  const hex = RECORDINGS.find(({ name }) => name === 'SIP')!.datagrams[0]!;
  t.deepEqual(read(Buffer.from(hex, 'hex')).connections[0], {
    protocol: 17,
    flags: 0x1100,
    state: 0,
    ends: '192.0.2.1/0 10.0.0.100/5060 10.0.0.11/5060',
    mark: 0,
    timeout: 60,
    sequences: null,
    engine: 'sip',
    engineData: 'abc@def',
  });
});

const port = fc.nat(0xffff);
const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const text = (max: number) =>
  fc.array(fc.nat(255), { minLength: 1, maxLength: max }).map((c) => String.fromCharCode(...c));

/** Any connection that the version can carry whole. */
function anyConnection(version: SyncVersion): fc.Arbitrary<SyncConnection> {
  return fc
    .record({
      six: version === 0 ? fc.constant(false) : fc.boolean(),
      words: fc.array(word, { minLength: 12, maxLength: 12 }),
      ports: fc.tuple(port, port, port),
      flags: version === 0 ? fc.nat(0xffff) : word,
      protocol: fc.nat(255),
      state: fc.nat(0xffff),
      mark: word,
      timeout: fc.nat(0xffffffff),
      sequences: fc.option(fc.array(word, { minLength: 6, maxLength: 6 })),
      engine: fc.option(fc.tuple(text(16), text(255))),
    })
    .map(({ six, words, ports, flags, sequences, engine, ...rest }) => {
      const connection = connectionOf({ client: '::', virtual: '::', server: '::', clientPort: 0, serverPort: 0 });
      connection.family = six ? 6 : 4;
      connection.address.set(six ? words : words.map((value, i) => (i % 4 === 0 ? value : 0)));
      [connection.clientPort, connection.virtualPort, connection.serverPort] = ports;
      Object.assign(connection, rest);
      connection.hasSequences = sequences !== null;
      connection.sequences.set(sequences ?? []);
      // Version 0 tells by the flags whether sequence numbers follow.
      connection.flags = (flags & ~0x600) | (sequences === null ? 0 : 0x200);
      if (version === 1 && engine !== null) [connection.engine, connection.engineData] = engine;
      if (version === 0) {
        connection.mark = 0;
        connection.timeout = 0;
      }
      return connection;
    });
}

for (const version of [0, 1] as const) {
  test(`Everything that version ${version} can say comes back`, (t) => {
    fc.assert(
      fc.property(fc.array(anyConnection(version), { maxLength: 40 }), fc.nat(255), (connections, syncId) => {
        const sent: PlainConnection[] = [];
        const built = new SyncMessage(100);
        built.begin(version, syncId, 16_384, 0);
        for (const connection of connections) if (built.add(connection)) sent.push(plain(connection));
        const bytes = built.bytes.slice(0, built.length);
        // A message of version 0 without connections looks like no version at all, and says nothing either way.
        t.deepEqual(read(bytes, syncId), { connections: sent, refused: [] });
        t.true(built.length <= 16_384);
      }),
      { numRuns: 200 },
    );
  });

  test(`A message of version ${version} takes no more than it has room for, but always one connection`, (t) => {
    const connection = connectionOf({ client: '192.0.2.1', clientPort: 1, server: '10.0.0.11', serverPort: 80 });
    const built = new SyncMessage(1);
    built.begin(version, 0, 1, 0);
    t.true(built.add(connection));
    t.false(built.add(connection));
    t.is(built.count, 1);
    t.is(built.length, version === 0 ? 28 : 44);
    built.begin(version, 0, 65_507, 0);
    for (let i = 0; i < 255; i++) t.true(built.add(connection));
    t.false(built.add(connection), 'the number of connections has 8 bits');
  });
}

test('Every connection begins at a multiple of four bytes, with zeros in front', (t) => {
  const odd = { client: '192.0.2.1', clientPort: 0, server: '10.0.0.11', serverPort: 0, engine: 'x', engineData: 'y' };
  const built = new SyncMessage(200);
  built.bytes.fill(0xa5);
  built.begin(1, 0, 200, 0);
  built.add(connectionOf(odd));
  built.add(connectionOf(odd));
  t.is(built.length, 8 + 44 + 42);
  t.deepEqual([...built.bytes.subarray(8 + 42, 8 + 44)], [0, 0]);
});

const ONE: ConnectionFields = { client: '192.0.2.1', clientPort: 1, server: '10.0.0.11', serverPort: 80 };

/** A message of one connection with options appended by hand; `data` is their bytes. */
function withOptions(...data: number[]): Uint8Array {
  const bytes = Uint8Array.of(...message([ONE, ONE]), ...Array.from({ length: (data.length + 3) & ~3 }, () => 0));
  // The options go behind the second connection.
  bytes.set(data, 80);
  const view = new DataView(bytes.buffer);
  view.setUint16(2, bytes.length);
  view.setUint16(44 + 2, 36 + data.length);
  return bytes;
}

function changed(change: (view: DataView) => void, length?: number): Uint8Array {
  const bytes = message([ONE, ONE]).slice(0, length);
  change(new DataView(bytes.buffer));
  return bytes;
}

const seq = [1, 24, ...Array.from({ length: 24 }, (_, i) => i)];
const FAULTS: readonly (readonly [what: string, bytes: Uint8Array, taken: number, refused: readonly string[]])[] = [
  ['nothing', new Uint8Array(0), 0, ['SHORT']],
  ['three bytes', new Uint8Array(3), 0, ['SHORT']],
  ['a longer datagram than it says', changed((view) => view.setUint16(2, 79)), 0, ['LENGTH']],
  ['a shorter datagram than it says', changed(() => {}, 79), 0, ['LENGTH']],
  ['more connections than there are', changed((view) => view.setUint8(4, 3)), 2, ['TRUNCATED']],
  ['fewer connections than there are', changed((view) => view.setUint8(4, 1)), 1, []],
  ['a connection longer than the datagram', changed((view) => view.setUint16(46, 37)), 1, ['TRUNCATED']],
  ['a connection shorter than one', changed((view) => view.setUint16(46, 35)), 1, ['TRUNCATED']],
  ['a connection of length 0', changed((view) => view.setUint16(10, 0)), 0, ['TRUNCATED']],
  ['IPv6 that does not fit', changed((view) => view.setUint8(44, 1)), 1, ['TRUNCATED']],
  ['an unknown type', changed((view) => view.setUint8(44, 2)), 1, ['TYPE']],
  ['an unknown version of a connection', changed((view) => view.setUint16(46, 0x1024)), 1, ['VERSION']],
  ['an option without its length', withOptions(1), 1, ['OPTION']],
  ['an empty option', withOptions(2, 0), 1, ['OPTION']],
  ['an option longer than its connection', withOptions(2, 3, 1, 2), 1, ['OPTION']],
  ['sequence numbers that are too short', withOptions(1, 2, 0, 0), 1, ['OPTION']],
  ['sequence numbers twice', withOptions(...seq, ...seq), 1, ['OPTION']],
  ['a name twice', withOptions(3, 1, 65, 3, 1, 65), 1, ['OPTION']],
  ['a name that is too long', withOptions(3, 17, ...Array.from({ length: 17 }, () => 65)), 1, ['OPTION']],
  ['an unknown option that must be understood', withOptions(9, 1, 0), 1, ['UNKNOWN_OPTION']],
  ['an unknown option that need not be', withOptions(0x49, 1, 0), 2, []],
  ['known options, said to be optional', withOptions(0x42, 1, 65, 0x43, 1, 66), 2, []],
  ['a byte that makes it version 0', changed((view) => view.setUint8(5, 2)), 0, []],
];

for (const [what, bytes, taken, refused] of FAULTS) {
  test(`Refused by name: ${what}`, (t) => {
    const result = read(bytes);
    t.is(result.connections.length, taken);
    t.deepEqual(result.refused, refused);
  });
}

test('Version 0 is refused where it does not fit', (t) => {
  const whole = message([ONE, ONE], 0);
  for (let length = 4; length < whole.length; length++) {
    const cut = whole.slice(0, length);
    new DataView(cut.buffer).setUint16(2, length);
    const { connections, refused } = read(cut);
    t.is(connections.length, Math.floor((length - 4) / 24));
    t.deepEqual(refused, ['TRUNCATED']);
  }
  const sequences = message([{ ...ONE, flags: 0x400, sequences: [1, 2, 3, 4, 5, 6] }], 0);
  t.deepEqual(read(sequences).connections[0]!.sequences, [1, 2, 3, 4, 5, 6]);
  const cut = sequences.slice(0, -1);
  new DataView(cut.buffer).setUint16(2, cut.length);
  t.deepEqual(read(cut), { connections: [], refused: ['TRUNCATED'] });
});

test('Only the own sync id is listened to, unless it is 0', (t) => {
  for (const version of [0, 1] as const) {
    const bytes = message([ONE], version, 7);
    t.is(read(bytes, 7).connections.length, 1);
    t.is(read(bytes, 0).connections.length, 1);
    t.deepEqual(read(bytes, 8), { connections: [], refused: ['SYNC_ID'] });
  }
});

test('No bytes whatever throw, are read beyond their end, or say more than they can', (t) => {
  const valid = RECORDINGS.flatMap(({ datagrams }) => datagrams.map((hex) => Buffer.from(hex, 'hex')));
  const mutated = fc
    .tuple(fc.constantFrom(...valid), fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { maxLength: 6 }), fc.nat(1472))
    .map(([bytes, changes, cut]) => {
      const copy = Uint8Array.from(bytes).slice(0, Math.max(4, cut));
      for (const [at, value] of changes) copy[at % copy.length] = value;
      // Mostly the length is right: otherwise nothing else would be looked at.
      if (cut % 4 !== 0) new DataView(copy.buffer).setUint16(2, copy.length);
      return copy;
    });
  const random = fc.uint8Array({ maxLength: 300 }).map((bytes) => {
    if (bytes.length >= 8) new DataView(bytes.buffer, bytes.byteOffset).setUint16(2, bytes.length);
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(mutated, random), (bytes) => {
      // Exactly as long as the datagram, so that reading beyond it would throw.
      const { connections, refused } = read(Uint8Array.from(bytes));
      t.true(connections.length + refused.length <= 256);
      t.true(connections.length <= bytes.length / 24);
    }),
    { numRuns: 3000 },
  );
});
