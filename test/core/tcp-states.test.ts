/**
 * TCP's states, cell by cell, against the tables as the kernel's documentation of ip_vs_proto_tcp.c has them: written
 * out here again, on purpose. First the table look-up with all 256 combinations of flags, then every cell that packets
 * can reach through a director.
 */
import test from 'ava';
import { INACTIVE } from '../../src/conntrack/layout.ts';
import { NORMAL_TABLE, nextTcpState, SECURE_TABLE, TCP_STATE_NAMES } from '../../src/conntrack/tcp-state.ts';
import type { ConnectionEntry } from '../../src/index.ts';
import { CLIENT, Lab, rs, tcp } from './lab.ts';

const COLUMNS = ['NO', 'ES', 'SS', 'SR', 'FW', 'TW', 'CL', 'CW', 'LA', 'LI', 'SA'];

/** Number, name, timeout in seconds and whether it counts as active, in the order of the columns. */
const STATES: readonly (readonly [name: string, timeoutSeconds: number, active: boolean])[] = [
  ['NONE', 2, false],
  ['ESTABLISHED', 900, true],
  ['SYN_SENT', 120, true],
  ['SYN_RECV', 60, true],
  ['FIN_WAIT', 120, false],
  ['TIME_WAIT', 120, false],
  ['CLOSE', 10, false],
  ['CLOSE_WAIT', 60, false],
  ['LAST_ACK', 30, false],
  ['LISTEN', 120, false],
  ['SYNACK', 120, true],
];

const CLASSES = ['syn', 'fin', 'ack', 'rst'] as const;
type FlagClass = (typeof CLASSES)[number] | 'none';
const DIRECTIONS = ['INPUT', 'OUTPUT', 'INPUT-ONLY'] as const;
type Direction = (typeof DIRECTIONS)[number];

/** Left the normal table, right the one of `secure_tcp`. */
const TABLES = `
INPUT       NO ES SS SR FW TW CL CW LA LI SA           NO ES SS SR FW TW CL CW LA LI SA
  syn       SR ES ES SR SR SR SR SR SR SR SR           SR ES ES SR SR SR SR SR SR SR SA
  fin       CL CW SS TW TW TW CL CW LA LI TW           CL CW SS TW TW TW CL CW LA LI SA
  ack       ES ES SS ES FW TW CL CW CL LI ES           ES ES SS SR FW TW CL CW CL LI SA
  rst       CL CL CL SR CL CL CL CL LA LI SR           CL CL CL SR CL CL CL CL LA LI CL
OUTPUT
  syn       SS ES SS SR SS SS SS SS SS LI SR           SS ES SS SA SS SS SS SS SS LI SA
  fin       TW FW SS TW FW TW CL TW LA LI TW           TW FW SS TW FW TW CL TW LA LI TW
  ack       ES ES SS ES FW TW CL CW LA ES ES           ES ES SS ES FW TW CL CW LA ES ES
  rst       CL CL SS CL CL TW CL CL CL CL CL           CL CL SS CL CL TW CL CL CL CL CL
INPUT-ONLY
  syn       SR ES ES SR SR SR SR SR SR SR SR           SA ES ES SR SA SA SA SA SA SA SA
  fin       CL FW SS TW FW TW CL CW LA LI TW           CL FW SS TW FW TW CL CW LA LI TW
  ack       ES ES SS ES FW TW CL CW CL LI ES           ES ES SS ES FW TW CL CW CL LI ES
  rst       CL CL CL SR CL CL CL CL LA LI CL           CL CL CL SR CL CL CL CL LA LI CL
`;

type Table = ReadonlyMap<string, number>;

function cell(direction: Direction, flags: FlagClass, state: number): string {
  return `${direction} ${flags} ${state}`;
}

function read(side: 0 | 1): Table {
  const table = new Map<string, number>();
  let direction: Direction = 'INPUT';
  for (const line of TABLES.trim().split('\n')) {
    const [head, ...codes] = line.trim().split(/\s+/);
    const found = DIRECTIONS.find((name) => name === head);
    if (found !== undefined) {
      direction = found;
      continue;
    }
    for (let state = 0; state < COLUMNS.length; state++) {
      table.set(cell(direction, head as FlagClass, state), COLUMNS.indexOf(codes[side * COLUMNS.length + state]!));
    }
  }
  for (const name of DIRECTIONS) {
    for (let state = 0; state < COLUMNS.length; state++) table.set(cell(name, 'none', state), COLUMNS.indexOf('CL'));
  }
  return table;
}

