import test from 'ava';
import fc from 'fast-check';
import { buildFrame, buildPacket } from '../../src/packet/build.ts';
import type { FrameFields, IpFields, PacketFields } from '../../src/packet/build-fields.ts';
import { finish, sumBytes } from '../../src/packet/checksum.ts';
import * as ipv4 from '../../src/packet/ipv4.ts';
import * as ipv6 from '../../src/packet/ipv6.ts';
import * as sctp from '../../src/packet/sctp.ts';
import { Icmpv6View, SctpView, TcpView, UdpView } from '../../src/packet/transport-views.ts';
import { ArpView, EthernetView, type IpView, Ipv4View, Ipv6View } from '../../src/packet/views.ts';
import * as frames from './frames.ts';
import { hex, naiveChecksum, view } from './support.ts';

const GATEWAY = { source: '02:00:00:00:fe:fe', destination: '02:00:00:00:00:01' };
const CLIENT: IpFields = { source: '192.0.2.1', destination: '10.0.0.100' };
const CLIENT6: IpFields = { source: '2001:db8:c::1', destination: '2001:db8::100' };

const built: readonly (readonly [string, Uint8Array, FrameFields])[] = [
  [
    'an ARP request',
    frames.ARP_REQUEST,
    { arp: { senderMac: '02:00:00:00:fe:fe', senderIp: '10.0.0.254', targetIp: '10.0.0.100' } },
  ],
  [
    'an ARP reply',
    frames.ARP_REPLY,
    {
      ethernet: { destination: '02:00:00:00:fe:fe' },
      arp: {
        operation: 2,
        senderMac: '02:00:00:00:00:01',
        senderIp: '10.0.0.100',
        targetMac: '02:00:00:00:fe:fe',
        targetIp: '10.0.0.254',
      },
    },
  ],
  [
    'a SYN, by default',
    frames.TCP_SYN,
    { ethernet: GATEWAY, ip: CLIENT, tcp: { sourcePort: 700, destinationPort: 80 } },
  ],
  [
    'a RST',
    frames.TCP_RESET,
    {
      ethernet: { source: '02:00:00:00:00:0b', destination: '02:00:00:00:00:0a' },
      ip: { source: '10.9.0.2', destination: '10.9.0.1', id: 0, df: true },
      tcp: { sourcePort: 81, destinationPort: 38270, flags: 'RA', sequence: 0, acknowledgement: 4073294048, window: 0 },
    },
  ],
  [
    'hello in UDP, by default',
    frames.UDP_HELLO,
    { ethernet: GATEWAY, ip: CLIENT, udp: { sourcePort: 702, destinationPort: 80 } },
  ],
  [
    'a last fragment',
    frames.UDP_LAST_FRAGMENT,
    {
      ethernet: GATEWAY,
      ip: { ...CLIENT, source: '192.0.2.30', id: 77, fragmentOffset: 32, protocol: 17 },
      payload: 'z'.repeat(40),
    },
  ],
  [
    'an SCTP cookie',
    frames.SCTP_COOKIE_ECHO,
    {
      ethernet: GATEWAY,
      ip: CLIENT,
      sctp: { sourcePort: 11, destinationPort: 3868, chunks: [{ type: 10, data: 'cookie' }] },
    },
  ],
  [
    'an echo',
    frames.ICMP_ECHO,
    {
      ethernet: { source: '02:00:00:00:00:0a', destination: '02:00:00:00:00:0b' },
      ip: { source: '10.9.0.1', destination: '10.9.0.2', id: 0xbb18, df: true },
      icmp: { type: 8, rest: 0x2b990001, data: frames.ICMP_ECHO.subarray(42) },
    },
  ],
  [
    'an ICMP error with a packet built before',
    frames.ICMP_FRAG_NEEDED,
    {
      ethernet: GATEWAY,
      ip: { source: '198.51.100.1', destination: '10.0.0.100' },
      icmp: {
        type: 3,
        code: 4,
        rest: 1400,
        data: buildPacket({
          ip: { source: '10.0.0.100', destination: '192.0.2.1' },
          tcp: { sourcePort: 80, destinationPort: 700, flags: 'A' },
        }).subarray(0, 28),
      },
    },
  ],
  [
    'a SYN over IPv6',
    frames.TCP6_SYN,
    { ethernet: GATEWAY, ip: { ...CLIENT6, ttl: 40 }, tcp: { sourcePort: 1000, destinationPort: 80 } },
  ],
  [
    'UDP over IPv6 with a traffic class',
    frames.UDP6_HELLO,
    { ethernet: GATEWAY, ip: { ...CLIENT6, tos: 0x20 }, udp: { sourcePort: 1000, destinationPort: 80 } },
  ],
  [
    'an ICMPv6 echo reply with a flow label',
    frames.ICMPV6_ECHO_REPLY,
    {
      ethernet: { source: '02:00:00:00:00:0b', destination: '02:00:00:00:00:0a' },
      ip: { source: '2001:db8::b', destination: '2001:db8::a', flowLabel: 0x2c06f },
      icmpv6: { type: 129, rest: 0x2b980001, data: frames.ICMPV6_ECHO_REPLY.subarray(62) },
    },
  ],
  [
    'IP-in-IP over IPv6, the protocol told by what is inside',
    frames.IPIP6,
    {
      ethernet: { source: '02:00:00:00:00:01', destination: '02:00:00:00:01:0d' },
      ip: { source: '2001:db8::100', destination: '2001:db8::d', ttl: 39 },
      payload: buildPacket({ ip: { ...CLIENT6, ttl: 39 }, tcp: { sourcePort: 1000, destinationPort: 80 } }),
    },
  ],
];

