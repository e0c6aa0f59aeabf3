/** Each kind of check against real servers: well, ill, silent, gone. */
import { createSocket, type Socket } from 'node:dgram';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { type AddressInfo, createServer as createTcp, type Server } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { prepareCheck } from '../../src/health/checks.ts';
import type { Check, HttpCheck } from '../../src/health/config.ts';
import { prepareLoad } from '../../src/health/load.ts';
import { CERTIFICATE, KEY } from './certificate.ts';

const ADDRESS = '127.0.0.1';

async function listen(t: ExecutionContext, server: Server): Promise<number> {
  const sockets = new Set<{ destroy(): void }>();
  server.on('connection', (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, ADDRESS, resolve));
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

async function bind(
  t: ExecutionContext,
  answer: (socket: Socket, data: Buffer, port: number) => void,
): Promise<number> {
  const socket = createSocket('udp4');
  socket.on('message', (data, { port }) => answer(socket, data, port));
  await new Promise<void>((resolve) => socket.bind(0, ADDRESS, resolve));
  t.teardown(() => socket.close());
  return socket.address().port;
}

/** A port that nobody listens on. */
async function closedPort(t: ExecutionContext): Promise<number> {
  const server = createTcp();
  await new Promise<void>((resolve) => server.listen(0, ADDRESS, resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  t.pass();
  return port;
}

/** Why a check fails; null when it does not; `aborted` when it does not end by itself. */
async function failure(check: Check, port: number, withinMs = 10_000): Promise<string | null> {
  const signal = AbortSignal.timeout(withinMs);
  const aborted = new Promise<string>((resolve) => signal.addEventListener('abort', () => resolve('aborted')));
  const checked = prepareCheck(check, 'check')({ address: ADDRESS, port }, signal).then(
    () => null,
    (error) => error.code ?? error.message,
  );
  return Promise.race([checked, aborted]);
}

test('tcp: a connection can be made', async (t) => {
  const port = await listen(t, createTcp());
  t.is(await failure({ type: 'tcp' }, port), null);
  t.is(await failure({ type: 'tcp', localAddress: '127.0.0.2' }, port), null);
  const closed = await closedPort(t);
  t.is(await failure({ type: 'tcp' }, closed), 'ECONNREFUSED');
  t.is(await failure({ type: 'tcp', port }, closed), null, 'to another port than the server’s');
});

const web = (
  request: { url?: string | undefined; headers: object; method?: string | undefined },
  answer: import('node:http').ServerResponse,
) => {
  if (request.url === '/silent') return;
  if (request.url === '/large') answer.end(`${'x'.repeat(2 ** 20)}well`);
  else if (request.url === '/half') answer.writeHead(200, { 'content-length': 10 }).write('half');
  else if (request.url === '/asked') answer.end(JSON.stringify({ method: request.method, ...request.headers }));
  else answer.writeHead(Number(request.url!.slice(1))).end('all is well');
};

test('http: status and body', async (t) => {
  const server = createHttp(web);
  const port = await listen(t, server);
  const get = (path: string, more: Partial<HttpCheck> = {}, withinMs?: number) =>
    failure({ type: 'http', path, ...more }, port, withinMs);
  t.is(await get('/200'), null);
  t.is(await get('/302'), null);
  t.is(await get('/404'), 'status 404');
  t.is(await get('/404', { status: 404 }), null);
  t.is(await get('/500', { status: [200, 503] }), 'status 500');
  t.is(await get('/200', { body: 'well' }), null);
  t.is(await get('/200', { body: 'ill' }), 'another body');
  t.is(await get('/large', { body: 'well' }), 'another body', 'a megabyte is looked at');
  t.is(await get('/asked', { host: 'www.example', body: '"host":"www.example"' }), null);
  t.is(await get('/asked', { method: 'OPTIONS', headers: { 'x-check': 'me' }, body: '"x-check":"me"' }), null);
  t.is(await get('/silent', {}, 300), 'aborted');
  t.is(await get('/half', { body: 'whole' }, 300), 'aborted');
  t.is(await failure({ type: 'http' }, await closedPort(t)), 'ECONNREFUSED');
  t.is(
    await failure(
      { type: 'http' },
      await listen(
        t,
        createTcp((socket) => void socket.end('what?\n')),
      ),
    ),
    'HPE_INVALID_CONSTANT',
  );
});

test('https: the same, with or without a valid certificate', async (t) => {
  const server = createHttps({ key: KEY, cert: CERTIFICATE }, web);
  const port = await listen(t, server);
  t.is(await failure({ type: 'https', path: '/200', host: 'server.example', body: 'well' }, port), null);
  t.is(await failure({ type: 'https', path: '/200', verify: true }, port), 'DEPTH_ZERO_SELF_SIGNED_CERT');
});

/** The answer to a question for one record: the question again, and an A record of 192.0.2.7 if it is for `well.example`. */
function answerDns(query: Buffer): Buffer {
  const isKnown = query.includes('\x04well');
  const header = Buffer.from(query.subarray(0, 12));
  header.writeUInt16BE(isKnown ? 0x8180 : 0x8183, 2);
  header.writeUInt16BE(isKnown ? 1 : 0, 6);
  header.writeUInt32BE(0, 8);
  const nameEnd = query.indexOf(0, 12) + 1;
  const question = query.subarray(12, nameEnd + 4);
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
  return Buffer.concat(isKnown ? [header, question, record] : [header, question]);
}

test('dns: a name server answers', async (t) => {
  const port = await bind(t, (socket, query, to) => socket.send(answerDns(query), to, ADDRESS));
  const ask = (name: string, expect?: string) =>
    failure({ type: 'dns', name, ...(expect !== undefined && { expect }) }, port);
  t.is(await ask('well.example'), null);
  t.is(await ask('well.example', '192.0.2.7'), null);
  t.is(await ask('well.example', '192.0.2.8'), 'another answer: 192.0.2.7');
  t.is(await ask('unknown.example'), 'ENOTFOUND');
  const silent = await bind(t, () => {});
  t.is(await failure({ type: 'dns', name: 'well.example' }, silent, 300), 'aborted');
});

test('udp: an answer, or silence where that is enough', async (t) => {
  const echo = await bind(t, (socket, data, to) => socket.send(Buffer.concat([Buffer.from('> '), data]), to, ADDRESS));
  t.is(await failure({ type: 'udp', send: 'hello' }, echo), null);
  t.is(await failure({ type: 'udp', send: '\0\xff', expect: '> \0\xff' }, echo), null);
  t.is(await failure({ type: 'udp', send: 'hello', expect: 'bye' }, echo), 'another answer');
  const silent = await bind(t, () => {});
  t.is(await failure({ type: 'udp', send: 'hello' }, silent, 300), 'aborted');
  t.is(await failure({ type: 'udp', send: 'hello', quiet: 0.2 }, silent), null);
  const closed = await closedPort(t);
  t.is(await failure({ type: 'udp', send: 'hello', quiet: 5 }, closed), 'ECONNREFUSED');
});

test('command: a program’s status', async (t) => {
  const run = (script: string, withinMs?: number) =>
    failure({ type: 'command', command: ['sh', '-c', script] }, 8080, withinMs);
  t.is(await run('test $SERVER_ADDRESS:$SERVER_PORT = 127.0.0.1:8080'), null);
  t.is(await run('echo not now >&2; exit 3'), 'ended with 3: not now');
  t.is(await failure({ type: 'command', command: ['/no/such/program'] }, 80), 'ENOENT');
  t.is(await run('exec sleep 60', 300), 'aborted');
});

test('load: what an agent on the server says', async (t) => {
  const ask = async (said: string) => {
    const port = await listen(
      t,
      createTcp((socket) => void socket.end(said)),
    );
    return prepareLoad({ port }, 'from')({ address: ADDRESS, port: 80 }, AbortSignal.timeout(10_000));
  };
  t.is(await ask('75%\n'), 0.25);
  t.is(await ask('up ready 0% # busy\r\n'), 1);
  t.is(await ask('150%'), -0.5);
  await t.throwsAsync(ask('up\n50%\n'), { message: /no percentage/ });
  await t.throwsAsync(ask('x'.repeat(5000)), { message: /no percentage/ });
  const own = prepareLoad(async () => Number.NaN, 'from');
  await t.throwsAsync(own({ address: ADDRESS, port: 80 }, AbortSignal.timeout(1000)), { message: 'a load of NaN' });
});
