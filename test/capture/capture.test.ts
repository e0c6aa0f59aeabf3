/** Captures: which frames belong to which connections, on both sides; bounds; and that nothing is left behind. */
import test from 'ava';
import fc from 'fast-check';
import type { Capture, CapturedFrame, CaptureOptions } from '../../src/index.ts';
import { buildFrame } from '../../src/packet/build.ts';
import { CLIENT, GATEWAY_MAC, Lab, MACS, rs, rsMac, tcp, textOf, udp, VIP, VIP6 } from '../core/lab.ts';

/** `in 192.0.2.1:40000 > 10.0.0.100:80`: direction and the outermost addresses. */
function lineOf({ direction, bytes }: CapturedFrame): string {
  const [, from, to] = /IPv[46] (\S+) > (\S+?)[:,]? /.exec(`${textOf(bytes)} `) ?? [];
  return from === undefined ? `${direction} ${textOf(bytes)}` : `${direction} ${from} > ${to}`;
}

function linesOf(capture: Capture): string[] {
  return capture.read().map(lineOf);
}

/** A service by NAT with two servers in turns; server ports differ from the service's. */
function natLab(threads = 0): Lab {
  const lab = new Lab({ threads });
  lab.director.addService(tcp(), { scheduler: 'rr' });
  for (const n of [11, 12]) lab.director.addDestination(tcp(), { address: rs(n), port: 8080 }, { method: 'masq' });
  return lab;
}

/** One client's handshake. The server is the one that the director chose. */
function handshake(lab: Lab, from: string): number {
  const [syn] = lab.client('S', { from });
  const n = Number(/ > 10\.0\.0\.(\d+):8080/.exec(syn!.text)![1]);
  lab.server(n, 'SA', { to: from, port: 8080 });
  lab.client('A', { from });
  return n;
}

const both = (n: number, client = `${CLIENT}:40000`) => [
  `in ${client} > ${VIP}:80`,
  `out ${client} > ${rs(n)}:8080`,
  `in ${rs(n)}:8080 > ${client}`,
  `out ${VIP}:80 > ${client}`,
  `in ${client} > ${VIP}:80`,
  `out ${client} > ${rs(n)}:8080`,
];

const FILTERS: readonly (readonly [string, CaptureOptions])[] = [
  ['service', { service: tcp() }],
  ['client', { client: CLIENT }],
  ['network of clients', { client: '192.0.2.0/31' }],
  ['port of the service', { port: 80 }],
  ['port of the server', { port: 8080 }],
  ['port of the client', { port: 40000 }],
  ['nothing', {}],
];
for (const [name, filter] of FILTERS) {
  test(`of NAT both address pairs are seen, by ${name}`, (t) => {
    const lab = natLab();
    const capture = lab.director.capture(filter);
    const n = handshake(lab, CLIENT);
    t.deepEqual(linesOf(capture), both(n));
    t.is(capture.packets, 6);
    t.is(capture.lost, 0);
    t.deepEqual(capture.stop(), []);
  });
}

for (const threads of [0, 2]) {
  test(`a server's connections are those it gets, from the first packet on, with ${threads} threads`, (t) => {
    const lab = natLab(threads);
    t.teardown(() => lab.director.stop());
    const captures = new Map([11, 12].map((n) => [n, lab.director.capture({ server: { address: rs(n) } })]));
    const expected = new Map<number, string[]>([11, 12].map((n) => [n, []]));
    for (let i = 1; i <= 6; i++) {
      const from = `192.0.2.${i}`;
      const n = handshake(lab, from);
      expected.get(n)!.push(...both(n, `${from}:40000`));
    }
    // Of clients that are handled by different threads the times are the same here: only each client's order is certain.
    const sorted = (lines: readonly string[]) => (threads === 0 ? lines : [...lines].sort());
    for (const [n, capture] of captures) t.deepEqual(sorted(linesOf(capture)), sorted(expected.get(n)!), rs(n));
  });
}

