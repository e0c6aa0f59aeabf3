/** The connection table against a model that is too simple to be wrong: a list of what is in it, searched from the end. */
import test from 'ava';
import fc from 'fast-check';
import { MASQ, ROUTE, TUNNEL } from '../../src/conntrack/forward-method.ts';
import { CADDR, FLAGS, META, NO_CPORT, PORTS, TEMPLATE } from '../../src/conntrack/layout.ts';
import { ConnectionTable } from '../../src/conntrack/table.ts';
import './lab.ts';

const CAPACITY = 12;

interface Entry {
  readonly row: number;
  readonly protocol: number;
  readonly client: number;
  clientPort: number;
  readonly virtual: number;
  virtualPort: number;
  readonly server: number;
  serverPort: number;
  flags: number;
  /** Whether look-ups find it. */
  hashed: boolean;
}

interface Model {
  /** In use, in the order in which they were last hashed. */
  entries: Entry[];
}

interface Real {
  readonly table: ConnectionTable;
  /** Two addresses to look up by. */
  readonly key: Int32Array;
}

type Command = fc.Command<Model, Real>;

/** An address of the table's width that differs from another of the same kind in one word only, and not always the first. */
function write(words: Int32Array, at: number, width: number, address: number): void {
  for (let i = 0; i < width; i++) words[at + i] = 0x20010db8;
  words[at + (address % width)]! ^= address;
}

function newest(model: Model, fits: (entry: Entry) => boolean): number {
  return model.entries.findLast((entry) => entry.hashed && fits(entry))?.row ?? 0;
}

/** Few values, so that everything collides with everything. */
const protocol = fc.constantFrom(0, 6, 17);
const address = fc.integer({ min: 1, max: 3 });
const port = fc.constantFrom(0, 1, 80, 32768, 65535);
const index = fc.nat(CAPACITY);
const flags = fc.constantFrom(MASQ, ROUTE, TUNNEL, MASQ | NO_CPORT, ROUTE | TEMPLATE, MASQ | TEMPLATE);

class Create implements Command {
  readonly entry: Omit<Entry, 'row' | 'hashed'>;
  constructor(entry: Omit<Entry, 'row' | 'hashed'>) {
    // A template, like a connection whose client's port is not known, has client port 0.
    this.entry = (entry.flags & (NO_CPORT | TEMPLATE)) === 0 ? entry : { ...entry, clientPort: 0 };
  }
  check(): boolean {
    return true;
  }
  run(model: Model, { table }: Real): void {
    const row = table.allocate();
    if (model.entries.length === CAPACITY) {
      if (row !== 0) throw new Error('a row from a full table');
      return;
    }
    if (row === 0 || row % table.stride !== 0) throw new Error(`row ${row}`);
    if (model.entries.some((other) => other.row === row)) throw new Error(`row ${row} given twice`);
    if (table.rows.subarray(row, row + table.stride).some((word) => word !== 0)) throw new Error('a dirty row');
    const { entry } = this;
    table.rows[row + PORTS] = (entry.clientPort << 16) | entry.virtualPort;
    table.rows[row + META] = (0xab << 24) | (entry.protocol << 16) | entry.serverPort;
    table.rows[row + FLAGS] = entry.flags;
    write(table.rows, row + CADDR, table.width, entry.client);
    write(table.rows, row + table.vaddr, table.width, entry.virtual);
    write(table.rows, row + table.daddr, table.width, entry.server);
    const { changes } = table;
    table.hash(row);
    if (table.changes === changes) throw new Error('a change unnoticed');
    model.entries.push({ ...entry, row, hashed: true });
  }
  toString(): string {
    return `create ${JSON.stringify(this.entry)}`;
  }
}

/** Something that happens to a connection that is there. */
class Change implements Command {
  readonly what: 'expire' | 'unhash' | 'rehash' | 'fill client port' | 'invalidate';
  readonly index: number;
  readonly port: number;
  constructor(what: Change['what'], at: number, value: number) {
    this.what = what;
    this.index = at;
    this.port = value;
  }
  check(model: Readonly<Model>): boolean {
    return model.entries.length > 0;
  }
  run(model: Model, { table }: Real): void {
    const at = this.index % model.entries.length;
    const entry = model.entries[at]!;
    const { row } = entry;
    const { changes } = table;
    table.unhash(row);
    if (table.changes === changes && entry.hashed) throw new Error('a change unnoticed');
    entry.hashed = false;
    model.entries.splice(at, 1);
    switch (this.what) {
      case 'expire':
        table.release(row);
        return;
      case 'unhash':
        table.unhash(row); // once more changes nothing
        model.entries.push(entry);
        return;
      case 'fill client port':
        table.rows[row + FLAGS]! &= ~NO_CPORT;
        entry.flags &= ~NO_CPORT;
        entry.clientPort = this.port;
        break;
      case 'invalidate':
        entry.clientPort = 0;
        entry.virtualPort = 0xffff;
        break;
    }
    table.rows[row + PORTS] = (entry.clientPort << 16) | entry.virtualPort;
    table.hash(row);
    entry.hashed = true;
    model.entries.push(entry);
  }
  toString(): string {
    return `${this.what} ${this.index} ${this.port}`;
  }
}

