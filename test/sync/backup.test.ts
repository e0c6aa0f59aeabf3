/** What a backup makes of messages. Everything here was seen on Linux too: see linux.test.ts. */
import test from 'ava';
import fc from 'fast-check';
import type { ConnectionEntry, SyncRefusal } from '../../src/index.ts';
import { buildFrame } from '../../src/packet/build.ts';
import { CLIENT, Lab, MACS, rs, type Sent, tcp, VIP } from '../core/lab.ts';
import {
  type ConnectionFields,
  GROUP,
  GROUP_MAC,
  message,
  PEER,
  PEER_MAC,
  SYNC_PORT,
  sipRequest,
  syncFrame,
} from './steps.ts';

/** A NAT connection to server 11, one by DR to server 12, one through a tunnel to server 13, a template. */
const NAT: ConnectionFields = { client: CLIENT, clientPort: 1000, server: rs(11), serverPort: 8080 };
const DR: ConnectionFields = { client: '192.0.2.2', clientPort: 1000, server: rs(12), serverPort: 80, flags: 0x83 };
const TUN: ConnectionFields = { client: '192.0.2.3', clientPort: 1000, server: rs(13), serverPort: 80, flags: 0x82 };
const TEMPLATE: ConnectionFields = {
  client: '192.0.2.4',
  clientPort: 0,
  server: rs(12),
  serverPort: 80,
  flags: 0x1183,
  state: 0,
  timeout: 50,
};
const ALL = [NAT, DR, TUN, TEMPLATE];

class Backup extends Lab {
  constructor(syncId = 0) {
    super();
    this.director.startDaemon({ role: 'backup', syncId });
    this.sleep(0.01);
  }

  addService(persistent = 50): this {
    this.director.addService(tcp(), { scheduler: 'rr', persistent });
    this.director.addDestination(tcp(), { address: rs(11), port: 8080 }, { method: 'masq' });
    this.director.addDestination(tcp(), { address: rs(12) });
    this.director.addDestination(tcp(), { address: rs(13) }, { method: 'tunnel' });
    return this;
  }

  told(connections: readonly ConnectionFields[], version: 0 | 1 = 1, syncId = 0): void {
    this.receive(syncFrame(message(connections, version, syncId)));
  }

  /** What is listed, without what does not matter here. */
  list(): string[] {
    return this.director.connections().map(textOf).sort();
  }

  /** Active, inactive connections and templates of each server, newest first. */
  counts(): number[][] {
    const { destinations } = this.director.service(tcp());
    return destinations.map(({ activeConns, inactConns, persistConns }) => [activeConns, inactConns, persistConns]);
  }

  get refused(): Partial<Record<SyncRefusal, number>> {
    const { refused } = this.director.counters().sync.backup!;
    return Object.fromEntries(Object.entries(refused).filter(([, count]) => count > 0));
  }

  from(client: number, flags: string, port = 1000): Sent[] {
    return this.client(flags, { from: `192.0.2.${client}`, port });
  }
}

function textOf(entry: ConnectionEntry): string {
  const { clientAddress, clientPort, destinationAddress, destinationPort, state, expiresInSeconds } = entry;
  return `${clientAddress}:${clientPort} ${destinationAddress}:${destinationPort} ${state} ${expiresInSeconds}`;
}