const NORMAL = read(0);
const SECURE = read(1);

/** Of several flags, RST counts before SYN before FIN before ACK. */
function classOf(flags: number): FlagClass {
  if (flags & 0x04) return 'rst';
  if (flags & 0x02) return 'syn';
  if (flags & 0x01) return 'fin';
  return flags & 0x10 ? 'ack' : 'none';
}

test('the names of the states are the kernel’s', (t) => {
  t.deepEqual(
    TCP_STATE_NAMES,
    STATES.map(([name]) => name),
  );
});

for (const [name, table, expected] of [
  ['normal', NORMAL_TABLE, NORMAL],
  ['secure', SECURE_TABLE, SECURE],
] as const) {
  test(`${name} table: every state, direction and combination of flags`, (t) => {
    t.is(expected.size, 3 * 5 * 11);
    for (const [d, direction] of DIRECTIONS.entries()) {
      for (let state = 0; state < STATES.length; state++) {
        for (let flags = 0; flags < 256; flags++) {
          const next = nextTcpState(table, d, state, flags);
          const wanted = expected.get(cell(direction, classOf(flags), state))!;
          if (next !== wanted) {
            t.fail(`${direction} ${COLUMNS[state]} flags ${flags}: ${COLUMNS[next]}, not ${COLUMNS[wanted]}`);
          }
        }
      }
    }
    t.pass();
  });
}

// ---- Through a director -----------------------------------------------------------------------------------------

interface Step {
  readonly direction: Direction;
  readonly flags: FlagClass;
}

/** What is sent for each class: every flag that must not change the class is there at least once. */
const LETTERS: Readonly<Record<FlagClass, readonly string[]>> = {
  syn: ['S', 'SA', 'SF', 'SFPAUEC'],
  fin: ['F', 'FA', 'FPAU'],
  ack: ['A', 'PA', 'AUEC'],
  rst: ['R', 'RA', 'FSRPAUEC'],
  none: ['', 'PUEC'],
};

/** The shortest way from nothing to each state that packets in these directions can bring about. */
function ways(table: Table, directions: readonly Direction[]): Map<number, readonly Step[]> {
  const found = new Map<number, readonly Step[]>();
  const queue: [number, readonly Step[]][] = [[0, []]];
  for (const [state, way] of queue) {
    for (const direction of directions) {
      for (const flags of ['syn', 'ack', 'fin', 'none', 'rst'] as const) {
        // A connection begins with a packet of the client's that is no RST.
        if (way.length === 0 && (direction === 'OUTPUT' || flags === 'rst')) continue;
        const next = table.get(cell(direction, flags, state))!;
        if (found.has(next)) continue;
        const longer = [...way, { direction, flags }];
        found.set(next, longer);
        queue.push([next, longer]);
      }
    }
  }
  return found;
}

function director(method: 'masq' | 'route', secure: boolean): Lab {
  const lab = new Lab();
  const { director } = lab;
  director.addService(tcp(), { scheduler: 'rr' });
  director.addDestination(tcp(), { address: rs(11) }, { method });
  director.sysctl.set('sloppy_tcp', 1); // so that any packet may be a connection's first
  director.sysctl.set('conn_reuse_mode', 0); // so that a SYN never makes another one
  director.sysctl.set('secure_tcp', secure ? 3 : 0);
  return lab;
}

function send(lab: Lab, port: number, direction: Direction, letters: string): void {
  if (direction === 'OUTPUT') lab.server(11, letters, { toPort: port });
  else lab.client(letters, { port });
}

function connection(lab: Lab, port: number): ConnectionEntry | undefined {
  return lab.director.connections().find(({ clientPort }) => clientPort === port);
}