test('what is not asked for is not there', (t) => {
  const lab = natLab();
  lab.director.addService(tcp(81), { scheduler: 'rr' });
  lab.director.addDestination(tcp(81), { address: rs(13) });
  const filters: CaptureOptions[] = [
    { service: tcp(82) },
    { service: udp(80) },
    { service: tcp(), client: '198.51.100.0/24' },
    { service: tcp(81), server: { address: rs(11) } },
    { server: { address: rs(13), port: 8080 } },
    { client: '2001:db8::/32' },
    { port: 443 },
    { service: { fwmark: 1 } },
  ];
  for (const filter of filters) {
    const capture = lab.director.capture(filter);
    handshake(lab, CLIENT);
    lab.client('S', { from: '192.0.2.9', toPort: 81 });
    t.deepEqual(capture.stop(), [], JSON.stringify(filter));
  }
});

test('no more than four captures run at once', (t) => {
  const lab = natLab();
  const captures = [1, 2, 3, 4].map(() => lab.director.capture());
  t.throws(() => lab.director.capture(), { code: 'ERR_TOO_MANY_CAPTURES' });
  captures[0]!.stop();
  t.notThrows(() => lab.director.capture());
});

test('by direct routing and in tunnels the connection is seen in and out', (t) => {
  for (const type of ['ipip', 'gre', 'gue'] as const) {
    const lab = new Lab({}, true);
    const tunnel = type === 'gue' ? { type, port: 6080 } : { type };
    lab.director.addService(tcp(), { scheduler: 'rr' });
    lab.director.addDestination(tcp(), { address: rs(11) }, { method: 'tunnel', tunnel });
    lab.director.addService(tcp(443, VIP6), {});
    lab.director.addDestination(tcp(443, VIP6), { address: rs(12) }, { method: 'tunnel', tunnel });
    const capture = lab.director.capture({ service: tcp() });
    const six = lab.director.capture({ server: { address: rs(12) } });
    lab.client('S');
    lab.client('S', { from: '2001:db8:c::1', to: VIP6, toPort: 443 });
    const [inside, outside] = capture.read();
    t.is(lineOf(inside!), `in ${CLIENT}:40000 > ${VIP}:80`, type);
    t.regex(textOf(outside!.bytes), /10\.0\.0\.1.* > 10\.0\.0\.11/, type);
    t.is(outside!.direction, 'out');
    t.deepEqual(
      six.read().map(({ direction }) => direction),
      ['in', 'out'],
      type,
    );
  }
  const lab = new Lab();
  lab.director.addService(tcp(), { scheduler: 'rr' });
  lab.director.addDestination(tcp(), { address: rs(11) });
  const capture = lab.director.capture({ server: { address: rs(11), port: 80 } });
  lab.client('S');
  t.deepEqual(linesOf(capture), [`in ${CLIENT}:40000 > ${VIP}:80`, `out ${CLIENT}:40000 > ${VIP}:80`]);
});

test('connections by mark, and ICMP errors about connections, belong to them', (t) => {
  const lab = natLab();
  lab.director.marks.add({ destination: `${VIP}/32`, protocol: 'udp', mark: 7 });
  lab.director.addService({ fwmark: 7 }, { scheduler: 'rr' });
  lab.director.addDestination({ fwmark: 7 }, { address: rs(13) });
  const marked = lab.director.capture({ service: { fwmark: 7 } });
  const capture = lab.director.capture({ service: tcp() });
  lab.datagram({ toPort: 53 });
  t.deepEqual(linesOf(marked), [`in ${CLIENT}:40000 > ${VIP}:53`, `out ${CLIENT}:40000 > ${VIP}:53`]);
  const n = handshake(lab, CLIENT);
  t.is(capture.read().length, 6);
  // A router before the server says that what was sent to it is too large.
  const sent = lab.client('A')[0]!;
  capture.read();
  const quoted = sent.frame.slice(14, 14 + 28);
  const sending = { source: GATEWAY_MAC, destination: MACS.eth0! };
  const icmp = { type: 3, code: 4, rest: 1000, data: quoted };
  lab.receive(buildFrame({ ethernet: sending, ip: { source: '10.0.0.254', destination: '10.0.0.1' }, icmp }));
  const frames = capture.read();
  t.true(frames.length >= 1, `server ${n}`);
  t.is(frames[0]!.direction, 'in');
  t.is(marked.read().length, 0);
});

