import test from 'ava';
import fc from 'fast-check';
import { buildPacket } from '../../src/packet/build.ts';
import { finish, pseudoSum4, sumBytes } from '../../src/packet/checksum.ts';
import * as tcp from '../../src/packet/tcp.ts';
import { formatFlags, parseFlags } from '../../src/packet/tcp-flags.ts';
import { TcpView } from '../../src/packet/transport-views.ts';
import { Ipv4View, Ipv6View } from '../../src/packet/views.ts';
import { TCP_RESET, TCP_SYN, TCP6_SYN } from './frames.ts';
import { dirty, displaced, view } from './support.ts';

const HEADER = TCP_RESET.subarray(34, 54);

test('parse: a header that Linux sent', (t) => {
  const { view, at } = displaced(HEADER);
  t.is(tcp.sourcePort(view, at), 81);
  t.is(tcp.destinationPort(view, at), 38270);
  t.is(tcp.sequence(view, at), 0);
  t.is(tcp.acknowledgement(view, at), 4073294048);
  t.is(tcp.headerLength(view, at), 20);
  t.is(tcp.flags(view, at), tcp.RST | tcp.ACK);
  t.is(tcp.window(view, at), 0);
  t.is(tcp.tcpChecksum(view, at), 0x8a42);
  t.is(tcp.urgentPointer(view, at), 0);
});

test('build: every byte is written, and no other', (t) => {
  const bytes = dirty(26);
  tcp.writeTcpHeader(view(bytes), 3, 81, 38270, 0, 4073294048, 20, tcp.RST | tcp.ACK, 0);
  tcp.setTcpChecksum(view(bytes), 3, 0x8a42);
  t.deepEqual(bytes, displaced(HEADER).bytes);
});

test('setters: each writes its own field', (t) => {
  const bytes = dirty(26);
  const data = view(bytes);
  tcp.writeTcpHeader(data, 3, 0, 0, 0xffffffff, 0, 20, 0, 0xffff);
  tcp.setSourcePort(data, 3, 81);
  tcp.setDestinationPort(data, 3, 38270);
  tcp.setSequence(data, 3, 0);
  tcp.setAcknowledgement(data, 3, 4073294048);
  tcp.setFlags(data, 3, tcp.RST | tcp.ACK);
  tcp.setWindow(data, 3, 0);
  tcp.setTcpChecksum(data, 3, 0x8a42);
  tcp.setUrgentPointer(data, 3, 0);
  t.deepEqual(bytes, displaced(HEADER).bytes);
});

test('round trip: what the view reads it writes back', (t) => {
  for (const frame of [TCP_RESET, TCP_SYN]) {
    const from = TcpView.at(frame, 34);
    const packet = dirty(54);
    packet.set(frame.subarray(0, 34));
    tcp.writeTcpHeader(view(packet), 34, 0, 0, 0, 0, 20, 0, 0);
    const to = TcpView.at(packet, 34);
    to.sourcePort = from.sourcePort;
    to.destinationPort = from.destinationPort;
    to.sequence = from.sequence;
    to.acknowledgement = from.acknowledgement;
    to.flags = from.flagLetters;
    to.window = from.window;
    to.urgentPointer = from.urgentPointer;
    to.updateChecksum(Ipv4View.at(packet, 14));
    t.deepEqual(packet, frame.slice());
  }
});

test('the view tells everything by name', (t) => {
  const packet = buildPacket({
    ip: { source: '10.0.0.1', destination: '10.0.0.2' },
    tcp: {
      sourcePort: 1,
      destinationPort: 2,
      flags: 'PAU',
      sequence: 0xffffffff,
      acknowledgement: 0x80000000,
      window: 3,
      urgentPointer: 4,
      options: new Uint8Array([2, 4, 5, 0xb4]),
      data: 'hello',
    },
  });
  const segment = TcpView.at(packet, 20);
  t.is(segment.sourcePort, 1);
  t.is(segment.destinationPort, 2);
  t.is(segment.sequence, 0xffffffff);
  t.is(segment.acknowledgement, 0x80000000);
  t.is(segment.headerLength, 24);
  t.is(segment.flags, tcp.PSH | tcp.ACK | tcp.URG);
  t.is(segment.flagLetters, 'PAU');
  t.is(segment.window, 3);
  t.is(segment.urgentPointer, 4);
  t.deepEqual([...segment.options], [2, 4, 5, 0xb4]);
  t.is(segment.dataOffset, 44);
  t.true(segment.hasValidChecksum(Ipv4View.at(packet)));
});

