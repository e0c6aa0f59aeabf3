import test from 'ava';
import * as ethernet from '../../src/packet/ethernet.ts';
import { EthernetView } from '../../src/packet/views.ts';
import { TCP_SYN } from './frames.ts';
import { dirty, displaced, hex, view } from './support.ts';

const HEADER = TCP_SYN.subarray(0, 14);
const QINQ = hex('020000000001 02000000fefe 88a8 0064 8100 e005 0800 45');

test('parse: a header that Linux sent', (t) => {
  const { view, at } = displaced(HEADER);
  t.is(ethernet.dstHigh(view, at), 0x0200);
  t.is(ethernet.dstLow(view, at), 0x00000001);
  t.is(ethernet.srcHigh(view, at), 0x0200);
  t.is(ethernet.srcLow(view, at), 0x0000fefe);
  t.is(ethernet.etherType(view, at), ethernet.ETHERTYPE_IPV4);
});

test('build: setters write every byte of the header, and no other', (t) => {
  const bytes = dirty(20);
  ethernet.setDst(view(bytes), 3, 0x0200, 0x00000001);
  ethernet.setSrc(view(bytes), 3, 0x0200, 0x0000fefe);
  ethernet.setEtherType(view(bytes), 3, ethernet.ETHERTYPE_IPV4);
  t.deepEqual(bytes, displaced(HEADER).bytes);
});

test('round trip: what the view reads it writes back', (t) => {
  const from = EthernetView.at(HEADER);
  const to = EthernetView.at(dirty(14));
  to.destination = from.destination;
  to.source = from.source;
  to.type = from.type;
  t.deepEqual(to.buffer, HEADER);
});

test('the view tells addresses as text and as integers', (t) => {
  const frame = EthernetView.at(TCP_SYN);
  t.is(frame.destination, '02:00:00:00:00:01');
  t.is(frame.source, '02:00:00:00:fe:fe');
  t.deepEqual([frame.destinationHigh, frame.destinationLow], [0x200, 1]);
  t.deepEqual([frame.sourceHigh, frame.sourceLow], [0x200, 0xfefe]);
  t.is(frame.payloadType, ethernet.ETHERTYPE_IPV4);
  t.is(frame.payloadOffset, 14);
  t.deepEqual(frame.vlanIds, []);
});

test('the view steps over tags', (t) => {
  const frame = EthernetView.at(displaced(QINQ).bytes, 3);
  t.is(frame.type, ethernet.ETHERTYPE_QINQ);
  t.deepEqual(frame.vlanIds, [100, 5]);
  t.is(frame.payloadType, ethernet.ETHERTYPE_IPV4);
  t.is(frame.payloadOffset, 3 + 22);
});

test('impossible lengths: 13 bytes are no header, a tag cut off is not stepped over', (t) => {
  for (let length = 0; length < 14; length++) {
    t.throws(() => EthernetView.at(TCP_SYN.subarray(0, length)), { code: 'ERR_INVALID_OPTION' });
  }
  for (let length = 14; length < QINQ.length - 1; length++) {
    const frame = EthernetView.at(QINQ.subarray(0, length));
    t.true(frame.payloadOffset <= length, `${length}`);
    t.is(frame.vlanIds.length, length < 18 ? 0 : length < 22 ? 1 : 2);
  }
});

test('the view refuses addresses and types that are none', (t) => {
  const frame = EthernetView.at(dirty(14));
  for (const [name, value] of [
    ['source', '02:00:00:00:00'],
    ['destination', 'x'],
    ['type', 0x10000],
    ['type', -1],
    ['type', 1.5],
  ] as const) {
    t.throws(() => Object.assign(frame, { [name]: value }), {
      code: 'ERR_INVALID_OPTION',
      message: RegExp(`^${name}: `),
    });
  }
  t.deepEqual(frame.buffer, dirty(14));
});
