/** Fragments: datagrams are balanced whole, and go on in fragments as small as they came. */
import test from 'ava';
import fc from 'fast-check';
import { Director, ManualClock, MemoryDevice } from '../../src/index.ts';
import { buildFrame, buildPacket } from '../../src/packet/build.ts';
import type { PacketFields } from '../../src/packet/build-fields.ts';
import { checksum, finish, fold, pseudoSum4, sumBytes } from '../../src/packet/checksum.ts';
import { Ipv4View } from '../../src/packet/index.ts';
import { CLIENT, DIP, GATEWAY_MAC, Lab, MACS, rs, type Sent, seededRandom, tcp, textOf, udp, VIP } from './lab.ts';

const LINK = 14;
const HEADER = 20;

/** Where a fragment's data begins and ends, in bytes. */
type Range = readonly [from: number, to: number];

interface FragmentOptions {
  readonly source?: string;
  readonly destination?: string;
  readonly id?: number;
  readonly protocol?: number;
  readonly df?: boolean;
  readonly options?: Uint8Array;
}

/** A frame from the gateway with a part of an IP packet's payload. */
function fragment(payload: Uint8Array, [from, to]: Range, options: FragmentOptions = {}): Uint8Array {
  const { source = CLIENT, destination = VIP, protocol = 17, ...rest } = options;
  return buildFrame({
    ethernet: { source: GATEWAY_MAC, destination: MACS.eth0! },
    ip: { source, destination, protocol, ...rest, fragmentOffset: from, mf: to < payload.length },
    payload: payload.slice(from, to),
  });
}

/** The payload of an IP packet: a datagram from a client to a service, by default. */
function payloadOf(fields: Partial<PacketFields> & object): Uint8Array {
  const ip = { source: CLIENT, destination: VIP };
  return buildPacket({ ip, udp: { sourcePort: 40000, destinationPort: 53 }, ...fields } as PacketFields).slice(HEADER);
}

function datagram(length: number, seed = 1): Uint8Array {
  const random = seededRandom(seed);
  const data = Uint8Array.from({ length }, () => 256 * random());
  return payloadOf({ udp: { sourcePort: 40000, destinationPort: 53, data } });
}

/** Puts what was sent together again: the packets, in the order in which their first fragments came. */
function whole(sent: readonly Sent[]): Uint8Array[] {
  const packets = new Map<string, Uint8Array>();
  for (const { frame } of sent) {
    const ip = Ipv4View.at(frame, LINK);
    const key = `${ip.id} ${ip.source} ${ip.destination}`;
    const data = frame.slice(ip.transportOffset, LINK + ip.totalLength);
    const soFar = packets.get(key) ?? new Uint8Array();
    if (soFar.length !== ip.fragmentOffset) throw new Error('out of order');
    packets.set(key, new Uint8Array([...soFar, ...data]));
    if (checksum(new DataView(frame.buffer), LINK, ip.transportOffset - LINK) !== 0) throw new Error('wrong checksum');
  }
  return [...packets.values()];
}

/** Whether a transport checksum is right, the packet being from and to these addresses. */
function isRight(payload: Uint8Array, source: string, destination: string, protocol: number): boolean {
  const header = buildPacket({ ip: { source, destination }, payload: '' });
  const sum = pseudoSum4(new DataView(header.buffer), 0, protocol, payload.length);
  return finish(sumBytes(new DataView(payload.buffer), 0, payload.length, sum)) === 0;
}

function natLab(): Lab {
  const lab = new Lab();
  lab.director.addService(udp(), { scheduler: 'rr' });
  lab.director.addDestination(udp(), { address: rs(11), port: 5353 }, { method: 'masq' });
  return lab;
}

/** Ways to cut something of `length` bytes: at multiples of 8. */
function cuts(length: number): fc.Arbitrary<Range[]> {
  return fc
    .uniqueArray(fc.integer({ min: 1, max: Math.max(1, Math.ceil(length / 8) - 1) }), { minLength: 1, maxLength: 12 })
    .map((places) => {
      const edges = [0, ...places.map((place) => place * 8).sort((a, b) => a - b), length];
      return edges.slice(1).map((to, i): Range => [edges[i]!, to]);
    })
    .filter((ranges) => ranges.every(([from, to]) => from < to && to - from <= 1480));
}

