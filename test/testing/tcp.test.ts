import test from 'ava';
import fc from 'fast-check';
import { FIN, flags, headerLength, RST, SYN } from '../../src/packet/tcp.ts';
import { impair, type MemorySocket } from '../../src/testing/index.ts';
import { bytes, closed, exchange, nextConnection, Pair, pass, received } from './network.ts';

const MEGABYTE = 1 << 20;

/** The TCP flags of a frame, its length, and how many bytes it carries; undefined for other frames. */
function tcpOf(frame: Uint8Array): { flags: number; length: number; data: number; fromClient: boolean } | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  if (view.getUint16(12) !== 0x0800 || view.getUint8(23) !== 6) return undefined;
  const data = frame.length - 34 - headerLength(view, 34);
  return { flags: flags(view, 34), length: frame.length - 14, data, fromClient: view.getUint8(29) === 1 };
}

test('both ends know each other, and what one writes the other reads', async (t) => {
  const pair = new Pair();
  const accepted = nextConnection(pair.server, 80);
  const socket = pair.client.connect('10.0.0.2', 80, { localPort: 40000 });
  t.true(socket.connecting);
  t.is(socket.state, 'SYN_SENT');
  const peer = await pair.play(accepted);
  t.deepEqual(
    [peer.localAddress, peer.localPort, peer.remoteAddress, peer.remotePort],
    ['10.0.0.2', 80, '10.0.0.1', 40000],
  );
  t.deepEqual(
    [socket.localAddress, socket.localPort, socket.remoteAddress, socket.remotePort],
    ['10.0.0.1', 40000, '10.0.0.2', 80],
  );
  const talk = [exchange(socket, Buffer.from('from the client')), exchange(peer, Buffer.from('from the server'))];
  t.deepEqual((await pair.play(Promise.all(talk))).map(String), ['from the server', 'from the client']);
  t.false(socket.connecting);
});

for (const [name, faults] of Object.entries({
  'a good wire': undefined,
  'a lossy wire': { loss: 0.05 },
  'a wire that reorders and doubles': { reordering: 0.3, duplication: 0.1 },
  'a very bad wire': { loss: 0.15, reordering: 0.2, duplication: 0.1, maxDelay: 20 },
})) {
  test(`a megabyte each way at the same time over ${name}`, async (t) => {
    const pair = new Pair(faults === undefined ? undefined : impair({ seed: 7, ...faults }));
    const [up, down] = [bytes(MEGABYTE, 1), bytes(MEGABYTE, 2)];
    const accepted = nextConnection(pair.server, 80);
    const answer = exchange(pair.client.connect('10.0.0.2', 80), up);
    const question = accepted.then((peer) => exchange(peer, down));
    const [fromClient, fromServer] = await pair.play(Promise.all([question, answer]));
    t.true(fromClient.equals(up));
    t.true(fromServer.equals(down));
    t.is(pair.server.dropped.badChecksum + pair.client.dropped.badChecksum, 0);
    pair.close();
  });
}

test('any pieces over any wire arrive whole and in order', async (t) => {
  const wires = fc.record({
    seed: fc.integer(),
    loss: fc.double({ min: 0, max: 0.2, noNaN: true }),
    reordering: fc.double({ min: 0, max: 0.5, noNaN: true }),
    duplication: fc.double({ min: 0, max: 0.3, noNaN: true }),
  });
  const pieces = fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1, maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(wires, pieces, fc.integer({ min: 576, max: 1500 }), async (wire, sizes, mtu) => {
      const fault = impair(wire);
      const isArp = (frame: Uint8Array): boolean => frame[13] === 0x06; // without an answer there is nothing to test
      const pair = new Pair((frame) => (isArp(frame) ? [0] : fault(frame)), {}, mtu);
      const data = sizes.map((size, i) => bytes(size, i));
      const accepted = nextConnection(pair.server, 80);
      const socket = pair.client.connect('10.0.0.2', 80);
      for (const piece of data) socket.write(piece);
      socket.end();
      const got = await pair.play(accepted.then(received));
      pair.close();
      return got.equals(Buffer.concat(data));
    }),
    { numRuns: 15 },
  );
  t.pass();
});

