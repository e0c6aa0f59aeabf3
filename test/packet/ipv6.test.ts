import test from 'ava';
import fc from 'fast-check';
import { buildPacket } from '../../src/packet/build.ts';
import { PROTO_ICMPV6, PROTO_UDP } from '../../src/packet/ipv4.ts';
import * as ipv6 from '../../src/packet/ipv6.ts';
import { Ipv6View } from '../../src/packet/views.ts';
import { ICMPV6_ECHO_REPLY, NEIGHBOUR_SOLICITATION, TCP6_SYN, UDP6_HELLO } from './frames.ts';
import { dirty, displaced, hex, view } from './support.ts';

const HEADER = ICMPV6_ECHO_REPLY.subarray(14, 54);
const SOURCE = Int32Array.of(0x20010db8, 0, 0, 0xb);
const DESTINATION = Int32Array.of(0x20010db8, 0, 0, 0xa);

test('parse: a header that Linux sent', (t) => {
  const { view, at } = displaced(HEADER);
  t.is(ipv6.version(view, at), 6);
  t.is(ipv6.trafficClass(view, at), 0);
  t.is(ipv6.flowLabel(view, at), 0x2c06f);
  t.is(ipv6.payloadLength(view, at), 64);
  t.is(ipv6.nextHeader(view, at), PROTO_ICMPV6);
  t.is(ipv6.hopLimit(view, at), 64);
  const words = new Int32Array(9);
  ipv6.readSource(view, at, words, 1);
  ipv6.readDestination(view, at, words, 5);
  t.deepEqual(words, Int32Array.of(0, ...SOURCE, ...DESTINATION));
  for (let i = 0; i < 4; i++) {
    t.is(ipv6.sourceWord(view, at, i), SOURCE[i]);
    t.is(ipv6.destinationWord(view, at, i), DESTINATION[i]);
  }
});

test('build: every byte is written, and no other', (t) => {
  const bytes = dirty(46);
  ipv6.writeHeader6(view(bytes), 3, 0, 0x2c06f, 64, PROTO_ICMPV6, 64, SOURCE, 0, DESTINATION, 0);
  t.deepEqual(bytes, displaced(HEADER).bytes);
});

test('setters: each writes its own field', (t) => {
  const bytes = dirty(46);
  const data = view(bytes);
  ipv6.writeHeader6(data, 3, 0xff, 0xfffff, 0, 0, 0, DESTINATION, 0, SOURCE, 0);
  ipv6.setTrafficClass(data, 3, 0);
  ipv6.setFlowLabel(data, 3, 0x2c06f);
  ipv6.setPayloadLength(data, 3, 64);
  ipv6.setNextHeader(data, 3, PROTO_ICMPV6);
  ipv6.setHopLimit(data, 3, 64);
  ipv6.setSource(data, 3, SOURCE, 0);
  ipv6.setDestination(data, 3, DESTINATION, 0);
  t.deepEqual(bytes, displaced(HEADER).bytes);
});

test('traffic class and flow label share a word without touching each other', (t) => {
  fc.assert(
    fc.property(fc.nat(0xff), fc.nat(0xfffff), fc.nat(0xff), fc.nat(0xfffff), (class1, flow1, class2, flow2) => {
      const data = view(dirty(40));
      ipv6.writeHeader6(data, 0, class1, flow1, 0, 0, 0, SOURCE, 0, SOURCE, 0);
      t.deepEqual([ipv6.trafficClass(data, 0), ipv6.flowLabel(data, 0)], [class1, flow1]);
      ipv6.setTrafficClass(data, 0, class2);
      t.deepEqual([ipv6.trafficClass(data, 0), ipv6.flowLabel(data, 0)], [class2, flow1]);
      ipv6.setFlowLabel(data, 0, flow2);
      t.deepEqual([ipv6.version(data, 0), ipv6.trafficClass(data, 0), ipv6.flowLabel(data, 0)], [6, class2, flow2]);
    }),
  );
});

test('round trip: what the view reads it writes back', (t) => {
  for (const frame of [TCP6_SYN, UDP6_HELLO, ICMPV6_ECHO_REPLY, NEIGHBOUR_SOLICITATION]) {
    const from = Ipv6View.at(frame, 14);
    const bytes = dirty(40);
    bytes[0] = 0x6f;
    const to = Ipv6View.at(bytes);
    to.trafficClass = from.trafficClass;
    to.flowLabel = from.flowLabel;
    to.payloadLength = from.payloadLength;
    to.nextHeader = from.nextHeader;
    to.hopLimit = from.hopLimit;
    to.source = from.source;
    to.destination = from.destination;
    t.deepEqual(bytes, frame.slice(14, 54));
  }
});

test('the view tells everything by name', (t) => {
  const ip = Ipv6View.at(UDP6_HELLO, 14);
  t.is(ip.trafficClass, 0x20);
  t.is(ip.flowLabel, 0);
  t.is(ip.payloadLength, 13);
  t.is(ip.totalLength, 53);
  t.is(ip.nextHeader, PROTO_UDP);
  t.is(ip.protocol, PROTO_UDP);
  t.is(ip.transportOffset, 54);
  t.is(ip.hopLimit, 64);
  t.is(ip.source, '2001:db8:c::1');
  t.is(ip.destination, '2001:db8::100');
  const words = new Int32Array(8);
  ip.readSource(words);
  ip.readDestination(words, 4);
  t.deepEqual(words, Int32Array.of(0x20010db8, 0x000c0000, 0, 1, 0x20010db8, 0, 0, 0x100));
});

