import test from 'ava';
import fc from 'fast-check';
import { buildFrame, buildPacket } from '../../src/packet/build.ts';
import type { FrameFields } from '../../src/packet/build-fields.ts';
import { printFrame, printPacket } from '../../src/packet/print.ts';
import * as frames from './frames.ts';
import { dirty, displaced, hex, view } from './support.ts';

function print(frame: Uint8Array): string {
  return printFrame(view(frame), 0, frame.length);
}

/** What follows the two MACs. */
function printInside(frame: Uint8Array): string {
  return print(frame).slice('02:00:00:00:00:01 > 02:00:00:00:00:01 '.length);
}

const GATEWAY = { source: '02:00:00:00:fe:fe', destination: '02:00:00:00:00:01' };
const CLIENT = { source: '192.0.2.1', destination: '10.0.0.100' };
const CLIENT6 = { source: '2001:db8:c::1', destination: '2001:db8::100' };
const PORTS = { sourcePort: 40000, destinationPort: 80 };

test('frames that were on the wire', (t) => {
  const printed = Object.fromEntries(Object.entries(frames.FRAMES).map(([name, frame]) => [name, printInside(frame)]));
  t.deepEqual(printed, {
    ARP_REQUEST: 'ARP who has 10.0.0.100? tell 10.0.0.254',
    ARP_REPLY: 'ARP 10.0.0.100 is at 02:00:00:00:00:01',
    TCP_RESET: 'IPv4 10.9.0.2:81 > 10.9.0.1:38270 ttl 64 DF TCP [RA] seq 0 ack 4073294048 win 0 len 0',
    TCP_SYN: 'IPv4 192.0.2.1:700 > 10.0.0.100:80 ttl 64 TCP [S] seq 1000 win 64240 len 0',
    UDP_HELLO: 'IPv4 192.0.2.1:702 > 10.0.0.100:80 ttl 64 UDP len 5',
    UDP_FIRST_FRAGMENT: 'IPv4 192.0.2.30:5000 > 10.0.0.100:5060 ttl 64 fragment 77 offset 0 more UDP len 64 (24 here)',
    UDP_LAST_FRAGMENT: 'IPv4 192.0.2.30 > 10.0.0.100 ttl 64 fragment 77 offset 32 last UDP len 40',
    SCTP_COOKIE_ECHO: 'IPv4 192.0.2.1:11 > 10.0.0.100:3868 ttl 64 SCTP [COOKIE-ECHO] tag 0x00000000',
    ICMP_ECHO: 'IPv4 10.9.0.1 > 10.9.0.2 ttl 64 DF ICMP echo request id 11161 seq 1 len 56',
    ICMP_FRAG_NEEDED:
      'IPv4 198.51.100.1 > 10.0.0.100 ttl 64 ICMP fragmentation needed mtu 1400 ' +
      '[IPv4 10.0.0.100:80 > 192.0.2.1:700 ttl 64 TCP seq 1000]',
    TCP6_SYN: 'IPv6 [2001:db8:c::1]:1000 > [2001:db8::100]:80 hlim 40 TCP [S] seq 1000 win 64240 len 0',
    UDP6_HELLO: 'IPv6 [2001:db8:c::1]:1000 > [2001:db8::100]:80 hlim 64 class 0x20 UDP len 5',
    ICMPV6_ECHO_REPLY: 'IPv6 2001:db8::b > 2001:db8::a hlim 64 flow 0x2c06f ICMPv6 echo reply id 11160 seq 1 len 56',
    NEIGHBOUR_SOLICITATION:
      'IPv6 2001:db8::a > ff02::1:ff00:b hlim 255 ICMPv6 neighbour solicitation ' +
      'who has 2001:db8::b? tell 02:00:00:00:00:0a',
    NEIGHBOUR_ADVERTISEMENT:
      'IPv6 2001:db8::b > 2001:db8::a hlim 255 ICMPv6 neighbour advertisement ' +
      '2001:db8::b is at 02:00:00:00:00:0b solicited override',
    IPIP:
      'IPv4 10.0.0.1 > 10.0.0.11 ttl 63 tos 0x10 IPIP: ' +
      'IPv4 192.0.2.9:4006 > 10.0.0.100:80 ttl 63 tos 0x10 TCP [S] seq 1000 win 64240 len 0',
    IPIP6:
      'IPv6 2001:db8::100 > 2001:db8::d hlim 39 IPIP: ' +
      'IPv6 [2001:db8:c::1]:1000 > [2001:db8::100]:80 hlim 39 TCP [S] seq 1000 win 64240 len 0',
    GRE:
      'IPv4 10.0.0.1 > 10.0.0.16 ttl 63 tos 0x10 GRE checksum: ' +
      'IPv4 192.0.2.9:4001 > 10.0.0.100:80 ttl 63 tos 0x10 TCP [S] seq 1000 win 64240 len 0',
    GUE:
      'IPv4 10.0.0.1:53316 > 10.0.0.13:6080 ttl 63 tos 0x10 UDP GUE: ' +
      'IPv4 192.0.2.9:4004 > 10.0.0.100:80 ttl 63 tos 0x10 TCP [S] seq 1000 win 64240 len 0',
  });
});