test('Connections and templates are taken over, and packets of theirs go where they went', (t) => {
  const lab = new Backup().addService();
  lab.told(ALL);
  t.deepEqual(lab.list(), [
    '192.0.2.1:1000 10.0.0.11:8080 ESTABLISHED 900',
    '192.0.2.2:1000 10.0.0.12:80 ESTABLISHED 900',
    '192.0.2.3:1000 10.0.0.13:80 ESTABLISHED 900',
    '192.0.2.4:0 10.0.0.12:80 NONE 50',
  ]);
  t.deepEqual(lab.counts(), [
    [1, 0, 0],
    [1, 0, 1],
    [1, 0, 0],
  ]);
  t.regex(lab.from(1, 'A')[0]!.text, /> 02:00:00:00:01:0b .* 192.0.2.1:1000 > 10.0.0.11:8080/);
  t.regex(lab.from(2, 'A')[0]!.text, /> 02:00:00:00:01:0c .* 192.0.2.2:1000 > 10.0.0.100:80/);
  t.regex(lab.from(3, 'A')[0]!.text, /> 02:00:00:00:01:0d .* > 10.0.0.13 /);
  t.regex(lab.from(4, 'S', 7)[0]!.text, /> 02:00:00:00:01:0c /, 'the template knows the client');
  const [answer] = lab.server(11, 'A', { port: 8080, toPort: 1000 });
  t.regex(answer!.text, /10.0.0.100:80 > 192.0.2.1:1000/);
  t.true(lab.director.connections().filter(({ flags }) => (flags & 0x20) !== 0).length === 4);
});

test('They end as others do', (t) => {
  const lab = new Backup().addService();
  lab.told([{ ...NAT, timeout: 20 }, TEMPLATE]);
  lab.sleep(19);
  lab.from(1, 'FA');
  lab.sleep(59);
  t.deepEqual(lab.list(), ['192.0.2.1:1000 10.0.0.11:8080 CLOSE_WAIT 1']);
  lab.sleep(2);
  t.deepEqual(lab.list(), []);
  t.deepEqual(lab.counts().flat(), Array(9).fill(0));
});

test('Version 0 does not say how long: connections get what their state gives, templates three minutes', (t) => {
  const lab = new Backup().addService();
  lab.told([NAT, { ...DR, state: 4, flags: 0x183 }, TEMPLATE], 0);
  t.deepEqual(lab.list(), [
    '192.0.2.1:1000 10.0.0.11:8080 ESTABLISHED 900',
    '192.0.2.2:1000 10.0.0.12:80 FIN_WAIT 120',
    '192.0.2.4:0 10.0.0.12:80 NONE 180',
  ]);
});

test('Without their service they are kept and used all the same, and bound when they are told of again', (t) => {
  const lab = new Backup();
  lab.director.addService(tcp(81));
  lab.told(ALL);
  t.is(lab.list().length, 4);
  t.regex(lab.from(1, 'A')[0]!.text, /> 10.0.0.11:8080/);
  t.regex(lab.from(2, 'A')[0]!.text, /> 02:00:00:00:01:0c/);
  lab.verdicts();
  t.deepEqual(lab.from(3, 'A'), [], 'nothing says how to tunnel to it');
  t.deepEqual(lab.verdicts(), { UNKNOWN_SERVER: 1 });

  lab.addService();
  t.deepEqual(lab.counts().flat(), Array(9).fill(0));
  lab.told(ALL);
  t.deepEqual(lab.counts(), [
    [1, 0, 0],
    [1, 0, 1],
    [1, 0, 0],
  ]);
  t.is(lab.from(3, 'A').length, 1);
});

test('Another server: the connection is replaced, unless the message says that it is over', (t) => {
  const lab = new Backup().addService();
  lab.told([NAT]);
  const other = { ...DR, client: CLIENT };
  lab.told([{ ...other, state: 4, flags: 0x183 }]);
  t.deepEqual(lab.list(), ['192.0.2.1:1000 10.0.0.11:8080 ESTABLISHED 900']);
  t.deepEqual(lab.refused, { REPLACED: 1 });
  lab.told([other]);
  lab.sleep(0.1);
  t.deepEqual(lab.list(), ['192.0.2.1:1000 10.0.0.12:80 ESTABLISHED 899']);
  t.deepEqual(lab.counts(), [
    [0, 0, 0],
    [1, 0, 0],
    [0, 0, 0],
  ]);
});