for (const [name, frame, fields] of built) {
  test(`build: ${name} comes out as it was on the wire`, (t) => {
    t.deepEqual(buildFrame(fields), frame);
  });
}

test('build: a first fragment has the checksum of the whole', (t) => {
  const whole = buildPacket({
    ip: { ...CLIENT, source: '192.0.2.30' },
    udp: { sourcePort: 5000, destinationPort: 5060, data: 'z'.repeat(64) },
  });
  const ip = { ...CLIENT, source: '192.0.2.30', id: 77, mf: true, protocol: 17 };
  t.deepEqual(buildFrame({ ethernet: GATEWAY, ip, payload: whole.subarray(20, 52) }), frames.UDP_FIRST_FRAGMENT);
});

test('build: tags, outermost first', (t) => {
  const frame = buildFrame({
    ethernet: { ...GATEWAY, vlans: [{ id: 100, type: 0x88a8 }, { id: 5, priority: 7 }, 4095] },
    ip: CLIENT,
    tcp: { sourcePort: 700, destinationPort: 80 },
  });
  t.deepEqual(frame.subarray(12, 26), hex('88a8 0064 8100 e005 8100 0fff 0800'));
  t.deepEqual(frame.subarray(26), frames.TCP_SYN.subarray(14));
});

test('build: any payload under an EtherType of its own', (t) => {
  t.deepEqual(
    buildFrame({ ethernet: { ...GATEWAY, type: 0x88cc }, payload: 'lldp' }),
    hex('020000000001 02000000fefe 88cc 6c6c6470'),
  );
});

test('build: IPv4 options are padded with zeros, TCP options with NOPs', (t) => {
  const packet = buildPacket({
    ip: { ...CLIENT, options: hex('0703 04') },
    tcp: { sourcePort: 1, destinationPort: 2, options: hex('0303 0a') },
  });
  t.deepEqual(packet.subarray(20, 24), hex('07030400'));
  t.deepEqual(packet.subarray(44), hex('03030a01'));
  t.is(packet[0], 0x46);
  t.is(packet[24 + 12], 0x60);
});

test('build: IPv6 options are padded with PadN, other extension headers with zeros', (t) => {
  const packet = buildPacket({
    ip: {
      ...CLIENT6,
      extensions: [
        { type: ipv6.EXT_HOP_BY_HOP, data: hex('0502 0000') },
        { type: ipv6.EXT_DESTINATION, data: hex('0101 00 01 00') },
        { type: ipv6.EXT_ROUTING, data: hex('04 00 00000000 00') },
      ],
      id: 0xdeadbeef,
      mf: true,
      fragmentOffset: 1448,
    },
    udp: { sourcePort: 1, destinationPort: 2, data: '' },
  });
  t.is(packet[6], 0);
  t.deepEqual(
    packet.subarray(40, 80),
    hex('3c00 0502 0000 0100  2b00 0101 00 01 00 00  2c01 04 00 00000000 00 00000000000000  1100 05a9 deadbeef'),
  );
});