test('the client closes first: it waits for stragglers, the server is done at once', async (t) => {
  const pair = new Pair();
  const accepted = nextConnection(pair.server, 80);
  const socket = pair.client.connect('10.0.0.2', 80);
  const peer = await pair.play(accepted);
  socket.end();
  await pair.play(Promise.all([closed(socket), closed(peer)]));
  await pass(pair.clock, 5);
  t.is(socket.state, 'TIME_WAIT');
  t.is(peer.state, 'CLOSED');
  pair.clock.advance(60_000);
  t.is(socket.state, 'CLOSED');
});

test('the server closes first: it is the one that waits', async (t) => {
  const pair = new Pair();
  const accepted = nextConnection(pair.server, 80);
  const socket = pair.client.connect('10.0.0.2', 80);
  const peer = await pair.play(accepted);
  peer.end();
  await pair.play(Promise.all([closed(socket), closed(peer)]));
  await pass(pair.clock, 5);
  t.is(socket.state, 'CLOSED');
  t.is(peer.state, 'TIME_WAIT');
  pair.close();
});

test('both close at the same time: both wait', async (t) => {
  const pair = new Pair();
  const accepted = nextConnection(pair.server, 80);
  const socket = pair.client.connect('10.0.0.2', 80);
  const peer = await pair.play(accepted);
  await pass(pair.clock, 5);
  socket.end();
  peer.end();
  await pair.play(Promise.all([closed(socket), closed(peer)]));
  await pass(pair.clock, 5);
  t.is(socket.state, 'TIME_WAIT');
  t.is(peer.state, 'TIME_WAIT');
  pair.close();
});

test('a socket that may be half open still writes after the peer has ended', async (t) => {
  const pair = new Pair();
  const accepted = nextConnection(pair.server, 80, true);
  const answer = exchange(pair.client.connect('10.0.0.2', 80), Buffer.from('question'));
  const peer = await pair.play(accepted);
  const question = await pair.play(received(peer));
  await pass(pair.clock, 1000);
  t.is(peer.state, 'CLOSE_WAIT');
  peer.end(`answer to ${question}`);
  t.is((await pair.play(answer)).toString(), 'answer to question');
});

test('what was written before destroy() still arrives', async (t) => {
  const pair = new Pair();
  const data = bytes(60_000, 3);
  const accepted = nextConnection(pair.server, 80);
  const socket = pair.client.connect('10.0.0.2', 80);
  const peer = await pair.play(accepted);
  socket.write(data);
  socket.destroy();
  t.true((await pair.play(received(peer))).equals(data));
});

test('a port that nobody listens on refuses', async (t) => {
  const pair = new Pair();
  const error = await pair.play(closed(pair.client.connect('10.0.0.2', 81)));
  t.is(error?.code, 'ECONNREFUSED');
  t.is(error?.message, 'connect ECONNREFUSED 10.0.0.2:81');
});

test('a reset destroys the other end', async (t) => {
  const pair = new Pair();
  const accepted = nextConnection(pair.server, 80);
  const socket = pair.client.connect('10.0.0.2', 80);
  const peer = await pair.play(accepted);
  await pass(pair.clock, 5);
  peer.resetAndDestroy();
  t.is((await pair.play(closed(socket)))?.code, 'ECONNRESET');
  t.is(socket.state, 'CLOSED');
});

test('data for a socket that was destroyed is answered with a reset', async (t) => {
  const pair = new Pair();
  const accepted = nextConnection(pair.server, 80);
  const socket = pair.client.connect('10.0.0.2', 80, { allowHalfOpen: true });
  const peer = await pair.play(accepted);
  await pass(pair.clock, 5);
  peer.destroy();
  await pass(pair.clock, 5);
  t.is(peer.state, 'FIN_WAIT_2');
  socket.write('too late');
  t.is((await pair.play(closed(socket)))?.code, 'ECONNRESET');
  t.is(peer.state, 'CLOSED');
});

test('a destroyed socket does not wait for its peer for ever', async (t) => {
  const pair = new Pair();
  const accepted = nextConnection(pair.server, 80);
  const socket = pair.client.connect('10.0.0.2', 80, { allowHalfOpen: true });
  const peer = await pair.play(accepted);
  await pass(pair.clock, 5);
  peer.destroy();
  await pass(pair.clock, 5);
  t.is(peer.state, 'FIN_WAIT_2');
  pair.clock.advance(60_000);
  t.is(peer.state, 'CLOSED');
  socket.destroy();
});

