/** A restart that breaks nothing: downloads that run go on by the next director, by NAT and by DR. */
import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { withHandover } from '../../src/daemon/handover-file.ts';
import { inspectHandover } from '../../src/engine/handover/handover.ts';
import { testWithTaps } from '../devices/support/namespace.ts';
import { type Ended, finish, Site } from './support/daemon.ts';
import type { Held } from './support/held-connections.ts';
import { Lan, VIP } from './support/lan.ts';
import { Program, until } from './support/program.ts';

const HELD_CONNECTIONS = fileURLToPath(new URL('./support/held-connections.js', import.meta.url));

interface Scene {
  readonly site: Site;
  readonly lan: Lan;
  readonly file: string;
  readonly director: Program;
}

/** Services on port 80 by DR (server `two`) and on 81 by NAT (server `one`). */
async function setUp(t: ExecutionContext, handover: object = {}, more: object = {}, threads = 0): Promise<Scene> {
  const site = new Site(t);
  const lan = new Lan(t, site);
  await lan.serve('one', [81]);
  lan.replyByDirector('one');
  await lan.serve('two', [80]);
  lan.keepWire(threads > 1);
  const file = join(site.folder, 'run', 'handover');
  const service = (port: number, address: string, method: string) => ({
    protocol: 'tcp',
    address: VIP,
    port,
    scheduler: 'rr',
    servers: [{ address, method }],
  });
  site.write({
    ...lan.interfaces,
    director: { forwarding: true, threads },
    handover: { file, ...handover },
    services: [service(80, '192.0.2.12', 'route'), service(81, '192.0.2.11', 'masq')],
    ...more,
  });
  const director = await site.start(t);
  lan.plugIn();
  await until(
    async () => (await lan.answers(80)).join() === 'two' && (await lan.answers(81)).join() === 'one',
    () => director.out,
  );
  return { site, lan, file, director };
}

function download(lan: Lan, port: number): Promise<Ended> {
  const url = `http://${VIP}:${port}/large`;
  return finish(lan.on('client', 'sh', '-c', `curl -s --max-time 25 ${url} | sha256sum`));
}

async function established(lan: Lan, count: number): Promise<void> {
  const connections = async () =>
    (await finish(lan.on('client', 'ss', '-Htn', 'state', 'established'))).stdout.split('\n').length - 1;
  await until(
    async () => (await connections()) >= count,
    () => 'too few connections',
  );
}

function hashOf(name: string): string {
  return createHash('sha256')
    .update(Buffer.alloc(4 * 2 ** 20, Buffer.alloc(2 ** 17, name)))
    .digest('hex');
}

for (const threads of [0, 2]) {
  testWithTaps(`downloads by NAT and DR go on across a restart (threads: ${threads})`, async (t) => {
    const { site, lan, file, director } = await setUp(t, {}, {}, threads);
    await site.ipvsadm(`-e -t ${VIP}:80 -r 192.0.2.12 -w 7`);
    await site.ipvsadm('-A -t 192.0.2.101:80 -s sh');
    const downloads = [80, 81, 80, 81].map((port) => download(lan, port));
    await established(lan, 4);
    const pings = finish(lan.on('client', 'ping', '-q', '-i', '0.01', '-c', '400', '-W', '1', '192.0.2.1'));
    t.is(await director.end(), 0);
    t.regex(director.out, /"msg":"handed over"/);
    t.is(statSync(file).mode & 0o777, 0o600);
    const next = await site.start(t);
    t.regex(next.out, /"connections":\d+,.*"msg":"taken over"/);
    t.false(existsSync(file), 'it is taken over once');
    t.log(/"pauseMs":\d+/.exec(next.out)?.[0], /.* packets transmitted.*/.exec((await pings).stdout)?.[0]);
    for (const [i, ended] of (await Promise.all(downloads)).entries()) {
      t.is(ended.stdout.split(' ')[0], hashOf(i % 2 === 0 ? 'two' : 'one'), `download ${i}`);
    }
    // What was set by hand came along, and the file's own words with it.
    const { stdout } = await site.ipvsadm('-S -n');
    t.true(stdout.includes('-r 192.0.2.12:80 -g -w 7'));
    t.true(stdout.includes('-A -t 192.0.2.101:80 -s sh'));
    t.is((await lan.answers(81)).join(), 'one');
  });
}

