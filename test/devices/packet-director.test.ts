/** A director on veths, with PacketDevice: the kernel's TCP of both ends passes, with everything the kernel leaves undone. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { PacketDevice, type PacketOptions } from '../../src/devices/packet.ts';
import { Director } from '../../src/director.ts';
import { Namespace, testWithTaps as test } from './support/namespace.ts';

const VIP = '198.51.100.100';
/** What the server gives: no power of two, and more than any window holds. */
const CONTENT = Buffer.alloc(20_000_003, 'a text that is not all one letter; ');

type Method = 'masq' | 'route';

interface Network {
  readonly client: Namespace;
  readonly server: Namespace;
  readonly middle: Namespace;
  readonly url: string;
}

/** The way of the replies of direct routing, which pass the director by. */
function connectDirectly(client: Namespace, server: Namespace): void {
  client.ip('link', 'add', 'eth1', 'type', 'veth', 'peer', 'name', 'eth1', 'netns', server.name);
  client.ip('address', 'add', '192.0.2.1/30', 'dev', 'eth1');
  server.ip('address', 'add', '192.0.2.2/30', 'dev', 'eth1');
  for (const end of [client, server]) {
    end.ip('link', 'set', 'eth1', 'up');
    end.run('sh', '-c', 'for each in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $each; done');
  }
  server.ip('route', 'add', 'default', 'via', '192.0.2.1');
}

/** A client, a server that serves CONTENT, and between them a namespace with two veths, `wire0` and `wire1`. */
async function layNetwork(t: ExecutionContext, io: PacketOptions['io'], method: Method): Promise<Network> {
  const [client, middle, server] = [new Namespace(t), new Namespace(t), new Namespace(t)];
  const ends = [client, server] as const;
  ends.forEach((end, i) => {
    middle.ip('link', 'add', `wire${i}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', end.name);
    middle.ip('link', 'set', `wire${i}`, 'up');
    end.ip('link', 'set', 'eth0', 'up');
    // What AF_XDP cannot carry.
    if (io === 'af_xdp') end.run('ethtool', '-K', 'eth0', 'tx', 'off', 'tso', 'off', 'gso', 'off');
  });
  client.ip('address', 'add', '198.51.100.1/24', 'dev', 'eth0');
  server.ip('address', 'add', '203.0.113.11/24', 'dev', 'eth0');
  if (method === 'masq') server.ip('route', 'add', 'default', 'via', '203.0.113.1');
  else connectDirectly(client, server);
  server.ip('address', 'add', `${VIP}/32`, 'dev', 'lo');

  const folder = mkdtempSync(join(tmpdir(), 'tapvs-packet-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'content'), CONTENT);
  const script = fileURLToPath(new URL('./support/serve.js', import.meta.url));
  const program = spawn('ip', ['netns', 'exec', server.name, process.execPath, script, join(folder, 'content')]);
  t.teardown(() => program.kill());
  await once(program.stdout, 'data');
  return { client, server, middle, url: `http://${VIP}:8080/` };
}

const CASES: readonly ['af_packet' | 'af_xdp', Method, threads: number][] = [
  ['af_packet', 'masq', 0],
  ['af_packet', 'route', 0],
  ['af_xdp', 'masq', 0],
  ['af_xdp', 'route', 0],
  ['af_packet', 'masq', 1],
  ['af_packet', 'route', 1],
  ['af_xdp', 'masq', 1],
  ['af_xdp', 'route', 1],
  ['af_packet', 'masq', 2],
  ['af_packet', 'route', 2],
];

for (const [io, method, threads] of CASES) {
  const where = threads === 0 ? '' : `, threads: ${threads}`;
  test(`carries a transfer of many megabytes, and what the client sends: ${io}, ${method}${where}`, async (t) => {
    const { client, middle, url } = await layNetwork(t, io, method);
    const queues = threads > 1 ? { queues: threads } : {};
    const devices = ['wire0', 'wire1'].map((name) =>
      PacketDevice.open({ interface: name, namespace: middle.name, io, ...queues }),
    );
    const director = new Director({
      interfaces: [
        { device: devices[0]!, addresses: ['198.51.100.2/24'] },
        { device: devices[1]!, addresses: ['203.0.113.1/24'] },
      ],
      forwarding: true,
      threads,
    });
    t.teardown(() => director.stop());
    const service = { protocol: 'tcp', address: VIP, port: 8080 } as const;
    director.addService(service, { scheduler: 'rr' });
    director.addDestination(service, { address: '203.0.113.11', port: 8080 }, { method });
    director.start();

    const expected = createHash('sha256').update(CONTENT).digest('hex');
    const fetched = await client.runAside('sh', '-c', `curl -sS --max-time 15 ${url} | sha256sum`);
    t.is(fetched.split(' ')[0], expected);
    const echoed = await client.runAside(
      'sh',
      '-c',
      `head -c 5000001 /dev/zero | curl -sS --max-time 15 --data-binary @- ${url}`,
    );
    t.is(echoed, createHash('sha256').update(Buffer.alloc(5_000_001)).digest('hex'));
    const { verdicts } = director.counters();
    t.is(verdicts.BAD_CHECKSUM, 0);
    t.is(director.connections().length, 2);
    for (const { drops } of devices) t.deepEqual([drops.invalid, drops.offload, drops.oversize], [0, 0, 0]);
  });
}
