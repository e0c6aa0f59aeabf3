import { createServer, get } from 'node:http';
import { createServer as createSecureServer, get as getSecurely } from 'node:https';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { connect as connectSecurely } from 'node:tls';
import test from 'ava';
import { selfSigned } from '../../examples/lab/certificate.ts';
import { ManualClock } from '../../src/clock.ts';
import { buildFrame, buildPacket } from '../../src/packet/build.ts';
import { MemoryHost, type MemoryHostOptions, MemorySwitch } from '../../src/testing/index.ts';
import { bytes, closed, exchange, nextConnection, pass, play, received } from './network.ts';

/** Client 192.0.2.17 - router 192.0.2.50 / 10.0.0.50 - server 10.0.0.22, whose VIP 10.0.0.100 is on lo. */
class Routed {
  readonly clock: ManualClock = new ManualClock();
  readonly outside: MemorySwitch = new MemorySwitch();
  readonly inside: MemorySwitch = new MemorySwitch();
  readonly client: MemoryHost;
  readonly router: MemoryHost;
  readonly server: MemoryHost;

  constructor(router: Partial<MemoryHostOptions> = {}, insideMtu = 1500) {
    const { clock, outside, inside } = this;
    this.client = new MemoryHost({
      clock,
      interfaces: [{ addresses: ['192.0.2.17/24'], wire: outside }],
      routes: [{ to: 'default', via: '192.0.2.50' }],
    });
    this.router = new MemoryHost({
      clock,
      interfaces: [
        { addresses: ['192.0.2.50/24'], wire: outside },
        { addresses: ['10.0.0.50/24'], wire: inside, mtu: insideMtu },
      ],
      forwarding: true,
      ...router,
    });
    this.server = new MemoryHost({
      clock,
      interfaces: [{ addresses: ['10.0.0.22/24'], wire: inside }],
      loopback: ['10.0.0.100'],
      routes: [{ to: 'default', via: '10.0.0.50' }],
      tunnel: true,
    });
  }

  play<T>(work: Promise<T>): Promise<T> {
    return play(this.clock, work);
  }
}

const NAT = {
  dnat: [
    { protocol: 'tcp', address: '192.0.2.50', port: 80, to: '10.0.0.22', toPort: 8080 },
    { protocol: 'tcp', address: '192.0.2.50', port: 443, to: '10.0.0.22' },
    { protocol: 'udp', address: '192.0.2.50', port: 53, to: '10.0.0.22', toPort: 5353 },
  ],
  snat: [{ from: '10.0.0.0/24', to: '192.0.2.50' }],
} as const;

async function page(url: string, createConnection: () => Duplex): Promise<string> {
  return new Promise((resolve, reject) => {
    const ask = url.startsWith('https') ? getSecurely : get;
    ask(url, { createConnection }, (response) => void text(response).then(resolve, reject)).on('error', reject);
  });
}

test('node:http over forwarding and DNAT with a mapped port', async (t) => {
  const net = new Routed({ nat: NAT });
  net.server.listen(
    8080,
    createServer((request, response) => {
      response.end(`${request.url} for ${request.socket.remoteAddress} at ${request.socket.localPort}`);
    }),
  );
  for (let i = 0; i < 3; i++) {
    const answer = page('http://192.0.2.50/path', () => net.client.connect('192.0.2.50', 80));
    t.is(await net.play(answer), '/path for 192.0.2.17 at 8080');
  }
});

test('node:https over DNAT, with a megabyte to carry', async (t) => {
  const net = new Routed({ nat: NAT });
  const body = bytes(1 << 20, 1).toString('base64');
  const identity = selfSigned('www.example.com');
  net.server.listen(
    443,
    createSecureServer(identity, (_request, response) => void response.end(body)),
  );
  const secured = (): Duplex =>
    connectSecurely({
      socket: net.client.connect('192.0.2.50', 443),
      servername: 'www.example.com',
      ca: identity.cert,
    });
  t.is(await net.play(page('https://www.example.com/', secured)), body);
});

test('UDP there and back over DNAT', async (t) => {
  const net = new Routed({ nat: NAT });
  const server = net.server.bind(5353, (data, { address, port }) => {
    server.send(Buffer.from(`answer to ${data}`), address, port);
  });
  const answer = new Promise<string>((resolve) => {
    const client = net.client.bind(0, (data, { address, port }) => resolve(`${data} from ${address}:${port}`));
    client.send(Buffer.from('question'), '192.0.2.50', 53);
  });
  t.is(await net.play(answer), 'answer to question from 192.0.2.50:53');
});

