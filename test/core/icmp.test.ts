/** What the director says of itself: echoes, errors, resets, and when it keeps silent. */
import test from 'ava';
import { Director, ManualClock, MemoryDevice } from '../../src/index.ts';
import { buildFrame, buildPacket } from '../../src/packet/build.ts';
import type { PacketFields } from '../../src/packet/build-fields.ts';
import { checksum, finish, pseudoSum4, sumBytes } from '../../src/packet/checksum.ts';
import { IcmpView, Ipv4View, TcpView } from '../../src/packet/index.ts';
import { BROADCAST_MAC, CLIENT, DIP, GATEWAY_MAC, Lab, MACS, rs, type Sent, tcp, textOf, udp, VIP } from './lab.ts';

const LINK = 14;
const ethernet = { source: GATEWAY_MAC, destination: MACS.eth0! };

function lab(icmpErrorsPerSecond = Number.POSITIVE_INFINITY): Lab {
  return new Lab({ icmpErrorsPerSecond });
}

function only(sent: readonly Sent[]): Uint8Array {
  if (sent.length !== 1) throw new Error(`${sent.length} frames: ${sent.map(({ text }) => text).join('\n')}`);
  return sent[0]!.frame;
}

/** The ICMP message in a frame, which must be whole and right. */
function message(frame: Uint8Array): { ip: Ipv4View; icmp: IcmpView; data: Buffer } {
  const ip = Ipv4View.at(frame, LINK);
  const view = new DataView(frame.buffer);
  const at = ip.transportOffset;
  const end = LINK + ip.totalLength;
  if (frame.length !== end) throw new Error('padding');
  if (checksum(view, LINK, at - LINK) !== 0) throw new Error('wrong header checksum');
  if (checksum(view, at, end - at) !== 0) throw new Error('wrong ICMP checksum');
  return { ip, icmp: IcmpView.at(frame, at), data: Buffer.from(frame.slice(at + 8, end)) };
}

// ---- Echo -------------------------------------------------------------------------------------------------------

test('echo requests to any of its addresses are answered with the same data', (t) => {
  const one = lab();
  one.director.addService(tcp());
  for (const destination of [DIP, '172.16.0.1', VIP]) {
    for (const length of [0, 1, 55, 56, 1472]) {
      const data = Buffer.alloc(length, 'echo ');
      const ip = { source: CLIENT, destination, ttl: 3, tos: 0x10, df: true, options: new Uint8Array([1, 1, 1]) };
      const frame = only(
        one.frame({
          ip: length > 1468 ? { ...ip, options: new Uint8Array() } : ip,
          icmp: { type: 8, rest: 0x12345678, data },
        }),
      );
      const got = message(frame);
      t.like(got.ip, { source: destination, destination: CLIENT, ttl: 64, tos: 0x10, headerLength: 20 });
      t.like(got.icmp, { type: 0, code: 0, rest: 0x12345678 });
      t.is(Buffer.compare(got.data, data), 0);
    }
  }
  t.deepEqual(one.verdicts(), { ECHO: 15 });
});

test('an echo request is answered without the padding of its frame', (t) => {
  const frame = buildFrame({ ethernet, ip: { source: CLIENT, destination: DIP }, icmp: { type: 8, data: 'hi' } });
  const padded = new Uint8Array(60);
  padded.set(frame);
  t.is(message(only(lab().receive(padded))).data.toString(), 'hi');
});

test('echo requests that are damaged, cut off, or for everybody are not answered', (t) => {
  const one = lab();
  const ip = { source: CLIENT, destination: DIP };
  const good = buildFrame({ ethernet, ip, icmp: { type: 8, data: 'hello' } });
  const damaged = good.slice();
  damaged[LINK + 30]! ^= 1;
  t.deepEqual(one.receive(damaged), []);
  t.deepEqual(one.frame({ ip: { ...ip, protocol: 1 }, payload: new Uint8Array([8, 0, 0xf7, 0xff]) }), []);
  t.deepEqual(one.frame({ ip: { ...ip, destination: '10.0.0.255' }, icmp: { type: 8 } }), []);
  t.deepEqual(one.frame({ ip: { ...ip, destination: '224.0.0.1' }, icmp: { type: 8 } }), []);
  for (const type of [0, 9, 10, 13, 15, 17]) t.deepEqual(one.frame({ ip, icmp: { type } }), [], `type ${type}`);
});

