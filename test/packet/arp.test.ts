import test from 'ava';
import * as arp from '../../src/packet/arp.ts';
import { ArpView } from '../../src/packet/views.ts';
import { ARP_REPLY, ARP_REQUEST } from './frames.ts';
import { dirty, displaced, view } from './support.ts';

const PACKET = ARP_REPLY.subarray(14);

test('parse: a reply that Linux sent', (t) => {
  const { view, at } = displaced(PACKET);
  t.true(arp.isEthernetIpv4(view, at));
  t.is(arp.operation(view, at), arp.ARP_REPLY);
  t.is(arp.senderMacHigh(view, at), 0x0200);
  t.is(arp.senderMacLow(view, at), 1);
  t.is(arp.senderIp(view, at), 0x0a000064);
  t.is(arp.targetMacHigh(view, at), 0x0200);
  t.is(arp.targetMacLow(view, at), 0xfefe);
  t.is(arp.targetIp(view, at), 0x0a0000fe);
});

test('build: every byte is written, and no other', (t) => {
  const bytes = dirty(PACKET.length + 6);
  arp.writeArp(view(bytes), 3, arp.ARP_REPLY, 0x0200, 1, 0x0a000064, 0x0200, 0xfefe, 0x0a0000fe);
  t.deepEqual(bytes, displaced(PACKET).bytes);
});

test('setters: each writes its own field', (t) => {
  const bytes = dirty(PACKET.length + 6);
  const at = 3;
  arp.writeArp(view(bytes), at, 0, 0, 0, 0, 0, 0, 0);
  arp.setOperation(view(bytes), at, arp.ARP_REPLY);
  arp.setSenderMac(view(bytes), at, 0x0200, 1);
  arp.setSenderIp(view(bytes), at, 0x0a000064);
  arp.setTargetMac(view(bytes), at, 0x0200, 0xfefe);
  arp.setTargetIp(view(bytes), at, 0x0a0000fe);
  t.deepEqual(bytes, displaced(PACKET).bytes);
});

test('round trip: what the view reads it writes back', (t) => {
  for (const frame of [ARP_REQUEST, ARP_REPLY]) {
    const from = ArpView.at(frame, 14);
    const bytes = dirty(28);
    arp.writeArp(view(bytes), 0, 0, 0, 0, 0, 0, 0, 0);
    const to = ArpView.at(bytes);
    to.operation = from.operation;
    to.senderMac = from.senderMac;
    to.senderIp = from.senderIp;
    to.targetMac = from.targetMac;
    to.targetIp = from.targetIp;
    t.deepEqual(bytes, frame.slice(14));
  }
});

test('the view tells addresses as text and as integers', (t) => {
  const packet = ArpView.at(ARP_REQUEST, 14);
  t.is(packet.operation, 1);
  t.is(packet.senderMac, '02:00:00:00:fe:fe');
  t.is(packet.senderIp, '10.0.0.254');
  t.is(packet.senderIpWord, 0x0a0000fe);
  t.is(packet.targetMac, '00:00:00:00:00:00');
  t.is(packet.targetIp, '10.0.0.100');
  t.is(packet.targetIpWord, 0x0a000064);
});

test('impossible lengths and other kinds of ARP are refused', (t) => {
  for (let length = 0; length < 28; length++) {
    t.throws(() => ArpView.at(PACKET.subarray(0, length)), { code: 'ERR_INVALID_OPTION' });
  }
  // Hardware type, protocol type, and the two address lengths.
  for (const byte of [0, 1, 2, 3, 4, 5]) {
    const other = PACKET.slice();
    other[byte]! ^= 0x10;
    t.false(arp.isEthernetIpv4(view(other), 0));
    t.throws(() => ArpView.at(other), { code: 'ERR_INVALID_OPTION', message: /not for IPv4 over Ethernet/ });
  }
});

test('the view refuses an IPv6 address', (t) => {
  const packet = ArpView.at(PACKET.slice());
  t.throws(() => (packet.senderIp = '2001:db8::1'), { code: 'ERR_INVALID_OPTION', message: /^senderIp: / });
  t.throws(() => (packet.targetIp = '10.0.0'), { code: 'ERR_INVALID_OPTION', message: /^targetIp: / });
});
