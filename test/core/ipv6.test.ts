/** The director as an IPv6 host: neighbour discovery, echoes, errors, fragments. */
import test from 'ava';
import fc from 'fast-check';
import { buildFrame, buildPacket } from '../../src/packet/build.ts';
import type { PacketFields } from '../../src/packet/build-fields.ts';
import { finish, pseudoSum6, sumBytes } from '../../src/packet/checksum.ts';
import { Ipv6View } from '../../src/packet/index.ts';
import { CLIENT6, DIP6, GATEWAY_MAC, Lab, MACS, rs6, rsMac, type Sent, seededRandom, tcp, udp, VIP6 } from './lab.ts';

const MAC = MACS.eth0!;
const LINK = 14;
const HEADER = 40;
/** A server whose MAC address nobody has told. */
const SERVER = '2001:db8::99';
const SERVER_MAC = '02:00:00:00:01:99';
const GROUP = 'ff02::1:ff00:99';
const GROUP_MAC = '33:33:ff:00:00:99';

const lab = () => new Lab({ icmpErrorsPerSecond: Number.POSITIVE_INFINITY }, true);

/** The words of an address, as bytes. */
function bytesOf(address: string): number[] {
  return [...buildPacket({ ip: { source: address, destination: '::1' }, payload: '' }).slice(8, 24)];
}

function macBytes(mac: string): number[] {
  return mac.split(':').map((digits) => Number.parseInt(digits, 16));
}

interface Discovery {
  readonly type?: number;
  readonly code?: number;
  readonly from?: string;
  readonly to?: string;
  readonly toMac?: string;
  readonly target?: string;
  readonly mac?: string;
  /** The option: 1 the source's MAC, 2 the target's; 0 for none. */
  readonly option?: number;
  readonly flags?: number;
  readonly ttl?: number;
  readonly vlans?: readonly number[];
}

/** A neighbour solicitation for the director's address, or what else is said. */
function discovery(fields: Discovery = {}): Uint8Array {
  const {
    type = 135,
    code = 0,
    from = SERVER,
    to = DIP6,
    toMac = MAC,
    target = DIP6,
    mac = SERVER_MAC,
    ttl = 255,
  } = fields;
  const option = fields.option ?? (type === 135 ? 1 : 2);
  const options = option === 0 ? [] : [option, 1, ...macBytes(mac)];
  return buildFrame({
    ethernet: { source: mac, destination: toMac, vlans: fields.vlans ?? [] },
    ip: { source: from, destination: to, ttl },
    icmpv6: { type, code, rest: fields.flags ?? 0, data: new Uint8Array([...bytesOf(target), ...options]) },
  });
}

const advertisement = (fields: Discovery = {}) =>
  discovery({ type: 136, target: SERVER, flags: 0x60000000, ...fields });

function texts(sent: readonly Sent[]): string[] {
  return sent.map(({ text }) => text);
}

const ANSWER = `${MAC} > ${SERVER_MAC} IPv6 ${DIP6} > ${SERVER} hlim 255 ICMPv6 neighbour advertisement ${DIP6} is at ${MAC}`;
const ASKS =
  `${MAC} > ${GROUP_MAC} IPv6 ${DIP6} > ${GROUP} hlim 255 ICMPv6 neighbour solicitation ` +
  `who has ${SERVER}? tell ${MAC}`;
const ASKS_AGAIN =
  `${MAC} > ${SERVER_MAC} IPv6 ${DIP6} > ${SERVER} hlim 255 ICMPv6 neighbour solicitation ` +
  `who has ${SERVER}? tell ${MAC}`;

function syn(port: number, to = VIP6): Uint8Array {
  return buildFrame({
    ethernet: { source: GATEWAY_MAC, destination: MAC },
    ip: { source: CLIENT6, destination: to },
    tcp: { sourcePort: port, destinationPort: 80 },
  });
}

