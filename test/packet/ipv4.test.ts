import test from 'ava';
import fc from 'fast-check';
import { buildPacket } from '../../src/packet/build.ts';
import * as ipv4 from '../../src/packet/ipv4.ts';
import { Ipv4View } from '../../src/packet/views.ts';
import { ICMP_ECHO, TCP_SYN, UDP_FIRST_FRAGMENT } from './frames.ts';
import { dirty, displaced, naiveChecksum, view } from './support.ts';

const HEADER = ICMP_ECHO.subarray(14, 34);

test('parse: a header that Linux sent', (t) => {
  const { view, at } = displaced(HEADER);
  t.is(ipv4.version(view, at), 4);
  t.is(ipv4.headerLength(view, at), 20);
  t.is(ipv4.tos(view, at), 0);
  t.is(ipv4.totalLength(view, at), 84);
  t.is(ipv4.identification(view, at), 0xbb18);
  t.is(ipv4.fragment(view, at), ipv4.DF);
  t.is(ipv4.ttl(view, at), 64);
  t.is(ipv4.protocol(view, at), ipv4.PROTO_ICMP);
  t.is(ipv4.headerChecksum(view, at), 0x6b7c);
  t.is(ipv4.source(view, at), 0x0a090001);
  t.is(ipv4.destination(view, at), 0x0a090002);
});

test('build: every byte is written, and no other', (t) => {
  const bytes = dirty(26);
  ipv4.writeHeader(view(bytes), 3, 0, 84, 0xbb18, ipv4.DF, 64, ipv4.PROTO_ICMP, 0x0a090001, 0x0a090002);
  t.deepEqual(bytes, displaced(HEADER).bytes);
});

test('setters: each writes its own field', (t) => {
  const bytes = dirty(26);
  const data = view(bytes);
  ipv4.writeHeader(data, 3, 0xff, 0, 0, 0, 0, 0, 0, 0);
  ipv4.setTos(data, 3, 0);
  ipv4.setTotalLength(data, 3, 84);
  ipv4.setIdentification(data, 3, 0xbb18);
  ipv4.setFragment(data, 3, ipv4.DF);
  ipv4.setTtl(data, 3, 64);
  ipv4.setProtocol(data, 3, ipv4.PROTO_ICMP);
  ipv4.setSource(data, 3, 0x0a090001);
  ipv4.setDestination(data, 3, 0x0a090002);
  ipv4.writeChecksum(data, 3);
  t.deepEqual(bytes, displaced(HEADER).bytes);
});

test('the checksum covers options', (t) => {
  const packet = buildPacket({
    ip: { source: '10.0.0.1', destination: '10.0.0.2', options: new Uint8Array([7, 3, 4]) },
    udp: { sourcePort: 1, destinationPort: 2 },
  });
  t.is(naiveChecksum(packet.subarray(0, 24)), 0);
  t.is(ipv4.headerLength(view(packet), 0), 24);
  view(packet).setUint16(10, 0xa5a5);
  ipv4.writeChecksum(view(packet), 0);
  t.is(naiveChecksum(packet.subarray(0, 24)), 0);
});

test('the TTL goes down to 0 with the checksum right at every step', (t) => {
  const packet = TCP_SYN.slice();
  for (let ttl = 63; ttl >= 0; ttl--) {
    ipv4.decrementTtl(view(packet), 14);
    t.is(ipv4.ttl(view(packet), 14), ttl);
    t.is(naiveChecksum(packet.subarray(14, 34)), 0);
  }
});

test('round trip: what the view reads it writes back', (t) => {
  for (const frame of [TCP_SYN, ICMP_ECHO, UDP_FIRST_FRAGMENT]) {
    const from = Ipv4View.at(frame, 14);
    const bytes = dirty(20);
    ipv4.writeHeader(view(bytes), 0, 0xff, 0xffff, 0xffff, 0xffff, 0xff, 0xff, -1, -1);
    const to = Ipv4View.at(bytes);
    to.tos = from.tos;
    to.totalLength = from.totalLength;
    to.id = from.id;
    to.df = from.df;
    to.mf = from.mf;
    to.fragmentOffset = from.fragmentOffset;
    // The one bit that has no name: reserved, 0.
    view(bytes).setUint16(6, view(bytes).getUint16(6) & 0x7fff);
    to.ttl = from.ttl;
    to.protocol = from.protocol;
    to.source = from.source;
    to.destination = from.destination;
    to.updateChecksum();
    t.deepEqual(bytes, frame.slice(14, 34));
  }
});