test('every setter of the view keeps a right checksum right, in both families', (t) => {
  const change = fc.oneof(
    fc.record({ sourcePort: fc.nat(65535) }),
    fc.record({ destinationPort: fc.nat(65535) }),
    fc.record({ sequence: fc.nat(0xffffffff) }),
    fc.record({ acknowledgement: fc.nat(0xffffffff) }),
    fc.record({ flags: fc.nat(255) }),
    fc.record({ window: fc.nat(65535) }),
    fc.record({ urgentPointer: fc.nat(65535) }),
  );
  fc.assert(
    fc.property(fc.boolean(), fc.array(change, { maxLength: 20 }), (six, changes) => {
      const { bytes, at } = displaced(six ? TCP6_SYN : TCP_SYN);
      const ip = six ? Ipv6View.at(bytes, at + 14) : Ipv4View.at(bytes, at + 14);
      const segment = TcpView.at(bytes, ip.transportOffset);
      for (const fields of changes) {
        Object.assign(segment, fields);
        for (const [name, value] of Object.entries(fields)) t.is(segment[name as keyof TcpView], value);
      }
      t.true(segment.hasValidChecksum(ip));
      const mended = segment.checksum;
      segment.updateChecksum(ip);
      t.is(segment.checksum, mended);
    }),
  );
});

test('a changed address spoils the checksum until it is updated', (t) => {
  const frame = TCP_SYN.slice();
  const ip = Ipv4View.at(frame, 14);
  const segment = TcpView.at(frame, ip.transportOffset);
  t.true(segment.hasValidChecksum(ip));
  ip.destination = '10.0.0.11';
  t.false(segment.hasValidChecksum(ip));
  segment.updateChecksum(ip);
  t.true(segment.hasValidChecksum(ip));
  t.is(finish(sumBytes(view(frame), 34, 20, pseudoSum4(view(frame), 14, 6, 20))), 0);
});

test('impossible lengths are refused', (t) => {
  for (let length = 0; length < 20; length++) {
    t.throws(() => TcpView.at(HEADER.subarray(0, length)), {
      code: 'ERR_INVALID_OPTION',
      message: /20 bytes are needed/,
    });
  }
  for (let words = 0; words < 16; words++) {
    const segment = HEADER.slice();
    segment[12] = words << 4;
    if (words === 5) t.notThrows(() => TcpView.at(segment));
    else t.throws(() => TcpView.at(segment), { code: 'ERR_INVALID_OPTION' }, `${words} words`);
  }
});

test('the checksum wants the packet around, and all of it', (t) => {
  const frame = TCP_SYN.slice();
  const before = frame.slice();
  const segment = TcpView.at(frame, 34);
  const refused = { code: 'ERR_INVALID_OPTION', message: /^ip: / } as const;
  t.throws(() => segment.updateChecksum(Ipv4View.at(frame.slice(), 14)), refused, 'other bytes');
  const short = Ipv4View.at(frame, 14);
  short.totalLength = 39;
  t.throws(() => segment.updateChecksum(short), refused, 'ends within the header');
  short.totalLength = 41;
  t.throws(() => segment.updateChecksum(short), refused, 'cut off');
  short.totalLength = 40;
  t.deepEqual(frame, before);
});

test('values that do not fit are refused, and nothing is written', (t) => {
  const bytes = HEADER.slice();
  const segment = TcpView.at(bytes);
  for (const fields of [
    { sourcePort: 65536 },
    { destinationPort: -1 },
    { sequence: 2 ** 32 },
    { acknowledgement: 0.5 },
    { flags: 256 },
    { flags: 'SX' },
    { window: 65536 },
    { urgentPointer: Number.NaN },
    { checksum: -1 },
  ]) {
    t.throws(() => Object.assign(segment, fields), { code: 'ERR_INVALID_OPTION' });
  }
  t.deepEqual(bytes, HEADER.slice());
});

test('flags as letters and back', (t) => {
  t.is(formatFlags(tcp.SYN | tcp.ACK), 'SA');
  t.is(formatFlags(0), '');
  t.is(parseFlags('CEUAPRSF', 'flags'), 0xff);
  for (let bits = 0; bits < 256; bits++) t.is(parseFlags(formatFlags(bits), 'flags'), bits);
});