class LookUp implements Command {
  readonly protocol: number;
  readonly from: number;
  readonly fromPort: number;
  readonly to: number;
  readonly toPort: number;
  constructor(protocol: number, from: number, fromPort: number, to: number, toPort: number) {
    this.protocol = protocol;
    this.from = from;
    this.fromPort = fromPort;
    this.to = to;
    this.toPort = toPort;
  }
  check(): boolean {
    return true;
  }
  run(model: Model, { table, key }: Real): void {
    const { protocol, from, fromPort, to, toPort } = this;
    write(key, 0, table.width, from);
    write(key, 4, table.width, to);
    const same = (entry: Entry) => entry.protocol === protocol && entry.client === from;

    const exact = newest(
      model,
      (entry) =>
        same(entry) &&
        entry.clientPort === fromPort &&
        entry.virtual === to &&
        entry.virtualPort === toPort &&
        (fromPort === 0) === ((entry.flags & NO_CPORT) !== 0),
    );
    const open = newest(
      model,
      (entry) => same(entry) && (entry.flags & NO_CPORT) !== 0 && entry.virtual === to && entry.virtualPort === toPort,
    );
    expect('lookupIn', table.lookupIn(protocol, key, 0, fromPort, 4, toPort), exact || open);

    const reply = newest(
      model,
      (entry) =>
        same(entry) &&
        (entry.flags & TEMPLATE) === 0 &&
        entry.clientPort === fromPort &&
        ((entry.flags & 7) === MASQ
          ? entry.server === to && entry.serverPort === toPort
          : entry.virtual === to && entry.virtualPort === toPort),
    );
    expect('lookupOut', table.lookupOut(protocol, key, 0, fromPort, 4, toPort), reply);

    if (table.width === 1) {
      const [client, other] = [key[0]!, key[4]!];
      const first = table.first4(protocol, client, fromPort);
      const buckets = Int32Array.of(table.bucket4(protocol, client, fromPort));
      table.firstRows(buckets, 1);
      expect('firstRows', buckets[0], first);
      expect('findRequest4', table.findRequest4(first, protocol, client, other, (fromPort << 16) | toPort), exact);
      expect('findReply4', table.findReply4(first, protocol, client, other, (toPort << 16) | fromPort), reply);
      const any = newest(model, (entry) => same(entry) && entry.clientPort === fromPort);
      expect('hasClient4', table.hasClient4(protocol, client, fromPort), any !== 0);
    }

    const template = newest(
      model,
      (entry) =>
        same(entry) &&
        (entry.flags & TEMPLATE) !== 0 &&
        entry.clientPort === 0 &&
        entry.virtual === to &&
        entry.virtualPort === toPort,
    );
    expect('lookupTemplate', table.lookupTemplate(protocol, key, 0, 4, toPort), template);
  }
  toString(): string {
    return `look up ${this.protocol} ${this.from}:${this.fromPort} ${this.to}:${this.toPort}`;
  }
}

class List implements Command {
  check(): boolean {
    return true;
  }
  run(model: Model, { table }: Real): void {
    const rows: number[] = [];
    table.forEach((row) => {
      rows.push(row);
    });
    const wanted = model.entries.filter(({ hashed }) => hashed).map(({ row }) => row);
    expect('rows', rows.sort(byNumber).join(), wanted.sort(byNumber).join());
    expect('size', table.size, model.entries.length);
    const open = model.entries.filter((entry) => entry.hashed && (entry.flags & NO_CPORT) !== 0).length;
    expect('withoutClientPort', table.withoutClientPort, open);
  }
  toString(): string {
    return 'list';
  }
}

function byNumber(a: number, b: number): number {
  return a - b;
}

function expect<T>(what: string, got: T, wanted: T): void {
  if (got !== wanted) throw new Error(`${what}: ${got}, not ${wanted}`);
}

const commands = fc.commands(
  [
    fc
      .record({
        protocol,
        client: address,
        clientPort: port,
        virtual: address,
        virtualPort: port,
        server: address,
        serverPort: port,
        flags,
      })
      .map((entry) => new Create(entry)),
    fc
      .tuple(
        fc.constantFrom<Change['what'][]>('expire', 'expire', 'unhash', 'rehash', 'fill client port', 'invalidate'),
        index,
        port,
      )
      .map(([what, at, value]) => new Change(what, at, value)),
    fc.tuple(protocol, address, port, address, port).map((key) => new LookUp(...key)),
    fc.constant(new List()),
  ],
  { maxCommands: 200, size: 'max' },
);

for (const [family, width] of [
  ['IPv4', 1],
  ['IPv6', 4],
] as const) {
  test(`${family}: does what the model does`, (t) => {
    fc.assert(
      fc.property(commands, fc.integer(), (run, seed) => {
        fc.modelRun(
          () => ({
            model: { entries: [] },
            real: { table: new ConnectionTable(width, CAPACITY, seed), key: new Int32Array(8) },
          }),
          run,
        );
      }),
      { numRuns: 400 },
    );
    t.pass();
  });

  test(`${family}: as many connections as fit, in and out again, are all found`, (t) => {
    const table = new ConnectionTable(width, 50_000, 42);
    const key = new Int32Array(8);
    const rows: number[] = [];
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < table.capacity; i++) {
        const row = table.allocate();
        table.rows[row + PORTS] = ((i & 0xffff) << 16) | 80;
        table.rows[row + META] = 6 << 16;
        table.rows[row + CADDR + width - 1] = i >>> 16;
        table.hash(row);
        rows[i] = row;
      }
      t.is(table.allocate(), 0);
      for (let i = 0; i < table.capacity; i++) {
        key[width - 1] = i >>> 16;
        if ((i & 0xffff) === 0) continue; // port 0 is a port not known yet
        if (table.lookupIn(6, key, 0, i & 0xffff, 4, 80) !== rows[i]) t.fail(`connection ${i}`);
      }
      for (const row of rows) {
        table.unhash(row);
        table.release(row);
      }
      t.is(table.size, 0);
    }
  });
}