testWithTaps('after a kill what the last snapshot knew goes on', async (t) => {
  const { site, lan, file, director } = await setUp(t, { snapshotSeconds: 1 }, { log: { level: 'debug' } });
  const downloads = [80, 81].map((port) => download(lan, port));
  await established(lan, 2);
  const written = () => director.out.split('snapshot written').length;
  const before = written();
  await until(
    () => written() > before + 1,
    () => director.out,
  );
  await director.end('SIGKILL');
  t.is(statSync(file).mode & 0o777, 0o600);
  const next = await site.start(t);
  t.regex(next.out, /"msg":"taken over"/);
  for (const [i, ended] of (await Promise.all(downloads)).entries()) {
    t.is(ended.stdout.split(' ')[0], hashOf(i === 0 ? 'two' : 'one'), `download ${i}`);
  }
});

testWithTaps(
  'a kill loses the connections that are younger than the last snapshot, by a reset, and no others',
  async (t) => {
    const { site, lan, file, director } = await setUp(t, { snapshotSeconds: 2 }, { log: { level: 'debug' } });
    for (const line of ['-A -t IT -s rr', '-a -t IT -r 192.0.2.12 -g', '-a -t IT -r 192.0.2.11 -m']) {
      t.is((await site.ipvsadm(line.replace('IT', `${VIP}:90`))).status, 0);
    }
    for (const name of ['one', 'two'] as const) {
      await new Program(t, lan.on(name, process.execPath, HELD_CONNECTIONS, 'serve', '90')).printed(/serving/);
    }
    const client = new Program(t, lan.on('client', process.execPath, HELD_CONNECTIONS, 'hold', VIP, '90', '50'));
    await established(lan, 20);
    const written = () => director.out.split('snapshot written').length;
    const before = written();
    await until(
      () => written() > before,
      () => director.out,
    );
    // At any moment between two snapshots, but not so close to one that nothing is lost.
    await pause(500 + Math.random() * 1000);
    const killedMs = Date.now();
    await director.end('SIGKILL');
    client.signal('SIGUSR2');
    const { at } = withHandover(file, inspectHandover);
    await site.start(t);
    await client.end();
    const held = (JSON.parse(client.out.replace('holding', '')) as Held[]).filter(
      ({ openMs }) => openMs !== null && openMs < killedMs,
    );
    const came = held.map((one) => one.came);
    const kept = came.lastIndexOf('answer') + 1;
    const lost = held.length - kept;
    t.true(kept > 0 && lost > 0);
    t.deepEqual(came, [...Array(kept).fill('answer'), ...Array(lost).fill('ECONNRESET')]);
    const ageSeconds = (killedMs - at) / 1000;
    t.log(`lost ${lost} of ${held.length}, snapshot ${ageSeconds} s old: ${Math.round(50 * ageSeconds)} opened since`);
  },
);

testWithTaps('SIGINT ends for good; a file that is old or damaged is not taken over, and said', async (t) => {
  const { site, file, director } = await setUp(t, { maxAgeSeconds: 1 });
  t.is(await director.end(), 0);
  await until(
    () => Date.now() - statSync(file).mtimeMs > 2100,
    () => 'time stands still',
  );
  const late = await site.start(t);
  t.regex(late.out, /"msg":"handover too old: not taken over"/);
  t.is(await late.end(), 0);
  await finish(['truncate', '-s', '-7', file]);
  const damaged = await site.start(t);
  t.regex(damaged.out, /"problem":"this is no complete handover: .*"msg":"handover not taken over"/);
  t.false(damaged.out.includes(site.folder));
  t.is(await damaged.end('SIGINT'), 0);
  t.is((await finish(['test', '-e', file])).status, 1);
  const fresh = await site.start(t);
  t.regex(fresh.out, /"msg":"no handover to take over"/);
});
