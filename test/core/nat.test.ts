/**
 * NAT there and back is the identity, and every checksum on the way is what a full computation gives. What the director
 * sends is compared with frames built from nothing.
 */
import test from 'ava';
import fc from 'fast-check';
import { buildFrame, buildPacket } from '../../src/packet/build.ts';
import type { PacketFields } from '../../src/packet/build-fields.ts';
import { Ipv4View, TcpView, UdpView } from '../../src/packet/index.ts';
import { CLIENT, GATEWAY_MAC, Lab, MACS, rs, rsMac, seededRandom, tcp, udp, VIP } from './lab.ts';

const IP = 14;

interface End {
  readonly address: string;
  readonly port: number;
}

/** What a packet carries beside its ends. */
interface Contents {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly data: Uint8Array;
  readonly ipOptions: Uint8Array;
  readonly tcpOptions: Uint8Array;
  readonly flags: number;
  readonly sequence: number;
  readonly window: number;
  readonly tos: number;
  readonly id: number;
  readonly df: boolean;
  readonly zeroChecksum: boolean;
}

const octet = fc.nat(255);
/** An address that a host on the internet may have. */
const address = fc
  .tuple(
    fc.oneof(fc.integer({ min: 11, max: 126 }), fc.integer({ min: 128, max: 223 })),
    fc.oneof(octet, fc.constantFrom(0, 255)),
    fc.oneof(octet, fc.constantFrom(0, 255)),
    octet,
  )
  .map((octets) => octets.join('.'));
const address6 = fc
  .tuple(
    fc.integer({ min: 0x2000, max: 0x3fff }),
    ...Array.from({ length: 7 }, () => fc.oneof(fc.nat(0xffff), fc.constantFrom(0, 0xffff))),
  )
  .map((groups) => groups.map((group) => group.toString(16)).join(':'));
/** A client, a service and a server, of one family. A client's port 20 is FTP's data port, which opens no connections. */
const ends = fc.constantFrom(address, address6).chain((addresses) => {
  const end = fc.record({ address: addresses, port: fc.integer({ min: 1, max: 65535 }) });
  return fc
    .tuple(end, end, end)
    .filter(
      ([client, virtual, server]) =>
        client.port !== 20 &&
        virtual.port !== 21 &&
        new Set([client.address, virtual.address, server.address]).size === 3,
    );
});
/** Bytes that shrink to fewer, not to each byte's zero. */
const bytes = (maxLength: number) =>
  fc.tuple(fc.nat(maxLength), fc.nat()).map(([length, seed]) => {
    const random = seededRandom(seed);
    return Uint8Array.from({ length }, () => 256 * random());
  });
/** IP options that a router has nothing to write into: none, security, stream id, and ones that nobody knows. */
const ipOptions = fc
  .array(
    fc.oneof(
      fc.constant([1]),
      fc
        .tuple(fc.constantFrom(130, 136, 30, 158, 222), bytes(8))
        .map(([type, data]) => [type, 2 + data.length, ...data]),
    ),
    { maxLength: 6 },
  )
  .map((options) => new Uint8Array(options.flat()))
  .filter((options) => options.length <= 40);
const contents: fc.Arbitrary<Contents> = fc.record({
  protocol: fc.constantFrom('tcp', 'udp', 'sctp'),
  data: fc.oneof(bytes(40), bytes(1380)),
  ipOptions,
  tcpOptions: fc.oneof(bytes(0), bytes(40)),
  flags: fc.nat(255),
  sequence: fc.nat(0xffffffff),
  window: fc.nat(0xffff),
  tos: octet,
  id: fc.nat(0xffff),
  df: fc.boolean(),
  zeroChecksum: fc.boolean(),
});

/** A packet from one end to the other; all checksums by full computation. */
function packet(from: End, to: End, ttl: number, contents: Contents): PacketFields {
  const { data, ipOptions: options, tos, id, df } = contents;
  const v6 = from.address.includes(':');
  const both = { source: from.address, destination: to.address, ttl, tos };
  const ip = v6 ? { ...both, flowLabel: id } : { ...both, options, id, df };
  const ports = { sourcePort: from.port, destinationPort: to.port };
  if (contents.protocol === 'udp') return { ip, udp: { ...ports, data, zeroChecksum: contents.zeroChecksum && !v6 } };
  if (contents.protocol === 'sctp')
    return { ip, sctp: { ...ports, verificationTag: contents.sequence, chunks: [{ type: 1, data }] } };
  const { flags, sequence, window, tcpOptions } = contents;
  return { ip, tcp: { ...ports, data, flags, sequence, window, options: tcpOptions } };
}

