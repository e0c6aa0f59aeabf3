/** The control socket against those who do not keep to its protocol: nothing breaks, nobody else waits. */
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { ask } from '../../src/control/client.ts';
import { REQUEST_BYTES } from '../../src/control/connection.ts';
import { CONNECTIONS, ControlServer } from '../../src/control/server.ts';
import type { Verb } from '../../src/control/verb.ts';
import { VERBS } from '../../src/control/verbs.ts';
import { Director, DirectorError, MemoryDevice } from '../../src/index.ts';

interface Served {
  readonly path: string;
  readonly director: Director;
  readonly server: ControlServer;
  readonly mistakes: unknown[];
}

function folder(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'tapvs-control-'));
  t.teardown(() => rmSync(path, { recursive: true }));
  return path;
}

function makeDirector(): Director {
  const device = new MemoryDevice({ name: 'eth0' });
  return new Director({ interfaces: [{ device, addresses: ['192.0.2.1/24'] }] });
}

async function serve(t: ExecutionContext, more: readonly Verb[] = [], mode?: number): Promise<Served> {
  const path = join(folder(t), 'made', 'control.sock');
  const director = makeDirector();
  const mistakes: unknown[] = [];
  const server = await ControlServer.listen({
    path,
    ...(mode !== undefined && { mode }),
    verbs: new Map([...VERBS, ...more.map((verb) => [verb.name, verb] as const)]),
    context: { director, control: director },
    onMistake: (_verb, error) => void mistakes.push(error),
  });
  t.teardown(() => server.close(0));
  return { path, director, server, mistakes };
}

const list = { verb: 'ipvsadm', parameters: { arguments: ['-L', '-n'] } };

/** Sends bytes and returns all that comes back until the server hangs up. */
async function say(path: string, bytes: string | Uint8Array): Promise<string> {
  const socket = connect(path);
  socket.on('error', () => {});
  socket.end(bytes);
  return text(socket).catch(() => '');
}

function codeOf(reply: string): string | undefined {
  return JSON.parse(reply).error?.code;
}

async function opened(path: string): Promise<Socket> {
  const socket = connect(path);
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
}

test('a request is answered, and the connection closed', async (t) => {
  const { path, director } = await serve(t);
  const request = { tapvs: 1, verb: 'ipvsadm', parameters: { arguments: ['-A', '-t', '192.0.2.100:80'] } };
  t.is(await say(path, `${JSON.stringify(request)}\n`), '{"result":{"status":0,"stdout":"","stderr":""}}\n');
  t.is(director.services().length, 1);
});

test('only its owner may use the socket, unless it is said otherwise', async (t) => {
  t.is(statSync((await serve(t)).path).mode & 0o777, 0o600);
  t.is(statSync((await serve(t, [], 0o660)).path).mode & 0o777, 0o660);
});