test('each bound ends it, and nothing stands in front of the devices any more', (t) => {
  const lab = natLab();
  const packets = lab.director.capture({ packets: 4 });
  const bytes = lab.director.capture({ bytes: 100 });
  const seconds = lab.director.capture({ seconds: 2 });
  handshake(lab, CLIENT);
  t.is(packets.read().length, 4);
  t.is(packets.ended, 'packets');
  t.is(bytes.read().length, 2); // of 54 bytes
  t.is(bytes.ended, 'bytes');
  t.is(seconds.read().length, 6);
  t.is(seconds.ended, null);
  lab.sleep(2);
  handshake(lab, '192.0.2.2');
  t.deepEqual(seconds.read(), []);
  t.is(seconds.ended, 'seconds');
  t.deepEqual([packets.read(), seconds.stop()], [[], []]);
});

test('what finds no room is counted, and what is kept is its beginning', (t) => {
  const lab = natLab();
  const capture = lab.director.capture({ bufferBytes: 2 ** 18, snapLength: 128 });
  lab.client('S');
  const data = new Uint8Array(1000);
  for (let i = 0; i < 1000; i++) lab.client('A', {}, { data });
  const frames = capture.read();
  t.is(frames.length + capture.lost, 2002);
  t.true(capture.lost > 0);
  t.is(frames.length, Math.floor((2 ** 18 - 2 * (54 + 20)) / (128 + 20)) + 2);
  t.is(frames[2]!.bytes.length, 128);
  t.is(frames[2]!.length, 1054);
  lab.client('A', {}, { data });
  t.is(capture.read().length, 2, 'there is room again');
});

test('options are checked, and nothing has begun', (t) => {
  const { director } = natLab();
  const wrong: readonly (readonly [string, object])[] = [
    ['client', { client: '192.0.2' }],
    ['server.address', { server: { address: 'x' } }],
    ['server.port', { server: { address: rs(11), port: 70000 } }],
    ['server.weight', { server: { address: rs(11), weight: 1 } }],
    ['port', { port: -1 }],
    ['packets', { packets: 0 }],
    ['bytes', { bytes: 2 ** 40 }],
    ['seconds', { seconds: 1e9 }],
    ['snapLength', { snapLength: 10 }],
    ['bufferBytes', { bufferBytes: 1 }],
    ['host', { host: '192.0.2.1' }],
    ['protocol', { service: { protocol: 'icmp', address: VIP, port: 80 } }],
  ];
  for (const [option, options] of wrong) {
    t.throws(() => director.capture(options as CaptureOptions), { code: 'ERR_INVALID_OPTION' }, option);
    try {
      director.capture(options as CaptureOptions);
    } catch (error) {
      t.is((error as { option?: string }).option, option);
    }
  }
  for (let i = 0; i < 4; i++) t.notThrows(() => director.capture());
  director.stop();
  t.throws(() => director.capture(), { code: 'ERR_CLOSED' });
});

test('what is on the wire is what is captured, whatever comes', (t) => {
  const lab = natLab();
  const frame = buildFrame({
    ethernet: { source: rsMac(11), destination: MACS.eth0! },
    ip: { source: CLIENT, destination: VIP },
    tcp: { sourcePort: 40000, destinationPort: 80, flags: 'S' },
  });
  fc.assert(
    fc.property(
      fc.array(
        fc.record({ at: fc.nat(frame.length - 1), value: fc.nat(255), length: fc.integer({ min: 0, max: 54 }) }),
      ),
      (changes) => {
        const capture = lab.director.capture();
        const chosen = lab.director.capture({ server: { address: rs(11) }, client: '0.0.0.0/0' });
        const frames = changes.map(({ at, value, length }) => {
          const changed = frame.slice();
          changed[at] = value;
          return changed.slice(0, length);
        });
        const sent = lab.receive(frames);
        const seen = capture.stop();
        chosen.stop();
        t.deepEqual(
          seen.filter(({ direction }) => direction === 'in').map(({ bytes }) => bytes),
          frames,
        );
        t.deepEqual(
          seen.filter(({ direction }) => direction === 'out').map(({ bytes }) => bytes),
          sent.map((s) => new Uint8Array(s.frame)),
        );
      },
    ),
  );
});