test('the view tells everything by name', (t) => {
  const ip = Ipv4View.at(UDP_FIRST_FRAGMENT, 14);
  t.is(ip.headerLength, 20);
  t.is(ip.totalLength, 52);
  t.is(ip.id, 77);
  t.false(ip.df);
  t.true(ip.mf);
  t.is(ip.fragmentOffset, 0);
  t.is(ip.source, '192.0.2.30');
  t.is(ip.destination, '10.0.0.100');
  t.is(ip.sourceWord, 0xc000021e | 0);
  t.is(ip.destinationWord, 0x0a000064);
  t.is(ip.protocol, ipv4.PROTO_UDP);
  t.is(ip.transportOffset, 34);
  t.is(ip.options.length, 0);
  t.is(ip.checksum, 0x8dea);
  t.true(ip.hasValidChecksum());
});

test('options are a window on the buffer', (t) => {
  const packet = buildPacket({
    ip: { source: '10.0.0.1', destination: '10.0.0.2', options: new Uint8Array([1, 1, 1, 0]) },
    payload: 'x',
  });
  const ip = Ipv4View.at(packet);
  t.deepEqual([...ip.options], [1, 1, 1, 0]);
  t.is(ip.options.buffer, packet.buffer);
  t.is(ip.transportOffset, 24);
});

test('every setter of the view keeps a right checksum right', (t) => {
  const address = fc.ipV4();
  const change = fc.oneof(
    fc.record({ tos: fc.nat(255) }),
    fc.record({ totalLength: fc.nat(65535) }),
    fc.record({ id: fc.nat(65535) }),
    fc.record({ df: fc.boolean() }),
    fc.record({ mf: fc.boolean() }),
    fc.record({ fragmentOffset: fc.nat(8191).map((n) => n * 8) }),
    fc.record({ ttl: fc.nat(255) }),
    fc.record({ protocol: fc.nat(255) }),
    fc.record({ source: address }),
    fc.record({ destination: address }),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 20 }), (changes) => {
      const { bytes, at } = displaced(HEADER);
      const ip = Ipv4View.at(bytes, at);
      for (const fields of changes) {
        Object.assign(ip, fields);
        for (const [name, value] of Object.entries(fields)) t.is(ip[name as keyof Ipv4View], value);
      }
      t.is(naiveChecksum(bytes.subarray(at, at + 20)), 0);
      t.true(ip.hasValidChecksum());
      t.deepEqual(bytes.subarray(0, at), dirty(at));
      t.deepEqual(bytes.subarray(at + 20), dirty(at));
    }),
  );
});

test('impossible lengths are refused', (t) => {
  for (let length = 0; length < 20; length++) {
    t.throws(() => Ipv4View.at(HEADER.subarray(0, length)), {
      code: 'ERR_INVALID_OPTION',
      message: /20 bytes are needed/,
    });
  }
  for (let words = 0; words < 16; words++) {
    const packet = HEADER.slice();
    packet[0] = 0x40 | words;
    if (words === 5) t.notThrows(() => Ipv4View.at(packet));
    else t.throws(() => Ipv4View.at(packet), { code: 'ERR_INVALID_OPTION' }, `${words} words`);
  }
  const six = HEADER.slice();
  six[0] = 0x65;
  t.throws(() => Ipv4View.at(six), { message: /its version is 6/ });
});

test('values that do not fit are refused, and nothing is written', (t) => {
  const bytes = HEADER.slice();
  const ip = Ipv4View.at(bytes);
  for (const fields of [
    { tos: 256 },
    { totalLength: -1 },
    { id: 65536 },
    { fragmentOffset: 12 },
    { fragmentOffset: 65536 },
    { ttl: Number.NaN },
    { protocol: 1.5 },
    { source: '10.0.0.256' },
    { destination: '::1' },
    { checksum: 65536 },
  ]) {
    t.throws(() => Object.assign(ip, fields), { code: 'ERR_INVALID_OPTION' });
  }
  t.deepEqual(bytes, HEADER.slice());
});
