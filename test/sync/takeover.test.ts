/** A master dies and its backup goes on with its connections. */
import test, { type ExecutionContext } from 'ava';
import {
  Director,
  ManualClock,
  MemoryDevice,
  type SyncEndpoint,
  type SyncReceive,
  type SyncTransport,
  UdpTransport,
} from '../../src/index.ts';
import { buildFrame } from '../../src/packet/build.ts';
import type { PacketFields } from '../../src/packet/build-fields.ts';
import { GATEWAY, GATEWAY_MAC, rs, rsMac, tcp, textOf, udp, VIP } from '../core/lab.ts';

const VIP6 = '2001:db8::100';
const tcp6 = { protocol: 'tcp', address: VIP6, port: 80 } as const;

/** Two directors on one wire: what one sends to the group, the other receives. Clients talk to the active one. */
class Pair {
  readonly clock = new ManualClock();
  readonly directors: readonly Director[];
  readonly #devices: readonly MemoryDevice[];
  readonly #sent: string[] = [];
  active = 0;

  constructor() {
    this.#devices = [1, 2].map((n) => new MemoryDevice({ name: 'eth0', mac: `02:00:00:00:00:0${n}` }));
    for (const [i, device] of this.#devices.entries()) {
      device.onTransmit = (frame) => {
        if ((frame[0]! & 1) === 0) this.#sent.push(textOf(frame));
        else this.#devices[1 - i]!.inject(frame);
      };
    }
    const neighbours = [{ ip: GATEWAY, mac: GATEWAY_MAC, dev: 'eth0' }];
    neighbours.push({ ip: '2001:db8::fe', mac: GATEWAY_MAC, dev: 'eth0' });
    for (const n of [11, 12, 13]) {
      neighbours.push({ ip: rs(n), mac: rsMac(n), dev: 'eth0' });
      neighbours.push({ ip: `2001:db8::${n}`, mac: rsMac(n), dev: 'eth0' });
    }
    this.directors = this.#devices.map((device, i) =>
      new Director({
        interfaces: [{ device, addresses: [`10.0.0.${i + 1}/24`, `2001:db8::${i + 1}/64`] }],
        neighbours,
        routes: [
          { to: 'default', via: GATEWAY },
          { to: 'default', via: '2001:db8::fe' },
        ],
        forwarding: true,
        clock: this.clock,
      }).start(),
    );
    for (const director of this.directors) {
      director.addService(tcp(), { scheduler: 'rr', persistent: 300 });
      director.addDestination(tcp(), { address: rs(11), port: 8080 }, { method: 'masq' });
      director.addDestination(tcp(), { address: rs(12) });
      director.addService(udp(), { scheduler: 'rr' });
      director.addDestination(udp(), { address: rs(13) }, { method: 'tunnel' });
      director.addService(tcp6, { scheduler: 'rr' });
      director.addDestination(tcp6, { address: '2001:db8::11', port: 8080 }, { method: 'masq' });
    }
  }

  sleep(s: number): void {
    for (let i = 0; i < s * 10; i++) {
      this.clock.advance(100);
      for (const director of this.directors) director.poll();
    }
  }

  /** A frame arrives at the active director; what it sends. */
  #frame(frame: Uint8Array): string[] {
    this.#devices[this.active]!.inject(frame);
    this.directors[this.active]!.poll();
    return this.#sent.splice(0);
  }

  #mac(): string {
    return `02:00:00:00:00:0${this.active + 1}`;
  }

  /** A packet arrives from the gateway, or as it were from it. */
  arrives(packet: PacketFields): string[] {
    return this.#frame(buildFrame({ ...packet, ethernet: { source: GATEWAY_MAC, destination: this.#mac() } }));
  }

  client(client: number, flags: string): string[] {
    return this.#frame(
      buildFrame({
        ethernet: { source: GATEWAY_MAC, destination: this.#mac() },
        ip: { source: `192.0.2.${client}`, destination: VIP },
        tcp: { sourcePort: 40000, destinationPort: 80, flags },
      }),
    );
  }

  client6(flags: string): string[] {
    return this.#frame(
      buildFrame({
        ethernet: { source: GATEWAY_MAC, destination: this.#mac() },
        ip: { source: '2001:db8:1::1', destination: VIP6 },
        tcp: { sourcePort: 40000, destinationPort: 80, flags },
      }),
    );
  }

  query(): string[] {
    return this.#frame(
      buildFrame({
        ethernet: { source: GATEWAY_MAC, destination: this.#mac() },
        ip: { source: '192.0.2.1', destination: VIP },
        udp: { sourcePort: 40000, destinationPort: 53 },
      }),
    );
  }

  server(client: number): string[] {
    return this.#frame(
      buildFrame({
        ethernet: { source: rsMac(11), destination: this.#mac() },
        ip: { source: rs(11), destination: `192.0.2.${client}` },
        tcp: { sourcePort: 8080, destinationPort: 40000, flags: 'A' },
      }),
    );
  }

  /** Every connection and template of a director, without its time. */
  list(director: Director): string[] {
    return director
      .connections()
      .map((entry) => {
        const { protocol, clientAddress, clientPort, destinationAddress, destinationPort, state } = entry;
        return `${protocol} ${clientAddress}:${clientPort} ${destinationAddress}:${destinationPort} ${state}`;
      })
      .sort();
  }

  stop(): void {
    for (const director of this.directors) director.stop();
  }
}