/** A director with a DR service whose only server is {@link SERVER}. */
function silentLab(): Lab {
  const one = lab();
  one.director.addService(tcp(80, VIP6), { scheduler: 'rr' });
  one.director.addDestination(tcp(80, VIP6), { address: SERVER });
  return one;
}

// ---- Neighbour discovery ----------------------------------------------------------------------------------------

test('solicitations for its addresses are answered, to the asker or to its group', (t) => {
  const one = silentLab();
  t.deepEqual(texts(one.receive(discovery())), [`${ANSWER} router solicited override`]);
  t.deepEqual(texts(one.receive(discovery({ to: 'ff02::1:ff00:1', toMac: '33:33:ff:00:00:01' }))), [
    `${ANSWER} router solicited override`,
  ]);
  t.is(one.receive(discovery({ target: VIP6 })).length, 1);
  t.deepEqual(one.receive(discovery({ target: '2001:db8::55' })), []);
  t.deepEqual(one.verdicts(), { NDP: 4 });
});

test('the answer goes to the asker also where its frame has a priority and no VLAN', (t) => {
  const one = lab();
  t.deepEqual(texts(one.receive(discovery({ vlans: [0] }))), [`${ANSWER} router solicited override`]);
});

test('who checks whether an address is free is answered before everybody', (t) => {
  const one = lab();
  t.deepEqual(
    texts(one.receive(discovery({ from: '::', option: 0, to: 'ff02::1:ff00:1', toMac: '33:33:ff:00:00:01' }))),
    [
      `${MAC} > 33:33:00:00:00:01 IPv6 ${DIP6} > ff02::1 hlim 255 ` +
        `ICMPv6 neighbour advertisement ${DIP6} is at ${MAC} router override`,
    ],
  );
});

test('discovery from beyond the link, damaged, cut off or in pieces is not believed', (t) => {
  const one = silentLab();
  const damaged = discovery();
  damaged[damaged.length - 1]! ^= 1;
  for (const frame of [
    discovery({ ttl: 254 }),
    discovery({ code: 1 }),
    discovery({ target: 'ff02::1' }),
    damaged,
    buildFrame({
      ethernet: { source: SERVER_MAC, destination: MAC },
      ip: { source: SERVER, destination: DIP6, ttl: 255 },
      icmpv6: { type: 135, data: new Uint8Array(15) },
    }),
  ]) {
    t.deepEqual(one.receive(frame), []);
  }
  t.deepEqual(one.verdicts(), { BAD_NDP: 5 });
  t.deepEqual(texts(one.receive(syn(1))), [ASKS], 'nothing was learned');
});

test('packets wait for the advertisement; the question goes to the address’s group, three times at most', (t) => {
  const one = silentLab();
  t.deepEqual(texts(one.receive([syn(1), syn(2)])), [ASKS]);
  const sent = one.receive(advertisement());
  t.deepEqual(
    texts(sent).map((text) => text.split(' TCP')[0]),
    [1, 2].map((port) => `${MAC} > ${SERVER_MAC} IPv6 [${CLIENT6}]:${port} > [${VIP6}]:80 hlim 63`),
  );

  const silent = silentLab();
  t.deepEqual(texts(silent.receive(syn(1))), [ASKS]);
  t.deepEqual(texts(silent.sleep(2.5)), [ASKS, ASKS]);
  const told = texts(silent.sleep(1));
  t.is(told.length, 1);
  t.true(told[0]!.includes(` > ${CLIENT6} `), told[0]);
  t.deepEqual([...silent.receive(syn(2))[0]!.frame.slice(0, 6)], macBytes(GROUP_MAC));
});

test('an advertisement that nobody asked for teaches nothing new, but is taken to heart of those it knows', (t) => {
  const one = silentLab();
  one.receive(advertisement({ flags: 0x20000000 }));
  t.deepEqual(texts(one.receive(syn(1))), [ASKS]);
  one.receive(advertisement());
  const moved = '02:00:00:00:01:98';
  one.receive(advertisement({ flags: 0x20000000, mac: moved, to: 'ff02::1', toMac: '33:33:00:00:00:01' }));
  t.deepEqual([...one.receive(syn(1))[0]!.frame.slice(0, 6)], macBytes(moved));
});

