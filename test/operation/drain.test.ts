/** SIGTERM: downloads that run are finished, new ones are refused, and it takes no longer than it may. */
import type { ExecutionContext } from 'ava';
import { testWithTaps } from '../devices/support/namespace.ts';
import { finish, Site } from './support/daemon.ts';
import { Lan, VIP } from './support/lan.ts';
import { type Program, until } from './support/program.ts';

const LARGE_BYTES = 4 * 2 ** 20;

async function setUp(t: ExecutionContext, stop: object, method: 'route' | 'masq'): Promise<[Lan, Program]> {
  const site = new Site(t);
  const lan = new Lan(t, site);
  await lan.serve('one', [80]);
  if (method === 'masq') lan.replyByDirector('one');
  const service = { protocol: 'tcp', address: VIP, port: 80, servers: [{ address: '192.0.2.11', method }] };
  site.write({ ...lan.interfaces, stop, director: { forwarding: true }, services: [service] });
  const director = await site.start(t);
  lan.plugIn();
  await until(
    async () => (await lan.answers(80)).join() === 'one',
    () => director.out,
  );
  return [lan, director];
}

function download(lan: Lan): ReturnType<typeof finish> {
  return finish(lan.on('client', 'sh', '-c', `curl -s --max-time 20 http://${VIP}/large | wc -c`));
}

const established = async (lan: Lan) =>
  (await finish(lan.on('client', 'ss', '-Htn', 'state', 'established'))).stdout !== '';

for (const method of ['route', 'masq'] as const) {
  testWithTaps(`a download by ${method} is finished before the director stops`, async (t) => {
    const [lan, director] = await setUp(t, { drainSeconds: 15 }, method);
    const large = download(lan);
    await until(
      () => established(lan),
      () => 'no connection',
    );
    director.signal('SIGTERM');
    await director.printed(/"active":1,.*"msg":"draining"/);
    t.deepEqual(await lan.answers(80), ['curl: 7'], 'new connections are refused');
    t.is(Number((await large).stdout), LARGE_BYTES);
    await until(
      () => director.ended !== null,
      () => director.out,
    );
    t.is(director.ended, 0);
    t.regex(director.out, /"left":0,"msg":"drained"/);
  });
}

testWithTaps('it waits no longer than the file says, nor when it is told twice', async (t) => {
  const [lan, director] = await setUp(t, { drainSeconds: 60 }, 'masq');
  const large = download(lan);
  await until(
    () => established(lan),
    () => 'no connection',
  );
  director.signal('SIGTERM');
  await director.printed(/"msg":"draining"/);
  t.is(await director.end('SIGTERM'), 0);
  t.regex(director.out, /"left":1,"msg":"drained"/);
  t.true(Number((await large).stdout) < LARGE_BYTES);
});