test('the MACs come first, source before destination', (t) => {
  t.true(print(frames.ARP_REPLY).startsWith('02:00:00:00:00:01 > 02:00:00:00:fe:fe ARP '));
});

const built: readonly (readonly [FrameFields, string])[] = [
  [
    { ethernet: { ...GATEWAY, vlans: [5, { id: 6, priority: 3 }] }, ip: CLIENT, udp: PORTS },
    'vlan 5 vlan 6 priority 3 IPv4 192.0.2.1:40000 > 10.0.0.100:80 ttl 64 UDP len 5',
  ],
  [{ ethernet: { ...GATEWAY, type: 0x88cc }, payload: 'lldp' }, 'type 0x88cc len 4'],
  [
    { arp: { senderMac: '02:00:00:00:00:01', senderIp: '10.0.0.100', targetIp: '10.0.0.100' } },
    'ARP announcement 10.0.0.100 is at 02:00:00:00:00:01',
  ],
  [
    { arp: { operation: 9, senderMac: '02:00:00:00:00:01', senderIp: '10.0.0.1', targetIp: '10.0.0.2' } },
    'ARP operation 9',
  ],
  [
    {
      ethernet: GATEWAY,
      ip: { ...CLIENT, options: hex('01010100') },
      tcp: {
        ...PORTS,
        flags: 'PAU',
        acknowledgement: 7,
        urgentPointer: 2,
        options: hex('020405b4 0402 080a 00000001 00000002 01 03030a 050a0000000000000000 fd03ff'),
        data: 'GET',
      },
    },
    'IPv4 192.0.2.1:40000 > 10.0.0.100:80 ttl 64 options 4 TCP [PAU] seq 1000 ack 7 win 64240 urg 2 len 3 ' +
      'mss 1460 sackOK ts 1/2 wscale 10 sack 1 option 253',
  ],
  [
    { ethernet: GATEWAY, ip: CLIENT, tcp: { ...PORTS, flags: '', options: hex('0200') } },
    'IPv4 192.0.2.1:40000 > 10.0.0.100:80 ttl 64 TCP [] seq 1000 win 64240 len 0 bad options',
  ],
  [
    { ethernet: GATEWAY, ip: CLIENT, udp: { ...PORTS, zeroChecksum: true } },
    'IPv4 192.0.2.1:40000 > 10.0.0.100:80 ttl 64 UDP len 5 no checksum',
  ],
  [
    {
      ethernet: GATEWAY,
      ip: CLIENT,
      sctp: { ...PORTS, verificationTag: 0xabc, chunks: [{ type: 11 }, { type: 0, data: 'hello' }, { type: 200 }] },
    },
    'IPv4 192.0.2.1:40000 > 10.0.0.100:80 ttl 64 SCTP [COOKIE-ACK DATA chunk-200] tag 0x00000abc',
  ],
  [
    {
      ethernet: GATEWAY,
      ip: CLIENT,
      icmp: { type: 5, code: 1, rest: 0x0a0000fe, data: buildPacket({ ip: CLIENT, udp: PORTS }) },
    },
    'IPv4 192.0.2.1 > 10.0.0.100 ttl 64 ICMP redirect host to 10.0.0.254 ' +
      '[IPv4 192.0.2.1:40000 > 10.0.0.100:80 ttl 64 UDP len 5]',
  ],
  [
    { ethernet: GATEWAY, ip: CLIENT, icmp: { type: 77, code: 3 } },
    'IPv4 192.0.2.1 > 10.0.0.100 ttl 64 ICMP type 77 code 3 len 0',
  ],
  [
    { ethernet: GATEWAY, ip: { ...CLIENT, protocol: 112 }, payload: 'x' },
    'IPv4 192.0.2.1 > 10.0.0.100 ttl 64 VRRP len 1',
  ],
  [
    { ethernet: GATEWAY, ip: { ...CLIENT, protocol: 253 }, payload: 'x' },
    'IPv4 192.0.2.1 > 10.0.0.100 ttl 64 protocol 253 len 1',
  ],
  [
    { ethernet: GATEWAY, ip: { ...CLIENT, protocol: 47 }, payload: hex('0001 880b') },
    'IPv4 192.0.2.1 > 10.0.0.100 ttl 64 GRE version 1',
  ],
  [
    { ethernet: GATEWAY, ip: { ...CLIENT, protocol: 47 }, payload: hex('0000 6558') },
    'IPv4 192.0.2.1 > 10.0.0.100 ttl 64 GRE type 0x6558',
  ],
  [
    {
      ethernet: GATEWAY,
      ip: CLIENT,
      udp: {
        ...PORTS,
        data: new Uint8Array([...hex('0129 0000 00000000'), ...buildPacket({ ip: CLIENT6, udp: PORTS })]),
      },
    },
    'IPv4 192.0.2.1:40000 > 10.0.0.100:80 ttl 64 UDP GUE: ' +
      'IPv6 [2001:db8:c::1]:40000 > [2001:db8::100]:80 hlim 64 UDP len 5',
  ],
  [
    {
      ethernet: GATEWAY,
      ip: { ...CLIENT6, extensions: [{ type: 0 }, { type: 43 }], id: 9, mf: true },
      udp: PORTS,
    },
    'IPv6 [2001:db8:c::1]:40000 > [2001:db8::100]:80 hlim 64 hop-by-hop routing fragment 9 offset 0 more UDP len 5',
  ],
  [
    { ethernet: GATEWAY, ip: { ...CLIENT6, id: 9, fragmentOffset: 8, protocol: 17 }, payload: 'rest' },
    'IPv6 2001:db8:c::1 > 2001:db8::100 hlim 64 fragment 9 offset 8 last UDP len 4',
  ],
  [
    {
      ethernet: GATEWAY,
      ip: CLIENT6,
      icmpv6: { type: 2, rest: 1280, data: buildPacket({ ip: CLIENT6, tcp: PORTS }) },
    },
    'IPv6 2001:db8:c::1 > 2001:db8::100 hlim 64 ICMPv6 packet too big mtu 1280 ' +
      '[IPv6 [2001:db8:c::1]:40000 > [2001:db8::100]:80 hlim 64 TCP [S] seq 1000 win 64240 len 0]',
  ],
];

