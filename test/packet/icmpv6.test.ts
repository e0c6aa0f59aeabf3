import test from 'ava';
import fc from 'fast-check';
import * as icmpv6 from '../../src/packet/icmpv6.ts';
import { Icmpv6View } from '../../src/packet/transport-views.ts';
import { Ipv6View } from '../../src/packet/views.ts';
import { ICMPV6_ECHO_REPLY, NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION } from './frames.ts';
import { dirty, displaced, hex, view } from './support.ts';

const TARGET = Int32Array.of(0x20010db8, 0, 0, 0xb);

test('parse: messages that Linux sent', (t) => {
  const echo = view(ICMPV6_ECHO_REPLY);
  t.is(icmpv6.icmpv6Type(echo, 54), icmpv6.ICMPV6_ECHO_REPLY);
  t.is(icmpv6.icmpv6Code(echo, 54), 0);
  t.is(icmpv6.icmpv6Checksum(echo, 54), 0x49ed);
  t.is(icmpv6.icmpv6Rest(echo, 54), 0x2b980001);

  const words = new Int32Array(5);
  const solicitation = displaced(NEIGHBOUR_SOLICITATION.subarray(54));
  t.is(icmpv6.icmpv6Type(solicitation.view, solicitation.at), icmpv6.NEIGHBOUR_SOLICITATION);
  icmpv6.readTarget(solicitation.view, solicitation.at, words, 1);
  t.deepEqual(words.subarray(1), TARGET);
  const source = icmpv6.findOption(solicitation.view, solicitation.at, 32, icmpv6.OPTION_SOURCE_MAC);
  t.is(source, solicitation.at + 24);
  t.is(icmpv6.optionMacHigh(solicitation.view, source), 0x0200);
  t.is(icmpv6.optionMacLow(solicitation.view, source), 0x0000000a);
  t.is(icmpv6.findOption(solicitation.view, solicitation.at, 32, icmpv6.OPTION_TARGET_MAC), -1);

  const advertisement = view(NEIGHBOUR_ADVERTISEMENT);
  t.is(icmpv6.icmpv6Rest(advertisement, 54), icmpv6.NA_SOLICITED | icmpv6.NA_OVERRIDE);
  t.is(icmpv6.findOption(advertisement, 54, 32, icmpv6.OPTION_TARGET_MAC), 78);
});

test('build: neighbour discovery packets come out as Linux sends them, every byte written', (t) => {
  for (const [frame, write] of [
    [
      NEIGHBOUR_SOLICITATION,
      (data: DataView, at: number) => icmpv6.writeNeighbourSolicitation(data, at, TARGET, 0, 0x0200, 0x0000000a),
    ],
    [
      NEIGHBOUR_ADVERTISEMENT,
      (data: DataView, at: number) =>
        icmpv6.writeNeighbourAdvertisement(
          data,
          at,
          icmpv6.NA_SOLICITED | icmpv6.NA_OVERRIDE,
          TARGET,
          0,
          0x0200,
          0x0000000b,
        ),
    ],
  ] as const) {
    const bytes = dirty(frame.length + 6);
    bytes.set(frame.subarray(0, 54), 3);
    write(view(bytes), 3 + 54);
    icmpv6.writeIcmpv6Checksum(view(bytes), 3 + 14, 3 + 54, icmpv6.NEIGHBOUR_WITH_MAC);
    t.deepEqual(bytes, displaced(frame).bytes);
  }
});

test('build: every byte of a plain header is written', (t) => {
  const bytes = dirty(14);
  icmpv6.writeIcmpv6Header(view(bytes), 3, icmpv6.ICMPV6_PACKET_TOO_BIG, 0, 1280);
  icmpv6.setIcmpv6Checksum(view(bytes), 3, 0x1234);
  t.deepEqual(bytes, displaced(hex('0200 1234 00000500')).bytes);
});

test('an option is found behind others', (t) => {
  const message = new Uint8Array([
    ...dirty(24),
    ...hex('0e01 000000000000'),
    ...hex('0202 020000000007 0000000000000000'),
  ]);
  t.is(icmpv6.findOption(view(message), 0, message.length, icmpv6.OPTION_TARGET_MAC), 32);
});

test('options with impossible lengths are not found, and the search ends', (t) => {
  const zero = new Uint8Array([...dirty(24), ...hex('0e00 000000000000'), ...hex('0201 020000000007')]);
  t.is(icmpv6.findOption(view(zero), 0, zero.length, icmpv6.OPTION_TARGET_MAC), -1);
  const beyond = new Uint8Array([...dirty(24), ...hex('0202 020000000007')]);
  t.is(icmpv6.findOption(view(beyond), 0, beyond.length, icmpv6.OPTION_TARGET_MAC), -1);
  for (let length = 0; length < 32; length++) {
    t.is(icmpv6.findOption(view(NEIGHBOUR_ADVERTISEMENT), 54, length, icmpv6.OPTION_TARGET_MAC), -1);
  }
});

test('the search for an option stays within the message', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(3), (options, type) => {
      const message = new Uint8Array([...dirty(24), ...options]);
      const found = icmpv6.findOption(view(message), 0, message.length, type);
      t.true(found === -1 || (found >= 24 && found + 8 <= message.length && message[found] === type));
    }),
  );
});

test('round trip: what the view reads it writes back', (t) => {
  for (const frame of [ICMPV6_ECHO_REPLY, NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT]) {
    const from = Icmpv6View.at(frame, 54);
    const bytes = frame.slice();
    bytes.fill(0xa5, 54, 62);
    const to = Icmpv6View.at(bytes, 54);
    to.type = from.type;
    to.code = from.code;
    to.rest = from.rest;
    to.updateChecksum(Ipv6View.at(bytes, 14));
    t.deepEqual(bytes, frame.slice());
  }
});

test('setters of the view keep a right checksum right; a changed address spoils it', (t) => {
  const bytes = ICMPV6_ECHO_REPLY.slice();
  const ip = Ipv6View.at(bytes, 14);
  const message = Icmpv6View.at(bytes, ip.transportOffset);
  message.type = icmpv6.ICMPV6_ECHO;
  message.identifier = 7;
  message.sequence = 0xffff;
  t.is(message.rest, 0x0007ffff);
  t.true(message.hasValidChecksum(ip));
  ip.source = '2001:db8::c';
  t.false(message.hasValidChecksum(ip));
  message.updateChecksum(ip);
  t.true(message.hasValidChecksum(ip));
});

test('the view tells the target where there is one', (t) => {
  t.is(Icmpv6View.at(NEIGHBOUR_SOLICITATION, 54).target, '2001:db8::b');
  t.is(Icmpv6View.at(NEIGHBOUR_ADVERTISEMENT, 54).target, '2001:db8::b');
  t.is(Icmpv6View.at(ICMPV6_ECHO_REPLY, 54).target, undefined);
  t.is(Icmpv6View.at(NEIGHBOUR_SOLICITATION.subarray(0, 77), 54).target, undefined);
});

test('impossible lengths are refused', (t) => {
  for (let length = 0; length < 8; length++) {
    t.throws(() => Icmpv6View.at(dirty(length)), { code: 'ERR_INVALID_OPTION', message: /8 bytes are needed/ });
  }
});