test('data that was never read: the peer is reset, not left to believe that all went well', async (t) => {
  const pair = new Pair();
  const accepted = nextConnection(pair.server, 80);
  const socket = pair.client.connect('10.0.0.2', 80);
  const peer = await pair.play(accepted);
  socket.write(bytes(60_000, 1));
  await pass(pair.clock, 50);
  peer.destroy();
  t.is((await pair.play(closed(socket)))?.code, 'ECONNRESET');
});

test('a reset must hit the window exactly; beside it, the connection lives on', async (t) => {
  const pair = new Pair();
  let forge = false;
  const seen: number[] = [];
  pair.wire.onFrame = (frame) => {
    const segment = tcpOf(frame);
    if (segment !== undefined) seen.push(segment.flags);
    if (!forge || segment === undefined || !segment.fromClient || segment.data === 0) return;
    forge = false;
    const bogus = new Uint8Array(frame.subarray(0, 54));
    const view = new DataView(bogus.buffer);
    view.setUint16(16, 40); // total length
    view.setUint16(24, 0);
    view.setUint16(24, headerChecksum(view));
    view.setUint32(38, view.getUint32(38) + 1000);
    view.setUint8(47, RST);
    view.setUint16(50, 0);
    view.setUint16(50, tcpChecksum(view));
    pair.server.interfaces[0]!.inject(bogus);
  };
  const accepted = nextConnection(pair.server, 80);
  const socket = pair.client.connect('10.0.0.2', 80);
  const peer = await pair.play(accepted);
  forge = true;
  t.is(
    (await pair.play(Promise.all([exchange(socket, Buffer.from('still here')), received(peer)])))[1].toString(),
    'still here',
  );
  t.false(forge);
  t.is(pair.server.dropped.badChecksum + pair.server.dropped.malformed, 0);
  t.false(seen.some((flag) => (flag & RST) !== 0));
});

test('nobody answers: six more SYNs, then ETIMEDOUT after 127 seconds', async (t) => {
  let syns = 0;
  const pair = new Pair((frame) => {
    if (((tcpOf(frame)?.flags ?? 0) & SYN) === 0) return [0];
    syns++;
    return [];
  });
  const error = await pair.play(closed(pair.client.connect('10.0.0.2', 80)));
  t.is(error?.code, 'ETIMEDOUT');
  t.is(syns, 7);
  t.is(Math.round(pair.clock.now() / 1000), 127);
});

test('a reader that stops stops the writer, and all goes on where it was', async (t) => {
  const pair = new Pair();
  const data = bytes(MEGABYTE, 4);
  let sent = 0;
  pair.wire.onFrame = (frame) => {
    const segment = tcpOf(frame);
    if (segment?.fromClient) sent += segment.data;
  };
  const accepted = nextConnection(pair.server, 80);
  const socket = pair.client.connect('10.0.0.2', 80);
  socket.end(data);
  const peer = await pair.play(accepted);
  await pass(pair.clock, 30_000);
  t.true(sent > 65_000 && sent < 150_000, `${sent} bytes under way to a reader that does not read`);
  t.is(peer.state, 'ESTABLISHED');
  t.true((await pair.play(received(peer))).equals(data));
});

test('a window that opens unheard of is found by probing', async (t) => {
  let deaf = false;
  const pair = new Pair((frame) => (deaf && tcpOf(frame)?.fromClient === false ? [] : [0]));
  const data = bytes(300_000, 5);
  const accepted = nextConnection(pair.server, 80);
  const socket = pair.client.connect('10.0.0.2', 80);
  socket.end(data);
  const peer = await pair.play(accepted);
  await pass(pair.clock, 1000);
  deaf = true;
  const first: Buffer = await new Promise((resolve) => {
    peer.once('readable', () => resolve(peer.read() as Buffer));
  });
  await pass(pair.clock, 10);
  deaf = false;
  const rest = await pair.play(received(peer));
  t.true(Buffer.concat([first, rest]).equals(data));
});

test('the peer vanishes in the middle: the writer is told in the end', async (t) => {
  const pair = new Pair();
  const accepted = nextConnection(pair.server, 80);
  const socket = pair.client.connect('10.0.0.2', 80);
  await pair.play(accepted);
  await pass(pair.clock, 5);
  pair.server.close();
  socket.write('hello?');
  const error = await pair.play(closed(socket));
  t.true(error?.code === 'ETIMEDOUT' || error?.code === 'EHOSTUNREACH');
});