test('what was confirmed is doubted after 30 seconds, and asked directly', (t) => {
  const one = silentLab();
  one.receive(syn(1));
  one.receive(advertisement());
  t.deepEqual(one.sleep(39), []);
  one.receive(syn(1));
  t.deepEqual(texts(one.sleep(5.5)), [ASKS_AGAIN]);
  one.receive(advertisement());
  t.deepEqual(one.sleep(20), []);
});

// ---- Echoes and errors ------------------------------------------------------------------------------------------

/** An ICMPv6 message, which must be whole and right. */
function message({ frame }: Sent): { ip: Ipv6View; type: number; code: number; rest: number; data: Uint8Array } {
  const ip = Ipv6View.at(frame, LINK);
  const view = new DataView(frame.buffer);
  const at = LINK + HEADER;
  const length = frame.length - at;
  if (finish(sumBytes(view, at, length, pseudoSum6(view, LINK, 58, length))) !== 0) throw new Error('wrong checksum');
  return { ip, type: frame[at]!, code: frame[at + 1]!, rest: view.getUint32(at + 4), data: frame.slice(at + 8) };
}

function only(sent: readonly Sent[]): Sent {
  if (sent.length !== 1) throw new Error(`${sent.length} frames: ${texts(sent).join('\n')}`);
  return sent[0]!;
}

test('echo requests are answered with the same data, without extension headers', (t) => {
  const one = silentLab();
  for (const destination of [DIP6, VIP6]) {
    for (const length of [0, 1, 1400]) {
      const data = Buffer.alloc(length, 'echo ');
      const ip = { source: CLIENT6, destination, tos: 0x20, extensions: [{ type: 60 }] };
      const got = message(only(one.frame({ ip, icmpv6: { type: 128, rest: 0x12345678, data } })));
      t.like(got.ip, { source: destination, destination: CLIENT6, hopLimit: 64, nextHeader: 58 });
      t.like(got, { type: 129, code: 0, rest: 0x12345678 });
      t.is(Buffer.compare(got.data, data), 0);
    }
  }
});

test('an error quotes as much as fits into 1280 bytes', (t) => {
  for (const [length, quoted] of [
    [0, 48],
    [1000, 1048],
    [1184, 1232],
    [1400, 1232],
  ] as const) {
    const ip = { source: CLIENT6, destination: '2001:db8:5::1', ttl: 1 };
    const fields = { udp: { sourcePort: 1, destinationPort: 2, data: 'x'.repeat(length) } };
    const got = message(only(lab().frame({ ip, ...fields })));
    t.like(got, { type: 3, code: 0, rest: 0 });
    t.like(got.ip, { source: DIP6, destination: CLIENT6 });
    t.is(Buffer.compare(got.data, buildPacket({ ip, ...fields }).slice(0, quoted)), 0);
  }
});

test('no error is sent about errors, to groups, or to nobody', (t) => {
  const one = lab();
  const about = buildPacket({ ip: { source: DIP6, destination: CLIENT6 }, udp: { sourcePort: 1, destinationPort: 2 } });
  const ip = { source: CLIENT6, destination: '2001:db8:5::1', ttl: 1 };
  for (const type of [1, 2, 3, 4, 100, 127])
    t.deepEqual(one.frame({ ip, icmpv6: { type, data: about } }), [], `type ${type}`);
  t.is(one.frame({ ip, icmpv6: { type: 128 } }).length, 1);
  for (const source of ['::', 'ff02::1', '::1']) {
    t.deepEqual(one.frame({ ip: { ...ip, source }, udp: { sourcePort: 1, destinationPort: 2 } }), [], source);
  }
  t.deepEqual(one.frame({ ip: { ...ip, destination: 'ff02::1' }, udp: { sourcePort: 1, destinationPort: 2 } }), []);
});

