/**
 * A daemon checks its servers, and `curl` sees it: who dies leaves, who returns starts slowly, the sorry server serves when
 * too few are left, a reload changes the rules, servers that reset their clients are left out for a while, and who has lost
 * the VIP is found out.
 */
import { testWithTaps } from '../devices/support/namespace.ts';
import { Site } from './support/daemon.ts';
import { Lan, VIP } from './support/lan.ts';
import { type Program, until } from './support/program.ts';

const PORT = 8001;

/** Waits until the servers have these weights: `.11*10 .12*0`. */
async function becomes(site: Site, director: Program, wanted: string): Promise<void> {
  let weights = '';
  await until(
    async () => {
      const { stdout } = await site.ipvsadm('-Sn');
      const lines = stdout.matchAll(/^-a \S+ \S+ -r 192\.0\.2(\.\d+):\d+ -\w -w (\d+)$/gm);
      weights = Array.from(lines, ([, host, weight]) => `${host}*${weight}`)
        .sort()
        .join(' ');
      return weights === wanted;
    },
    () => `${wanted} is ${weights}\n${director.out}`,
    30,
  );
}

testWithTaps('servers that die leave, and return slowly; the sorry server serves meanwhile', async (t) => {
  t.timeout(300_000);
  const site = new Site(t);
  const lan = new Lan(t, site);
  for (const name of ['one', 'two', 'sorry'] as const) await lan.serve(name, [PORT]);
  const write = (quorum: number) =>
    site.write({
      ...lan.interfaces,
      services: [
        {
          protocol: 'tcp',
          address: VIP,
          port: PORT,
          scheduler: 'wrr',
          servers: [11, 12].map((n) => ({ address: `192.0.2.${n}`, weight: 10 })),
          health: {
            check: { type: 'http', path: '/health', body: 'well' },
            interval: 0.5,
            timeout: 2,
            rise: 2,
            fall: 2,
            quorum,
            sorryServer: { address: '192.0.2.13' },
            slowStart: { duration: 4, from: 0.5, steps: 2 },
          },
        },
      ],
    });
  write(1);
  const director = await site.start(t, lan.on('machine'));
  lan.plugIn();
  await director.printed(/"was":"unchecked","now":"up".*"was":"unchecked","now":"up"/s, 30);
  await becomes(site, director, '.11*10 .12*10');
  t.deepEqual(await lan.answers(PORT), ['one', 'two']);

  await lan.stopServing('one');
  await becomes(site, director, '.11*0 .12*10');
  t.regex(director.out, /"server":"192.0.2.11:8001","was":"up","now":"down","reason":"ECONNREFUSED"/);
  t.deepEqual(await lan.answers(PORT), ['two']);

  await lan.serve('one', [PORT]);
  await becomes(site, director, '.11*10 .12*10');
  const steps = director.out.matchAll(/"what":"weight","server":"[^"]*","was":(\d+),"now":(\d+),"reason":"([^"]*)"/g);
  t.deepEqual(
    Array.from(steps, ([, was, now, reason]) => `${was} ${now} ${reason}`),
    ['10 0 ECONNREFUSED', '0 5 slow start, step 0 of 2', '5 8 slow start, step 1 of 2', '8 10 its configured weight'],
  );
  t.deepEqual(await lan.answers(PORT), ['one', 'two']);

  lan.sayHealth('one', 'ill');
  lan.setLink('two', 'down');
  await becomes(site, director, '.11*0 .12*0 .13*1');
  t.regex(director.out, /"was":"up","now":"down","reason":"another body"/);
  t.deepEqual(await lan.answers(PORT), ['sorry']);

  lan.sayHealth('one', 'well');
  await becomes(site, director, '.11*10 .12*0');
  t.deepEqual(await lan.answers(PORT), ['one']);

  write(2);
  director.signal('SIGHUP');
  await director.printed(/"msg":"configuration reloaded"/);
  await becomes(site, director, '.11*0 .12*0 .13*1');
  lan.setLink('two', 'up');
  await becomes(site, director, '.11*10 .12*10');
  t.deepEqual(await lan.answers(PORT), ['one', 'two']);

  t.is((await site.ipvsadm(`-e -t ${VIP}:${PORT} -r 192.0.2.11 -w 0`)).status, 0);
  await becomes(site, director, '.11*0 .12*0 .13*1');
  t.is(await director.end(), 0);
});

testWithTaps('a server whose clients are refused is left out for a while, without any check', async (t) => {
  t.timeout(200_000);
  const site = new Site(t);
  const lan = new Lan(t, site);
  for (const name of ['one', 'two'] as const) {
    await lan.serve(name, [PORT]);
    lan.replyByDirector(name);
  }
  site.write({
    ...lan.interfaces,
    director: { forwarding: true },
    services: [
      {
        protocol: 'tcp',
        address: VIP,
        port: PORT,
        scheduler: 'rr',
        servers: [11, 12].map((n) => ({ address: `192.0.2.${n}`, method: 'masq' })),
        health: { passive: { window: 1, connections: 1, eject: 4 } },
      },
    ],
  });
  const director = await site.start(t);
  lan.plugIn();
  t.deepEqual(await lan.answers(PORT), ['one', 'two']);
  await lan.stopServing('one');
  await until(
    async () => {
      await lan.answers(PORT);
      return /"now":"ejected"/.test(director.out);
    },
    () => director.out,
    30,
  );
  t.regex(
    director.out,
    /"192.0.2.11:8001","was":"unchecked","now":"ejected","reason":"\d+ failures in \d+ new connections: \d+ refused"/,
  );
  await becomes(site, director, '.11*0 .12*1');
  t.deepEqual(await lan.answers(PORT), ['two']);
  await lan.serve('one', [PORT]);
  await becomes(site, director, '.11*1 .12*1');
  t.deepEqual(await lan.answers(PORT), ['one', 'two']);
  t.is(await director.end(), 0);
});

testWithTaps('a server that has lost the VIP is found out from a namespace in which the VIP is its', async (t) => {
  t.timeout(200_000);
  const site = new Site(t);
  const lan = new Lan(t, site);
  for (const name of ['one', 'two'] as const) await lan.serve(name, [PORT]);
  const checks = [
    lan.checkVip('one', 'neighbour', '192.0.2.21', PORT),
    lan.checkVip('two', 'route', '192.0.2.22', PORT),
  ];
  site.write({
    ...lan.interfaces,
    services: [
      {
        protocol: 'tcp',
        address: VIP,
        port: PORT,
        scheduler: 'rr',
        servers: checks.map((command, i) => ({ address: `192.0.2.${11 + i}`, check: { type: 'command', command } })),
        health: { check: { type: 'tcp' }, interval: 0.5, timeout: 5, rise: 2, fall: 2 },
      },
    ],
  });
  const director = await site.start(t);
  lan.plugIn();
  await director.printed(/"was":"unchecked","now":"up".*"was":"unchecked","now":"up"/s, 30);
  t.deepEqual(await lan.answers(PORT), ['one', 'two']);

  for (const [name, other, without] of [
    ['one', 'two', '.11*0 .12*1'],
    ['two', 'one', '.11*1 .12*0'],
  ] as const) {
    lan.removeVip(name);
    await becomes(site, director, without);
    t.true(await lan.answersItself(name, PORT));
    t.deepEqual(await lan.answers(PORT), [other]);
    lan.addVip(name);
    await becomes(site, director, '.11*1 .12*1');
    t.deepEqual(await lan.answers(PORT), ['one', 'two']);
  }
  t.regex(director.out, /"192.0.2.11:8001","was":"up","now":"down","reason":"ended with 28: curl/);
  t.regex(director.out, /"192.0.2.12:8001","was":"up","now":"down","reason":"ended with 28: curl/);
  t.is(await director.end(), 0);
});
