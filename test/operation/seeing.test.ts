/** What a running director shows: metrics to Prometheus, frames to tcpdump. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { Namespace, testWithTaps } from '../devices/support/namespace.ts';
import { readExposition } from '../metrics/exposition.ts';
import { finish, Site } from './support/daemon.ts';
import { Lan, VIP } from './support/lan.ts';
import { commandFile, Program, until } from './support/program.ts';

/** A TCP port of 127.0.0.1 that nobody has. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** A director with a service by NAT on port 80, its server on 8080, and one by DR on 81. */
async function setUp(t: ExecutionContext, more: object = {}): Promise<[Site, Lan, Program]> {
  const site = new Site(t);
  const lan = new Lan(t, site);
  await lan.serve('one', [8080]);
  await lan.serve('two', [81]);
  lan.replyByDirector('one');
  const services = [
    { protocol: 'tcp', address: VIP, port: 80, servers: [{ address: '192.0.2.11', port: 8080, method: 'masq' }] },
    { protocol: 'tcp', address: VIP, port: 81, servers: [{ address: '192.0.2.12' }] },
  ];
  const configuration = { ...lan.interfaces, director: { forwarding: true }, stop: { drainSeconds: 0 }, services };
  site.write({ ...configuration, ...more });
  const director = await site.start(t);
  lan.plugIn();
  for (const [port, name] of [
    [80, 'one'],
    [81, 'two'],
  ] as const) {
    await until(
      async () => (await lan.answers(port)).join() === name,
      () => director.out,
    );
  }
  return [site, lan, director];
}

const TAPVS = [process.execPath, commandFile('tapvs')];

async function capture(t: ExecutionContext, site: Site, ...words: string[]): Promise<Program> {
  const program = new Program(t, [...TAPVS, 'capture', ...words], { TAPVS_SOCKET: site.socket });
  await until(
    () => program.error.includes('capturing') || program.ended !== null,
    () => program.error,
  );
  return program;
}

/** What tcpdump reads in a file, without the times, sorted. */
async function readFrames(file: string): Promise<string[]> {
  const { status, stdout, stderr } = await finish(['tcpdump', '-nr', file, '-t', '-S']);
  if (status !== 0) throw new Error(stderr);
  return stdout.trim().split('\n').sort();
}

testWithTaps('a capture holds what tcpdump sees on the wire, on both sides of NAT', async (t) => {
  const [site, lan, director] = await setUp(t);
  const truth = join(site.folder, 'truth.pcap');
  const switchSide = ['tcpdump', '-U', '-i', 'wire0', '-w', truth, 'tcp port 80 or tcp port 8080'];
  const tcpdump = new Program(t, lan.onSwitch(...switchSide));
  await until(
    () => tcpdump.error.includes('listening on'),
    () => tcpdump.error,
  );
  const files = ['pcapng', 'pcap'].map((format) => join(site.folder, `seen.${format}`));
  const captures = [
    await capture(t, site, '-w', files[0]!, 'service', 'tcp', `${VIP}:80`),
    await capture(t, site, '-w', files[1]!, '--format', 'pcap', 'server', '192.0.2.11:8080'),
  ];
  t.deepEqual(await lan.answers(80), ['one']);
  t.deepEqual(await lan.answers(81), ['two']);
  // Connections end in time: what is sent last is there when nothing has come for a while.
  let last = -1;
  await until(
    () => {
      const size = statSync(truth).size;
      const isQuiet = size === last;
      last = size;
      return isQuiet;
    },
    () => 'it goes on and on',
  );
  await new Promise((resolve) => setTimeout(resolve, 500));
  await tcpdump.end('SIGINT');
  for (const program of captures) t.is(await program.end('SIGINT'), 0, program.error);
  await director.printed(/"by":"socket",.*"msg":"capture begun"/);
  await director.printed(/"packets":\d+,"lost":0,"msg":"capture ended"/);

  const seen = await readFrames(truth);
  for (const [i, file] of files.entries()) {
    t.deepEqual(await readFrames(file), seen, file);
    t.true(captures[i]!.error.includes(`${seen.length} frames captured; 0 lost`), captures[i]!.error);
    t.is(statSync(file).mode & 0o777, 0o600);
  }
  for (const pair of [/17\.\d+ > 192\.0\.2\.100\.80: .*\[S\]/, /17\.\d+ > 192\.0\.2\.11\.8080: .*\[S\]/]) {
    t.true(
      seen.some((line) => pair.test(line)),
      seen.join('\n'),
    );
  }
  for (const pair of [/11\.8080 > 192\.0\.2\.17\.\d+: .*\[S\.\]/, /100\.80 > 192\.0\.2\.17\.\d+: .*\[S\.\]/]) {
    t.true(
      seen.some((line) => pair.test(line)),
      seen.join('\n'),
    );
  }
});