function frame(source: string, destination: string, fields: PacketFields): Uint8Array {
  return buildFrame({ ethernet: { source, destination }, ...fields });
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

function only<T>(list: readonly T[]): T {
  if (list.length !== 1) throw new Error(`${list.length} frames, not one`);
  return list[0]!;
}

function same(got: Uint8Array, wanted: Uint8Array): void {
  if (hex(got) !== hex(wanted)) throw new Error(`got    ${hex(got)}\nwanted ${hex(wanted)}`);
}

/** A director with one NAT service whose server is behind the gateway too. */
function natLab(protocol: Contents['protocol'], virtual: End, server: End): Lab {
  const lab = new Lab({}, true);
  const key = { protocol, address: virtual.address, port: virtual.port };
  lab.director.addService(key, { scheduler: 'rr' });
  lab.director.addDestination(key, server, { method: 'masq' });
  lab.director.sysctl.set('sloppy_tcp', 1);
  return lab;
}

test('a request reaches the server, and its echo the client, as if there had been no director', (t) => {
  fc.assert(
    fc.property(ends, fc.integer({ min: 3, max: 255 }), contents, ([client, virtual, server], ttl, body) => {
      const request = body.protocol === 'tcp' ? { ...body, flags: body.flags & ~4 } : body; // no RST
      const lab = natLab(request.protocol, virtual, server);

      const sent = frame(GATEWAY_MAC, MACS.eth0!, packet(client, virtual, ttl, request));
      const arrived = only(lab.receive(sent)).frame;
      // A datagram without a checksum is given one.
      const whole = { ...request, zeroChecksum: false };
      same(arrived, frame(MACS.eth0!, GATEWAY_MAC, packet(client, server, ttl - 1, whole)));

      const echo = frame(GATEWAY_MAC, MACS.eth0!, packet(server, client, ttl - 1, request));
      const returned = only(lab.receive(echo)).frame;
      same(returned, frame(MACS.eth0!, GATEWAY_MAC, packet(virtual, client, ttl - 2, whole)));
    }),
    { numRuns: 1000 },
  );
  t.pass();
});

test('a wrong transport checksum stays as wrong as it was: only the ends can tell', (t) => {
  fc.assert(
    fc.property(
      ends,
      contents.filter(({ protocol }) => protocol !== 'sctp'),
      fc.integer({ min: 1, max: 0xfffe }),
      ([client, virtual, server], body, error) => {
        const request = { ...body, flags: 2, zeroChecksum: false };
        const lab = natLab(request.protocol, virtual, server);
        const damage = (bytes: Uint8Array) => {
          const transport = client.address.includes(':') ? IP + 40 : Ipv4View.at(bytes, IP).transportOffset;
          const at = transport + (request.protocol === 'tcp' ? 16 : 6);
          const view = new DataView(bytes.buffer);
          const sum = view.getUint16(at) + error; // in ones' complement
          view.setUint16(at, (sum & 0xffff) + (sum >>> 16));
          return view.getUint16(at);
        };
        const sent = frame(GATEWAY_MAC, MACS.eth0!, packet(client, virtual, 64, request));
        const wanted = frame(MACS.eth0!, GATEWAY_MAC, packet(client, server, 63, request));
        // 0 is no checksum in UDP, and 0 and 0xffff are the same number: neither is an error to carry along.
        const marks = [damage(sent), damage(wanted)];
        fc.pre(!marks.includes(0) && !marks.includes(0xffff));
        same(only(lab.receive(sent)).frame, wanted);
      },
    ),
    { numRuns: 500 },
  );
  t.pass();
});

test('UDP: a checksum that comes out as 0 is sent as 0xffff', (t) => {
  const lab = natLab('udp', { address: VIP, port: 53 }, { address: rs(11), port: 5353 });
  const body = (data: Uint8Array): PacketFields => ({
    ip: { source: CLIENT, destination: VIP },
    udp: { sourcePort: 40000, destinationPort: 53, data },
  });
  const at = (bytes: Uint8Array) => UdpView.at(bytes, Ipv4View.at(bytes).transportOffset).checksum;
  // What the server gets with two bytes of zeros tells which two bytes make its checksum 0.
  const server = { ip: { source: CLIENT, destination: rs(11), ttl: 63 } };
  const ports = { sourcePort: 40000, destinationPort: 5353 };
  const check = at(buildPacket({ ...server, udp: { ...ports, data: new Uint8Array(2) } }));
  const data = new Uint8Array([check >>> 8, check & 0xff]);
  const { frame: out } = only(lab.frame(body(data)));
  const datagram = UdpView.at(out, Ipv4View.at(out, IP).transportOffset);
  t.is(datagram.checksum, 0xffff);
  t.deepEqual([...data], [...out.slice(datagram.dataOffset, datagram.dataOffset + 2)]);
});

test('every destination port and server port there is, on one connection each', (t) => {
  const lab = new Lab();
  for (const [virtual, real] of [
    [1, 65535],
    [65535, 1],
    [80, 80],
    [80 + 256, 8080],
  ] as const) {
    lab.director.addService(tcp(virtual));
    lab.director.addDestination(tcp(virtual), { address: rs(12), port: real }, { method: 'masq' });
    const { frame: there, text } = only(lab.client('S', { toPort: virtual }));
    t.regex(text, new RegExp(`^${MACS.eth0} > ${rsMac(12)} IPv4 ${CLIENT}:40000 > ${rs(12)}:${real} `));
    t.is(TcpView.at(there, 34).destinationPort, real);
    const { text: back } = only(lab.server(12, 'SA', { port: real }));
    t.regex(back, new RegExp(`^${MACS.eth0} > ${GATEWAY_MAC} IPv4 ${VIP}:${virtual} > ${CLIENT}:40000 `));
  }
});

test('destination port 0 keeps the port that the client asked for', (t) => {
  const lab = new Lab();
  lab.director.marks.add({ destination: VIP, mark: 7 });
  lab.director.addService(udp(1)); // makes the address the director's own
  lab.director.addService({ fwmark: 7 }, { scheduler: 'rr' });
  lab.director.addDestination({ fwmark: 7 }, { address: rs(11) }, { method: 'masq' });
  for (const toPort of [80, 4711]) {
    t.regex(only(lab.client('S', { toPort })).text, new RegExp(`> ${rs(11)}:${toPort} `));
  }
});