// ---- Errors -----------------------------------------------------------------------------------------------------

/** Packets that cannot go on: their time to live is over. */
function dying(lab: Lab, fields: PacketFields, destination = MACS.eth0!): Sent[] {
  const ip = { ...fields.ip, destination: '172.16.0.11', ttl: 1 };
  return lab.frame({ ...(fields as object), ip, ethernet: { destination } } as Parameters<Lab['frame']>[0]);
}

const datagram = { udp: { sourcePort: 1, destinationPort: 2 } };

test('an error quotes as much of the packet as fits into 576 bytes', (t) => {
  for (const [length, quoted] of [
    [0, 28],
    [100, 128],
    [519, 547],
    [520, 548],
    [521, 548],
    [1472, 548],
  ] as const) {
    const ip = { source: CLIENT, destination: DIP, id: 77 };
    const fields = { udp: { sourcePort: 1, destinationPort: 2, data: 'x'.repeat(length) } };
    const frame = only(dying(lab(), { ip, ...fields }));
    const got = message(frame);
    t.is(got.data.length, quoted);
    const packet = buildPacket({ ip: { ...ip, destination: '172.16.0.11', ttl: 1 }, ...fields });
    t.is(Buffer.compare(got.data, packet.slice(0, quoted)), 0);
    t.like(got.ip, { source: DIP, destination: CLIENT, ttl: 64, tos: 0xc0, df: false });
  }
});

test('an error keeps the packet’s type of service but for precedence and congestion', (t) => {
  for (const [tos, wanted] of [
    [0x10, 0xd0],
    [0x1f, 0xde],
    [0xe3, 0xc2],
    [0x03, 0xc2],
  ] as const) {
    t.is(message(only(dying(lab(), { ip: { source: CLIENT, destination: DIP, tos }, ...datagram }))).ip.tos, wanted);
  }
});

test('no error is sent about errors, later fragments, what was for many, or from addresses of nobody', (t) => {
  const one = lab();
  const ip = { source: CLIENT, destination: DIP };
  const about = buildPacket({ ip: { source: DIP, destination: CLIENT }, ...datagram });
  for (const type of [3, 4, 5, 11, 12, 1, 2, 6, 7, 255]) {
    t.deepEqual(dying(one, { ip, icmp: { type, data: about } }), [], `ICMP type ${type}`);
  }
  for (const type of [0, 8, 13, 17]) t.is(dying(one, { ip, icmp: { type } }).length, 1, `ICMP type ${type}`);
  t.deepEqual(dying(one, { ip: { ...ip, protocol: 1 }, payload: '' }), [], 'an ICMP header that is not there');
  t.deepEqual(dying(one, { ip: { ...ip, fragmentOffset: 8, protocol: 17 }, payload: 'rest' }), []);
  t.is(dying(one, { ip: { ...ip, mf: true, protocol: 17 }, payload: 'first of two' }).length, 1);
  t.deepEqual(dying(one, { ip, ...datagram }, BROADCAST_MAC), []);
  t.deepEqual(dying(one, { ip, ...datagram }, '01:00:5e:00:00:01'), []);
  for (const source of ['224.0.0.1', '127.0.0.1', '0.0.0.0', '255.255.255.255']) {
    t.deepEqual(dying(one, { ip: { ...ip, source }, ...datagram }), [], source);
  }
});

test('errors are limited: a burst of a twentieth of a second’s worth, then as many as time allows', (t) => {
  const one = lab(100);
  const count = (packets: number) => {
    let told = 0;
    for (let i = 0; i < packets; i++)
      told += dying(one, { ip: { source: CLIENT, destination: DIP }, ...datagram }).length;
    return told;
  };
  t.is(count(20), 5);
  one.sleep(0.02);
  t.is(count(20), 2);
  one.sleep(3600);
  t.is(count(20), 5);
  t.deepEqual(one.verdicts(), { TTL_EXCEEDED: 60 });
});