test('SNAT: the server inside is seen with the address of the router, on a port of its own', async (t) => {
  const net = new Routed({ nat: NAT });
  const seen: string[] = [];
  net.client.listen(7, (socket) => {
    seen.push(`${socket.remoteAddress}:${socket.remotePort}`);
    socket.end('hello');
  });
  const inside = new MemoryHost({
    clock: net.clock,
    interfaces: [{ addresses: ['10.0.0.23/24'], wire: net.inside }],
    routes: [{ to: 'default', via: '10.0.0.50' }],
  });
  for (const host of [net.server, inside]) {
    const socket = host.connect('192.0.2.17', 7, { localPort: 40000 });
    t.is((await net.play(received(socket))).toString(), 'hello');
  }
  t.deepEqual(seen, ['192.0.2.50:40000', '192.0.2.50:1024']);
});

test('SNAT by interface leaves the rest alone', async (t) => {
  const net = new Routed({ nat: { snat: [{ from: '10.0.0.0/24', to: '192.0.2.50', out: 'eth1' }] } });
  const accepted = nextConnection(net.client, 7);
  net.server.connect('192.0.2.17', 7);
  t.is((await net.play(accepted)).remoteAddress, '10.0.0.22');
});

test('ICMP errors find their way back through NAT', async (t) => {
  const net = new Routed({ nat: NAT });
  const client = net.client.bind(0, () => {});
  const refused = new Promise<Error & { code?: string }>((resolve) => {
    client.onError = resolve;
  });
  client.send(Buffer.from('nobody there'), '192.0.2.50', 53);
  t.is((await net.play(refused)).message, 'send ECONNREFUSED 192.0.2.50:53');
});

test("the router's own errors name what the sender knows", async (t) => {
  const net = new Routed({ nat: { dnat: [{ address: '192.0.2.99', to: '10.0.0.99' }] } });
  const gateway = new MemoryHost({
    clock: net.clock,
    interfaces: [{ addresses: ['192.0.2.18/24'], wire: net.outside }],
    routes: [{ to: '192.0.2.99', via: '192.0.2.50' }],
  });
  t.is((await net.play(closed(gateway.connect('192.0.2.99', 80))))?.code, 'EHOSTUNREACH');
});

test('ping, near and far and on lo', async (t) => {
  const net = new Routed();
  t.true((await net.play(net.client.ping('192.0.2.50'))) >= 0);
  t.true((await net.play(net.client.ping('10.0.0.22'))) >= 0);
  t.true((await net.play(net.client.ping('10.0.0.100'))) >= 0);
});

test('no host, no route, no hops left', async (t) => {
  const net = new Routed();
  await t.throwsAsync(net.play(net.client.ping('192.0.2.99')), { code: 'EHOSTUNREACH' });
  await t.throwsAsync(net.play(net.client.ping('10.0.0.99')), { code: 'EHOSTUNREACH' });
  await t.throwsAsync(net.play(net.client.ping('198.51.100.1')), { code: 'ENETUNREACH' });
  const lonely = new MemoryHost({ clock: net.clock, interfaces: [{ addresses: ['172.16.0.1/24'] }] });
  await t.throwsAsync(net.play(lonely.ping('10.0.0.1')), { code: 'ENETUNREACH' });
  await t.throwsAsync(net.play(lonely.ping('172.16.0.2', 100)), { code: 'ETIMEDOUT' });
});

test('the last hop but one answers that the time is exceeded', async (t) => {
  const net = new Routed();
  await net.play(net.client.ping('10.0.0.22'));
  const seen: number[][] = [];
  net.outside.onFrame = (frame) => void seen.push([frame[23]!, frame[34]!, frame[35]!, frame[29]!]);
  net.router.interfaces[0]!.inject(
    buildFrame({
      ethernet: { source: '02:00:c0:00:02:11', destination: '02:00:c0:00:02:32' },
      ip: { source: '192.0.2.17', destination: '10.0.0.22', ttl: 1 },
      udp: { sourcePort: 1000, destinationPort: 2000 },
    }),
  );
  t.deepEqual(seen, [[1, 11, 0, 50]]);
});

test('a path with a smaller MTU is found, and remembered', async (t) => {
  const net = new Routed({}, 1400);
  net.server.listen(80, (socket) => void socket.pipe(socket));
  let largest = 0;
  let tooLong = 0;
  net.inside.onFrame = (frame) => {
    largest = Math.max(largest, frame.length - 14);
  };
  net.outside.onFrame = (frame) => {
    if (frame[23] === 1 && frame[34] === 3 && frame[35] === 4) tooLong++;
  };
  const data = bytes(100_000, 1);
  // The server's own interface allows 1500: only the router knows better, and it says so to the client.
  t.true((await net.play(exchange(net.client.connect('10.0.0.22', 80), data))).equals(data));
  const first = tooLong;
  t.true(first > 0);
  t.true((await net.play(exchange(net.client.connect('10.0.0.22', 80), data))).equals(data));
  t.is(tooLong, first);
  t.true(largest <= 1500);
});