test('what is not a request is refused by a code', async (t) => {
  const { path, director } = await serve(t);
  const cases: Record<string, string> = {
    'not JSON\n': 'ERR_BAD_REQUEST',
    '\n': 'ERR_BAD_REQUEST',
    'null\n': 'ERR_BAD_REQUEST',
    '[]\n': 'ERR_BAD_REQUEST',
    '{}\n': 'ERR_VERSION',
    '{"tapvs":2,"verb":"ipvsadm"}\n': 'ERR_VERSION',
    '{"tapvs":1}\n': 'ERR_BAD_REQUEST',
    '{"tapvs":1,"verb":7}\n': 'ERR_BAD_REQUEST',
    '{"tapvs":1,"verb":"constructor"}\n': 'ERR_UNKNOWN_VERB',
    '{"tapvs":1,"verb":"ipvsadm","parameters":[]}\n': 'ERR_BAD_REQUEST',
    '{"tapvs":1,"verb":"ipvsadm","more":1}\n': 'ERR_BAD_REQUEST',
    '{"tapvs":1,"verb":"ipvsadm"}\n': 'ERR_BAD_REQUEST',
    '{"tapvs":1,"verb":"ipvsadm","parameters":{"arguments":"-C"}}\n': 'ERR_BAD_REQUEST',
    '{"tapvs":1,"verb":"ipvsadm","parameters":{"arguments":[["-C"]]}}\n': 'ERR_BAD_REQUEST',
    '{"tapvs":1,"verb":"ipvsadm","parameters":{"arguments":["-R"],"input":1}}\n': 'ERR_BAD_REQUEST',
    '{"tapvs":1,"verb":"ipvsadm","parameters":{"arguments":[],"x":1}}\n': 'ERR_BAD_REQUEST',
    '{"tapvs":1,"verb":"ipvsadm","parameters":{"arguments":["-L"]}}\nmore': 'ERR_BAD_REQUEST',
    '{"tapvs":1,"verb":"ipvsadm"': 'ERR_CLOSED',
    '': 'ERR_CLOSED',
  };
  for (const [bytes, code] of Object.entries(cases)) t.is(codeOf(await say(path, bytes)), code, bytes);
  t.is(codeOf(await say(path, `${'['.repeat(1_000_000)}\n`)), 'ERR_BAD_REQUEST', 'deeply nested');
  t.deepEqual(director.services(), []);
});

test('random bytes, whole or in pieces, change nothing and are answered by an error or not at all', async (t) => {
  const { path, director, mistakes } = await serve(t);
  director.ipvsadm('-A -t 192.0.2.100:80');
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    fc.json().map((json) => Buffer.from(`${json}\n`)),
    fc
      .record({
        tapvs: fc.constantFrom(1, 2),
        verb: fc.constantFrom('ipvsadm', 'explain', 'drain', 'x'),
        parameters: fc.jsonValue(),
      })
      .map((value) => Buffer.from(`${JSON.stringify(value)}\n`)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 4 }), async (pieces) => {
      const socket = await opened(path);
      for (const bytes of pieces) socket.write(bytes);
      socket.end();
      const reply = await text(socket).catch(() => '');
      return reply === '' || codeOf(reply) !== undefined;
    }),
    { numRuns: 300 },
  );
  t.is(director.services().length, 1);
  t.deepEqual(mistakes, []);
});

test('a request that is too long is refused, and told so', async (t) => {
  const { path } = await serve(t);
  await t.throwsAsync(ask(path, { verb: 'ipvsadm', parameters: { arguments: ['x'.repeat(REQUEST_BYTES)] } }), {
    code: 'ERR_TOO_LARGE',
  });
  const input = `${'-A -t 192.0.2.100:80 -s rr\n'.repeat(10)}${' '.repeat(REQUEST_BYTES - 1000)}`;
  t.like(await ask(path, { verb: 'ipvsadm', parameters: { arguments: ['-R'], input } }), { status: 255 });
});

test('half-sent requests keep nobody out', async (t) => {
  const { path } = await serve(t);
  const idle: Socket[] = [];
  t.teardown(() => idle.forEach((socket) => void socket.destroy()));
  let gone = 0;
  for (let i = 0; i < 3 * CONNECTIONS; i++) {
    const socket = await opened(path);
    socket.on('close', () => gone++);
    socket.resume().write('{"tapvs":1,');
    idle.push(socket);
  }
  t.like(await ask(path, list), { status: 0 });
  for (let waited = 0; gone < 2 * CONNECTIONS && waited < 5000; waited += 20) await pause(20);
  t.true(gone >= 2 * CONNECTIONS, `${gone}`);
  t.like(await ask(path, list), { status: 0 });
});

test('a client that does not read keeps nobody waiting', async (t) => {
  const { path, director } = await serve(t);
  for (let port = 1; port <= 5000; port++) director.addService({ protocol: 'tcp', address: '192.0.2.100', port });
  const deaf = await opened(path);
  t.teardown(() => deaf.destroy());
  deaf.pause().write(`${JSON.stringify({ tapvs: 1, ...list })}\n`);
  await pause(50);
  t.like(await ask(path, list), { status: 0 });
});