test('errors can be switched off, echoes and resets are none', (t) => {
  const none = lab(0);
  const ip = { source: CLIENT, destination: DIP };
  for (let i = 0; i < 3; i++) t.deepEqual(dying(none, { ip, ...datagram }), []);
  t.deepEqual(none.frame({ ip, ...datagram }), []);
  t.is(none.frame({ ip, icmp: { type: 8 } }).length, 1);
  t.is(none.frame({ ip, tcp: { sourcePort: 1, destinationPort: 2 } }).length, 1);
});

test('without a way back nobody is told', (t) => {
  const one = new Lab({ routes: [] });
  t.deepEqual(one.frame({ ip: { source: CLIENT, destination: DIP }, ...datagram }), []);
  t.deepEqual(one.verdicts(), { REJECTED: 1 });
});

// ---- Refusals ---------------------------------------------------------------------------------------------------

/** A segment to a port of the director's that nobody serves, and the answer. */
function reset(fields: object, to = DIP): { ip: Ipv4View; tcp: TcpView } | null {
  const one = lab();
  one.director.addService(tcp());
  const sent = one.frame({
    ip: { source: CLIENT, destination: to, ttl: 5, tos: 0x13 },
    tcp: { sourcePort: 40000, destinationPort: 23, sequence: 1000, ...fields },
  });
  if (sent.length === 0) return null;
  const frame = only(sent);
  const ip = Ipv4View.at(frame, LINK);
  const view = new DataView(frame.buffer);
  const length = ip.totalLength - 20;
  if (finish(sumBytes(view, LINK + 20, length, pseudoSum4(view, LINK, 6, length))) !== 0)
    throw new Error('wrong checksum');
  return { ip, tcp: TcpView.at(frame, ip.transportOffset) };
}

test('a segment for nobody is answered with a reset (RFC 9293 3.10.7.1)', (t) => {
  for (const [fields, flags, sequence, acknowledgement] of [
    [{ flags: 'S' }, 'RA', 0, 1001],
    [{ flags: 'S', data: 'fast' }, 'RA', 0, 1005],
    [{ flags: 'SF', data: 'all' }, 'RA', 0, 1005],
    [{ flags: '', data: 'four' }, 'RA', 0, 1004],
    [{ flags: 'S', sequence: 0xffffffff }, 'RA', 0, 0],
    [{ flags: 'A', acknowledgement: 5000 }, 'R', 5000, 0],
    [{ flags: 'SA', acknowledgement: 0xfffffff0 }, 'R', 0xfffffff0, 0],
    [{ flags: 'FA', acknowledgement: 7, data: 'bye' }, 'R', 7, 0],
    [{ flags: 'S', options: new Uint8Array([2, 4, 5, 0xb4]), data: 'xy' }, 'RA', 0, 1003],
  ] as const) {
    for (const to of [DIP, VIP]) {
      const got = reset(fields, to)!;
      t.like(got.tcp, {
        sourcePort: 23,
        destinationPort: 40000,
        flagLetters: flags,
        sequence,
        acknowledgement,
        window: 0,
      });
      t.like(got.ip, { source: to, destination: CLIENT, ttl: 64, df: true, tos: 0x10, totalLength: 40 });
    }
  }
});

test('a reset is never answered, nor a segment that is damaged or cut off', (t) => {
  t.is(reset({ flags: 'R' }), null);
  t.is(reset({ flags: 'SRA' }), null);
  const one = lab();
  const ip = { source: CLIENT, destination: DIP };
  const good = buildFrame({ ethernet, ip, tcp: { sourcePort: 1, destinationPort: 23, data: 'hello' } });
  for (const at of [LINK + 20 + 4, LINK + 20 + 16, good.length - 1]) {
    const damaged = good.slice();
    damaged[at]! ^= 0x10;
    t.deepEqual(one.receive(damaged), []);
  }
  t.deepEqual(one.verdicts(), { BAD_CHECKSUM: 3 });
  const segment = good.slice(LINK + 20);
  t.deepEqual(one.frame({ ip: { ...ip, protocol: 6 }, payload: segment.slice(0, 19) }), []);
  const offset = segment.slice();
  offset[12] = 0xf0; // a header of 60 bytes, which are not there
  t.deepEqual(one.frame({ ip: { ...ip, protocol: 6 }, payload: offset }), []);
  t.deepEqual(one.verdicts(), { SHORT_TRANSPORT: 2 });
});

