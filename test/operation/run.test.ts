/** `tapvs run` as a service manager runs it: readiness, reloading, giving up root, draining, ending. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { Namespace, testWithTaps } from '../devices/support/namespace.ts';
import { finish, Site } from './support/daemon.ts';
import { commandFile, Program, until } from './support/program.ts';

const NOBODY = 65534;

const SERVICE = { protocol: 'tcp', address: '192.0.2.100', port: 80, scheduler: 'rr' };
const SERVERS = [{ address: '192.0.2.11' }, { address: '192.0.2.12', weight: 3 }];

function configuration(namespace: Namespace, more: object = {}): object {
  return {
    devices: [{ type: 'tap', name: 'wire0', namespace: namespace.name }],
    interfaces: [{ device: 'wire0', addresses: ['192.0.2.1/24'] }],
    services: [{ ...SERVICE, servers: SERVERS }],
    ...more,
  };
}

/** Whoever is told by sd_notify, as a program: Node.js has no datagram sockets of this kind. */
const LISTENER = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1] if sys.argv[1][0] == '/' else '\\0' + sys.argv[1][1:])
if sys.argv[1][0] == '/': os.chmod(sys.argv[1], 0o777)
print('listening', flush=True)
while True: print(s.recv(4096).decode().replace('\\n', ' '), flush=True)
`;

async function listen(t: ExecutionContext, path: string): Promise<Program> {
  const listener = new Program(t, ['python3', '-c', LISTENER, path]);
  await listener.printed(/listening/);
  return listener;
}

async function listing(site: Site): Promise<string[]> {
  const { stdout } = await site.ipvsadm('-S -n');
  return stdout.trim().split('\n');
}

testWithTaps(
  'a service manager learns of start, reload and stop; the log is lines of JSON without paths',
  async (t) => {
    const namespace = new Namespace(t);
    const site = new Site(t);
    const manager = await listen(t, join(site.folder, 'run', 'notify'));
    site.write(configuration(namespace));
    const director = await site.start(t, [], {
      NOTIFY_SOCKET: join(site.folder, 'run', 'notify'),
      WATCHDOG_USEC: '400000',
    });
    await manager.printed(/^READY=1 STATUS=1 services/m);
    await manager.printed(/^WATCHDOG=1$/m);
    namespace.ip('address', 'add', '192.0.2.2/24', 'dev', 'wire0');
    t.regex(await namespace.runAside('ping', '-c', '1', '-W', '5', '192.0.2.1'), /1 received/);
    t.is(statSync(site.socket).mode & 0o777, 0o600);

    site.write(configuration(namespace, { tunables: { expire_nodest_conn: 1 } }));
    director.signal('SIGHUP');
    await director.printed(/"changes":1,"msg":"configuration reloaded"/);
    await manager.printed(/^RELOADING=1 MONOTONIC_USEC=\d+\nREADY=1/m);

    site.write(configuration(namespace, { services: [{ ...SERVICE, scheduler: 'fastest' }] }));
    director.signal('SIGHUP');
    await director.printed(
      /tapvs\.yaml:\d+:\d+: services\[0\]\.scheduler: must be one of .*"msg":"configuration not reloaded"/,
    );
    await manager.printed(/READY=1 STATUS=configuration not reloaded: tapvs\.yaml/);
    t.is((await listing(site)).length, 3);

    t.is(await director.end(), 0);
    await manager.printed(/^STOPPING=1$/m);
    t.false(existsSync(site.socket));
    t.deepEqual(namespace.links(), []);
    const lines = director.out.trim().split('\n');
    for (const line of lines) t.notThrows(() => JSON.parse(line), line);
    t.false(director.out.includes(site.folder));
    t.is(director.error, '');
  },
);

testWithTaps('an abstract socket is told, too; one that is not there, or deaf, stops nobody', async (t) => {
  const namespace = new Namespace(t);
  const site = new Site(t);
  site.write(configuration(namespace));
  const manager = await listen(t, `@tapvs-${process.pid}`);
  const told = await site.start(t, [], { NOTIFY_SOCKET: `@tapvs-${process.pid}` });
  await manager.printed(/^READY=1/m);
  t.is(await told.end(), 0);
  const untold = await site.start(t, [], { NOTIFY_SOCKET: join(site.folder, 'none') });
  t.is(await untold.end(), 0);
});

testWithTaps('a reload changes what has changed, and leaves what was done by hand', async (t) => {
  const namespace = new Namespace(t);
  const site = new Site(t);
  site.write(configuration(namespace));
  const director = await site.start(t);
  await site.ipvsadm('-e -t 192.0.2.100:80 -r 192.0.2.11 -w 0');
  await site.ipvsadm('-A -t 192.0.2.101:80 -s sh');
  const udp = { protocol: 'udp', address: '192.0.2.100', port: 53, servers: [{ address: '192.0.2.13' }] };
  const changed = { ...SERVICE, servers: [SERVERS[0], { ...SERVERS[1], weight: 5 }] };
  site.write(configuration(namespace, { services: [udp, changed] }));
  director.signal('SIGHUP');
  await director.printed(/"msg":"configuration reloaded"/);
  t.deepEqual(await listing(site), [
    '-A -t 192.0.2.100:80 -s rr',
    '-a -t 192.0.2.100:80 -r 192.0.2.11:80 -g -w 0',
    '-a -t 192.0.2.100:80 -r 192.0.2.12:80 -g -w 5',
    '-A -t 192.0.2.101:80 -s sh',
    '-A -u 192.0.2.100:53 -s wlc',
    '-a -u 192.0.2.100:53 -r 192.0.2.13:53 -g -w 1',
  ]);
  t.regex(director.out, /"by":"socket","service":"tcp 192\.0\.2\.101:80".*"msg":"service added"/);

  // Other sections need a restart; the control socket can move.
  site.write(configuration(namespace, { interfaces: [{ device: 'wire0', addresses: ['192.0.2.9/24'] }] }));
  director.signal('SIGHUP');
  await director.printed(/interfaces: cannot change while the director runs: restart it/);
  t.is((await listing(site)).length, 6);
  const moved = join(site.folder, 'run', 'moved.sock');
  site.write(configuration(namespace, { services: [udp, changed], control: { socket: moved, mode: '0666' } }));
  director.signal('SIGHUP');
  await until(
    () => existsSync(moved) && !existsSync(site.socket),
    () => director.out,
  );
  t.is(statSync(moved).mode & 0o777, 0o666);
});

testWithTaps('a reload that the director refuses half-way is taken back', async (t) => {
  const namespace = new Namespace(t);
  const site = new Site(t);
  site.write(configuration(namespace));
  const director = await site.start(t);
  await site.ipvsadm('--start-daemon master');
  const before = await listing(site);
  // Tunnels to the other family and sync daemons do not go together; the file knows nothing of the daemon.
  const mixed = { ...SERVICE, port: 81, servers: [{ address: '2001:db8::11', method: 'tunnel' }] };
  site.write(configuration(namespace, { services: [{ ...SERVICE, scheduler: 'wrr', servers: SERVERS }, mixed] }));
  director.signal('SIGHUP');
  await director.printed(/a sync daemon runs.*"msg":"configuration not reloaded"/);
  t.deepEqual(await listing(site), before);
  await site.ipvsadm('--stop-daemon master');
  director.signal('SIGHUP');
  await director.printed(/"msg":"configuration reloaded"/);
  t.is((await listing(site)).length, 5);
});

testWithTaps('root is given up: every thread is the user, without groups or capabilities', async (t) => {
  const namespace = new Namespace(t);
  const site = new Site(t);
  site.write(configuration(namespace, { privileges: { user: 'nobody' } }));
  const director = await site.start(t);
  const tasks = `/proc/${director.pid}/task`;
  const threads = readdirSync(tasks);
  t.true(threads.length > 1);
  for (const thread of threads) {
    const status = readFileSync(join(tasks, thread, 'status'), 'utf8');
    t.regex(status, /^Uid:\t65534\t65534\t65534\t65534$/m);
    t.regex(status, /^Gid:\t65534\t65534\t65534\t65534$/m);
    t.regex(status, /^Groups:\t65534 $/m);
    for (const set of ['Inh', 'Prm', 'Eff', 'Amb']) t.regex(status, new RegExp(`^Cap${set}:\\t0{16}$`, 'm'));
  }
  t.is(statSync(site.socket).uid, NOBODY);
  namespace.ip('address', 'add', '192.0.2.2/24', 'dev', 'wire0');
  t.regex(await namespace.runAside('ping', '-c', '1', '-W', '5', '192.0.2.1'), /1 received/);
  site.write(configuration(namespace, { privileges: { user: 'nobody' }, services: [] }));
  director.signal('SIGHUP');
  await director.printed(/"msg":"configuration reloaded"/);
  t.deepEqual(await listing(site), ['']);
  const refused = await site.ipvsadm('-L', ['setpriv', '--reuid=1', '--regid=1', '--clear-groups']);
  t.is(refused.status, 2);
  t.regex(refused.stderr, /^Can't initialize ipvs: Permission denied/);
  t.is(await director.end(), 0);
  t.false(existsSync(site.socket));
});

/** Runs a command where everybody may open /dev/net/tun, as udev makes it; in a mount namespace of its own. */
const WITH_OPEN_TUN = `
mount -t tmpfs -o mode=755,dev tmpfs /mnt && mknod -m 666 /mnt/tun c 10 200 && mount --bind /mnt/tun /dev/net/tun &&
exec "$@"`;

testWithTaps('an ordinary user runs a director on a TAP that was made for it', async (t) => {
  const namespace = new Namespace(t);
  const site = new Site(t);
  namespace.ip('tuntap', 'add', 'dev', 'wire0', 'mode', 'tap', 'user', `${NOBODY}`);
  namespace.ip('link', 'set', 'wire0', 'up');
  namespace.ip('address', 'add', '192.0.2.2/24', 'dev', 'wire0');
  const device = { type: 'tap', name: 'wire0', existing: true };
  site.write(configuration(namespace, { devices: [device] }));
  const asNobody = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--inh-caps=-all'];
  const inside = ['ip', 'netns', 'exec', namespace.name, 'unshare', '--mount', 'sh', '-c', WITH_OPEN_TUN, 'sh'];
  const director = await site.start(t, [...inside, ...asNobody]);
  t.regex(director.out, /"root":false/);
  t.regex(await namespace.runAside('ping', '-c', '1', '-W', '5', '192.0.2.1'), /1 received/);
  t.is((await site.ipvsadm('-L -n', asNobody)).status, 0);
  t.is(await director.end(), 0);
  t.deepEqual(namespace.links(), ['wire0']);
});

testWithTaps('a director that cannot start says why and leaves nothing', async (t) => {
  const namespace = new Namespace(t);
  const site = new Site(t);
  const tapvs = [process.execPath, commandFile('tapvs'), 'run', '--config', site.file];
  site.write(configuration(namespace, { services: [{ ...SERVICE, port: -1 }] }));
  const wrong = await finish(tapvs);
  t.is(wrong.status, 78);
  t.regex(wrong.stderr, /^tapvs\.yaml:\d+:\d+: services\[0\]\.port: must be >= 0\n$/);
  site.write(configuration(namespace, { devices: [{ type: 'tap', name: 'wire0', namespace: 'tapvs-no-such' }] }));
  const missing = await finish(tapvs);
  t.is(missing.status, 1);
  t.regex(missing.stderr, /^tapvs\.yaml:\d+:\d+: devices\[0\]: .*no such network namespace/);
  site.write(configuration(namespace));
  const first = await site.start(t);
  const other = new Namespace(t);
  site.write(configuration(other));
  const second = await finish(tapvs);
  t.is(second.status, 1);
  t.regex(second.stderr, /another director listens on the control socket/);
  t.deepEqual(other.links(), []);
  t.is((await site.ipvsadm('-L')).status, 0);
  t.is(await first.end('SIGINT'), 0);
});

testWithTaps('a director whose device dies ends, so that somebody starts it again', async (t) => {
  const namespace = new Namespace(t);
  const site = new Site(t);
  site.write(configuration(namespace));
  const director = await site.start(t);
  namespace.ip('link', 'del', 'wire0');
  await until(
    () => director.ended !== null,
    () => director.out,
  );
  t.is(director.ended, 1);
  t.regex(director.out, /"level":"fatal".*"device":"wire0".*"msg":"a device has failed"/);
});

testWithTaps('a director works on an existing interface, and in a thread of its own', async (t) => {
  const namespace = new Namespace(t);
  const site = new Site(t);
  namespace.ip('link', 'add', 'host0', 'type', 'veth', 'peer', 'name', 'card0');
  for (const name of ['host0', 'card0']) namespace.ip('link', 'set', name, 'up');
  namespace.ip('address', 'add', '192.0.2.2/24', 'dev', 'host0');
  const device = { type: 'packet', name: 'card0', namespace: namespace.name, mac: '02:00:00:00:00:01' };
  const interfaces = [{ device: 'card0', addresses: ['192.0.2.1/24'] }];
  site.write(configuration(namespace, { devices: [device], interfaces, privileges: { user: 'nobody' } }));
  const director = await site.start(t);
  t.regex(await namespace.runAside('ping', '-c', '1', '-W', '5', '192.0.2.1'), /1 received/);
  t.is(await director.end(), 0);
  t.deepEqual(namespace.links().sort(), ['card0', 'host0']);

  site.write(configuration(namespace, { director: { threads: 2 }, privileges: { user: 'nobody' } }));
  const threaded = await site.start(t);
  namespace.ip('address', 'flush', 'dev', 'host0');
  namespace.ip('address', 'add', '192.0.2.2/24', 'dev', 'wire0');
  t.regex(await namespace.runAside('ping', '-c', '1', '-W', '5', '192.0.2.1'), /1 received/);
  t.is((await listing(site)).length, 3);
  site.write(configuration(namespace, { director: { threads: 2 }, privileges: { user: 'nobody' }, services: [] }));
  threaded.signal('SIGHUP');
  await threaded.printed(/"changes":1,"msg":"configuration reloaded"/);
  t.deepEqual(await listing(site), ['']);
  t.is(await threaded.end(), 0);
});