function converse(pair: Pair): void {
  for (const client of [1, 2]) for (const flags of ['S', 'A', 'A', 'PA']) pair.client(client, flags);
  for (const flags of ['S', 'A', 'A']) pair.client6(flags);
  for (let i = 0; i < 4; i++) pair.query();
}

function goesOn(t: ExecutionContext, pair: Pair): void {
  const [master, backup] = pair.directors;
  t.deepEqual(pair.list(backup!), pair.list(master!));
  t.is(pair.list(backup!).length, 6);
  pair.active = 1;
  master!.stop();
  // Client 1 got the newest server (DR), client 2 the other (NAT); each keeps it.
  t.regex(pair.client(1, 'A')[0]!, /02:00:00:00:00:02 > 02:00:00:00:01:0c .* 192.0.2.1:40000 > 10.0.0.100:80/);
  t.regex(pair.client(2, 'A')[0]!, /02:00:00:00:00:02 > 02:00:00:00:01:0b .* 192.0.2.2:40000 > 10.0.0.11:8080/);
  t.regex(pair.server(2)[0]!, /10.0.0.100:80 > 192.0.2.2:40000/);
  t.regex(pair.client6('A')[0]!, /2001:db8:1::1.* > \[?2001:db8::11/);
  t.regex(pair.query()[0]!, /10.0.0.2 > 10.0.0.13 /);
  // They go on as any others do: the server's end, the client's end.
  for (const flags of ['FA', 'R']) pair.client(1, flags);
  t.true(pair.list(backup!).includes('6 192.0.2.1:40000 10.0.0.12:80 CLOSE'));
}

for (const group of ['224.0.0.81', 'ff02::51']) {
  for (const channels of [1, 4]) {
    test(`NAT, DR, tunnel and IPv6 connections go on at the backup: ${group}, ${channels} ports`, (t) => {
      const pair = new Pair();
      const [master, backup] = pair.directors;
      for (const director of pair.directors) director.sysctl.set('sync_ports', channels);
      backup!.startDaemon({ role: 'backup', mcastGroup: group, syncId: 4 });
      master!.startDaemon({ role: 'master', mcastGroup: group, syncId: 4 });
      converse(pair);
      pair.sleep(4);
      t.like(backup!.counters().sync.backup!.refused, { LENGTH: 0, TRUNCATED: 0, PROTOCOL: 0 });
      t.is(backup!.counters().sync.backup!.messages, master!.counters().sync.master!.messages);
      goesOn(t, pair);
      pair.stop();
    });
  }
}

test('A control connection of FTP goes on with the sequence numbers that its ends count', (t) => {
  const pair = new Pair();
  const [master, backup] = pair.directors;
  const ftp = tcp(21);
  for (const director of pair.directors) {
    director.addService(ftp);
    director.addDestination(ftp, { address: rs(11) }, { method: 'masq' });
  }
  backup!.startDaemon({ role: 'backup' });
  master!.startDaemon({ role: 'master' });
  master!.sysctl.set('sync_threshold', '0 1');
  const say = (flags: string, sequence: number, acknowledgement: number, data = '') =>
    pair.arrives({
      ip: { source: '192.0.2.1', destination: VIP },
      tcp: { sourcePort: 4000, destinationPort: 21, flags, sequence, acknowledgement, data: Buffer.from(data) },
    });
  const answer = (flags: string, sequence: number, acknowledgement: number, data = '') =>
    pair.arrives({
      ip: { source: rs(11), destination: '192.0.2.1' },
      tcp: { sourcePort: 21, destinationPort: 4000, flags, sequence, acknowledgement, data: Buffer.from(data) },
    });
  say('S', 0, 0);
  answer('SA', 0, 1);
  say('A', 1, 1);
  say('PA', 1, 1, 'PASV\r\n');
  const passive = answer('PA', 1, 7, '227 Entering Passive Mode (10,0,0,11,156,64).\r\n');
  t.regex(passive[0]!, /seq 1 .*len 48/, 'one byte longer');
  say('A', 7, 49);
  pair.sleep(4);

  pair.active = 1;
  master!.stop();
  t.regex(say('PA', 7, 49, 'NOOP\r\n')[0]!, /> 10.0.0.11:21 .*seq 7 ack 48 /);
  t.regex(answer('PA', 48, 13, '200 OK\r\n')[0]!, /10.0.0.100:21 > .*seq 49 ack 13 /);
  pair.stop();
});

test('Messages longer than the wire takes go in fragments', (t) => {
  const pair = new Pair();
  const [master, backup] = pair.directors;
  backup!.startDaemon({ role: 'backup', syncMaxlen: 9000 });
  master!.startDaemon({ role: 'master', syncMaxlen: 9000 });
  for (let client = 1; client <= 100; client++) for (const flags of ['S', 'A', 'A']) pair.client(client, flags);
  pair.sleep(4);
  t.is(master!.counters().sync.master!.messages, 2, '36 bytes each, no more than 255 in a message');
  t.deepEqual(pair.list(backup!), pair.list(master!));
  pair.stop();
});

test('The old master comes back as the backup of the new one', (t) => {
  const pair = new Pair();
  const [first, second] = pair.directors;
  second!.startDaemon({ role: 'backup' });
  first!.startDaemon({ role: 'master' });
  converse(pair);
  pair.sleep(4);
  first!.stopDaemon('master');
  second!.stopDaemon('backup');
  first!.startDaemon({ role: 'backup' });
  second!.startDaemon({ role: 'master' });
  pair.active = 1;
  pair.client(2, 'FA');
  pair.sleep(4);
  t.true(pair.list(first!).includes('6 192.0.2.2:40000 10.0.0.11:8080 CLOSE_WAIT'));
  t.like(second!.counters().sync.master, { messages: 1 });
  pair.stop();
});

test('A transport of one’s own carries the messages', (t) => {
  const pair = new Pair();
  const [master, backup] = pair.directors;
  const receivers: SyncReceive[] = [];
  let endpoint: SyncEndpoint | null = null;
  const transport: SyncTransport = {
    name: 'string',
    mtu: 9000,
    openSender: (given) => {
      endpoint = given;
      return {
        send: (message, length) => {
          const view = new DataView(message.slice(0, length).buffer);
          for (const receive of receivers) receive(view, 0, length);
        },
        close() {},
      };
    },
    openReceiver: (_endpoint, receive) => {
      receivers.push(receive);
      return { close() {} };
    },
  };
  backup!.startDaemon({ role: 'backup', transport });
  master!.startDaemon({ role: 'master', transport, mcastPort: 9999 });
  t.like(endpoint!, { port: 9999, ttl: 1, channels: 1 });
  t.like(backup!.daemons()[0], { mcastInterface: 'string', syncMaxlen: 8972 });
  converse(pair);
  pair.sleep(4);
  goesOn(t, pair);
  pair.stop();
});

test('A UDP socket carries the messages', async (t) => {
  const pair = new Pair();
  const [master, backup] = pair.directors;
  const errors: Error[] = [];
  const options = { onError: (error: Error) => errors.push(error) };
  const mcastPort = 20_000 + (process.pid % 20_000);
  backup!.startDaemon({ role: 'backup', mcastPort, transport: new UdpTransport({ local: '127.0.0.1', ...options }) });
  master!.startDaemon({ role: 'master', mcastPort, transport: new UdpTransport({ remote: '127.0.0.1', ...options }) });
  converse(pair);
  // The sockets are bound in turns of the event loop that nothing tells of.
  for (let i = 0; i < 200 && backup!.counters().sync.backup!.messages === 0; i++) {
    pair.sleep(4);
    await new Promise((done) => setTimeout(done, 10));
  }
  t.deepEqual(errors, []);
  goesOn(t, pair);
  pair.stop();
});

test('What a socket refuses is told, and nothing breaks', async (t) => {
  const pair = new Pair();
  const [master, backup] = pair.directors;
  const errors: Error[] = [];
  // 192.0.2.0/24 is nobody's (RFC 5737).
  const transport = new UdpTransport({ interface: '192.0.2.99', onError: (error) => errors.push(error) });
  const mcastPort = 20_000 + (process.pid % 20_000);
  master!.startDaemon({ role: 'master', transport, mcastPort });
  backup!.startDaemon({ role: 'backup', transport, mcastPort });
  for (let i = 0; i < 200 && errors.length < 2; i++) await new Promise((done) => setTimeout(done, 10));
  t.is(errors.length, 2);
  converse(pair);
  pair.sleep(4);
  t.is(pair.list(master!).length, 6);
  pair.stop();
});

test('Frames to the group have the group’s MAC address and the time to live that was asked for', (t) => {
  const clock = new ManualClock();
  const device = new MemoryDevice({ name: 'eth0' });
  const frames: string[] = [];
  device.onTransmit = (frame) => frames.push(textOf(frame));
  const director = new Director({ interfaces: [{ device, addresses: ['10.0.0.1/24'] }], clock }).start();
  director.addService(udp(), { scheduler: 'rr' });
  director.addDestination(udp(), { address: '10.0.0.1' });
  director.startDaemon({ role: 'master', mcastTtl: 9, mcastGroup: '239.129.1.2' });
  for (let i = 0; i < 3; i++) {
    device.inject(
      buildFrame({
        ethernet: { source: GATEWAY_MAC, destination: '02:00:00:00:00:01' },
        ip: { source: '10.0.0.9', destination: VIP },
        udp: { sourcePort: 1, destinationPort: 53 },
      }),
    );
    director.poll();
  }
  clock.advance(4000);
  t.regex(
    frames.find((text) => text.includes(':8848'))!,
    /> 01:00:5e:01:01:02 IPv4 10.0.0.1:\d+ > 239.129.1.2:8848 ttl 9 UDP/,
  );
  director.stop();
});
