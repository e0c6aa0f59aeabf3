import test from 'ava';
import fc from 'fast-check';
import * as icmp from '../../src/packet/icmp.ts';
import { IcmpView } from '../../src/packet/transport-views.ts';
import { Ipv4View } from '../../src/packet/views.ts';
import { ICMP_ECHO, ICMP_FRAG_NEEDED } from './frames.ts';
import { dirty, displaced, naiveChecksum, view } from './support.ts';

const MESSAGE = ICMP_ECHO.subarray(34);

test('parse: messages that were on the wire', (t) => {
  const { view: data, at } = displaced(MESSAGE);
  t.is(icmp.icmpType(data, at), icmp.ICMP_ECHO);
  t.is(icmp.icmpCode(data, at), 0);
  t.is(icmp.icmpChecksum(data, at), 0x20e8);
  t.is(icmp.icmpRest(data, at), 0x2b990001);
  t.is(icmp.icmpType(view(ICMP_FRAG_NEEDED), 34), icmp.ICMP_DEST_UNREACH);
  t.is(icmp.icmpCode(view(ICMP_FRAG_NEEDED), 34), icmp.UNREACH_FRAG_NEEDED);
  t.is(icmp.icmpRest(view(ICMP_FRAG_NEEDED), 34), 1400);
});

test('build: every byte of the header is written, and no other', (t) => {
  const bytes = dirty(MESSAGE.length + 6);
  bytes.set(MESSAGE.subarray(8), 11);
  icmp.writeIcmpHeader(view(bytes), 3, icmp.ICMP_ECHO, 0, 0x2b990001);
  icmp.writeIcmpChecksum(view(bytes), 3, MESSAGE.length);
  t.deepEqual(bytes, displaced(MESSAGE).bytes);
});

test('round trip: what the view reads it writes back', (t) => {
  for (const frame of [ICMP_ECHO, ICMP_FRAG_NEEDED]) {
    const from = IcmpView.at(frame, 34);
    const bytes = frame.slice();
    bytes.fill(0xa5, 34, 42);
    const to = IcmpView.at(bytes, 34);
    to.type = from.type;
    to.code = from.code;
    to.rest = from.rest;
    to.updateChecksum(Ipv4View.at(bytes, 14));
    t.deepEqual(bytes, frame.slice());
  }
});

test('the view tells everything by name', (t) => {
  const echo = IcmpView.at(ICMP_ECHO, 34);
  t.is(echo.type, 8);
  t.is(echo.identifier, 0x2b99);
  t.is(echo.sequence, 1);
  t.is(echo.dataOffset, 42);
  t.is(echo.checksum, 0x20e8);
  t.true(echo.hasValidChecksum(Ipv4View.at(ICMP_ECHO, 14)));
  const quoted = Ipv4View.at(ICMP_FRAG_NEEDED, IcmpView.at(ICMP_FRAG_NEEDED, 34).dataOffset);
  t.is(quoted.source, '10.0.0.100');
});

test('every setter of the view keeps a right checksum right', (t) => {
  const change = fc.oneof(
    fc.record({ type: fc.nat(255) }),
    fc.record({ code: fc.nat(255) }),
    fc.record({ rest: fc.nat(0xffffffff) }),
    fc.record({ identifier: fc.nat(65535) }),
    fc.record({ sequence: fc.nat(65535) }),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 20 }), (changes) => {
      const { bytes, at } = displaced(MESSAGE);
      const message = IcmpView.at(bytes, at);
      for (const fields of changes) {
        Object.assign(message, fields);
        for (const [name, value] of Object.entries(fields)) t.is(message[name as keyof IcmpView], value);
      }
      t.is(naiveChecksum(bytes.subarray(at, at + MESSAGE.length)), 0);
    }),
  );
});

test('impossible lengths and values that do not fit are refused', (t) => {
  for (let length = 0; length < 8; length++) {
    t.throws(() => IcmpView.at(MESSAGE.subarray(0, length)), {
      code: 'ERR_INVALID_OPTION',
      message: /8 bytes are needed/,
    });
  }
  const message = IcmpView.at(MESSAGE.slice());
  for (const fields of [{ type: 256 }, { code: -1 }, { rest: 2 ** 32 }, { identifier: 65536 }, { sequence: 0.1 }]) {
    t.throws(() => Object.assign(message, fields), { code: 'ERR_INVALID_OPTION' });
  }
  t.deepEqual(message.buffer, MESSAGE.slice());
});