test('any cut, in any order, repeated at will, gives the datagram to the server in fragments no larger', (t) => {
  const lab = natLab();
  const scenario = fc.integer({ min: 20, max: 6000 }).chain((length) =>
    fc.record({
      length: fc.constant(length),
      ranges: cuts(length + 8),
      seed: fc.nat(),
      repeat: fc.boolean(),
      id: fc.nat(0xffff),
    }),
  );
  fc.assert(
    fc.property(scenario, ({ length, ranges, seed, repeat, id }) => {
      const payload = datagram(length, seed);
      const random = seededRandom(seed);
      const order = ranges.map((range) => ({ range, key: random() })).sort((a, b) => a.key - b.key);
      const frames = order.map(({ range }) => fragment(payload, range, { id }));
      // All but the last may come twice: after that there is nothing left to repeat.
      const all = repeat ? [...frames.slice(0, -1), ...frames] : frames;
      const sent = lab.receive(all);
      const largest = Math.max(...ranges.map(([from, to]) => to - from)) + HEADER;
      for (const { frame } of sent) {
        if (frame.length - LINK > largest) throw new Error(`${frame.length - LINK} bytes, though ${largest} came`);
      }
      const [got, ...more] = whole(sent);
      if (got === undefined || more.length > 0) throw new Error(`${more.length} more`);
      if (!isRight(got, CLIENT, rs(11), 17)) throw new Error('wrong UDP checksum');
      const wanted = payload.slice();
      new DataView(wanted.buffer).setUint16(2, 5353);
      wanted.set(got.slice(6, 8), 6);
      if (Buffer.compare(wanted, got) !== 0) throw new Error('other data');
    }),
    { numRuns: 300 },
  );
  t.pass();
});

test('datagrams are told apart by addresses, protocol and identification', (t) => {
  const lab = natLab();
  const payloads = [1, 2, 3, 4].map((seed) => datagram(100, seed));
  const options: FragmentOptions[] = [{}, { id: 2 }, { source: '192.0.2.2' }, { protocol: 6 }];
  const firsts = payloads.map((payload, i) => fragment(payload, [0, 64], options[i]));
  const lasts = payloads.map((payload, i) => fragment(payload, [64, 108], options[i]));
  t.deepEqual(lab.receive(firsts), []);
  // The one that calls itself TCP is too short to be a connection's first.
  t.is(whole(lab.receive(lasts)).length, 3);
});

test('an overlap is not to be trusted: the datagram is dropped, and what comes of it later waits in vain', (t) => {
  const payload = datagram(200);
  for (const [first, second] of [
    [
      [0, 64],
      [56, 128],
    ],
    [
      [64, 128],
      [56, 72],
    ],
    [
      [64, 128],
      [0, 72],
    ],
    [
      [64, 128],
      [56, 136],
    ],
  ] as const) {
    const lab = natLab();
    lab.receive([fragment(payload, first), fragment(payload, second)]);
    t.like(lab.verdicts(), { FRAGMENT: 1, BAD_FRAGMENT: 1 });
    t.deepEqual(lab.receive([fragment(payload, [128, 208])]), []);
    t.like(lab.verdicts(), { FRAGMENT: 1 });
  }
});

test('two ends, or data behind the end, are not to be trusted', (t) => {
  const payload = datagram(200);
  for (const frames of [
    [fragment(payload, [128, 208]), fragment(payload.slice(0, 160), [128, 160])],
    [fragment(payload.slice(0, 160), [128, 160]), fragment(payload, [160, 176])],
    [fragment(payload, [160, 176]), fragment(payload.slice(0, 160), [128, 160])],
  ]) {
    const lab = natLab();
    lab.receive(frames);
    t.deepEqual(lab.verdicts(), { FRAGMENT: 1, BAD_FRAGMENT: 1 });
  }
});

