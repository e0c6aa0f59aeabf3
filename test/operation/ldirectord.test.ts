/**
 * ldirectord as Debian ships it drives a director: it checks the servers in each of its ways, takes those out that are
 * not well (by weight 0, or altogether) and back in, and puts the fallback in when none is left. `curl` sees it.
 */
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ask } from '../../src/control/client.ts';
import type { IpvsadmAnswer } from '../../src/control/verbs/ipvsadm.ts';
import { testWithTaps } from '../devices/support/namespace.ts';
import { Site } from './support/daemon.ts';
import { Lan, VIP } from './support/lan.ts';
import { commandFile, Program, until } from './support/program.ts';

interface Virtual {
  readonly port: number;
  readonly check: 'negotiate' | 'connect' | 'ping';
  readonly quiescent: 'yes' | 'no';
}

const VIRTUALS: readonly Virtual[] = [
  { port: 8001, check: 'negotiate', quiescent: 'yes' },
  { port: 8002, check: 'negotiate', quiescent: 'no' },
  { port: 8003, check: 'connect', quiescent: 'no' },
  { port: 8004, check: 'ping', quiescent: 'yes' },
];
const PORTS = VIRTUALS.map(({ port }) => port);

function configuration(log: string): string {
  const virtuals = VIRTUALS.map(
    ({ port, check, quiescent }) => `
virtual=${VIP}:${port}
	real=192.0.2.11:${port} gate 2
	real=192.0.2.12:${port} gate 2
	fallback=192.0.2.13:${port} gate
	service=http
	scheduler=rr
	protocol=tcp
	checktype=${check}
	quiescent=${quiescent}
	request="health"
	receive="well"
`,
  );
  return `checktimeout=3
negotiatetimeout=3
checkinterval=1
failurecount=1
supervised=yes
logfile="${log}"
${virtuals.join('')}`;
}

/** The servers of a port, with their weights, as `ipvsadm -Sn` tells. */
function serversOf(saved: string, port: number): string {
  const lines = saved.matchAll(/^-a -t \S+:(\d+) -r 192\.0\.2\.(\d+):\d+ -g -w (\d+)$/gm);
  const servers = Array.from(lines).filter(([, at]) => Number(at) === port);
  return servers.map(([, , host, weight]) => `.${host}*${weight}`).join(' ');
}

testWithTaps('ldirectord takes servers out and in, by every kind of check', async (t) => {
  t.timeout(400_000);
  if (!existsSync('/usr/sbin/ldirectord')) throw new Error('Debian’s package ldirectord is needed');
  const site = new Site(t);
  const lan = new Lan(t, site);
  for (const name of ['one', 'two', 'sorry'] as const) await lan.serve(name, PORTS);
  site.write(lan.interfaces);
  const director = await site.start(t);
  lan.plugIn();

  const wrapper = join(site.folder, 'ipvsadm');
  writeFileSync(
    wrapper,
    `#!/bin/sh\nTAPVS_SOCKET='${site.socket}' exec '${process.execPath}' '${commandFile('ipvsadm')}' "$@"\n`,
  );
  chmodSync(wrapper, 0o755);
  const file = join(site.folder, `ldirectord-${process.pid}.cf`);
  const log = join(site.folder, 'ldirectord.log');
  writeFileSync(file, configuration(log));
  // In a mount namespace of its own our ipvsadm is the system's, and its pid file nobody else's.
  const mounts =
    'mount --bind "$0" /usr/sbin/ipvsadm && mount -t tmpfs tmpfs /run && exec /usr/sbin/ldirectord "$1" start';
  const run = ['unshare', '--mount', 'sh', '-c', mounts, wrapper, file];
  const ldirectord = new Program(t, lan.on('machine', ...run));

  const save = async () => {
    const answer = await ask(site.socket, { verb: 'ipvsadm', parameters: { arguments: ['-S', '-n'] } });
    return (answer as IpvsadmAnswer).stdout;
  };
  let saved = '';
  /** Waits until the table is as expected: for each port, in the order of {@link VIRTUALS}. */
  const becomes = async (what: string, expected: (virtual: Virtual) => string, seconds = 60) => {
    const wanted = VIRTUALS.map((virtual) => `${virtual.check} ${virtual.quiescent}: ${expected(virtual)}`);
    const actual = () => VIRTUALS.map((one) => `${one.check} ${one.quiescent}: ${serversOf(saved, one.port)}`);
    await until(
      async () => {
        saved = await save();
        return actual().join() === wanted.join();
      },
      () =>
        `${what}\n${wanted.join('\n')}\nis\n${actual().join('\n')}\n${ldirectord.out}${ldirectord.error}${director.error}`,
      seconds,
    );
    t.log(what);
  };
  const out = (quiescent: string) => (quiescent === 'yes' ? '.11*0 .12*2' : '.12*2');
  const noneLeft = (quiescent: string) => (quiescent === 'yes' ? '.11*0 .12*0 .13*1' : '.13*1');
  const all = () => '.11*2 .12*2';

  // At first it puts each server in and out again: some 200 commands.
  await becomes('all are well', all, 150);
  for (const port of PORTS) t.deepEqual(await lan.answers(port), ['one', 'two'], `${port}`);

  lan.sayHealth('one', 'ill');
  await becomes('one says that it is ill', ({ check, quiescent }) => (check === 'negotiate' ? out(quiescent) : all()));
  for (const { port, check } of VIRTUALS) {
    t.deepEqual(await lan.answers(port), check === 'negotiate' ? ['two'] : ['one', 'two'], `${port}`);
  }

  await lan.stopServing('one');
  await becomes('one serves no more', ({ check, quiescent }) => (check === 'ping' ? all() : out(quiescent)));

  lan.setLink('one', 'down');
  await becomes('one is gone', ({ quiescent }) => out(quiescent));
  for (const port of PORTS) t.deepEqual(await lan.answers(port), ['two'], `${port}`);

  lan.setLink('two', 'down');
  await becomes('both are gone', ({ quiescent }) => noneLeft(quiescent));
  for (const port of PORTS) t.deepEqual(await lan.answers(port), ['sorry'], `${port}`);

  lan.setLink('one', 'up');
  lan.setLink('two', 'up');
  await lan.serve('one', PORTS);
  await becomes('all are back', all);
  for (const port of PORTS) t.deepEqual(await lan.answers(port), ['one', 'two'], `${port}`);
  t.is(await director.end('SIGTERM', 20), 0);
});