test('refusals: a reset, “port unreachable”, a pointer to a header that nobody knows', (t) => {
  const one = silentLab();
  const ip = { source: CLIENT6, destination: DIP6 };
  const reset = only(one.frame({ ip, tcp: { sourcePort: 1, destinationPort: 23, sequence: 7 } }));
  t.regex(reset.text, /TCP \[RA\] seq 0 ack 8 /);
  t.like(message(only(one.frame({ ip, udp: { sourcePort: 1, destinationPort: 2 } }))), { type: 1, code: 4 });
  t.like(message(only(one.frame({ ip: { ...ip, protocol: 253 }, payload: '?' }))), { type: 4, code: 1, rest: 6 });
  const extensions = [{ type: 60 }];
  t.like(message(only(one.frame({ ip: { ...ip, protocol: 253, extensions }, payload: '?' }))), {
    type: 4,
    code: 1,
    rest: 40,
  });
});

// ---- Fragments --------------------------------------------------------------------------------------------------

function fragment(payload: Uint8Array, from: number, to: number, id: number): Uint8Array {
  return buildFrame({
    ethernet: { source: GATEWAY_MAC, destination: MAC },
    ip: { source: CLIENT6, destination: VIP6, protocol: 17, id, fragmentOffset: from, mf: to < payload.length },
    payload: payload.slice(from, to),
  });
}

function datagram(length: number, seed: number): Uint8Array {
  const random = seededRandom(seed);
  const data = Uint8Array.from({ length }, () => 256 * random());
  const fields: PacketFields = {
    ip: { source: CLIENT6, destination: VIP6 },
    udp: { sourcePort: 40000, destinationPort: 53, data },
  };
  return buildPacket(fields).slice(HEADER);
}

test('any cut, in any order, gives the datagram to the NAT server in fragments no larger', (t) => {
  const one = lab();
  one.director.addService(udp(53, VIP6), { scheduler: 'rr' });
  one.director.addDestination(udp(53, VIP6), { address: rs6(11), port: 5353 }, { method: 'masq' });
  const cut = fc.record({
    length: fc.integer({ min: 20, max: 5000 }),
    step: fc.integer({ min: 3, max: 180 }).map((n) => 8 * n),
    seed: fc.nat(),
    id: fc.nat(0xffffffff),
  });
  fc.assert(
    fc.property(cut, ({ length, step, seed, id }) => {
      fc.pre(step < length + 8);
      const payload = datagram(length, seed);
      const random = seededRandom(seed);
      const frames: { frame: Uint8Array; key: number }[] = [];
      for (let at = 0; at < payload.length; at += step) {
        frames.push({ frame: fragment(payload, at, Math.min(payload.length, at + step), id), key: random() });
      }
      frames.sort((a, b) => a.key - b.key);
      const sent = one.receive(frames.map(({ frame }) => frame));
      let got = new Uint8Array();
      for (const { frame, text } of sent) {
        if (!text.startsWith(`${MAC} > ${rsMac(11)} IPv6 `)) throw new Error(text);
        if (frame.length > LINK + HEADER + 8 + Math.max(step, 1280 - HEADER - 8))
          throw new Error(`${frame.length} bytes`);
        const fragmented = frame[LINK + 6] === 44;
        got = new Uint8Array([...got, ...frame.slice(LINK + HEADER + (fragmented ? 8 : 0))]);
      }
      const wanted = payload.slice();
      new DataView(wanted.buffer).setUint16(2, 5353);
      wanted.set(got.slice(6, 8), 6);
      if (Buffer.compare(wanted, got) !== 0) throw new Error('other data');
      const header = buildPacket({ ip: { source: CLIENT6, destination: rs6(11) }, payload: '' });
      const sum = pseudoSum6(new DataView(header.buffer), 0, 17, got.length);
      if (finish(sumBytes(new DataView(got.buffer), 0, got.length, sum)) !== 0) throw new Error('wrong UDP checksum');
    }),
    { numRuns: 200 },
  );
  t.pass();
});