test('build: a fragment header where any of its fields is given, and only there', (t) => {
  const udp = { sourcePort: 1, destinationPort: 2 };
  t.is(buildPacket({ ip: CLIENT6, udp })[6], 17);
  for (const field of [{ id: 0 }, { mf: false }, { fragmentOffset: 0 }]) {
    t.is(buildPacket({ ip: { ...CLIENT6, ...field }, udp })[6], ipv6.EXT_FRAGMENT);
  }
});

test('build: a UDP checksum left out', (t) => {
  const packet = buildPacket({ ip: CLIENT, udp: { sourcePort: 1, destinationPort: 2, zeroChecksum: true } });
  t.is(view(packet).getUint16(26), 0);
});

test('build: UDP data for which the sum is 0 gets 0xffff', (t) => {
  const ip = { source: '10.0.0.1', destination: '10.0.0.2' };
  const without = buildPacket({ ip, udp: { sourcePort: 1, destinationPort: 2, data: new Uint8Array(2) } });
  const needed = view(without).getUint16(26);
  const data = new Uint8Array([needed >>> 8, needed & 255]);
  const packet = buildPacket({ ip, udp: { sourcePort: 1, destinationPort: 2, data } });
  t.is(view(packet).getUint16(26), 0xffff);
});

test('build: text is UTF-8', (t) => {
  const packet = buildPacket({ ip: CLIENT, udp: { sourcePort: 1, destinationPort: 2, data: 'é' } });
  t.deepEqual(packet.subarray(28), hex('c3a9'));
});

const udp = { sourcePort: 1, destinationPort: 2 };
const wrong: readonly (readonly [string, PacketFields])[] = [
  ['ip.source', { ip: { ...CLIENT, source: '10.0.0' }, udp }],
  ['ip.destination', { ip: { ...CLIENT, destination: '2001:db8::1' }, udp }],
  ['ip.ttl', { ip: { ...CLIENT, ttl: 256 }, udp }],
  ['ip.tos', { ip: { ...CLIENT, tos: -1 }, udp }],
  ['ip.id', { ip: { ...CLIENT, id: 65536 }, udp }],
  ['ip.id', { ip: { ...CLIENT6, id: 2 ** 32 }, udp }],
  ['ip.protocol', { ip: { ...CLIENT, protocol: 256 }, udp }],
  ['ip.fragmentOffset', { ip: { ...CLIENT, fragmentOffset: 4 }, udp }],
  ['ip.fragmentOffset', { ip: { ...CLIENT6, fragmentOffset: 65536 }, udp }],
  ['ip.options', { ip: { ...CLIENT, options: new Uint8Array(41) }, udp }],
  ['ip.flowLabel', { ip: { ...CLIENT, flowLabel: 1 }, udp }],
  ['ip.extensions', { ip: { ...CLIENT, extensions: [] }, udp }],
  ['ip.df', { ip: { ...CLIENT6, df: true }, udp }],
  ['ip.options', { ip: { ...CLIENT6, options: new Uint8Array() }, udp }],
  ['ip.flowLabel', { ip: { ...CLIENT6, flowLabel: 2 ** 20 }, udp }],
  ['ip.extensions[1].type', { ip: { ...CLIENT6, extensions: [{ type: 0 }, { type: 50 }] }, udp }],
  ['ip.extensions[0].data.length', { ip: { ...CLIENT6, extensions: [{ type: 0, data: new Uint8Array(2047) }] }, udp }],
  ['ip.length', { ip: CLIENT, payload: new Uint8Array(65516) }],
  ['ip.length', { ip: CLIENT6, payload: new Uint8Array(65536) }],
  ['udp.sourcePort', { ip: CLIENT, udp: { ...udp, sourcePort: 65536 } }],
  ['udp.length', { ip: CLIENT, udp: { ...udp, data: new Uint8Array(65528) } }],
  ['tcp.flags', { ip: CLIENT, tcp: { ...udp, flags: 'SYN' } }],
  ['tcp.flags', { ip: CLIENT, tcp: { ...udp, flags: 256 } }],
  ['tcp.sequence', { ip: CLIENT, tcp: { ...udp, sequence: 2 ** 32 } }],
  ['tcp.options', { ip: CLIENT, tcp: { ...udp, options: new Uint8Array(41) } }],
  ['sctp.verificationTag', { ip: CLIENT, sctp: { ...udp, verificationTag: -1 } }],
  ['sctp.chunks[0].length', { ip: CLIENT, sctp: { ...udp, chunks: [{ type: 0, data: new Uint8Array(65532) }] } }],
  ['sctp.chunks[0].type', { ip: CLIENT, sctp: { ...udp, chunks: [{ type: 256 }] } }],
  ['icmp.type', { ip: CLIENT, icmp: { type: -1 } }],
  ['icmpv6.code', { ip: CLIENT6, icmpv6: { type: 1, code: 256 } }],
];