test('IPIP for the host is unwrapped, and what is inside is answered from the inner address', async (t) => {
  const net = new Routed();
  await net.play(net.client.ping('10.0.0.22'));
  const seen: string[] = [];
  net.outside.onFrame = (frame) => {
    if (frame[23] === 1)
      seen.push(`${[...frame.subarray(26, 30)].join('.')} > ${[...frame.subarray(30, 34)].join('.')}`);
  };
  const inner = buildPacket({
    ip: { source: '192.0.2.17', destination: '10.0.0.100' },
    icmp: { type: 8, rest: 0x10001 },
  });
  net.server.interfaces[0]!.inject(
    buildFrame({
      ethernet: { source: '02:00:0a:00:00:1f', destination: '02:00:0a:00:00:16' },
      ip: { source: '10.0.0.31', destination: '10.0.0.22', protocol: 4 },
      payload: inner,
    }),
  );
  await pass(net.clock, 10);
  t.deepEqual(seen, ['10.0.0.100 > 192.0.2.17']);
});

test('a host without tunnels answers IPIP with protocol unreachable', async (t) => {
  const net = new Routed();
  await net.play(net.client.ping('10.0.0.50'));
  const seen: number[][] = [];
  net.outside.onFrame = (frame) => void seen.push([frame[34]!, frame[35]!]);
  net.router.interfaces[0]!.inject(
    buildFrame({
      ethernet: { source: '02:00:c0:00:02:11', destination: '02:00:c0:00:02:32' },
      ip: { source: '192.0.2.17', destination: '192.0.2.50', protocol: 4 },
      payload: new Uint8Array(28),
    }),
  );
  t.deepEqual(seen, [[3, 2]]);
});

test('packets for others, lying packets and fragments are dropped and counted', async (t) => {
  const { server } = new Routed();
  const ethernet = { source: '02:00:0a:00:00:32', destination: '02:00:0a:00:00:16' };
  const udp = { sourcePort: 1, destinationPort: 2 };
  const whole = buildFrame({ ethernet, ip: { source: '192.0.2.17', destination: '10.0.0.22' }, udp });
  const inject = (change: (frame: Uint8Array) => void): void => {
    const frame = whole.slice();
    change(frame);
    server.interfaces[0]!.inject(frame);
  };
  inject((frame) => frame.fill(0x46, 14, 15)); // the header is longer than its checksum covers
  inject((frame) => frame.fill(0xff, 16, 17)); // longer than the frame
  inject((frame) => frame.fill(0xff, 40, 42)); // the UDP checksum
  for (let length = 0; length < whole.length; length++) server.interfaces[0]!.inject(whole.slice(0, length));
  server.interfaces[0]!.inject(buildFrame({ ethernet, ip: { source: '192.0.2.17', destination: '10.0.0.9' }, udp }));
  t.deepEqual(server.dropped, { malformed: 2 + whole.length - 14, misdirected: 1, badChecksum: 1, fragment: 0 });
});

test('bad options are refused by name', (t) => {
  const interfaces = [{ addresses: ['10.0.0.1/24'] }];
  const refuses = (options: object, message: RegExp): void => {
    t.throws(() => new MemoryHost({ interfaces, ...options } as MemoryHostOptions), {
      code: 'ERR_INVALID_OPTION',
      message,
    });
  };
  refuses({ interfaces: [{ addresses: ['10.0.0.1/33'] }] }, /^interfaces\[0\]\.addresses\[0\]/);
  refuses({ interfaces: [{ addresses: ['2001:db8::1/64'] }] }, /^interfaces\[0\]\.addresses\[0\]/);
  refuses({ interfaces: [{ addresses: ['10.0.0.1/24'], mac: '1' }] }, /^interfaces\[0\]\.mac/);
  refuses({ interfaces: [{ addresses: ['10.0.0.1/24'], mtu: 67 }] }, /^interfaces\[0\]\.mtu: 67/);
  refuses({ loopback: ['here'] }, /^loopback\[0\]/);
  refuses({ routes: [{ to: 'default', via: '10.0.1.1' }] }, /^routes\[0\]\.via/);
  refuses({ routes: [{ to: 'nowhere', via: '10.0.0.2' }] }, /^routes\[0\]\.to/);
  refuses({ arpIgnore: 3 }, /^arpIgnore: 3/);
  refuses({ arpAnnounce: -1 }, /^arpAnnounce: -1/);
  refuses({ nat: { dnat: [{ address: '10.0.0.1', port: 80, to: '10.0.0.2' }] } }, /^nat\.dnat\[0\]\.port/);
  refuses({ nat: { dnat: [{ protocol: 'sctp', address: '10.0.0.1', to: '10.0.0.2' }] } }, /^nat\.dnat\[0\]\.protocol/);
  refuses({ nat: { dnat: [{ address: '10.0.0.1', toPort: 80, to: '10.0.0.2' }] } }, /^nat\.dnat\[0\]\.toPort/);
  refuses({ nat: { snat: [{ from: '10.0.0.0/24', to: 'x' }] } }, /^nat\.snat\[0\]\.to/);
});
