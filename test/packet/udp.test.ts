import test from 'ava';
import fc from 'fast-check';
import { buildPacket } from '../../src/packet/build.ts';
import { UdpView } from '../../src/packet/transport-views.ts';
import * as udp from '../../src/packet/udp.ts';
import { Ipv4View, Ipv6View } from '../../src/packet/views.ts';
import { UDP_HELLO, UDP6_HELLO } from './frames.ts';
import { dirty, displaced, view } from './support.ts';

const HEADER = UDP_HELLO.subarray(34, 42);

test('parse: a header that was on the wire', (t) => {
  const { view, at } = displaced(HEADER);
  t.is(udp.sourcePort(view, at), 702);
  t.is(udp.destinationPort(view, at), 80);
  t.is(udp.udpLength(view, at), 13);
  t.is(udp.udpChecksum(view, at), 0xec8e);
});

test('build: every byte is written, and no other', (t) => {
  const bytes = dirty(14);
  udp.writeUdpHeader(view(bytes), 3, 702, 80, 13);
  udp.setUdpChecksum(view(bytes), 3, 0xec8e);
  t.deepEqual(bytes, displaced(HEADER).bytes);
});

test('setters: each writes its own field', (t) => {
  const bytes = dirty(14);
  const data = view(bytes);
  udp.setSourcePort(data, 3, 702);
  udp.setDestinationPort(data, 3, 80);
  udp.setUdpLength(data, 3, 13);
  udp.setUdpChecksum(data, 3, 0xec8e);
  t.deepEqual(bytes, displaced(HEADER).bytes);
});

test('round trip: what the view reads it writes back', (t) => {
  const from = UdpView.at(UDP6_HELLO, 54);
  const packet = UDP6_HELLO.slice();
  packet.fill(0xa5, 54, 62);
  const to = UdpView.at(packet, 54);
  to.sourcePort = from.sourcePort;
  to.destinationPort = from.destinationPort;
  to.length = from.length;
  to.updateChecksum(Ipv6View.at(packet, 14));
  t.deepEqual(packet, UDP6_HELLO.slice());
  t.is(to.dataOffset, 62);
});

test('setters of the ports keep a right checksum right, and never leave 0', (t) => {
  const change = fc.oneof(fc.record({ sourcePort: fc.nat(65535) }), fc.record({ destinationPort: fc.nat(65535) }));
  fc.assert(
    fc.property(fc.boolean(), fc.array(change, { maxLength: 20 }), (six, changes) => {
      const { bytes, at } = displaced(six ? UDP6_HELLO : UDP_HELLO);
      const ip = six ? Ipv6View.at(bytes, at + 14) : Ipv4View.at(bytes, at + 14);
      const datagram = UdpView.at(bytes, ip.transportOffset);
      for (const fields of changes) {
        Object.assign(datagram, fields);
        for (const [name, value] of Object.entries(fields)) t.is(datagram[name as keyof UdpView], value);
      }
      t.not(datagram.checksum, 0);
      t.true(datagram.hasValidChecksum(ip));
      const mended = datagram.checksum;
      datagram.updateChecksum(ip);
      t.is(datagram.checksum, mended);
    }),
  );
});

test('over all ports, one gives a sum of 0: it is sent as 0xffff, mended or computed', (t) => {
  const packet = buildPacket({
    ip: { source: '10.0.0.1', destination: '10.0.0.2' },
    udp: { sourcePort: 0, destinationPort: 9 },
  });
  const ip = Ipv4View.at(packet);
  const datagram = UdpView.at(packet, 20);
  let ones = 0;
  for (let port = 0; port <= 0xffff; port++) {
    datagram.sourcePort = port;
    if (datagram.checksum !== 0xffff) continue;
    ones++;
    t.true(datagram.hasValidChecksum(ip));
    datagram.updateChecksum(ip);
    t.is(datagram.checksum, 0xffff);
  }
  t.is(ones, 1);
});

test('a checksum of 0 means none: setters leave it, updateChecksum makes one', (t) => {
  const packet = buildPacket({
    ip: { source: '10.0.0.1', destination: '10.0.0.2' },
    udp: { sourcePort: 1, destinationPort: 2, zeroChecksum: true },
  });
  const ip = Ipv4View.at(packet);
  const datagram = UdpView.at(packet, 20);
  datagram.sourcePort = 5;
  datagram.destinationPort = 6;
  t.is(datagram.checksum, 0);
  t.true(datagram.hasValidChecksum(ip));
  datagram.updateChecksum(ip);
  t.not(datagram.checksum, 0);
  t.true(datagram.hasValidChecksum(ip));
  datagram.checksum ^= 1;
  t.false(datagram.hasValidChecksum(ip));
});

test('impossible lengths and values that do not fit are refused', (t) => {
  for (let length = 0; length < 8; length++) {
    t.throws(() => UdpView.at(HEADER.subarray(0, length)), {
      code: 'ERR_INVALID_OPTION',
      message: /8 bytes are needed/,
    });
  }
  const datagram = UdpView.at(HEADER.slice());
  for (const fields of [{ sourcePort: 65536 }, { destinationPort: -1 }, { length: 65536 }, { checksum: 1.5 }]) {
    t.throws(() => Object.assign(datagram, fields), { code: 'ERR_INVALID_OPTION' });
  }
  t.deepEqual(datagram.buffer, HEADER.slice());
});
