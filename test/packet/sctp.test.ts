import test from 'ava';
import fc from 'fast-check';
import { buildPacket } from '../../src/packet/build.ts';
import { crc32c } from '../../src/packet/crc32c.ts';
import * as sctp from '../../src/packet/sctp.ts';
import { SctpView } from '../../src/packet/transport-views.ts';
import { Ipv4View } from '../../src/packet/views.ts';
import { SCTP_COOKIE_ECHO } from './frames.ts';
import { dirty, displaced, hex, view } from './support.ts';

const PACKET = SCTP_COOKIE_ECHO.subarray(34);

test('parse: a packet that was on the wire', (t) => {
  const { view, at } = displaced(PACKET);
  t.is(sctp.sourcePort(view, at), 11);
  t.is(sctp.destinationPort(view, at), 3868);
  t.is(sctp.verificationTag(view, at), 0);
  // The low byte of the CRC comes first.
  t.is(sctp.sctpChecksum(view, at), 0xab26f22d);
  t.is(sctp.computeSctpChecksum(view, at, PACKET.length), 0xab26f22d);
  const chunk = at + sctp.SCTP_HEADER;
  t.is(sctp.chunkType(view, chunk), sctp.CHUNK_COOKIE_ECHO);
  t.is(sctp.chunkFlags(view, chunk), 0);
  t.is(sctp.chunkLength(view, chunk), 10);
});

test('build: every byte is written, and no other', (t) => {
  const bytes = dirty(PACKET.length + 6);
  const data = view(bytes);
  sctp.writeSctpHeader(data, 3, 11, 3868, 0);
  sctp.writeChunkHeader(data, 3 + sctp.SCTP_HEADER, sctp.CHUNK_COOKIE_ECHO, 0, 10);
  bytes.set(hex('636f6f6b69650000'), 3 + sctp.SCTP_HEADER + sctp.CHUNK_HEADER);
  sctp.writeSctpChecksum(data, 3, PACKET.length);
  t.deepEqual(bytes, displaced(PACKET).bytes);
});

test('setters: each writes its own field', (t) => {
  const bytes = dirty(PACKET.length + 6);
  const data = view(bytes);
  bytes.set(PACKET.subarray(12), 15);
  sctp.setSourcePort(data, 3, 11);
  sctp.setDestinationPort(data, 3, 3868);
  sctp.setVerificationTag(data, 3, 0);
  sctp.setSctpChecksum(data, 3, 0xab26f22d);
  t.deepEqual(bytes, displaced(PACKET).bytes);
});

test('the checksum is that of the packet with 0 in its place', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 12, maxLength: 100 }), (bytes) => {
      const zeroed = bytes.slice();
      zeroed.fill(0, 8, 12);
      t.is(sctp.computeSctpChecksum(view(bytes), 0, bytes.length), crc32c(view(zeroed), 0, bytes.length));
    }),
  );
});

test('round trip: what the view reads it writes back', (t) => {
  const frame = SCTP_COOKIE_ECHO.slice();
  const from = SctpView.at(SCTP_COOKIE_ECHO, 34);
  frame.fill(0xa5, 34, 46);
  const to = SctpView.at(frame, 34);
  to.sourcePort = from.sourcePort;
  to.destinationPort = from.destinationPort;
  to.verificationTag = from.verificationTag;
  to.updateChecksum(Ipv4View.at(frame, 14));
  t.deepEqual(frame, SCTP_COOKIE_ECHO.slice());
  t.is(to.checksum, from.checksum);
  t.is(to.chunkOffset, 46);
});

test('the checksum is wrong after a change until it is updated', (t) => {
  const packet = buildPacket({
    ip: { source: '10.0.0.1', destination: '10.0.0.2' },
    sctp: {
      sourcePort: 1,
      destinationPort: 2,
      verificationTag: 0xfedcba98,
      chunks: [{ type: 0, flags: 3, data: 'abc' }],
    },
  });
  const ip = Ipv4View.at(packet);
  const association = SctpView.at(packet, 20);
  t.is(association.verificationTag, 0xfedcba98);
  t.true(association.hasValidChecksum(ip));
  association.destinationPort = 3;
  t.false(association.hasValidChecksum(ip));
  association.updateChecksum(ip);
  t.true(association.hasValidChecksum(ip));
});

test('impossible lengths and values that do not fit are refused', (t) => {
  for (let length = 0; length < 12; length++) {
    t.throws(() => SctpView.at(PACKET.subarray(0, length)), {
      code: 'ERR_INVALID_OPTION',
      message: /12 bytes are needed/,
    });
  }
  const association = SctpView.at(PACKET.slice());
  for (const fields of [
    { sourcePort: -1 },
    { destinationPort: 65536 },
    { verificationTag: 2 ** 32 },
    { checksum: -1 },
  ]) {
    t.throws(() => Object.assign(association, fields), { code: 'ERR_INVALID_OPTION' });
  }
  t.deepEqual(association.buffer, PACKET.slice());
});
