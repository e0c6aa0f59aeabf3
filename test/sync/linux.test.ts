/**
 * The sync daemons with real Linux IPVS at the other end, and beside it. Skipped where Linux cannot be booted: it needs
 * the packages that test/oracle/linux.ts names.
 */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Director, ManualClock, MemoryDevice } from '../../src/index.ts';
import { Player } from '../conformance/play.ts';
import type { Step } from '../conformance/scenario.ts';
import { textOf } from '../core/lab.ts';
import { duel } from '../oracle/duel.ts';
import { HOST } from '../oracle/lab-host.ts';
import { Linux } from '../oracle/linux.ts';
import { type PlainConnection, read } from './recorded.ts';
import {
  arrives,
  type ConnectionFields,
  command,
  conversation,
  datagram,
  flush,
  GROUP_MAC,
  message,
  PEER,
  PEER_MAC,
  pause,
  reply,
  segment,
  sipRequest,
  told,
  tunable,
  VIP,
  VIP6,
} from './steps.ts';

function isInstalled(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

const withLinux = isInstalled('linux.uml') && isInstalled('ipvsadm') ? test.serial : test.serial.skip;

let linux: Linux | undefined;

async function boot(): Promise<Linux> {
  linux ??= await Linux.boot(HOST);
  return linux;
}

test.after.always('power off', async () => {
  await linux?.close();
});

const SERVERS = [
  command(`-a -t ${VIP}:80 -r 10.0.0.11:8080 -m`),
  command(`-a -t ${VIP}:80 -r 10.0.0.12:80 -g`),
  command(`-a -t ${VIP}:80 -r 10.0.0.13:80 -i`),
];

function service(options = ''): Step[] {
  return [command(`-A -t ${VIP}:80 -s rr ${options}`), ...SERVERS];
}

// ---- What a master sends, and when ------------------------------------------------------------------------------------

function master(options = ''): Step {
  return command(`--start-daemon master --mcast-interface eth0 --syncid 3 ${options}`);
}

const SIP = [
  command(`-A -u ${VIP}:5060 -s rr -p 60 --pe sip`),
  command(`-a -u ${VIP}:5060 -r 10.0.0.11 -m`),
  command(`-a -u ${VIP}:5060 -r 10.0.0.12 -m`),
];

const AS_MASTER: Readonly<Record<string, readonly Step[]>> = {
  'connections of all methods, some of which end': [
    master(),
    ...service(),
    ...[1, 2, 3].flatMap((client) => conversation(client, 1000)),
    arrives(reply(11, 8080, 3, 1000, 'SA')),
    arrives(segment(3, 1000, 'FA')),
    arrives(reply(11, 8080, 3, 1000, 'FA')),
    arrives(segment(1, 1000, 'R')),
    arrives(segment(1, 1000, 'S')),
    arrives(segment(2, 1000, 'FA')),
    ...flush(),
  ],
  'version 0, with templates': [
    tunable('sync_version', '0'),
    master(),
    ...service('-p 50'),
    ...conversation(1, 1000),
    ...conversation(2, 1000),
    arrives(segment(2, 1000, 'FA')),
    ...flush(),
  ],
  sync_persist_mode: [
    tunable('sync_persist_mode', '1'),
    master(),
    ...service('-p 50'),
    ...conversation(1, 1000),
    arrives(segment(1, 1000, 'FA')),
    ...flush(),
  ],
  'a period of 2': [
    tunable('sync_threshold', '1 2'),
    master(),
    ...service('-p 7'),
    ...conversation(1, 1000),
    ...conversation(2, 1000),
    ...flush(),
  ],
  'a refresh period with retries': [
    tunable('sync_refresh_period', '8'),
    tunable('sync_retries', '2'),
    tunable('sync_threshold', '0 0'),
    master(),
    ...service('-p 40'),
    ...[1, 2, 3, 4].flatMap(() => [...conversation(1, 1000), pause(1.3)]),
    ...flush(),
  ],
  'templates that outlive their time': [master(), ...service('-p 1'), ...conversation(1, 9), pause(1.5), ...flush()],
  'a firewall mark': [
    master(),
    { mark: { proto: 'tcp', dst: VIP, dport: 80, value: 5 } },
    command('-A -f 5 -s rr -p 30'),
    command('-a -f 5 -r 10.0.0.11 -g'),
    command('-a -f 5 -r 10.0.0.12:99 -m'),
    ...[1, 2, 3].flatMap((client) => conversation(client, 9)),
    ...flush(),
  ],
  'UDP, and one-packet scheduling': [
    master(),
    command(`-A -u ${VIP}:53 -s rr`),
    command(`-a -u ${VIP}:53 -r 10.0.0.11 -g`),
    command(`-A -u ${VIP}:54 -s rr -o -p 9`),
    command(`-a -u ${VIP}:54 -r 10.0.0.11 -g`),
    ...[53, 54].flatMap((port) => Array.from({ length: 4 }, () => arrives(datagram(1, 77, port)))),
    ...flush(),
  ],
  'calls of SIP': [
    master(),
    ...SIP,
    ...['a@b', 'c@d', 'a@b', 'a@b'].map((call) => arrives(sipRequest(1, call))),
    ...flush(),
  ],
  'IPv6, to a group of IPv6': [
    master('--mcast-group ff02::51 --mcast-port 9000 --mcast-ttl 7'),
    command(`-A -t [${VIP6}]:80 -s rr -p 40`),
    command(`-a -t [${VIP6}]:80 -r [2001:db8::b]:8080 -m`),
    ...conversation(1, 1000, VIP6),
    ...flush(),
  ],
  'messages of at most 100 bytes': [
    master('--sync-maxlen 100'),
    ...service('-p 20'),
    ...conversation(1, 9),
    ...flush(),
  ],
};

/** What a master has sent, but what it may choose freely: identification, flow label, source port, and sums over them. */
function sentToGroup(steps: readonly Step[]): { frame: string; connections: PlainConnection[] }[] {
  const frames = steps.flatMap((step) => ('tx' in step ? step.rx.map(({ frame }) => Buffer.from(frame, 'hex')) : []));
  return frames
    .filter((frame) => (frame[0]! & 1) !== 0)
    .map((frame) => {
      const four = frame[12] === 0x08;
      const { connections } = read(frame.subarray(four ? 42 : 62));
      const free: readonly [number, number][] = four
        ? [
            [18, 20],
            [24, 26],
            [34, 36],
            [40, 42],
          ]
        : [
            [15, 18],
            [54, 56],
            [60, 62],
          ];
      for (const [from, to] of free) frame.fill(0, from, to);
      return { frame: frame.toString('hex'), connections };
    });
}

for (const [what, steps] of Object.entries(AS_MASTER)) {
  withLinux(`A master sends what Linux sends: ${what}`, async (t) => {
    const machine = await boot();
    await machine.reset(HOST);
    const player = new Player(HOST, { console: false, checksumOffload: false });
    t.teardown(() => player.close());
    const wanted: Step[] = [];
    const got: Step[] = [];
    let lastMs = performance.now();
    for (const step of steps) {
      const answer = await machine.answer(step);
      wanted.push(answer.step);
      got.push(player.answer(step, Math.max(0, answer.atMs - lastMs)));
      lastMs = answer.atMs;
    }
    const [theirs, ours] = [sentToGroup(wanted), sentToGroup(got)];
    const told = (messages: typeof ours) => messages.flatMap(({ connections }) => connections);
    t.true(theirs.length > 0);
    t.deepEqual(told(ours), told(theirs));
    // Where a message ends may differ, should Linux's sender have looked a moment before or after ours.
    const sizes = (messages: typeof ours) => messages.map(({ connections }) => connections.length).join();
    if (sizes(ours) === sizes(theirs)) t.deepEqual(ours, theirs);
  });
}

// ---- What a backup makes of it ----------------------------------------------------------------------------------------

const BACKUP = command('--start-daemon backup --mcast-interface eth0');
const LISTS = [command('-Lnc'), command('-Ln'), command('-Ln --persistent-conn')];
const NAT: ConnectionFields = { client: '192.0.2.1', clientPort: 1000, server: '10.0.0.11', serverPort: 8080 };
const DR: ConnectionFields = {
  client: '192.0.2.2',
  clientPort: 1000,
  server: '10.0.0.12',
  serverPort: 80,
  flags: 0x83,
};
const TUN: ConnectionFields = {
  client: '192.0.2.3',
  clientPort: 1000,
  server: '10.0.0.13',
  serverPort: 80,
  flags: 0x82,
};
const TEMPLATE: ConnectionFields = {
  client: '192.0.2.4',
  clientPort: 0,
  server: '10.0.0.12',
  serverPort: 80,
  flags: 0x1183,
  state: 0,
  timeout: 50,
};
const ALL = [NAT, DR, TUN, TEMPLATE];
/** A template of a service with a persistence engine. */
const CALL: ConnectionFields = {
  ...TEMPLATE,
  protocol: 17,
  client: '192.0.2.1',
  virtualPort: 5060,
  serverPort: 5060,
  flags: 0x1100,
};
const CALL_LISTS = [command('-Lnc --persistent-conn'), command('-Ln --persistent-conn')];
/** Packets of all these connections, from both sides. */
const TRAFFIC = [
  ...[1, 2, 3].flatMap((client) => ['A', 'PA', 'FA'].map((flags) => arrives(segment(client, 1000, flags)))),
  arrives(reply(11, 8080, 1, 1000, 'A')),
  arrives(reply(11, 8080, 1, 1000, 'FA')),
  arrives(segment(4, 77, 'S')),
];

const AS_BACKUP: Readonly<Record<string, readonly Step[]>> = {
  'connections and a template': [BACKUP, ...service('-p 50'), ...told(message(ALL)), ...LISTS, ...TRAFFIC, ...LISTS],
  'version 0': [BACKUP, ...service('-p 50'), ...told(message(ALL, 0)), ...LISTS, ...TRAFFIC, ...LISTS],
  'servers that are not known yet': [
    command('-A -t 10.0.0.101:80 -s rr'),
    BACKUP,
    ...told(message(ALL)),
    ...LISTS,
    ...TRAFFIC,
    ...service('-p 50'),
    ...LISTS,
    ...TRAFFIC,
    ...told(message(ALL)),
    ...LISTS,
    ...TRAFFIC,
    command(`-d -t ${VIP}:80 -r 10.0.0.11:8080`),
    ...TRAFFIC,
    ...LISTS,
  ],
  'a server that has changed': [
    BACKUP,
    ...service(),
    ...told(message([NAT])),
    ...told(message([{ ...NAT, server: '10.0.0.12', serverPort: 80, flags: 0x183, state: 4 }])),
    ...LISTS,
    ...told(message([{ ...DR, client: '192.0.2.1' }])),
    ...LISTS,
  ],
  'states and protocols that there are not': [
    BACKUP,
    ...service(),
    ...told(
      message([
        { ...NAT, state: 11 },
        { ...DR, state: 10 },
        { ...TUN, state: 255 },
        { ...TEMPLATE, state: 3 },
      ]),
    ),
    ...LISTS,
    ...told(
      message([
        { ...NAT, protocol: 17, state: 1 },
        { ...DR, protocol: 17, state: 0 },
        { ...TUN, protocol: 99 },
        { ...NAT, protocol: 132, state: 13, clientPort: 9 },
        { ...NAT, protocol: 132, state: 14, clientPort: 8 },
      ]),
    ),
    ...LISTS,
  ],
  'sync ids': [
    command('--start-daemon backup --mcast-interface eth0 --syncid 5'),
    ...service(),
    ...told(message([NAT], 1, 4)),
    ...told(message([DR], 1, 5)),
    ...told(message([TUN], 0, 5)),
    ...LISTS,
  ],
  'persistence engines': [
    BACKUP,
    ...SIP,
    ...told(
      message([
        { ...CALL, engine: 'sip', engineData: 'a@b' },
        { ...CALL, engine: 'sip', engineData: 'c@d', server: '10.0.0.11' },
        { ...CALL, engine: 'unheard-of', engineData: 'e@f' },
        { ...CALL, engineData: 'g@h' },
        { ...CALL, protocol: 17, flags: 0x100, clientPort: 9, engine: 'sip', engineData: 'i@j' },
      ]),
    ),
    ...CALL_LISTS,
    ...['a@b', 'c@d', 'x@y', 'a@b'].map((call, i) => arrives(sipRequest(1 + i, call))),
    ...['a@b', 'c@d'].map((call) => arrives(sipRequest(1, call))),
    ...told(message([{ ...CALL, engine: 'sip', engineData: 'a@b', timeout: 99, state: 1 }])),
    ...CALL_LISTS,
  ],
  'sequence numbers': [
    BACKUP,
    ...service(),
    ...told(message([{ ...NAT, flags: 0x600, sequences: [1, 2, 3, 4, 5, 6] }, DR])),
    ...told(message([{ ...NAT, flags: 0x600, sequences: [1, 2, 3, 4, 5, 6] }, DR], 0)),
    ...LISTS,
    ...TRAFFIC,
  ],
  'a firewall mark': [
    BACKUP,
    { mark: { proto: 'tcp', dst: VIP, dport: 80, value: 5 } },
    command('-A -f 5 -s rr -p 30'),
    command('-a -f 5 -r 10.0.0.11:0 -g'),
    command('-a -f 5 -r 10.0.0.12:99 -m'),
    ...told(
      message([
        { ...NAT, serverPort: 80, flags: 0x83, mark: 5 },
        { ...DR, serverPort: 99, flags: 0, mark: 5 },
        { ...TEMPLATE, virtual: '0.0.0.5', virtualPort: 0, protocol: 0, serverPort: 0, flags: 0x1100, mark: 5 },
      ]),
    ),
    ...LISTS,
    ...TRAFFIC,
    ...LISTS,
  ],
  IPv6: [
    BACKUP,
    command(`-A -t [${VIP6}]:80 -s rr -p 40`),
    command(`-a -t [${VIP6}]:80 -r [2001:db8::b]:8080 -m`),
    ...told(
      message([
        { ...NAT, client: '2001:db8:1::1', virtual: VIP6, server: '2001:db8::b' },
        { ...TEMPLATE, client: '2001:db8:1::2', virtual: VIP6, server: '2001:db8::b', serverPort: 8080, flags: 0x1100 },
      ]),
    ),
    ...LISTS,
    arrives(segment(1, 1000, 'A', VIP6)),
    arrives(segment(2, 1000, 'S', VIP6)),
    ...LISTS,
  ],
  'a client port that is not known': [
    BACKUP,
    ...service(),
    ...told(
      message([{ ...NAT, flags: 0x900, clientPort: 0, state: 9, timeout: 60, virtualPort: 3000, serverPort: 3000 }]),
    ),
    ...LISTS,
    arrives(segment(1, 555, 'S', VIP, 3000)),
    ...LISTS,
  ],
  'what is active, and timeouts': [
    BACKUP,
    ...service(),
    ...told(message([{ ...NAT, flags: 0x100 }, DR])),
    ...LISTS,
    ...told(message([NAT, { ...DR, flags: 0x183, state: 4, timeout: 120 }])),
    ...LISTS,
    ...told(
      message([
        { ...NAT, timeout: 0 },
        { ...TEMPLATE, timeout: 0 },
      ]),
    ),
    ...LISTS,
  ],
  thresholds: [
    BACKUP,
    ...service(),
    command(`-e -t ${VIP}:80 -r 10.0.0.12:80 -g -x 2`),
    ...told(message([DR, { ...DR, clientPort: 7 }, { ...DR, clientPort: 8 }])),
    ...LISTS,
    ...[7, 8, 9].flatMap((port) => conversation(9, port)),
  ],
  'methods that are not the servers’': [
    BACKUP,
    ...service(),
    ...told(
      message([
        { ...NAT, clientPort: 1, flags: 1 },
        { ...NAT, clientPort: 2, flags: 4 },
        { ...NAT, clientPort: 3, flags: 3 },
        { ...DR, clientPort: 4, flags: 0 },
        { ...DR, server: '10.0.0.1', clientPort: 5, flags: 0x81 },
      ]),
    ),
    ...LISTS,
    ...[1, 2, 3].map((port) => arrives(segment(1, port, 'A'))),
    ...[4, 5].map((port) => arrives(segment(2, port, 'A'))),
  ],
  'several ports, and a master beside it': [
    tunable('sync_ports', '4'),
    BACKUP,
    command('--start-daemon master --mcast-interface eth0'),
    ...service('-p 9'),
    ...told(message([NAT, TEMPLATE]), 8851),
    ...told(message([DR]), 8852),
    ...LISTS,
    ...TRAFFIC,
    ...LISTS,
  ],
};

for (const [what, steps] of Object.entries(AS_BACKUP)) {
  withLinux(`A backup does what Linux does: ${what}`, async (t) => {
    const difference = await duel(await boot(), steps);
    t.is(difference, null, difference?.text);
  });
}

// ---- One at the other end of the other ---------------------------------------------------------------------------------

/** A director of ours on Linux's wire, with addresses of its own. */
class Neighbour {
  readonly clock = new ManualClock();
  readonly director: Director;
  readonly #device = new MemoryDevice({ name: 'eth0', mac: PEER_MAC });
  readonly sent: Uint8Array[] = [];

  constructor(t: ExecutionContext) {
    this.#device.onTransmit = (frame) => this.sent.push(frame);
    this.director = new Director({
      interfaces: [{ device: this.#device, addresses: [`${PEER}/24`] }],
      neighbours: HOST.neighbours.filter(({ dev, ip }) => dev === 'eth0' && !ip.includes(':')),
      routes: [{ to: 'default', via: '10.0.0.254' }],
      forwarding: true,
      clock: this.clock,
    }).start();
    t.teardown(() => this.director.stop());
  }

  /** A frame for Linux's MAC address, or a group, arrives here instead. */
  receive(frame: Uint8Array): string[] {
    const copy = Uint8Array.from(frame);
    if ((copy[0]! & 1) === 0) copy.set(Buffer.from(PEER_MAC.replaceAll(':', ''), 'hex'));
    this.#device.inject(copy);
    this.director.poll();
    return this.sent.splice(0).map(textOf);
  }
}

const SERVICE = [
  `-A -t ${VIP}:80 -s rr -p 60`,
  `-a -t ${VIP}:80 -r 10.0.0.11:8080 -m`,
  `-a -t ${VIP}:80 -r 10.0.0.12:80 -g`,
];

/** The lines of a listing of connections, without their times, sorted. */
function entries(listing: string): string[] {
  return listing
    .split('\n')
    .slice(2)
    .filter((line) => line !== '')
    .map((line) => line.replace(/^(\S+ +)\d\d:\d\d/, '$1').replaceAll(/ +/g, ' '))
    .sort();
}

for (const version of ['1', '0']) {
  withLinux(`A Linux backup goes on with our master's connections: version ${version}`, async (t) => {
    const machine = await boot();
    await machine.reset(HOST);
    for (const text of [...SERVICE, '--start-daemon backup --mcast-interface eth0 --syncid 8']) {
      t.like((await machine.answer(command(text))).step, { status: 0 });
    }
    const ours = new Neighbour(t);
    for (const text of [...SERVICE, '--start-daemon master --mcast-interface eth0 --syncid 8']) {
      t.is(ours.director.ipvsadm(text).status, 0);
    }
    ours.director.sysctl.set('sync_version', Number(version));
    for (const client of [1, 2]) for (const flags of ['S', 'A', 'A']) ours.receive(segment(client, 1000, flags));
    ours.receive(reply(11, 8080, 2, 1000, 'A'));
    ours.clock.advance(4000);
    const groupMac = Buffer.from(GROUP_MAC.replaceAll(':', ''), 'hex');
    const messages = ours.sent.filter((frame) => groupMac.equals(frame.subarray(0, 6)));
    t.is(messages.length, 1);
    for (const frame of messages) await machine.answer(arrives(frame));
    await machine.answer(pause(0.3));

    const { step: list } = await machine.answer(command('-Lnc'));
    const listed = entries('exec' in list ? list.out : '');
    t.is(listed.length, 4);
    t.deepEqual(listed, entries(ours.director.ipvsadm('-Lnc').out));
    const takesOver = async (frame: Uint8Array) => {
      const { step } = await machine.answer(arrives(frame));
      return 'tx' in step ? step.rx.map(({ note }) => note) : [];
    };
    t.regex((await takesOver(segment(1, 1000, 'PA')))[0]!, /> 02:00:00:00:01:0c .* 192.0.2.1:1000 > 10.0.0.100:80/);
    t.regex((await takesOver(segment(2, 1000, 'PA')))[0]!, /> 02:00:00:00:01:0b .* 192.0.2.2:1000 > 10.0.0.11:8080/);
    t.regex((await takesOver(reply(11, 8080, 2, 1000, 'PA')))[0]!, /10.0.0.100:80 > 192.0.2.2:1000/);
    t.regex((await takesOver(segment(1, 2000, 'S')))[0]!, /> 02:00:00:00:01:0c /, 'by the template');
  });

  withLinux(`Our backup goes on with a Linux master's connections: version ${version}`, async (t) => {
    const machine = await boot();
    await machine.reset(HOST);
    const ours = new Neighbour(t);
    for (const text of [...SERVICE, '--start-daemon backup --mcast-interface eth0 --syncid 8']) {
      t.is(ours.director.ipvsadm(text).status, 0);
    }
    await machine.answer(tunable('sync_version', version));
    const steps = [
      ...SERVICE.map(command),
      command('--start-daemon master --mcast-interface eth0 --syncid 8'),
      ...[1, 2].flatMap((client) => ['S', 'A', 'A'].map((flags) => arrives(segment(client, 1000, flags)))),
      arrives(reply(11, 8080, 2, 1000, 'A')),
      ...flush(),
    ];
    const frames: Buffer[] = [];
    for (const step of steps) {
      const answer = (await machine.answer(step)).step;
      if ('exec' in answer) t.is(answer.status, 0);
      if ('tx' in answer) frames.push(...answer.rx.map(({ frame }) => Buffer.from(frame, 'hex')));
    }
    const { step: list } = await machine.answer(command('-Lnc'));
    for (const frame of frames.filter((frame) => (frame[0]! & 1) !== 0)) ours.receive(frame);

    const listed = entries(ours.director.ipvsadm('-Lnc').out);
    t.is(listed.length, 4);
    t.deepEqual(listed, entries('exec' in list ? list.out : ''));
    t.regex(ours.receive(segment(1, 1000, 'PA'))[0]!, /> 02:00:00:00:01:0c .* 192.0.2.1:1000 > 10.0.0.100:80/);
    t.regex(ours.receive(segment(2, 1000, 'PA'))[0]!, /> 02:00:00:00:01:0b .* 192.0.2.2:1000 > 10.0.0.11:8080/);
    t.regex(ours.receive(reply(11, 8080, 2, 1000, 'PA'))[0]!, /10.0.0.100:80 > 192.0.2.2:1000/);
    t.regex(ours.receive(segment(1, 2000, 'S'))[0]!, /> 02:00:00:00:01:0c /, 'by the template');
  });
}