test('nothing longer than an IP packet can be is put together', (t) => {
  const lab = natLab();
  const payload = new Uint8Array(65535);
  lab.receive(fragment(payload, [65528, 65535]));
  t.deepEqual(lab.verdicts(), { BAD_FRAGMENT: 1 });
  // Every fragment for itself would fit, but the first one's options make the whole too long.
  const options = new Uint8Array(40).fill(1);
  const long = datagram(65515 - 8);
  const ranges: Range[] = [];
  for (let at = 0; at < long.length; at += 1400) ranges.push([at, Math.min(long.length, at + 1400)]);
  const sent = lab.receive(ranges.map((range, i) => fragment(long, range, i === 0 ? { options, id: 9 } : { id: 9 })));
  t.deepEqual(sent, []);
  t.deepEqual(lab.verdicts(), { FRAGMENT: ranges.length - 1, BAD_FRAGMENT: 1 });
});

test('the longest datagram there is goes through', (t) => {
  const lab = natLab();
  const long = datagram(65515 - 8);
  const ranges: Range[] = [];
  for (let at = 0; at < long.length; at += 1480) ranges.push([at, Math.min(long.length, at + 1480)]);
  const [got] = whole(lab.receive(ranges.map((range) => fragment(long, range))));
  t.is(got?.length, long.length);
  t.true(isRight(got!, CLIENT, rs(11), 17));
});

