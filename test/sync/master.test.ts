/** When a master tells of a connection, step by step, and what becomes of the messages until they are sent. */
import test from 'ava';
import { Connections } from '../../src/conntrack/connections.ts';
import { CONTROL, FLAGS, INACTIVE, META, ONE_PACKET, TEMPLATE, TIMEOUT } from '../../src/conntrack/layout.ts';
import { ProtocolTimeouts } from '../../src/conntrack/protocols.ts';
import { SCTP_STATE_NAMES } from '../../src/conntrack/sctp-state.ts';
import { TCP_STATE_NAMES } from '../../src/conntrack/tcp-state.ts';
import { PROTO_SCTP, PROTO_TCP, PROTO_UDP } from '../../src/packet/ipv4.ts';
import { SyncMaster } from '../../src/sync/master.ts';
import { SyncNotes } from '../../src/sync/notes.ts';
import { SysctlValues } from '../../src/sysctl.ts';
import { seconds } from '../../src/ticks.ts';
import { type PlainConnection, read } from './recorded.ts';

interface Sent {
  readonly channel: number;
  readonly bytes: Uint8Array;
  readonly tick: number;
}

/** A master alone, with tables to tell of and a list of what it sends. */
class Bench {
  readonly connections4: Connections;
  readonly connections6: Connections;
  readonly sysctl: SysctlValues;
  readonly sent: Sent[] = [];
  readonly master: SyncMaster;
  tick = 0;

  constructor(sysctl: Partial<SysctlValues> = {}, maxLength = 1472, channels = 1) {
    const observer = { created() {}, expired() {}, held() {}, overloadChanged() {} };
    const table = (family: 4 | 6) => new Connections(family, 2000, 1, 0, [], new ProtocolTimeouts(), observer);
    this.connections4 = table(4);
    this.connections6 = table(6);
    this.sysctl = Object.assign(new SysctlValues(), sysctl);
    const sender = {
      send: (message: Uint8Array, length: number, channel: number) => {
        this.sent.push({ channel, bytes: message.slice(0, length), tick: this.tick });
      },
      close() {},
    };
    const [notes4, notes6] = [new SyncNotes(this.connections4), new SyncNotes(this.connections6)];
    this.master = new SyncMaster(notes4, notes6, this.sysctl, sender, 9, maxLength, channels, 0);
  }

  create(fields: { protocol?: number; flags?: number; port?: number; family?: 4 | 6 } = {}): number {
    const { protocol = PROTO_TCP, flags = 0, port = 1000, family = 4 } = fields;
    const connections = family === 4 ? this.connections4 : this.connections6;
    const words = Int32Array.from({ length: 8 }, (_, i) => i + 1);
    return connections.create(protocol, words, 0, port, words, 4, 80, null, 8080, flags, 0, this.tick);
  }

  state(row: number, state: number, timeoutS = 900): void {
    const { rows } = this.connections4.table;
    rows[row + META] = (state << 24) | (rows[row + META]! & 0xffffff);
    rows[row + TIMEOUT] = seconds(timeoutS);
  }

  /** Whether the packet with this number makes the master tell of the connection, or of its template. */
  packet(row: number, packets: number): boolean {
    const before = this.told;
    this.master.packet(this.connections4, row, packets, this.tick);
    return this.told > before;
  }

  get told(): number {
    return this.master.counters.connections;
  }

  /** Lets time pass, looked at as often as a director does. */
  wait(s: number): void {
    for (const end = this.tick + seconds(s); this.tick < end; ) {
      this.tick += 5;
      this.master.advance(this.tick);
    }
  }

  /** Everything told so far. */
  all(): PlainConnection[] {
    this.wait(4);
    return this.sent.flatMap(({ bytes }) => read(bytes, 9).connections);
  }
}

const TCP = (name: string) => TCP_STATE_NAMES.indexOf(name);

for (const [name, protocol, told] of [
  ...TCP_STATE_NAMES.map((name) => [name, PROTO_TCP, ['FIN_WAIT', 'CLOSE', 'CLOSE_WAIT', 'TIME_WAIT'].includes(name)]),
  ...SCTP_STATE_NAMES.map((name) => [
    name,
    PROTO_SCTP,
    ['S-SENT', 'S-RECEIVED', 'S-ACK-SENT', 'CLOSED'].includes(name),
  ]),
] as [string, number, boolean][]) {
  test(`A change to ${protocol === PROTO_TCP ? 'TCP' : 'SCTP'} ${name} is ${told ? 'told at once, but once' : 'not told at once'}`, (t) => {
    const bench = new Bench();
    const row = bench.create({ protocol });
    const names = protocol === PROTO_TCP ? TCP_STATE_NAMES : SCTP_STATE_NAMES;
    bench.state(row, names.indexOf(name));
    t.is(bench.packet(row, 1), told);
    t.false(bench.packet(row, 2));
    const periodic = told || name === 'ESTABLISHED';
    t.is(bench.packet(row, 3), periodic, 'at the third packet');
    t.is(bench.packet(row, 53), periodic);
  });
}