test('a datagram for nobody is answered with “port unreachable”, unless it is damaged', (t) => {
  const one = lab();
  const ip = { source: CLIENT, destination: DIP };
  for (const zeroChecksum of [false, true]) {
    const got = message(only(one.frame({ ip, udp: { sourcePort: 1, destinationPort: 2, zeroChecksum } })));
    t.like(got.icmp, { type: 3, code: 3, rest: 0 });
    t.is(got.ip.source, DIP);
  }
  const damaged = buildFrame({ ethernet, ip, ...datagram });
  damaged[damaged.length - 1]! ^= 1;
  t.deepEqual(one.receive(damaged), []);
  const lying = buildFrame({ ethernet, ip, udp: { sourcePort: 1, destinationPort: 2, zeroChecksum: true } });
  for (const length of [7, 14, 0xffff]) {
    new DataView(lying.buffer).setUint16(LINK + 24, length);
    t.deepEqual(one.receive(lying), [], `length ${length}`);
  }
  t.deepEqual(one.frame({ ip: { ...ip, protocol: 17 }, payload: 'cut off' }), []);
  t.deepEqual(one.verdicts(), { REJECTED: 2, BAD_CHECKSUM: 1, SHORT_TRANSPORT: 4 });
});

test('a packet of a protocol that nobody speaks is answered with “protocol unreachable”', (t) => {
  const one = lab();
  const ip = { source: CLIENT, destination: DIP };
  for (const protocol of [4, 41, 47, 50, 89, 255]) {
    const got = message(only(one.frame({ ip: { ...ip, protocol }, payload: 'what is this?' })));
    t.like(got.icmp, { type: 3, code: 2 });
  }
  t.deepEqual(one.frame({ ip: { ...ip, protocol: 2 }, payload: 'IGMP' }), []);
});

test('a service without a server answers “port unreachable”, for TCP too, and tells its listener', (t) => {
  const one = lab();
  const events: string[] = [];
  one.director.on('noDestination', (service) => events.push(`${service.protocol} ${service.port}`));
  for (const key of [tcp(), udp()]) {
    one.director.addService(key);
    one.director.addDestination(key, { address: rs(11) }, { weight: 0 });
  }
  for (const sent of [one.client('S'), one.datagram()]) {
    const got = message(only(sent));
    t.like(got.icmp, { type: 3, code: 3 });
    t.is(got.ip.source, VIP);
  }
  t.deepEqual(events, ['tcp 80', 'udp 53']);
  t.deepEqual(one.verdicts(), { NO_SERVER: 2 });
});

test('an ICMPv6 error that stays with a NAT server on the director itself leaves the next packet alone', (t) => {
  const device = new MemoryDevice({ name: 'eth0', mac: MACS.eth0! });
  const sent: string[] = [];
  device.onTransmit = (frame) => sent.push(textOf(frame));
  const director = new Director({
    interfaces: [{ device, addresses: ['2001:db8::1/64'] }],
    neighbours: [{ ip: '2001:db8::b', mac: '02:00:00:00:01:0b', dev: 'eth0' }],
    clock: new ManualClock(),
  }).start();
  const key = (port: number) => ({ protocol: 'tcp', address: '2001:db8::100', port }) as const;
  for (const [port, server] of [
    [80, '2001:db8::1'],
    [81, '2001:db8::b'],
  ] as const) {
    director.addService(key(port));
    director.addDestination(key(port), { address: server, port: 8080 }, { method: 'masq' });
  }
  director.onPassed = () => {};
  const client = '2001:db8::c';
  const receive = (fields: PacketFields) => {
    device.inject(buildFrame({ ethernet, ...fields }));
    director.poll();
  };
  const syn = (port: number) =>
    receive({
      ip: { source: client, destination: '2001:db8::100' },
      tcp: { sourcePort: 40000, destinationPort: port },
    });
  syn(80);
  const about = buildPacket({
    ip: { source: '2001:db8::100', destination: client },
    tcp: { sourcePort: 80, destinationPort: 40000, flags: 'SA' },
  });
  receive({ ip: { source: client, destination: '2001:db8::100' }, icmpv6: { type: 1, code: 4, data: about } });
  t.is(director.counters().verdicts.LOCAL, 2);
  syn(81);
  t.is(sent.length, 1);
  t.regex(sent[0]!, /\[2001:db8::b\]:8080/);
});