test('extension headers are walked', (t) => {
  const packet = buildPacket({
    ip: {
      source: '2001:db8::1',
      destination: '2001:db8::2',
      id: 7,
      extensions: [
        { type: ipv6.EXT_HOP_BY_HOP, data: hex('050200000000') },
        { type: ipv6.EXT_AUTHENTICATION, data: new Uint8Array(22) },
        { type: ipv6.EXT_DESTINATION, data: new Uint8Array(7) },
      ],
    },
    udp: { sourcePort: 1, destinationPort: 2 },
  });
  const data = view(packet);
  let at = 40;
  const walked: number[] = [];
  for (let next = ipv6.nextHeader(data, 0); ipv6.isExtensionHeader(next); ) {
    const length = ipv6.extensionLength(data, at, next);
    walked.push(next, length);
    next = ipv6.extensionNext(data, at);
    at += length;
  }
  t.deepEqual(walked, [
    ipv6.EXT_HOP_BY_HOP,
    8,
    ipv6.EXT_AUTHENTICATION,
    24,
    ipv6.EXT_DESTINATION,
    16,
    ipv6.EXT_FRAGMENT,
    8,
  ]);
  t.is(at, 96);
  const ip = Ipv6View.at(packet);
  t.is(ip.nextHeader, ipv6.EXT_HOP_BY_HOP);
  t.is(ip.protocol, PROTO_UDP);
  t.is(ip.transportOffset, at);
});

test('an extension header that is cut off ends the walk in front of it', (t) => {
  const packet = buildPacket({
    ip: {
      source: '2001:db8::1',
      destination: '2001:db8::2',
      extensions: [{ type: ipv6.EXT_ROUTING }, { type: ipv6.EXT_DESTINATION, data: new Uint8Array(14) }],
    },
    payload: '',
  });
  for (let length = 40; length < 48; length++) {
    const ip = Ipv6View.at(packet.subarray(0, length));
    t.deepEqual([ip.protocol, ip.transportOffset], [ipv6.EXT_ROUTING, 40]);
  }
  for (let length = 48; length < 64; length++) {
    const ip = Ipv6View.at(packet.subarray(0, length));
    t.deepEqual([ip.protocol, ip.transportOffset], [ipv6.EXT_DESTINATION, 48]);
  }
});

test('every extension header moves a walk on, whatever its length byte says', (t) => {
  for (let next = 0; next < 256; next++) {
    if (!ipv6.isExtensionHeader(next)) continue;
    for (let units = 0; units < 256; units++) {
      t.true(ipv6.extensionLength(view(new Uint8Array([0, units])), 0, next) >= 8);
    }
  }
  t.false(ipv6.isExtensionHeader(ipv6.EXT_ESP));
  t.false(ipv6.isExtensionHeader(ipv6.NO_NEXT_HEADER));
});

test('fragment header: parse, build, every byte written', (t) => {
  const bytes = hex('1100 05a9 deadbeef');
  const { view: data, at } = displaced(bytes);
  t.is(ipv6.extensionNext(data, at), PROTO_UDP);
  t.is(ipv6.fragmentField(data, at) & ipv6.FRAGMENT_OFFSET_MASK, 1448);
  t.is(ipv6.fragmentField(data, at) & ipv6.MORE_FRAGMENTS, 1);
  t.is(ipv6.fragmentIdentification(data, at), 0xdeadbeef);
  const written = dirty(14);
  ipv6.writeFragmentHeader(view(written), 3, PROTO_UDP, 1448 | ipv6.MORE_FRAGMENTS, 0xdeadbeef);
  t.deepEqual(written, displaced(bytes).bytes);
});

test('the solicited-node group and its MAC are those that Linux solicits', (t) => {
  const words = new Int32Array(8);
  ipv6.solicitedNode(SOURCE, 0, words, 4);
  const solicited = new Int32Array(4);
  ipv6.readDestination(view(NEIGHBOUR_SOLICITATION), 14, solicited, 0);
  t.deepEqual(words.subarray(4), solicited);
  t.true(ipv6.isMulticast6(words, 4));
  t.false(ipv6.isMulticast6(SOURCE, 0));
  t.is(view(NEIGHBOUR_SOLICITATION).getUint16(0), ipv6.MULTICAST_MAC_HIGH);
  t.is(view(NEIGHBOUR_SOLICITATION).getInt32(2), words[7]);
});

test('impossible lengths and other versions are refused', (t) => {
  for (let length = 0; length < 40; length++) {
    t.throws(() => Ipv6View.at(HEADER.subarray(0, length)), {
      code: 'ERR_INVALID_OPTION',
      message: /40 bytes are needed/,
    });
  }
  const four = HEADER.slice();
  four[0] = 0x45;
  t.throws(() => Ipv6View.at(four), { message: /its version is 4/ });
});

test('values that do not fit are refused, and nothing is written', (t) => {
  const bytes = HEADER.slice();
  const ip = Ipv6View.at(bytes);
  for (const fields of [
    { trafficClass: 256 },
    { flowLabel: 0x100000 },
    { payloadLength: -1 },
    { nextHeader: 256 },
    { hopLimit: 0.5 },
    { source: '10.0.0.1' },
    { destination: ':::' },
  ]) {
    t.throws(() => Object.assign(ip, fields), { code: 'ERR_INVALID_OPTION' });
  }
  t.deepEqual(bytes, HEADER.slice());
});