test('Established connections are told of at every sync_period-th packet past sync_threshold', (t) => {
  const bench = new Bench();
  const row = bench.create();
  bench.state(row, TCP('ESTABLISHED'));
  const told = Array.from({ length: 160 }, (_, i) => i + 1).filter((packets) => bench.packet(row, packets));
  t.deepEqual(told, [3, 53, 103, 153]);
});

test('With the period 0 they are told of once, at sync_threshold', (t) => {
  const bench = new Bench({ sync_threshold: 2, sync_period: 0 });
  const row = bench.create({ protocol: PROTO_UDP });
  const told = Array.from({ length: 100 }, (_, i) => i + 1).filter((packets) => bench.packet(row, packets));
  t.deepEqual(told, [2]);
});

test('Templates are told of at every packet of theirs, unless the period is 0', (t) => {
  const bench = new Bench();
  const template = bench.create({ flags: TEMPLATE | INACTIVE, port: 0 });
  for (let i = 1; i <= 5; i++) t.true(bench.packet(template, i));
  bench.sysctl.sync_period = 0;
  t.false(bench.packet(template, 6));
  t.true(bench.packet(template, 3));
});

test('Behind a connection its template comes, with a count of its own; for one packet only the template', (t) => {
  for (const flags of [0, ONE_PACKET]) {
    const bench = new Bench({ sync_threshold: 2, sync_period: 0 });
    const template = bench.create({ flags: TEMPLATE | INACTIVE, port: 0 });
    const row = bench.create({ protocol: PROTO_UDP, flags });
    bench.connections4.table.rows[row + CONTROL] = template;
    for (const packets of [7, 2, 9]) bench.packet(row, packets);
    const ends = bench.all().map((connection) => connection.ends.split(' ')[0]);
    t.deepEqual(ends, flags === 0 ? ['0.0.0.1/1000', '0.0.0.1/0'] : ['0.0.0.1/0']);
  }
});

test('In sync_persist_mode only templates are told of', (t) => {
  const bench = new Bench({ sync_persist_mode: 1 });
  const template = bench.create({ flags: TEMPLATE | INACTIVE, port: 0 });
  const control = bench.create();
  const row = bench.create({ port: 1001 });
  const free = bench.create({ port: 1002 });
  const { rows } = bench.connections4.table;
  rows[control + CONTROL] = template;
  rows[row + CONTROL] = control;
  for (const one of [control, row, free]) bench.state(one, TCP('CLOSE'));
  for (const one of [control, row, free]) bench.packet(one, 1);
  // What hangs on the template by another connection is its too; only the free connection is told of itself.
  t.deepEqual(
    bench.all().map((connection) => connection.ends.split(' ')[0]),
    ['0.0.0.1/0', '0.0.0.1/0', '0.0.0.1/1002'],
  );
});

test('sync_refresh_period: told again when the expiry has moved by that much, by half of the timeout, or by 10 s', (t) => {
  for (const [refresh, timeout, after] of [
    [30, 900, 30],
    [1000, 900, 450],
    [1000, 12, 10],
  ] as const) {
    const bench = new Bench({ sync_refresh_period: refresh, sync_period: 0 });
    const row = bench.create();
    bench.state(row, TCP('ESTABLISHED'), timeout);
    t.true(bench.packet(row, 1));
    bench.tick += seconds(after) - 4;
    t.false(bench.packet(row, 2), `too early for ${refresh} ${timeout}`);
    bench.tick += 4;
    t.true(bench.packet(row, 3), `late enough for ${refresh} ${timeout}`);
  }
});

test('sync_retries: told again so often, each an eighth of the refresh period after the one before', (t) => {
  const bench = new Bench({ sync_refresh_period: 80, sync_retries: 2, sync_period: 0 });
  const row = bench.create();
  bench.state(row, TCP('ESTABLISHED'));
  const told: number[] = [];
  for (let s = 0; s < 79; s++) {
    if (bench.packet(row, s)) told.push(s);
    bench.tick += 100;
  }
  // The number of retries is in the lowest bits of the expiry that counts, which makes the second a moment later.
  t.deepEqual(told, [0, 10, 21]);
  bench.tick += seconds(30);
  t.true(bench.packet(row, 100));
});