testWithTaps('a capture goes live into a pipe, and ends at its bounds', async (t) => {
  const [site, lan] = await setUp(t);
  const live = `"$0" "$1" capture service tcp ${VIP}:81 | tcpdump -nr - -c 3 -t -l`;
  const piped = new Program(t, ['sh', '-c', live, ...TAPVS], { TAPVS_SOCKET: site.socket });
  await until(
    () => piped.error.includes('capturing'),
    () => piped.error,
  );
  await lan.answers(81);
  await until(
    () => piped.out.trim().split('\n').length >= 3,
    () => piped.out + piped.error,
  );
  t.regex(piped.out, /^IP 192\.0\.2\.17\.\d+ > 192\.0\.2\.100\.81: Flags \[S\]/m);
  // By DR the frame comes and goes with the same addresses.
  t.is(piped.out.match(/Flags \[S\]/g)?.length, 2);
  await lan.answers(81);
  await until(
    () => piped.ended !== null,
    () => 'the reader has gone, the capture has not',
  );

  const file = join(site.folder, 'bounded.pcapng');
  const bounded = await capture(t, site, '-w', file, '--packets', '5');
  await lan.answers(81);
  await until(
    () => bounded.ended !== null,
    () => bounded.error,
  );
  t.is(bounded.ended, 0);
  t.regex(bounded.error, /5 frames captured, the packets asked for; 0 lost/);
  t.is((await readFrames(file)).length, 5);
  const short = await capture(t, site, '-w', file, '--seconds', '1', 'client', '198.51.100.0/24');
  await until(
    () => short.ended !== null,
    () => short.error,
  );
  t.regex(short.error, /0 frames captured, the seconds asked for; 0 lost/);
  t.is(readFileSync(file).length, 28, 'a file with no frames is a file');
  // All have gone: there is room for as many again.
  for (let i = 0; i < 5; i++) {
    const one = await capture(t, site, '-w', file);
    t.is(await one.end('SIGKILL'), 'SIGKILL');
  }
});

testWithTaps('what cannot be captured is said, and nothing is written', async (t) => {
  const site = new Site(t);
  const namespace = new Namespace(t);
  site.write({
    devices: [{ type: 'tap', name: 'wire0', namespace: namespace.name }],
    interfaces: [{ device: 'wire0', addresses: ['192.0.2.1/24'] }],
  });
  await site.start(t);
  const wrong: readonly (readonly [string, number, RegExp])[] = [
    ['host 192.0.2.1', 2, /service, client, server and port, not host/],
    ['port http', 2, /http is no port/],
    ['port', 2, /something must follow port/],
    ['port 1 port 2', 2, /port is there twice/],
    ['service icmp 192.0.2.1', 2, /tcp, udp, sctp or fwmark, not icmp/],
    ['service tcp 192.0.2.1', 2, /needs a port/],
    ['client 192.0.2', 1, /client: '192\.0\.2' is not an address/],
    ['server [x]:1', 1, /server\.address: 'x' is not/],
    ['--packets 0', 1, /packets: 0 is not an integer from 1/],
  ];
  for (const [words, status, complaint] of wrong) {
    const file = join(site.folder, 'none.pcapng');
    const command = [...TAPVS, 'capture', '-w', file, ...words.split(' ')];
    const ended = await finish(command, { TAPVS_SOCKET: site.socket });
    t.is(ended.status, status, words);
    t.regex(ended.stderr, complaint);
    t.is(statSync(file, { throwIfNoEntry: false }), undefined);
  }
  const nowhere = [...TAPVS, 'capture', '-w', join(site.folder, 'none', 'x.pcapng')];
  const ended = await finish(nowhere, { TAPVS_SOCKET: site.socket });
  t.is(ended.status, 1);
  t.regex(ended.stderr, /ENOENT/);
  t.notRegex(ended.stderr, / at /);
});

testWithTaps('Prometheus gets what ipvsadm shows; a reload opens and closes the listener', async (t) => {
  const port = await freePort();
  const [site, lan, director] = await setUp(t, { metrics: { port } });
  const url = `http://127.0.0.1:${port}/metrics`;
  t.regex(director.out, new RegExp(`"address":"127\\.0\\.0\\.1","port":${port},"msg":"metrics open"`));
  await new Promise((resolve) => setTimeout(resolve, 300));
  const families = readExposition(await (await fetch(url)).text());
  const { stdout } = await site.ipvsadm('-L -n --stats --exact');
  const rows = stdout.split('\n').map((line) => line.trim().split(/\s+/));
  const columns = [
    'tapvs_service_connections_total',
    'tapvs_service_incoming_packets_total',
    'tapvs_service_outgoing_packets_total',
    'tapvs_service_incoming_bytes_total',
    'tapvs_service_outgoing_bytes_total',
  ];
  for (const at of [80, 81]) {
    const row = rows.find(([protocol, endpoint]) => protocol === 'TCP' && endpoint === `${VIP}:${at}`)!;
    for (const [i, name] of columns.entries()) {
      const sample = families.get(name)!.samples.find(({ labels }) => labels.service === `tcp ${VIP}:${at}`)!;
      t.is(sample.value, Number(row[2 + i]), `${name} of port ${at}`);
    }
  }
  t.true(families.has('process_resident_memory_bytes'));

  const taken = createServer();
  t.teardown(() => taken.close());
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const { port: other } = taken.address() as AddressInfo;
  const text = readFileSync(site.file, 'utf8');
  writeFileSync(site.file, text.replace(`port: ${port}`, `port: ${other}`));
  director.signal('SIGHUP');
  await director.printed(/metrics: metrics cannot be served on 127\.0\.0\.1, port \d+: EADDRINUSE.*not reloaded/);
  t.is((await fetch(url)).status, 200, 'what there was is there again');
  writeFileSync(site.file, text.replace(`port: ${port}`, 'port: 0'));
  director.signal('SIGHUP');
  await director.printed(/"msg":"configuration reloaded"/);
  await t.throwsAsync(fetch(url));
  t.deepEqual(await lan.answers(80), ['one']);
});