test('Told again, a connection changes its state, its timeout and whether it counts as active', (t) => {
  const lab = new Backup().addService();
  lab.told([{ ...NAT, flags: 0x100, state: 3, timeout: 60 }]);
  t.deepEqual(lab.counts()[2], [0, 1, 0]);
  lab.told([NAT]);
  t.deepEqual(lab.counts()[2], [1, 0, 0]);
  lab.told([{ ...NAT, flags: 0x100, state: 7, timeout: 60 }]);
  t.deepEqual(lab.counts()[2], [0, 1, 0]);
  t.deepEqual(lab.list(), ['192.0.2.1:1000 10.0.0.11:8080 CLOSE_WAIT 60']);
});

test('The method is the destination’s, whatever the message says', (t) => {
  const lab = new Backup().addService();
  lab.told([
    { ...NAT, flags: 3 },
    { ...DR, flags: 0 },
  ]);
  t.regex(lab.from(1, 'A')[0]!.text, /> 10.0.0.11:8080/);
  t.regex(lab.from(2, 'A')[0]!.text, /192.0.2.2:1000 > 10.0.0.100:80/);
});

test('Thresholds count what is told', (t) => {
  const lab = new Backup().addService(0);
  lab.director.editDestination(tcp(), { address: rs(12) }, { upperThreshold: 2 });
  lab.told([DR, { ...DR, clientPort: 7 }]);
  t.true(lab.director.service(tcp()).destinations[1]!.overloaded);
});

const REFUSED: readonly (readonly [refusal: SyncRefusal, fields: ConnectionFields])[] = [
  ['PROTOCOL', { ...NAT, protocol: 99 }],
  ['STATE', { ...NAT, state: 11 }],
  ['STATE', { ...NAT, protocol: 17, state: 1 }],
  ['STATE', { ...NAT, protocol: 132, state: 14 }],
  ['STATE', { ...TEMPLATE, state: 256 }],
  ['METHOD', { ...NAT, flags: 5 }],
  ['CLIENT_PORT', { ...NAT, clientPort: 0 }],
  ['CLIENT_PORT', { ...NAT, flags: 0x800 }],
  ['CLIENT_PORT', { ...TEMPLATE, clientPort: 1 }],
  ['ENGINE', { ...TEMPLATE, engine: 'unheard-of', engineData: 'x' }],
  ['ENGINE', { ...NAT, engineData: 'x' }],
];

for (const [refusal, fields] of REFUSED) {
  test(`A connection is passed over, the next is not: ${refusal} ${JSON.stringify(fields)}`, (t) => {
    const lab = new Backup().addService();
    lab.told([fields, DR]);
    t.deepEqual(lab.list(), ['192.0.2.2:1000 10.0.0.12:80 ESTABLISHED 900']);
    t.deepEqual(lab.refused, { [refusal]: 1 });
  });
}

test('A template’s state is taken as it comes', (t) => {
  const lab = new Backup().addService();
  lab.told([{ ...TEMPLATE, state: 1 }]);
  t.deepEqual(lab.list(), ['192.0.2.4:0 10.0.0.12:80 ASSURED 50']);
  lab.told([{ ...TEMPLATE, state: 3 }]);
  t.deepEqual(lab.list(), ['192.0.2.4:0 10.0.0.12:80 ERR! 50']);
});

test('A connection whose client port is not known gets it from the first packet', (t) => {
  const lab = new Backup().addService();
  lab.told([{ ...NAT, flags: 0x900, clientPort: 0, state: 9, timeout: 60 }]);
  t.regex(lab.from(1, 'S', 555)[0]!.text, /192.0.2.1:555 > 10.0.0.11:8080/);
  t.deepEqual(lab.list(), ['192.0.2.1:555 10.0.0.11:8080 SYN_RECV 60']);
});