test('fields that do not fit are refused by name', (t) => {
  for (const [option, fields] of wrong) {
    const error = t.throws(() => buildPacket(fields), { code: 'ERR_INVALID_OPTION' }, option);
    t.true(error.message.startsWith(`${option}: `), error.message);
  }
  const vlans = [1, 4096];
  t.throws(() => buildFrame({ ethernet: { ...GATEWAY, vlans }, ip: CLIENT, udp }), {
    message: /^ethernet\.vlans\[1\]\.id: /,
  });
  t.throws(() => buildFrame({ ethernet: { ...GATEWAY, source: 'x' }, ip: CLIENT, udp }), {
    message: /^ethernet\.source: /,
  });
  t.throws(() => buildPacket({ ip: CLIENT } as unknown as PacketFields), { code: 'ERR_INVALID_OPTION' });
});

const port = fc.nat(65535);
const long = fc.nat(0xffffffff);
const data = fc.uint8Array({ maxLength: 40 });
const mac = fc
  .uint8Array({ minLength: 6, maxLength: 6 })
  .map((bytes) => Buffer.from(bytes).toString('hex').match(/../g)!.join(':'));
const words4 = (length: number) =>
  fc.uint8Array({ maxLength: length / 4 }).map((bytes) => new Uint8Array(bytes.length * 4).fill(1));
const ports = { sourcePort: port, destinationPort: port };
const transport = fc.oneof(
  fc.record({
    tcp: fc.record({
      ...ports,
      flags: fc.nat(255),
      sequence: long,
      acknowledgement: long,
      window: port,
      urgentPointer: port,
      options: words4(40),
      data,
    }),
  }),
  fc.record({ udp: fc.record({ ...ports, data, zeroChecksum: fc.boolean() }) }),
  fc.record({
    sctp: fc.record({
      ...ports,
      verificationTag: long,
      chunks: fc.array(fc.record({ type: fc.nat(255), flags: fc.nat(255), data }, { noNullPrototype: true }), {
        maxLength: 3,
      }),
    }),
  }),
);
const fragment = { id: port, mf: fc.boolean(), fragmentOffset: fc.nat(0x1fff).map((n) => n * 8) };
const ip4 = fc.record({
  source: fc.ipV4(),
  destination: fc.ipV4(),
  ttl: fc.nat(255),
  tos: fc.nat(255),
  df: fc.boolean(),
  options: words4(40),
  ...fragment,
});
const address6 = fc
  .tuple(fc.nat(0xffff), fc.nat(0xffff))
  .map(([a, b]) => `2001:db8::${(a | 1).toString(16)}:${(b | 1).toString(16)}`);
const extension = fc.record({ type: fc.constantFrom(0, 43, 51, 60, 135, 139, 140), data });
const ip6 = fc.record({
  source: address6,
  destination: address6,
  ttl: fc.nat(255),
  tos: fc.nat(255),
  flowLabel: fc.nat(0xfffff),
  extensions: fc.array(extension, { maxLength: 3 }),
});
const tags = fc.array(fc.nat(4095), { maxLength: 3 });