test('A change of state is told within the refresh period too', (t) => {
  const bench = new Bench({ sync_refresh_period: 80 });
  const row = bench.create();
  bench.state(row, TCP('ESTABLISHED'));
  t.true(bench.packet(row, 3));
  t.false(bench.packet(row, 53));
  bench.state(row, TCP('FIN_WAIT'), 120);
  t.true(bench.packet(row, 54));
});

test('A connection held beyond its time is told of, as if it had had sync_threshold packets', (t) => {
  const bench = new Bench();
  const template = bench.create({ flags: TEMPLATE | INACTIVE, port: 0 });
  bench.connections4.table.rows[template + TIMEOUT] = seconds(60);
  bench.master.held(bench.connections4, template, 0);
  t.like(bench.all()[0], { timeout: 60, flags: TEMPLATE | INACTIVE });
});

test('Version 0 leaves IPv6 out, and templates of connections that are not told of', (t) => {
  const bench = new Bench({ sync_version: 0 });
  const six = bench.create({ family: 6, protocol: PROTO_UDP });
  bench.master.packet(bench.connections6, six, 3, 0);
  t.is(bench.told, 0);
  const template = bench.create({ flags: TEMPLATE | INACTIVE, port: 0 });
  const row = bench.create({ protocol: PROTO_UDP });
  bench.connections4.table.rows[row + CONTROL] = template;
  t.false(bench.packet(row, 2));
  t.true(bench.packet(row, 3));
  t.is(bench.told, 2);
  bench.sysctl.sync_version = 1;
  bench.master.packet(bench.connections6, six, 3, 0);
  bench.wait(4);
  t.deepEqual(
    bench.sent.map(({ bytes }) => bytes[0]),
    [2, 0],
    'a message holds one version',
  );
});

test('What is private to the table is not told', (t) => {
  const bench = new Bench();
  const row = bench.create({ protocol: PROTO_UDP });
  bench.connections4.table.rows[row + FLAGS]! |= 0x7f000000;
  bench.packet(row, 3);
  t.is(bench.all()[0]!.flags, 0);
});

test('A message is sent when it is two seconds old, as seen once a second', (t) => {
  const bench = new Bench();
  const row = bench.create({ protocol: PROTO_UDP });
  bench.wait(0.5);
  bench.packet(row, 3);
  bench.wait(10);
  t.deepEqual(
    bench.sent.map(({ tick }) => tick),
    [seconds(3)],
  );
});

test('A full message is sent soon, and eight of them after the burst', (t) => {
  const bench = new Bench({}, 100);
  const row = bench.create({ protocol: PROTO_UDP });
  // Two connections fill a message; the third one begins the next.
  for (let i = 0; i < 3; i++) bench.packet(row, 3);
  bench.master.afterBurst(bench.tick);
  t.is(bench.sent.length, 0);
  bench.wait(0.05);
  t.is(bench.sent.length, 1);
  for (let i = 0; i < 16; i++) bench.packet(row, 3);
  bench.master.afterBurst(bench.tick);
  t.is(bench.sent.length, 9);
  t.true(bench.sent.every(({ bytes }) => bytes.length === 80));
  t.is(bench.all().length, 19);
});

test('No more than sync_qlen_max messages wait; what is lost is counted', (t) => {
  const bench = new Bench({ sync_qlen_max: 3 }, 1);
  const row = bench.create({ protocol: PROTO_UDP });
  for (let i = 0; i < 10; i++) bench.packet(row, 3);
  t.is(bench.master.counters.dropped, 6);
  t.is(bench.all().length, 4);
  t.deepEqual(bench.master.counters, { messages: 4, connections: 10, dropped: 6 });
});

test('Messages are spread over the ports; one connection stays with one', (t) => {
  const bench = new Bench({}, 1472, 4);
  const rows = Array.from({ length: 40 }, (_, i) => bench.create({ protocol: PROTO_UDP, port: i + 1 }));
  for (const packets of [3, 53]) for (const row of rows) bench.packet(row, packets);
  bench.all();
  t.deepEqual(bench.sent.map(({ channel }) => channel).sort(), [0, 1, 2, 3]);
  const seen = bench.sent.map(({ bytes }) => new Set(read(bytes).connections.map(({ ends }) => ends)));
  t.is(
    seen.reduce((sum, ends) => sum + ends.size, 0),
    40,
  );
  t.true(Math.max(...seen.map(({ size }) => size)) <= 20);
});