for (const [method, directions] of [
  ['masq', ['INPUT', 'OUTPUT']],
  ['route', ['INPUT-ONLY']],
] as const) {
  for (const [name, table] of [
    ['normal', NORMAL],
    ['secure', SECURE],
  ] as const) {
    test(`${method}, ${name}: every cell that packets reach: state, timeout, counts`, (t) => {
      const lab = director(method, name === 'secure');
      const cells = [...ways(table, directions)].flatMap(([state, way]) =>
        directions.flatMap((direction) =>
          (['syn', 'fin', 'ack', 'rst', 'none'] as const).flatMap((flags) =>
            LETTERS[flags].map((letters) => ({ state, way, direction, flags, letters })),
          ),
        ),
      );
      t.true(cells.length >= (method === 'masq' ? 200 : 70), `${cells.length} cells`);
      let port = 1000;
      const states: number[] = [];
      for (const { state, way, direction, flags, letters } of cells) {
        port++;
        for (const step of way) send(lab, port, step.direction, LETTERS[step.flags][0]!);
        t.is(connection(lab, port)!.state, STATES[state]![0], `way to ${COLUMNS[state]}`);
        send(lab, port, direction, letters);
        const next = table.get(cell(direction, flags, state))!;
        states.push(next);
        const [text, timeoutSeconds, active] = STATES[next]!;
        const message = `${direction} ${COLUMNS[state]} [${letters}]`;
        const entry = connection(lab, port)!;
        t.is(entry.state, text, message);
        t.is(entry.expiresInSeconds, timeoutSeconds, message);
        t.is((entry.flags & INACTIVE) === 0, active, message);
      }
      const { activeConns, inactConns } = lab.director.service(tcp()).destinations[0]!;
      t.is(activeConns, states.filter((state) => STATES[state]![2]).length);
      t.is(inactConns, states.filter((state) => !STATES[state]![2]).length);
    });
  }
}

test('the timer starts again in full at every packet of either side, and the connection goes when it is over', (t) => {
  const lab = director('masq', false);
  lab.client('S');
  lab.sleep(50);
  t.is(connection(lab, 40000)?.expiresInSeconds, 10);
  lab.server(11, 'SA');
  t.is(connection(lab, 40000)?.expiresInSeconds, 60);
  lab.client('A');
  lab.sleep(899);
  t.is(connection(lab, 40000)?.state, 'ESTABLISHED');
  lab.server(11, 'A');
  lab.sleep(899.9);
  t.is(connection(lab, 40000)?.expiresInSeconds, 0);
  lab.sleep(0.2);
  t.is(connection(lab, 40000), undefined);
  const [destination] = lab.director.service(tcp()).destinations;
  t.is(destination!.activeConns + destination!.inactConns, 0);
});

test('--set changes the timeouts of ESTABLISHED and FIN_WAIT alone, from the next packet on', (t) => {
  const lab = director('route', false);
  lab.client('S');
  lab.director.setTimeouts({ tcp: 7, tcpfin: 5 });
  t.is(connection(lab, 40000)?.expiresInSeconds, 60);
  lab.client('A');
  t.is(connection(lab, 40000)?.expiresInSeconds, 7);
  lab.client('FA');
  t.like(connection(lab, 40000), { state: 'FIN_WAIT', expiresInSeconds: 5 });
  lab.director.setTimeouts({ tcp: 0, udp: 9 });
  t.deepEqual(lab.director.getTimeouts(), { tcp: 7, tcpfin: 5, udp: 9 });
});

test('secure_tcp goes on and off under connections that exist', (t) => {
  const lab = director('masq', false);
  lab.client('S');
  lab.director.sysctl.set('secure_tcp', 3);
  lab.client('A');
  t.is(connection(lab, 40000)?.state, 'SYN_RECV');
  lab.director.sysctl.set('secure_tcp', 0);
  lab.client('A');
  t.is(connection(lab, 40000)?.state, 'ESTABLISHED');
});

test('a segment whose TCP header is not whole changes no state', (t) => {
  const lab = director('route', false);
  lab.client('S');
  const header = new Uint8Array([40000 >>> 8, 40000 & 0xff, 0, 80, 0, 0, 0, 0]);
  lab.frame({ ip: { source: CLIENT, destination: '10.0.0.100', protocol: 6 }, payload: header });
  t.like(connection(lab, 40000), { state: 'SYN_RECV' });
});
