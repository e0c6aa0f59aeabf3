/** A director in a worker thread: that it is the same as without, and what it cannot do. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { configure } from '../../src/configuration.ts';
import { Director, DirectorError, MemoryDevice, StreamDevice, UdpTransport } from '../../src/index.ts';
import { buildFrame } from '../../src/packet/build.ts';
import { ThreadedEngine } from '../../src/threads/engine.ts';
import { CLIENT, Lab, rs, tcp, udp, VIP } from '../core/lab.ts';

const SCHEDULERS = new URL('./support/schedulers.js', import.meta.url);

function natLab(options: ConstructorParameters<typeof Lab>[0] = {}): Lab {
  const lab = new Lab({ threads: 1, ...options });
  lab.director.addService(tcp(), { scheduler: 'rr' });
  lab.director.addDestination(tcp(), { address: rs(11), port: 8080 }, { method: 'masq' });
  return lab;
}

function refusal(code: () => unknown): DirectorError {
  try {
    code();
  } catch (error) {
    if (error instanceof DirectorError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

test('a conversation is the same with and without a thread, frame by frame and count by count', (t) => {
  const [here, there] = [new Lab({ threads: 0, random: Math.random }), new Lab({ threads: 1 })].map((lab) => {
    const { director } = lab;
    director.addService(tcp(), { scheduler: 'wlc', persistent: 60 });
    for (const n of [11, 12]) director.addDestination(tcp(), { address: rs(n) }, { method: 'masq', weight: n });
    director.addService(udp(), { scheduler: 'rr' });
    director.addDestination(udp(), { address: rs(13) }, { method: 'tunnel' });
    const sent: unknown[] = [];
    for (let port = 1; port <= 9; port++) {
      const from = `192.0.2.${port}`;
      sent.push(lab.client('S', { from, port }), lab.datagram({ from, port }));
      for (const n of [11, 12]) sent.push(lab.server(n, 'SA', { to: from, toPort: port }));
      sent.push(lab.client('A', { from, port }), lab.sleep(port));
    }
    const listed =
      director.ipvsadm('-L -n --stats').out + director.ipvsadm('-L -n -c').out + director.ipvsadm('-S').out;
    const result = { sent, listed, counters: director.counters(), rates: director.rates() };
    director.stop();
    t.deepEqual(director.counters(), result.counters, 'what was counted is known when it has stopped');
    return result;
  });
  t.deepEqual(there, here);
});

test('events are told to those who listen, and only then', (t) => {
  const lab = natLab();
  const told: string[] = [];
  const listener = ({ clientPort }: { clientPort: number }) => told.push(`+${clientPort}`);
  lab.client('S', { port: 1 });
  lab.director.on('connectionCreated', listener);
  lab.client('S', { port: 2 });
  lab.director.once('connectionExpired', ({ clientPort }) => told.push(`-${clientPort}`));
  lab.director.off('connectionCreated', listener);
  lab.client('S', { port: 3 });
  lab.sleep(61);
  lab.director.on('noDestination', ({ port }) => told.push(`no server on ${port}`));
  lab.director.deleteDestination(tcp(), { address: rs(11), port: 8080 });
  lab.client('S', { port: 4 });
  t.deepEqual(told, ['+2', '-1', 'no server on 80']);
});

test('frames for nobody come to the handler, with the name of their interface', (t) => {
  const lab = natLab();
  const passed: string[] = [];
  lab.director.onPassed = (frame, name) => passed.push(`${name} ${frame.length}`);
  lab.datagram({ toPort: 9 });
  lab.director.onPassed = null;
  lab.datagram({ toPort: 9 });
  t.is(passed.length, 1);
  t.regex(passed[0]!, /^eth0 \d+$/);
});

test('what a listener throws comes out of poll, as without a thread', (t) => {
  const lab = natLab();
  lab.director.on('connectionCreated', () => {
    throw new Error('my own mistake');
  });
  t.throws(() => lab.client('S'), { message: 'my own mistake' });
  t.is(lab.director.connections().length, 1);
  t.is(lab.director.poll(), 0, 'it is thrown once');
});

test('frames and events come by themselves, without poll', async (t) => {
  const device = new MemoryDevice({ name: 'eth0', mac: '02:00:00:00:00:01' });
  const director = new Director({ threads: 1, interfaces: [{ device, addresses: ['192.0.2.1/24'] }] });
  const awake = setInterval(() => {}, 1000); // memory devices keep no program alive
  t.teardown(() => {
    clearInterval(awake);
    director.stop();
  });
  director.start();
  const ethernet = { source: '02:00:00:00:00:09', destination: device.mac };
  const ip = { source: '192.0.2.9', destination: '192.0.2.1' };
  const answered = new Promise<Uint8Array>((resolve) => {
    device.onTransmit = resolve;
  });
  const passed = new Promise<string>((resolve) => {
    director.onPassed = (_frame, name) => resolve(name);
  });
  device.inject(
    buildFrame({ ethernet, arp: { senderMac: ethernet.source, senderIp: ip.source, targetIp: ip.destination } }),
  );
  device.inject(buildFrame({ ethernet, ip, udp: { sourcePort: 1, destinationPort: 2 } }));
  t.is((await answered)[0], 2);
  t.is(await passed, 'eth0');
});

test('errors keep their code, option and value', (t) => {
  const { director } = natLab();
  t.like(
    refusal(() => director.addService(tcp(), {})),
    { code: 'ERR_SERVICE_EXISTS' },
  );
  t.like(
    refusal(() => director.addDestination(tcp(), { address: rs(12) }, { weight: -1 })),
    { code: 'ERR_INVALID_OPTION', option: 'weight', value: -1 },
  );
  t.like(
    refusal(() => director.sysctl.set('nothing', 1)),
    { option: 'sysctl', value: 'nothing' },
  );
  t.is(director.service(tcp()).destinations.length, 1);
});

test('code cannot be handed over; a module with it can', (t) => {
  const lab = natLab({ schedulers: [{ module: SCHEDULERS, export: 'first' }] });
  const own = { name: 'mine', create: () => ({ schedule: () => null }) };
  t.like(
    refusal(() => lab.director.editService(tcp(), { scheduler: own })),
    { option: 'scheduler', value: own },
  );
  const transport = new UdpTransport();
  t.like(
    refusal(() => lab.director.startDaemon({ role: 'master', transport })),
    { option: 'transport' },
  );
  lab.director.editService(tcp(), { scheduler: 'first' });
  lab.director.addDestination(tcp(), { address: rs(12) }, { method: 'masq' });
  for (const port of [1, 2]) t.true(lab.client('S', { port })[0]!.text.includes(rs(11)));
});

test('a module is loaded without threads too, and refused where it is none', (t) => {
  for (const threads of [0, 1]) {
    const device = () => new MemoryDevice({ name: 'eth0' });
    const make = (module: URL | string, name?: string) =>
      new Director({
        threads,
        interfaces: [{ device: device() }],
        schedulers: [{ module, ...(name === undefined ? {} : { export: name }) }],
      });
    make(SCHEDULERS, 'first').stop();
    t.is(refusal(() => make(SCHEDULERS, 'second')).option, 'schedulers[0].export');
    t.is(refusal(() => make(SCHEDULERS, 'number')).option, 'schedulers[0]');
    t.is(refusal(() => make('/nowhere.js')).option, 'schedulers[0].module');
    t.is(refusal(() => make('schedulers.js')).option, 'schedulers[0].module');
  }
});

test('what cannot go to a thread is refused by name, and devices stay free', (t) => {
  const device = new MemoryDevice({ name: 'eth0' });
  const stream = { name: 's', on: () => undefined, write: () => true, release: () => undefined };
  const own = { name: 'mine', create: () => ({ schedule: () => null }) };
  const make = (options: object) => new Director({ threads: 1, interfaces: [{ device }], ...options });
  t.is(refusal(() => make({ threads: -1 })).option, 'threads');
  t.is(refusal(() => make({ threads: 17 })).option, 'threads');
  const cable = new StreamDevice(stream as never, { mac: '02:00:00:00:00:09', mtu: 1500 });
  t.is(refusal(() => make({ interfaces: [{ device }, { device: cable }] })).option, 'interfaces[1].device');
  t.is(refusal(() => make({ random: () => 0.5 })).option, 'random');
  t.is(refusal(() => make({ schedulers: [own] })).option, 'schedulers[0]');
  t.is(refusal(() => make({ engines: [{ name: 'e', identify: () => null }] })).option, 'engines[0]');
  make({}).stop();
  t.is(refusal(() => make({})).code, 'ERR_DEVICE');
});

test('a stopped director refuses what it cannot do any more', (t) => {
  const { director } = natLab();
  director.stop();
  director.stop();
  t.is(director.poll(), 0);
  t.is(director.services().length, 1);
  t.is(refusal(() => director.addService(udp())).code, 'ERR_CLOSED');
  t.is(refusal(() => director.start()).code, 'ERR_CLOSED');
  t.is(refusal(() => director.connections()).code, 'ERR_CLOSED');
});

function engineOf(scheduler: string): { engine: ThreadedEngine; told: unknown[][]; device: MemoryDevice } {
  const device = new MemoryDevice({ name: 'eth0', mac: '02:00:00:00:00:01' });
  const configuration = configure({
    threads: 1,
    interfaces: [{ device, addresses: ['10.0.0.1/24'] }],
    schedulers: [{ module: SCHEDULERS, export: scheduler }],
  });
  const told: unknown[][] = [];
  const engine = new ThreadedEngine(configuration, (event, ...rest) => told.push([event, ...rest]), 5000);
  engine.listen('deviceError', true);
  engine.start();
  return { engine, told, device };
}

test('a thread that hangs is given up: an error within bounds, then always, and the devices are told of', (t) => {
  const { engine, told } = engineOf('endless');
  const error = refusal(() => engine.addService(tcp(), { scheduler: 'endless' }));
  t.is(error.code, 'ERR_WORKER');
  t.is(
    refusal(() => engine.services()),
    error,
  );
  t.deepEqual(told, [['deviceError', 'eth0', error]]);
  engine.stop();
});

test('a thread that ends is missed at once', (t) => {
  const { engine, told } = engineOf('leaving');
  const error = refusal(() => engine.addService(tcp(), { scheduler: 'leaving' }));
  t.is(error.code, 'ERR_WORKER');
  t.is(told.length, 1);
  engine.stop();
});

test('a thread that ends before it has the devices leaves them as they were', (t) => {
  const device = new MemoryDevice({ name: 'eth0', mac: '02:00:00:00:00:01' });
  const module = new URL('./support/leaving.js', import.meta.url);
  const make = () =>
    new Director({ threads: 1, interfaces: [{ device }], schedulers: [{ module, export: 'leaving' }] });
  t.is(refusal(make).code, 'ERR_WORKER');
  const director = new Director({ interfaces: [{ device, addresses: ['10.0.0.1/24'] }] });
  const sent: Uint8Array[] = [];
  device.onTransmit = (frame) => sent.push(frame);
  director.start();
  const arp = { operation: 1, senderMac: '02:00:00:00:00:02', senderIp: '10.0.0.2', targetIp: '10.0.0.1' } as const;
  const ethernet = { source: arp.senderMac, destination: 'ff:ff:ff:ff:ff:ff' };
  device.inject(buildFrame({ ethernet, arp: { ...arp, targetMac: '00:00:00:00:00:00' } }));
  director.poll();
  t.is(sent.length, 1);
  director.stop();
});

test('a listener for once hears of a lost thread, and listeners can be taken off and put on after that', (t) => {
  const device = new MemoryDevice({ name: 'eth0', mac: '02:00:00:00:00:01' });
  const director = new Director({
    threads: 1,
    interfaces: [{ device }],
    schedulers: [{ module: SCHEDULERS, export: 'leaving' }],
  });
  const told: string[] = [];
  director.once('deviceError', (name) => told.push(name));
  director.start();
  t.is(refusal(() => director.addService(tcp(), { scheduler: 'leaving' })).code, 'ERR_WORKER');
  t.deepEqual(told, ['eth0']);
  director.on('noDestination', () => {}).removeAllListeners();
  director.stop();
});

test('what a scheduler throws comes out of poll, or is nobody’s and thrown in the program', (t) => {
  const lab = natLab({ schedulers: [{ module: SCHEDULERS, export: 'throwing' }] });
  lab.director.editService(tcp(), { scheduler: 'throwing' });
  t.throws(() => lab.client('S', { from: CLIENT, to: VIP }), { message: 'no idea' });
  const run = spawnSync(process.execPath, [fileURLToPath(new URL('./support/thrown.js', import.meta.url))], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  t.is(run.stdout, 'caught: no idea\nended\n', run.stderr);
  t.is(run.status, 0);
});