test('frames of all kinds', (t) => {
  for (const [fields, text] of built) t.is(printInside(buildFrame(fields)), text);
});

test('a packet without an Ethernet header', (t) => {
  const packet = frames.TCP_SYN.subarray(14);
  t.is(printPacket(view(packet), 0, packet.length), printInside(frames.TCP_SYN));
  t.is(printPacket(view(hex('50')), 0, 1), 'IP version 5');
  t.is(printPacket(view(hex('')), 0, 0), 'IP truncated');
});

test('a frame anywhere in a buffer, with padding behind', (t) => {
  const { view: data, at } = displaced(frames.TCP_SYN);
  t.is(printFrame(data, at, frames.TCP_SYN.length), print(frames.TCP_SYN));
  t.is(printFrame(data, at, frames.TCP_SYN.length + 3), print(frames.TCP_SYN));
});

test('what is cut off is said', (t) => {
  const cut = (length: number) => printInside(frames.TCP_SYN.subarray(0, length));
  t.is(print(frames.TCP_SYN.subarray(0, 13)), 'Ethernet truncated, 13 bytes');
  t.is(cut(33), 'IPv4 truncated');
  t.is(cut(37), 'IPv4 192.0.2.1 > 10.0.0.100 ttl 64 TCP truncated (17 bytes missing)');
  t.is(cut(38), 'IPv4 192.0.2.1:700 > 10.0.0.100:80 ttl 64 TCP truncated (16 bytes missing)');
  t.is(cut(42), 'IPv4 192.0.2.1:700 > 10.0.0.100:80 ttl 64 TCP seq 1000 (12 bytes missing)');
  t.is(printInside(frames.ARP_REPLY.subarray(0, 41)), 'ARP truncated');
  const advertisement = frames.NEIGHBOUR_ADVERTISEMENT.subarray(0, 77);
  t.regex(printInside(advertisement), / neighbour advertisement truncated \(9 bytes missing\)$/);
});