test('A call that SIP tells apart keeps its server', (t) => {
  const lab = new Backup();
  const sip = { protocol: 'udp', address: VIP, port: 5060 } as const;
  lab.director.addService(sip, { scheduler: 'rr', persistent: 60, engine: 'sip' });
  for (const n of [11, 12, 13]) lab.director.addDestination(sip, { address: rs(n) }, { method: 'masq' });
  const call = { ...TEMPLATE, protocol: 17, client: CLIENT, virtualPort: 5060, serverPort: 5060, flags: 0x1100 };
  lab.told([
    { ...call, server: rs(11), engine: 'sip', engineData: 'a@b' },
    { ...call, server: rs(12), engine: 'sip', engineData: 'c@d' },
  ]);
  t.deepEqual(
    lab.director
      .connections()
      .map(({ engine, engineData }) => `${engine} ${engineData}`)
      .sort(),
    ['sip a@b', 'sip c@d'],
  );
  t.regex(lab.receive(sipRequest(1, 'c@d'))[0]!.text, /> 10.0.0.12:5060/);
  lab.sleep(301);
  t.regex(lab.receive(sipRequest(1, 'a@b'))[0]!.text, /> 10.0.0.13:5060/, 'the templates are over');
});

test('The longest timeout that is believed is 31 days', (t) => {
  const lab = new Backup().addService();
  lab.told([{ ...NAT, timeout: 0xffffffff }]);
  t.deepEqual(lab.list(), ['192.0.2.1:1000 10.0.0.11:8080 ESTABLISHED 2678400']);
});

test('A full table is counted', (t) => {
  const lab = new Lab({ maxConnections: 10 });
  lab.director.startDaemon({ role: 'backup' });
  lab.receive(syncFrame(message(Array.from({ length: 12 }, (_, i) => ({ ...NAT, clientPort: i + 1 })))));
  t.like(lab.director.counters().sync.backup, { messages: 1, connections: 10 });
  t.is(lab.director.counters().sync.backup!.refused.TABLE_FULL, 2);
});

test('Messages of another sync id are not listened to', (t) => {
  const lab = new Backup(5).addService();
  lab.told([NAT], 1, 4);
  t.deepEqual(lab.list(), []);
  lab.told([NAT], 0, 5);
  t.is(lab.list().length, 1);
});

test('With backup_only packets from clients are left alone until the daemon stops', (t) => {
  const lab = new Backup().addService();
  lab.director.onPassed = () => {};
  lab.director.sysctl.set('backup_only', 1);
  lab.told([NAT]);
  lab.verdicts();
  t.deepEqual([...lab.from(1, 'A'), ...lab.from(9, 'S')], []);
  t.deepEqual(lab.verdicts(), { HANDED_OVER: 2 });
  t.regex(lab.server(11, 'A', { port: 8080, toPort: 1000 })[0]!.text, /10.0.0.100:80 > 192.0.2.1/, 'replies are not');
  lab.director.stopDaemon('backup');
  lab.verdicts();
  lab.from(1, 'A');
  t.deepEqual(lab.verdicts(), { MASQ: 1 });
});

test('Only what is for the group, its ports and the interface is taken, and only while a backup runs', (t) => {
  const lab = new Backup().addService();
  const data = message([NAT]);
  const frame = (to: string, mac: string, port: number) =>
    buildFrame({
      ethernet: { source: PEER_MAC, destination: mac },
      ip: { source: PEER, destination: to },
      udp: { sourcePort: 1, destinationPort: port, data },
    });
  const whole = syncFrame(data);
  const wrong = Uint8Array.from(whole);
  wrong[60]! ^= 1;
  const cut = Uint8Array.from(whole);
  cut[39] = 0;
  lab.verdicts();
  lab.receive(frame('224.0.0.82', '01:00:5e:00:00:52', SYNC_PORT));
  lab.receive(frame(GROUP, GROUP_MAC, SYNC_PORT + 1));
  lab.receive(frame('10.0.0.1', MACS.eth0!, SYNC_PORT));
  lab.receive(whole, 'eth1');
  lab.receive(wrong);
  lab.receive(cut);
  t.deepEqual(lab.list(), []);
  t.deepEqual(lab.verdicts(), { NOT_WANTED: 3, REJECTED: 1, BAD_CHECKSUM: 1, SHORT_TRANSPORT: 1 });
  lab.receive(whole);
  t.deepEqual(lab.verdicts(), { SYNC: 1 });
  lab.director.stopDaemon('backup');
  lab.receive(syncFrame(message([DR])));
  t.deepEqual(lab.verdicts(), { NOT_WANTED: 1 });
  t.is(lab.list().length, 1);
});