test('a new connection may take the place of one that waits for stragglers', async (t) => {
  const pair = new Pair();
  const sockets: MemorySocket[] = [];
  pair.server.listen(80, (socket) => {
    sockets.push(socket);
    socket.end('bye');
  });
  const first = pair.client.connect('10.0.0.2', 80, { localPort: 40000 });
  await pair.play(closed(first));
  await pass(pair.clock, 5);
  t.is(sockets[0]?.state, 'TIME_WAIT');
  const second = pair.client.connect('10.0.0.2', 80, { localPort: 40000 });
  t.is((await pair.play(received(second))).toString(), 'bye');
  t.is(sockets.length, 2);
  pair.close();
});

test('no packet is larger than either end takes', async (t) => {
  const pair = new Pair(undefined, {}, 600);
  let largest = 0;
  pair.wire.onFrame = (frame) => {
    largest = Math.max(largest, tcpOf(frame)?.length ?? 0);
  };
  const accepted = nextConnection(pair.server, 80);
  const answer = exchange(pair.client.connect('10.0.0.2', 80), bytes(20_000, 1));
  const question = accepted.then((peer) => exchange(peer, bytes(20_000, 2)));
  await pair.play(Promise.all([answer, question]));
  t.is(largest, 600);
});

test('a connection to oneself', async (t) => {
  const pair = new Pair();
  pair.server.listen(80, (socket) => void socket.pipe(socket));
  const echoed = exchange(pair.server.connect('10.0.0.2', 80), Buffer.from('me'));
  t.is((await pair.play(echoed)).toString(), 'me');
});

test('every handshake and every close is as short as it can be', async (t) => {
  const pair = new Pair();
  await pair.play(pair.client.ping('10.0.0.2'));
  const trace: string[] = [];
  pair.wire.onFrame = (frame) => {
    const segment = tcpOf(frame);
    if (segment === undefined) return;
    const names = [
      [SYN, 'S'],
      [FIN, 'F'],
      [RST, 'R'],
    ] as const;
    const set = names.map(([bit, name]) => (segment.flags & bit ? name : '')).join('');
    trace.push(`${segment.fromClient ? '>' : '<'}${set || '.'}${segment.data || ''}`);
  };
  pair.server.listen(80, (socket) => {
    socket.on('data', () => void socket.write('yes'));
  });
  const socket = pair.client.connect('10.0.0.2', 80);
  socket.write('please');
  await pair.play(new Promise((resolve) => void socket.once('data', resolve)));
  socket.end();
  await pair.play(closed(socket));
  await pass(pair.clock, 5);
  t.deepEqual(trace, ['>S', '<S', '>.6', '<.', '<.3', '>.', '>F', '<.', '<F', '>.']);
  pair.close();
});

test('bad ports and addresses are refused', (t) => {
  const { client } = new Pair();
  const code = 'ERR_INVALID_OPTION';
  t.throws(() => client.connect('10.0.0.2', 0), { code, message: /^port: 0 / });
  t.throws(() => client.connect('10.0.0', 80), { code, message: /^address: '10.0.0' / });
  t.throws(() => client.connect('::1', 80), { code });
  t.throws(() => client.connect('10.0.0.2', 80, { localAddress: '10.0.0.9' }), { code, message: /^localAddress/ });
  t.throws(() => client.listen(65536, () => {}), { code });
  client.listen(80, () => {}).close();
  client.listen(80, () => {});
  t.throws(() => client.listen(80, () => {}), { code, message: /^port: 80 is not free/ });
  client.connect('10.0.0.2', 80, { localPort: 5000 }).on('error', () => {});
  t.throws(() => client.connect('10.0.0.2', 80, { localPort: 5000 }), { code, message: /^localPort: 5000/ });
});

function headerChecksum(view: DataView): number {
  return fold(sum(view, 14, 20));
}

function tcpChecksum(view: DataView): number {
  return fold(sum(view, 26, 8) + 6 + 20 + sum(view, 34, 20));
}

function sum(view: DataView, at: number, length: number): number {
  let total = 0;
  for (let i = 0; i < length; i += 2) total += view.getUint16(at + i);
  return total;
}

function fold(total: number): number {
  let folded = total;
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16);
  return ~folded & 0xffff;
}