test('what is not complete after 30 seconds is given up; the sender is told if the first fragment came', (t) => {
  const lab = natLab();
  const payload = datagram(200);
  lab.receive([
    fragment(payload, [0, 64], { id: 1 }),
    fragment(payload, [64, 128], { id: 1 }),
    fragment(payload, [64, 128], { id: 2 }),
  ]);
  t.deepEqual(lab.sleep(29), []);
  const told = lab.sleep(2);
  t.is(told.length, 1);
  t.regex(told[0]!.text, /ICMP .*\[IPv4 192\.0\.2\.1:40000 > 10\.0\.0\.100:53 ttl 64 fragment 1 offset 0 more UDP/);
  t.deepEqual([...told[0]!.frame.slice(34, 36)], [11, 1]);
  t.deepEqual(lab.receive(fragment(payload, [128, 208], { id: 1 })), []);
});

test('of IPv6 it is given up after 60 seconds; the sender is told with the fragment as it came', (t) => {
  const clock = new ManualClock();
  const device = new MemoryDevice({ name: 'eth0', mac: MACS.eth0! });
  const sent: Sent[] = [];
  device.onTransmit = (frame) => sent.push({ dev: 'eth0', frame, text: textOf(frame) });
  const director = new Director({
    interfaces: [{ device, addresses: ['2001:db8::1/64'] }],
    neighbours: [{ ip: '2001:db8::fe', mac: GATEWAY_MAC, dev: 'eth0' }],
    routes: [{ to: '::/0', via: '2001:db8::fe' }],
    clock,
  }).start();
  const key = { protocol: 'udp', address: '2001:db8::100', port: 53 } as const;
  director.addService(key);
  const arrived = buildFrame({
    ethernet: { source: GATEWAY_MAC, destination: MACS.eth0! },
    ip: { source: '2001:db8:c::1', destination: key.address, protocol: 17, id: 7, mf: true },
    payload: datagram(56).slice(0, 64),
  });
  device.inject(arrived);
  director.poll();
  clock.advance(59_000);
  t.deepEqual(sent, []);
  clock.advance(2000);
  t.is(sent.length, 1);
  t.regex(sent[0]!.text, /IPv6 2001:db8::100 > 2001:db8:c::1 .*ICMPv6/);
  t.deepEqual([...sent[0]!.frame.slice(54, 56)], [3, 1]);
  t.deepEqual(sent[0]!.frame.slice(62), arrived.slice(14));
});

test('what waits takes no more than 4 MiB: the oldest gives way', (t) => {
  for (const size of [1400, 8]) {
    const lab = natLab();
    const payload = datagram(2800);
    const many = 10_000;
    for (let id = 0; id < many; id += 100) {
      lab.receive(Array.from({ length: 100 }, (_, i) => fragment(payload, [0, size], { id: id + i })));
    }
    const finish = (id: number) => {
      const ranges: Range[] = [];
      for (let at = size; at < payload.length; at += 1400) ranges.push([at, Math.min(payload.length, at + 1400)]);
      return whole(lab.receive(ranges.map((range) => fragment(payload, range, { id })))).length;
    };
    t.is(finish(0), 0, `fragments of ${size} bytes: the oldest`);
    t.is(finish(many - 1), 1, `fragments of ${size} bytes: the newest`);
  }
});

test('all fragments of TCP, too, count as one packet', (t) => {
  const lab = new Lab();
  lab.director.addService(tcp(), { scheduler: 'rr' });
  lab.director.addDestination(tcp(), { address: rs(11) }, { method: 'masq' });
  const payload = payloadOf({
    udp: undefined,
    tcp: { sourcePort: 40000, destinationPort: 80, flags: 'S', data: 'x'.repeat(100) },
  } as object);
  const sent = lab.receive(
    [
      [0, 8],
      [8, 16],
      [16, 120],
    ].map((range) => fragment(payload, range as never, { protocol: 6 })),
  );
  t.true(isRight(whole(sent)[0]!, CLIENT, rs(11), 6));
  t.is(lab.director.service(tcp()).stats.inPkts, 1);
  t.is(lab.director.service(tcp()).stats.inBytes, HEADER + 120);
  t.is(lab.director.connections()[0]?.state, 'SYN_RECV');
});

test('echo requests in fragments are answered whole, several in one burst, on any interface', (t) => {
  for (const vlan of [undefined, 5]) {
    const device = new MemoryDevice({ name: 'eth0', mac: MACS.eth0! });
    const sent: Uint8Array[] = [];
    device.onTransmit = (frame) => sent.push(frame);
    const director = new Director({
      interfaces: [{ device, addresses: ['10.0.0.1/24'], ...(vlan === undefined ? {} : { vlan }) }],
      neighbours: [{ ip: rs(11), mac: GATEWAY_MAC, dev: vlan === undefined ? 'eth0' : 'eth0.5' }],
      clock: new ManualClock(),
    }).start();
    const options = new Uint8Array([1, 1, 1, 1]);
    for (let i = 1; i <= 3; i++) {
      const data = String(i).repeat(48);
      const ip = { source: rs(11), destination: DIP };
      const payload = payloadOf({ ip, udp: undefined, icmp: { type: 8, rest: i, data } } as object);
      for (const [from, to] of [
        [0, 32],
        [32, 56],
      ] as const) {
        device.inject(
          buildFrame({
            ethernet: { source: GATEWAY_MAC, destination: MACS.eth0!, vlans: vlan === undefined ? [] : [vlan] },
            ip: { ...ip, id: i, protocol: 1, fragmentOffset: from, mf: to < 56, options },
            payload: payload.slice(from, to),
          }),
        );
      }
    }
    director.poll();
    const at = vlan === undefined ? LINK : LINK + 4;
    const replies = sent.map((frame) => {
      const ip = Ipv4View.at(frame, at);
      const message = frame.slice(ip.transportOffset, at + ip.totalLength);
      t.is(fold(sumBytes(new DataView(message.buffer), 0, message.length, 0)), 0xffff);
      return [message[0], message[7], Buffer.from(message.slice(8)).toString()];
    });
    t.deepEqual(
      replies,
      [1, 2, 3].map((i) => [0, i, String(i).repeat(48)]),
      `VLAN ${vlan}`,
    );
  }
});

test('the user’s handler is given a datagram that came in fragments whole', (t) => {
  for (const vlans of [[], [0]]) {
    const lab = new Lab();
    const taken: Uint8Array[] = [];
    lab.director.onPassed = (frame) => taken.push(frame);
    const payload = payloadOf({ ip: { source: CLIENT, destination: DIP } });
    for (const [from, to] of [
      [0, 8],
      [8, payload.length],
    ] as const) {
      lab.receive(
        buildFrame({
          ethernet: { source: GATEWAY_MAC, destination: MACS.eth0!, vlans },
          ip: { source: CLIENT, destination: DIP, protocol: 17, fragmentOffset: from, mf: from === 0 },
          payload: payload.slice(from, to),
        }),
      );
    }
    const wanted = buildFrame({
      ethernet: { source: GATEWAY_MAC, destination: MACS.eth0!, vlans },
      ip: { source: CLIENT, destination: DIP },
      udp: { sourcePort: 40000, destinationPort: 53 },
    });
    t.deepEqual(
      taken.map((frame) => Buffer.from(frame).toString('hex')),
      [Buffer.from(wanted).toString('hex')],
    );
    t.deepEqual(lab.verdicts(), { FRAGMENT: 1, HANDED_OVER: 1 });
  }
});
