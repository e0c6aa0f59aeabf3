import test from 'ava';
import { ManualClock } from '../../src/clock.ts';
import { buildFrame } from '../../src/packet/build.ts';
import {
  type ArpAnnounce,
  type ArpIgnore,
  MemoryHost,
  type MemoryHostOptions,
  MemorySwitch,
} from '../../src/testing/index.ts';
import { pass, play } from './network.ts';

const VIP = '10.0.0.100';
const ASKER = { mac: '02:00:00:00:00:99', ip: '10.0.0.9' };

function dotted(frame: Uint8Array, at: number): string {
  return frame.subarray(at, at + 4).join('.');
}

/** A real server on a switch, and all the ARP that it sends: `request 10.0.0.1 > 10.0.0.2`. */
class Server {
  readonly clock: ManualClock = new ManualClock();
  readonly wire: MemorySwitch = new MemorySwitch();
  readonly host: MemoryHost;
  readonly arp: string[] = [];

  constructor(options: Partial<MemoryHostOptions> = {}) {
    this.host = new MemoryHost({
      clock: this.clock,
      interfaces: [{ addresses: ['10.0.0.22/24'], wire: this.wire }],
      loopback: [VIP],
      routes: [{ to: 'default', via: '10.0.0.1' }],
      ...options,
    });
    this.wire.onFrame = (frame) => {
      if (frame[12] !== 8 || frame[13] !== 6) return;
      this.arp.push(`${frame[21] === 1 ? 'request' : 'reply'} ${dotted(frame, 28)} > ${dotted(frame, 38)}`);
    };
  }

  ask(target: string, asker: { mac: string; ip: string } = ASKER): void {
    this.host.interfaces[0]!.inject(
      buildFrame({
        ethernet: { source: asker.mac, destination: 'ff:ff:ff:ff:ff:ff' },
        arp: { operation: 1, senderMac: asker.mac, senderIp: asker.ip, targetIp: target },
      }),
    );
  }

  answer(ip: string, mac: string): void {
    this.host.interfaces[0]!.inject(
      buildFrame({
        ethernet: { source: mac, destination: '02:00:0a:00:00:16' },
        arp: { operation: 2, senderMac: mac, senderIp: ip, targetMac: '02:00:0a:00:00:16', targetIp: '10.0.0.22' },
      }),
    );
  }
}

const IGNORE: [ArpIgnore, boolean, boolean, boolean][] = [
  // own address, address on lo, own address to an asker from another network
  [0, true, true, true],
  [1, true, false, true],
  [2, true, false, false],
];
for (const [arpIgnore, own, loopback, foreign] of IGNORE) {
  test(`arp_ignore ${arpIgnore}`, (t) => {
    const server = new Server({ arpIgnore });
    server.ask('10.0.0.22');
    t.deepEqual(server.arp.splice(0), own ? ['reply 10.0.0.22 > 10.0.0.9'] : []);
    server.ask(VIP);
    t.deepEqual(server.arp.splice(0), loopback ? [`reply ${VIP} > 10.0.0.9`] : []);
    server.ask('10.0.0.22', { mac: ASKER.mac, ip: '192.0.2.1' });
    t.deepEqual(server.arp.splice(0), foreign ? ['reply 10.0.0.22 > 192.0.2.1'] : []);
    server.ask('10.0.0.23');
    t.deepEqual(server.arp, []);
  });
}

const ANNOUNCE: [ArpAnnounce, string][] = [
  [0, VIP],
  [1, '10.0.0.22'],
  [2, '10.0.0.22'],
];
for (const [arpAnnounce, sender] of ANNOUNCE) {
  test(`arp_announce ${arpAnnounce}: an answer from the VIP asks for the gateway as ${sender}`, (t) => {
    const server = new Server({ arpAnnounce });
    server.host.bind(7, () => {}).send(Buffer.from('x'), '192.0.2.17', 7, VIP);
    t.deepEqual(server.arp, [`request ${sender} > 10.0.0.1`]);
  });
}

test('arp_announce 1 names the source that is in the network of the target, 2 the best', (t) => {
  const interfaces = [{ addresses: ['10.0.0.22/24', '10.0.0.24/24', '10.9.0.1/16'] }];
  for (const [arpAnnounce, source, expected] of [
    [1, '10.0.0.24', '10.0.0.24'],
    [1, '10.9.0.1', '10.0.0.22'],
    [2, '10.0.0.24', '10.0.0.22'],
  ] as const) {
    const server = new Server({ arpAnnounce, interfaces, routes: [] });
    server.wire.connect(server.host.interfaces[0]!);
    server.host.bind(7, () => {}).send(Buffer.from('x'), '10.0.0.1', 7, source);
    t.deepEqual(server.arp, [`request ${expected} > 10.0.0.1`]);
  }
});

test('the waiting packets go out, in order, when the answer comes', async (t) => {
  const server = new Server();
  const socket = server.host.bind(7, () => {});
  for (let i = 0; i < 70; i++) socket.send(Uint8Array.of(i), '10.0.0.5', 7);
  const sent: number[] = [];
  server.wire.onFrame = (frame) => void sent.push(frame[42]!);
  server.answer('10.0.0.5', '02:00:00:00:00:55');
  t.deepEqual(
    sent,
    Array.from({ length: 64 }, (_, i) => i + 6),
  );
  t.is(server.host.macOf('10.0.0.5'), '02:00:00:00:00:55');
});

test('three requests, a second apart, then the sender is told', async (t) => {
  const server = new Server();
  await t.throwsAsync(play(server.clock, server.host.ping('10.0.0.5')), { code: 'EHOSTUNREACH' });
  t.deepEqual(server.arp, Array(3).fill('request 10.0.0.22 > 10.0.0.5'));
  t.is(Math.round(server.clock.now() / 1000), 3);
});

test('an answer holds for a minute', async (t) => {
  const server = new Server();
  const neighbour = new MemoryHost({
    clock: server.clock,
    interfaces: [{ addresses: ['10.0.0.5/24'], wire: server.wire }],
  });
  await play(server.clock, server.host.ping('10.0.0.5'));
  const before = server.arp.length;
  await pass(server.clock, 59_000 - server.clock.now());
  await play(server.clock, server.host.ping('10.0.0.5'));
  t.is(server.arp.length, before);
  await pass(server.clock, 60_001);
  await play(server.clock, server.host.ping('10.0.0.5'));
  t.deepEqual(server.arp.slice(before, before + 1), ['request 10.0.0.22 > 10.0.0.5']);
  neighbour.close();
});

test('a neighbour that moves is heard', (t) => {
  const server = new Server();
  server.ask('10.0.0.22');
  t.is(server.host.macOf(ASKER.ip), ASKER.mac);
  server.ask('10.0.0.77', { ip: ASKER.ip, mac: '02:00:00:00:00:98' });
  t.is(server.host.macOf(ASKER.ip), '02:00:00:00:00:98');
  server.ask('10.0.0.77', { ip: '10.0.0.8', mac: '02:00:00:00:00:97' });
  t.is(server.host.macOf('10.0.0.8'), undefined);
});