test('what is impossible is named', (t) => {
  const change = (at: number, ...bytes: number[]) => {
    const frame = frames.TCP_SYN.slice();
    frame.set(bytes, at);
    return printInside(frame);
  };
  t.is(change(14, 0x65), 'IPv4 with version 6');
  t.is(change(14, 0x44), 'IPv4 with impossible header length 16');
  t.is(change(16, 0, 19), 'IPv4 192.0.2.1 > 10.0.0.100 with impossible length 19');
  t.regex(change(24, 0, 0), / bad header checksum TCP /);
  t.regex(change(46, 0x40), / impossible header length 16$/);
  t.regex(change(46, 0x60), / impossible header length 24$/);
  const udp = frames.UDP_HELLO.slice();
  view(udp).setUint16(38, 7);
  t.regex(printInside(udp), / UDP impossible length 7$/);
  const sctp = frames.SCTP_COOKIE_ECHO.slice();
  view(sctp).setUint16(48, 3);
  t.regex(printInside(sctp), / SCTP \[COOKIE-ECHO bad chunk\]/);
});

test('a long list of chunks is cut short', (t) => {
  const chunks = Array.from({ length: 9 }, () => ({ type: 0 }));
  const packet = buildPacket({ ip: CLIENT, sctp: { ...PORTS, chunks } });
  t.true(printPacket(view(packet), 0, packet.length).includes(`[${'DATA '.repeat(8)}...] tag`));
});

test('tunnels within tunnels end somewhere', (t) => {
  let packet = buildPacket({ ip: CLIENT, udp: PORTS });
  for (let i = 0; i < 50; i++) packet = buildPacket({ ip: CLIENT, payload: packet });
  t.regex(printPacket(view(packet), 0, packet.length), /IPIP: \.\.\.$/);
});

test('never throws and never breaks the line: every frame cut at every length', (t) => {
  for (const frame of Object.values(frames.FRAMES)) {
    for (let length = 0; length <= frame.length; length++) {
      // Both ways of being cut off: by the buffer's end, and by the length that is told.
      t.regex(print(frame.slice(0, length)), /^[ -~]+$/);
      t.is(printFrame(view(frame), 0, length), print(frame.slice(0, length)));
      t.regex(printFrame(view(frame.slice(0, length)), 0, frame.length), /^[ -~]+$/);
    }
  }
});

test('never throws and never breaks the line: mutated frames', (t) => {
  const edit = fc.tuple(fc.nat(), fc.nat(255));
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.values(frames.FRAMES)),
      fc.array(edit, { minLength: 1, maxLength: 12 }),
      fc.nat(),
      fc.boolean(),
      (frame, edits, cut, shorten) => {
        const bytes = frame.slice(0, shorten ? 1 + (cut % frame.length) : frame.length);
        for (const [position, value] of edits) bytes[position % bytes.length] = value;
        t.regex(print(bytes), /^[ -~]+$/);
      },
    ),
    { numRuns: 20_000 },
  );
});

test('never throws and never breaks the line: garbage behind every EtherType that is looked into', (t) => {
  fc.assert(
    fc.property(fc.constantFrom(0x0800, 0x0806, 0x86dd, 0x8100), fc.uint8Array({ maxLength: 120 }), (type, bytes) => {
      const frame = new Uint8Array([...dirty(12), type >>> 8, type & 255, ...bytes]);
      t.regex(print(frame), /^[ -~]+$/);
    }),
    { numRuns: 5000 },
  );
});