test('verbs may tell as they go, learn that the client has gone, and fail by their own errors', async (t) => {
  let ended: (() => void) | undefined;
  const over = new Promise<void>((resolve) => (ended = resolve));
  const count: Verb = {
    name: 'count',
    async run({ to }, _context, { send }) {
      for (let i = 1; i <= Number(to); i++) await send(i);
      return 'done';
    },
  };
  const wait: Verb = {
    name: 'wait',
    run: (_parameters, _context, { signal }) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => resolve(ended?.()));
      }),
  };
  const refuse: Verb = {
    name: 'refuse',
    run() {
      throw new DirectorError('ERR_NO_DAEMON', 'none');
    },
  };
  const mistake: Verb = {
    name: 'mistake',
    run: () => (undefined as unknown as { x: number }).x,
  };
  const circular: Verb = {
    name: 'circular',
    run() {
      const value: { self?: unknown } = {};
      value.self = value;
      return value;
    },
  };
  const { path, mistakes } = await serve(t, [count, wait, refuse, mistake, circular]);
  const told: unknown[] = [];
  const result = await ask(path, { verb: 'count', parameters: { to: 1000 } }, (data) => told.push(data));
  t.deepEqual([result, told.length, told[999]], ['done', 1000, 1000]);
  await t.throwsAsync(ask(path, { verb: 'refuse', parameters: {} }), { code: 'ERR_NO_DAEMON', message: 'none' });
  await t.throwsAsync(ask(path, { verb: 'mistake', parameters: {} }), { code: 'ERR_INTERNAL' });
  await t.throwsAsync(ask(path, { verb: 'circular', parameters: {} }), { code: 'ERR_CLOSED' });
  t.is(mistakes.length, 2);
  const leave = new AbortController();
  const waiting = ask(path, { verb: 'wait', parameters: {} }, undefined, leave.signal);
  await pause(50);
  leave.abort();
  await t.throwsAsync(waiting, { name: 'AbortError' });
  await over;
});

test('a socket that was left behind is replaced; one in use is not, nor is what is no socket', async (t) => {
  const { path, server } = await serve(t);
  const options = {
    path,
    verbs: VERBS,
    context: { director: makeDirector(), control: makeDirector() },
    onMistake: () => {},
  };
  await t.throwsAsync(ControlServer.listen(options), { code: 'ERR_CONTROL', message: /another director/ });
  await server.close(0);
  t.false(existsSync(path));
  const file = join(folder(t), 'file');
  writeFileSync(file, 'precious');
  await t.throwsAsync(ControlServer.listen({ ...options, path: file }), { code: 'ERR_CONTROL', message: /EADDRINUSE/ });
  t.is(statSync(file).size, 8);
  await t.throwsAsync(ControlServer.listen({ ...options, path: `/${'x'.repeat(107)}` }), {
    code: 'ERR_INVALID_OPTION',
  });
});

test('closing answers what was asked, and waits for it no longer than it should', async (t) => {
  let begun = 0;
  const slow: Verb = {
    name: 'slow',
    async run() {
      begun++;
      await pause(200);
      return 'answered';
    },
  };
  const never: Verb = {
    name: 'never',
    run(_parameters, _context, { signal }) {
      begun++;
      return new Promise((resolve) => signal.addEventListener('abort', resolve));
    },
  };
  const { path, server } = await serve(t, [slow, never]);
  const slowly = ask(path, { verb: 'slow', parameters: {} });
  const nothing = t.throwsAsync(ask(path, { verb: 'never', parameters: {} }), { code: 'ERR_CLOSED' });
  const half = await opened(path);
  t.teardown(() => half.destroy());
  half.write('{');
  while (begun < 2) await pause(5);
  await server.close(1000);
  t.is(await slowly, 'answered');
  await nothing;
  t.false(existsSync(path));
});
