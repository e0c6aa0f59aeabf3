import test from 'ava';
import {
  ArpView,
  EthernetView,
  type HeaderView,
  IcmpView,
  Icmpv6View,
  Ipv4View,
  Ipv6View,
  SctpView,
  TcpView,
  UdpView,
} from '../../src/packet/index.ts';
import { ARP_REPLY, TCP_RESET, TCP_SYN } from './frames.ts';
import { displaced } from './support.ts';

test('a view reads and writes the bytes themselves', (t) => {
  const frame = TCP_SYN.slice();
  const ip = Ipv4View.at(frame, 14);
  frame[14 + 8] = 9;
  t.is(ip.ttl, 9);
  ip.ttl = 8;
  t.is(frame[14 + 8], 8);
  t.is(ip.buffer, frame);
  t.is(ip.offset, 14);
});

test('a view over a Buffer and over a part of one', (t) => {
  const { bytes, at } = displaced(TCP_SYN);
  const part = Buffer.from(bytes.buffer, at, TCP_SYN.length);
  t.is(EthernetView.at(part).source, '02:00:00:00:fe:fe');
  t.is(Ipv4View.at(part, 14).source, '192.0.2.1');
});

test('moveTo goes to other bytes, or elsewhere in the same', (t) => {
  const ip = Ipv4View.at(TCP_SYN, 14);
  t.is(ip.moveTo(TCP_RESET, 14), ip);
  t.is(ip.source, '10.9.0.2');
  const { bytes, at } = displaced(TCP_SYN.subarray(14));
  ip.moveTo(bytes, at);
  t.is(ip.source, '192.0.2.1');
  const two = new Uint8Array([...TCP_SYN.subarray(14), ...TCP_RESET.subarray(14)]);
  t.is(ip.moveTo(two).source, '192.0.2.1');
  t.is(ip.moveTo(40).source, '10.9.0.2');
  t.is(ip.offset, 40);
});

test('a move that fails leaves the view where it was', (t) => {
  const ip = Ipv4View.at(TCP_SYN, 14);
  t.throws(() => ip.moveTo(ARP_REPLY, 14), { code: 'ERR_INVALID_OPTION' });
  t.throws(() => ip.moveTo(40), { code: 'ERR_INVALID_OPTION' });
  t.is(ip.source, '192.0.2.1');
  t.is(ip.buffer, TCP_SYN);
  t.is(ip.offset, 14);
});

test('an offset that is none is refused', (t) => {
  for (const offset of [-1, 0.5, Number.NaN, 55, 2 ** 40]) {
    t.throws(() => EthernetView.at(TCP_SYN, offset), { code: 'ERR_INVALID_OPTION', message: /^offset: / });
  }
  t.throws(() => EthernetView.at(TCP_SYN, 54), { message: /EthernetView is: 14 bytes are needed, 0 are there/ });
});

test('all views are header views, and none begins in no bytes', (t) => {
  const views: readonly (new () => HeaderView)[] = [
    ArpView,
    EthernetView,
    IcmpView,
    Icmpv6View,
    Ipv4View,
    Ipv6View,
    SctpView,
    TcpView,
    UdpView,
  ];
  for (const View of views) {
    const view = new View();
    t.throws(() => view.moveTo(new Uint8Array()), { code: 'ERR_INVALID_OPTION' }, View.name);
  }
});