test('A message in fragments is put together', (t) => {
  const lab = new Backup().addService();
  const whole = syncFrame(message(ALL));
  const ip = whole.subarray(14);
  const part = (from: number, to: number) =>
    buildFrame({
      ethernet: { source: PEER_MAC, destination: GROUP_MAC },
      ip: {
        source: PEER,
        destination: GROUP,
        ttl: 1,
        protocol: 17,
        fragmentOffset: from,
        mf: to < ip.length - 20,
      },
      payload: ip.slice(20 + from, 20 + to),
    });
  lab.receive([part(80, ip.length - 20), part(0, 80)]);
  t.is(lab.list().length, 4);
});

test('Joining and leaving the group is reported, and so are questions for groups answered', (t) => {
  const lab = new Lab();
  lab.director.startDaemon({ role: 'backup' });
  const joined = lab.sleep(0);
  t.regex(joined[0]!.text, /> 01:00:5e:00:00:16 .* 10.0.0.1 > 224.0.0.22 ttl 1/);
  // Version 3 report of one record: changed to all sources but none, of 224.0.0.81.
  t.is(Buffer.from(joined[0]!.frame.subarray(38)).toString('hex'), '2200f9ac0000000104000000e0000051');
  const query = buildFrame({
    ethernet: { source: PEER_MAC, destination: '01:00:5e:00:00:01' },
    ip: { source: PEER, destination: '224.0.0.1', ttl: 1, protocol: 2 },
    payload: Uint8Array.of(0x11, 100, 0xee, 0x9b, 0, 0, 0, 0),
  });
  lab.verdicts();
  const [answer] = lab.receive(query);
  t.is(answer!.frame[46], 2);
  t.deepEqual(lab.verdicts(), { GROUP: 1 });
  lab.director.stopDaemon('backup');
  t.is(lab.sleep(0)[0]!.frame[46], 3);
  t.deepEqual(lab.receive(query), []);
});

test('Whatever is told, counts come out right and the table stays within its bounds', (t) => {
  const field = fc.record({
    protocol: fc.constantFrom(0, 6, 17, 132, 50),
    flags: fc.nat(0x1fff),
    state: fc.nat(16),
    client: fc.constantFrom('192.0.2.1', '192.0.2.2'),
    clientPort: fc.nat(3),
    virtualPort: fc.constantFrom(0, 80),
    server: fc.constantFrom(rs(11), rs(12), rs(13), rs(14), '10.0.0.1'),
    serverPort: fc.constantFrom(0, 80, 8080),
    mark: fc.constantFrom(0, 5),
    timeout: fc.constantFrom(0, 1, 50),
  });
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.array(field, { maxLength: 8 }), fc.nat(30), fc.constantFrom(0, 1))), (rounds) => {
      const lab = new Backup().addService();
      for (const [fields, wait, version] of rounds) {
        lab.told(fields, version as 0 | 1);
        lab.sleep(wait);
        for (const flags of ['S', 'A', 'FA']) lab.client(flags, { from: '192.0.2.1', port: 1 });
      }
      const wanted = [0, 0, 0];
      for (const { flags, destinationAddress } of lab.director.connections()) {
        const at = [rs(13), rs(12), rs(11)].indexOf(destinationAddress);
        if (at >= 0 && (flags & 0x1000) === 0) wanted[at]!++;
      }
      const got = lab.counts().map(([active, inactive]) => active! + inactive!);
      for (const [i, count] of got.entries()) t.true(count <= wanted[i]! && count >= 0);
      lab.sleep(2000);
      t.deepEqual(lab.counts().flat(), Array(9).fill(0));
      t.deepEqual(lab.list(), []);
      lab.director.stop();
    }),
    { numRuns: 60 },
  );
});