test('whatever is built is read back: build and dissect are each other’s inverse', (t) => {
  const ethernet = fc.record({ source: mac, destination: mac, vlans: tags }, { noNullPrototype: true });
  fc.assert(
    fc.property(ethernet, fc.oneof(ip4, ip6), transport, (link, ip, content) => {
      const frame = buildFrame({ ethernet: link, ip, ...content });
      const header = EthernetView.at(frame);
      t.deepEqual({ source: header.source, destination: header.destination, vlans: header.vlanIds }, link);
      const packet = openIp(frame, header);
      t.is(packet.offset + packet.totalLength, frame.length);
      t.is(packet.source, ip.source);
      t.is(packet.destination, ip.destination);
      if (packet instanceof Ipv4View && 'df' in ip) {
        const { ttl, tos, df, id, mf, fragmentOffset, options } = packet;
        t.like(ip, { ttl, tos, df, id, mf, fragmentOffset });
        t.deepEqual(new Uint8Array(options), ip.options);
        t.is(naiveChecksum(frame.subarray(packet.offset, packet.transportOffset)), 0);
      } else if (packet instanceof Ipv6View && 'flowLabel' in ip) {
        t.like(ip, { ttl: packet.hopLimit, tos: packet.trafficClass, flowLabel: packet.flowLabel });
      }
      checkTransport(frame, packet, content);
    }),
    { numRuns: 400 },
  );

  function checkTransport(frame: Uint8Array, ip: IpView, content: Record<string, object>): void {
    const [name, fields] = Object.entries(content)[0]!;
    const header = openTransport(frame, ip);
    t.is(header.constructor.name.toLowerCase(), `${name}view`);
    t.true(header.hasValidChecksum(ip));
    for (const [field, value] of Object.entries(fields)) {
      if (field === 'data') t.deepEqual(frame.slice(frame.length - value.length), value);
      else if (field === 'zeroChecksum') t.is(header.checksum === 0, value);
      else if (field === 'options') t.deepEqual((header as TcpView).options.slice(), value);
      else if (field === 'chunks') t.deepEqual(readChunks(frame, (header as SctpView).chunkOffset), value);
      else t.is(header[field as keyof typeof header], value);
    }
  }
});

test('whatever ARP is built is read back', (t) => {
  const fields = fc.record({
    operation: fc.nat(65535),
    senderMac: mac,
    senderIp: fc.ipV4(),
    targetMac: mac,
    targetIp: fc.ipV4(),
  });
  fc.assert(
    fc.property(fields, (arp) => {
      const packet = ArpView.at(buildFrame({ arp }), 14);
      const { operation, senderMac, senderIp, targetMac, targetIp } = packet;
      t.deepEqual({ operation, senderMac, senderIp, targetMac, targetIp }, { ...arp });
    }),
  );
});

test('whatever ICMP is built has a right checksum', (t) => {
  const message = fc.record({ type: fc.nat(255), code: fc.nat(255), rest: long, data });
  fc.assert(
    fc.property(ip4, ip6, message, (four, six, fields) => {
      const packet = buildPacket({ ip: four, icmp: fields });
      const at = ipv4.headerLength(view(packet), 0);
      t.is(finish(sumBytes(view(packet), at, packet.length - at, 0)), 0);
      const packet6 = buildPacket({ ip: six, icmpv6: fields });
      const ip = Ipv6View.at(packet6);
      const read = Icmpv6View.at(packet6, ip.transportOffset);
      t.true(read.hasValidChecksum(ip));
      t.like(fields, { type: read.type, code: read.code, rest: read.rest });
    }),
  );
});

function openIp(frame: Uint8Array, link: EthernetView): IpView {
  return link.payloadType === 0x86dd ? Ipv6View.at(frame, link.payloadOffset) : Ipv4View.at(frame, link.payloadOffset);
}

function openTransport(frame: Uint8Array, ip: IpView): TcpView | UdpView | SctpView {
  if (ip.protocol === ipv4.PROTO_TCP) return TcpView.at(frame, ip.transportOffset);
  return ip.protocol === ipv4.PROTO_UDP
    ? UdpView.at(frame, ip.transportOffset)
    : SctpView.at(frame, ip.transportOffset);
}

function readChunks(frame: Uint8Array, from: number): { type: number; flags: number; data: Uint8Array }[] {
  const bytes = view(frame);
  const chunks = [];
  for (let at = from; at < frame.length; at += (sctp.chunkLength(bytes, at) + 3) & ~3) {
    const data = frame.slice(at + sctp.CHUNK_HEADER, at + sctp.chunkLength(bytes, at));
    chunks.push({ type: sctp.chunkType(bytes, at), flags: sctp.chunkFlags(bytes, at), data });
  }
  return chunks;
}
