/** The listener that Prometheus scrapes, against those who do not keep to HTTP: nothing breaks, nobody else waits. */
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { Registry } from 'prom-client';
import { Director, MemoryDevice } from '../../src/index.ts';
import { metricsOf } from '../../src/metrics/index.ts';
import { CONNECTIONS, MetricsListener, REQUEST_BYTES, REQUEST_MS } from '../../src/metrics/listener.ts';
import { readExposition } from './exposition.ts';

interface Served {
  readonly url: string;
  readonly port: number;
  readonly mistakes: unknown[];
  readonly registry: Registry;
  /** How often the director was looked at. */
  looks(): number;
}

async function serve(t: ExecutionContext): Promise<Served> {
  const device = new MemoryDevice({ name: 'eth0' });
  const director = new Director({ interfaces: [{ device, addresses: ['192.0.2.1/24'] }] });
  director.ipvsadm('-A -t 192.0.2.100:80');
  let looks = 0;
  const registry = new Registry();
  metricsOf(
    {
      services: () => {
        looks++;
        return director.services();
      },
      statistics: () => director.statistics(),
      rates: () => director.rates(),
      counters: () => director.counters(),
      workload: () => director.workload(),
      health: () => director.health(),
    },
    registry,
  );
  const mistakes: unknown[] = [];
  const listener = await MetricsListener.listen(registry, '127.0.0.1', 0, (error) => void mistakes.push(error));
  t.teardown(() => listener.close());
  const { port } = listener;
  return { url: `http://127.0.0.1:${port}/metrics`, port, mistakes, registry, looks: () => looks };
}

function open(t: ExecutionContext, port: number): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  t.teardown(() => socket.destroy());
  return socket;
}

/** Sends bytes and returns all that comes back until the listener hangs up. */
function say(t: ExecutionContext, port: number, bytes: string | Uint8Array): Promise<string> {
  const socket = open(t, port);
  socket.end(bytes);
  return text(socket).catch(() => '');
}

async function scrape(url: string): Promise<number> {
  const response = await fetch(url, { headers: { connection: 'close' } });
  return readExposition(await response.text()).size;
}

test('a scrape gets all of it, and knows what it is', async (t) => {
  const { url, mistakes } = await serve(t);
  const response = await fetch(`${url}?from=somewhere`);
  t.is(response.status, 200);
  t.is(response.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  const body = await response.text();
  t.is(Number(response.headers.get('content-length')), Buffer.byteLength(body));
  t.true(readExposition(body).size > 50);
  const head = await fetch(url, { method: 'HEAD' });
  t.is(head.status, 200);
  t.is(await head.text(), '');
  t.deepEqual(mistakes, []);
});

test('nothing else is there, and nothing else can be done', async (t) => {
  const { url, port } = await serve(t);
  for (const path of ['/', '/metrics/', '/metricsx', '/../etc/passwd', '/%2e%2e/']) {
    t.regex(
      await say(t, port, `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`),
      /^HTTP\/1\.1 404/,
      path,
    );
  }
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
    const response = await fetch(url, { method });
    t.is(response.status, 405, method);
    t.is(response.headers.get('allow'), 'GET, HEAD');
    t.notRegex(await response.text(), /tapvs/);
  }
});

test('a flood of scrapes does not become a flood of looks', async (t) => {
  const { url, looks } = await serve(t);
  await scrape(url);
  const before = looks();
  const startMs = performance.now();
  for (let round = 0; round < 10; round++) await Promise.all(Array.from({ length: 8 }, () => scrape(url)));
  // One for each 250 ms, begun or whole.
  t.true(looks() - before <= Math.ceil((performance.now() - startMs) / 250) + 1);
  await pause(300);
  await scrape(url);
  t.true(looks() > before);
});

test('what cannot be exposed is an error of this scrape alone', async (t) => {
  const { url, mistakes, registry } = await serve(t);
  registry.registerMetric({
    name: 'tapvs_broken',
    get: () => Promise.reject(new Error('broken')),
  } as never);
  const response = await fetch(url);
  t.is(response.status, 500);
  t.notRegex(await response.text(), /broken/);
  t.is(mistakes.length, 1);
  registry.removeSingleMetric('tapvs_broken');
  t.true((await scrape(url)) > 50);
});

test('garbage is refused and harms nobody', async (t) => {
  const { url, port, mistakes } = await serve(t);
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async (bytes) => {
      const answer = await say(t, port, bytes);
      t.true(answer === '' || /^HTTP\/1\.1 400/.test(answer));
    }),
    { numRuns: 60 },
  );
  const lines = ['GET', 'GET /metrics', 'GET /metrics HTTP/9.9', 'GET http://x/metrics HTTP/1.1', 'PRI * HTTP/2.0'];
  const headers = ['host: x', 'content-length: -1', 'content-length: 5', 'transfer-encoding: chunked', 'x: \0', ': y'];
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...lines), fc.array(fc.constantFrom(...headers)), async (line, more) => {
      const answer = await say(t, port, [line, ...more, '', ''].join('\r\n'));
      t.true(answer === '' || /^HTTP\/1\.1 (200|400|404|405)/.test(answer), answer.slice(0, 100));
    }),
    { numRuns: 60 },
  );
  t.true((await scrape(url)) > 50);
  t.deepEqual(mistakes, []);
});

test('a request that is too long, or has a body without end, ends', async (t) => {
  const { url, port } = await serve(t);
  const long = await say(t, port, `GET /metrics HTTP/1.1\r\nx: ${'x'.repeat(2 * REQUEST_BYTES)}\r\n\r\n`);
  t.regex(long, /^HTTP\/1\.1 431/);
  const endless = open(t, port);
  endless.write('POST /metrics HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n');
  const chunks = setInterval(() => endless.write(`1000\r\n${'x'.repeat(0x1000)}\r\n`), 5);
  const answer = await text(endless).catch(() => '');
  clearInterval(chunks);
  t.true(answer === '' || /^HTTP\/1\.1 405/.test(answer), answer);
  t.true((await scrape(url)) > 50);
});

test('who says nothing, or takes nothing, is gone in time; there are never too many', async (t) => {
  const { url, port } = await serve(t);
  const startMs = performance.now();
  const silent = Array.from({ length: CONNECTIONS + 20 }, () => open(t, port));
  const ended = silent.map((socket) => new Promise<void>((resolve) => socket.resume().on('close', () => resolve())));
  for (const socket of silent) socket.write('GET /metrics HTTP/1.1\r\nx: ');
  await Promise.all(ended);
  t.true(performance.now() - startMs >= REQUEST_MS - 1000, 'those within the bound had their time');
  t.true(performance.now() - startMs < 4 * REQUEST_MS);
  t.true((await scrape(url)) > 50);
});

test('an address or port that cannot be had is named', async (t) => {
  const { port } = await serve(t);
  const onMistake = () => {};
  await t.throwsAsync(MetricsListener.listen(new Registry(), '127.0.0.1', port, onMistake), {
    code: 'ERR_METRICS',
    message: new RegExp(`127\\.0\\.0\\.1, port ${port}: EADDRINUSE`),
  });
  await t.throwsAsync(MetricsListener.listen(new Registry(), '192.0.2.77', 0, onMistake), {
    code: 'ERR_METRICS',
    message: /EADDRNOTAVAIL/,
  });
});
