/**
 * Real transfers through a director on TAPs whose kernel leaves checksums and segmentation to it: what arrives is what was
 * sent, frames pass uncut, and what the kernel makes of them in the end has right checksums.
 *
 *     client -+- br0 -+- server (VIP on lo)
 *             |       |
 *            TAP director
 *                     |
 *             br1 -+- +
 *                  +- server
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { WrappedDevice } from '../../src/devices/wrapped.ts';
import { Director, type FrameBatch, TapDevice } from '../../src/index.ts';
import { checkSums } from '../core/offloads.ts';
import { Namespace, testWithTaps as test } from '../devices/support/namespace.ts';

const PEER = fileURLToPath(new URL('../../../test/offload/peer.py', import.meta.url));
const BYTES = 4_000_000;
const MTU = 1500;
const LINK = 14;

/** Passes a device through, and counts the frames that stand for several segments. */
class Watched extends WrappedDevice {
  readonly tap: TapDevice;
  uncutIn = 0;
  uncutOut = 0;
  longestIn = 0;

  constructor(tap: TapDevice) {
    super(tap);
    this.tap = tap;
  }

  receive(batch: FrameBatch): number {
    const count = this.device.receive(batch);
    for (let i = 0; i < count; i++) {
      if (this.checksumOffload && batch.segments[i] !== 0) this.uncutIn++;
      this.longestIn = Math.max(this.longestIn, batch.lengths[i]!);
    }
    return count;
  }

  transmit(batch: FrameBatch): number {
    for (let i = 0; i < batch.count; i++) if (batch.segments[i] !== 0) this.uncutOut++;
    return this.device.transmit(batch);
  }
}

interface Net {
  readonly client: Namespace;
  readonly server: Namespace;
  readonly switches: Namespace;
  readonly outside: Watched;
  readonly inside: Watched;
  readonly director: Director;
}

/** Plugs an interface of a host into a bridge. */
function plug(switches: Namespace, host: Namespace, name: string, bridge: string, addresses: readonly string[]): void {
  const port = `${bridge}-${name}`;
  host.ip('link', 'add', name, 'type', 'veth', 'peer', 'name', port, 'netns', switches.name);
  switches.ip('link', 'set', port, 'master', bridge, 'up');
  host.run('sh', '-c', `echo 0 > /proc/sys/net/ipv6/conf/${name}/disable_ipv6`);
  for (const address of addresses) {
    host.ip('address', 'add', address, 'dev', name, ...(address.includes(':') ? ['nodad'] : []));
  }
  host.ip('link', 'set', name, 'up');
}

/** Lays the network, starts director and server. Everything goes when the test is over. */
async function lay(t: ExecutionContext, offload: { outside: boolean; inside: boolean }): Promise<Net> {
  const [switches, client, server] = [new Namespace(t), new Namespace(t), new Namespace(t)];
  for (const bridge of ['br0', 'br1']) {
    switches.ip('link', 'add', bridge, 'type', 'bridge', 'mcast_snooping', '0');
    switches.ip('link', 'set', bridge, 'up');
  }
  client.ip('link', 'set', 'lo', 'up');
  plug(switches, client, 'c0', 'br0', ['192.0.2.17/24', '2001:db8::17/64']);
  plug(switches, server, 's0', 'br0', ['192.0.2.11/24', '2001:db8::11/64']);
  plug(switches, server, 's1', 'br1', ['198.51.100.11/24', '2001:db8:1::11/64']);
  server.run('sh', '-c', 'echo 0 > /proc/sys/net/ipv6/conf/lo/disable_ipv6');
  server.run(
    'sh',
    '-c',
    'cd /proc/sys/net/ipv4/conf/all; echo 1 > arp_ignore; echo 2 > arp_announce; echo 0 > rp_filter',
  );
  server.run('sh', '-c', 'for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done');
  server.ip('address', 'add', '192.0.2.101/32', 'dev', 'lo');
  server.ip('address', 'add', '2001:db8::101/128', 'dev', 'lo', 'nodad');
  // A NAT server's replies go back through the director, wherever the client is.
  for (const [family, from, via] of [
    ['-4', '198.51.100.11', '198.51.100.1'],
    ['-6', '2001:db8:1::11', '2001:db8:1::1'],
  ] as const) {
    server.ip(family, 'rule', 'add', 'from', from, 'lookup', '7');
    server.ip(family, 'route', 'add', 'default', 'via', via, 'dev', 's1', 'table', '7');
  }

  const open = (name: string, bridge: string, uncut: boolean) => {
    const tap = TapDevice.open({ name, namespace: switches.name, offload: uncut, mtu: MTU });
    t.teardown(() => tap.close());
    switches.ip('link', 'set', name, 'master', bridge);
    return new Watched(tap);
  };
  const outside = open('outside', 'br0', offload.outside);
  const inside = open('inside', 'br1', offload.inside);
  const director = new Director({
    interfaces: [
      { device: outside, addresses: ['192.0.2.1/24', '2001:db8::1/64'] },
      { device: inside, addresses: ['198.51.100.1/24', '2001:db8:1::1/64'] },
    ],
    forwarding: true,
  });
  t.teardown(() => director.stop());
  const restored = director.ipvsadm(
    '-R',
    [
      '-A -t 192.0.2.100:80 -s rr',
      '-a -t 192.0.2.100:80 -r 198.51.100.11:8080 -m',
      '-A -t [2001:db8::100]:80 -s rr',
      '-a -t [2001:db8::100]:80 -r [2001:db8:1::11]:8080 -m',
      '-A -u 192.0.2.100:53 -s rr',
      '-a -u 192.0.2.100:53 -r 198.51.100.11:5353 -m',
      '-A -u [2001:db8::100]:53 -s rr',
      '-a -u [2001:db8::100]:53 -r [2001:db8:1::11]:5353 -m',
      '-A -t 192.0.2.101:81 -s rr',
      '-a -t 192.0.2.101:81 -r 192.0.2.11:81 -g',
      '-A -t [2001:db8::101]:81 -s rr',
      '-a -t [2001:db8::101]:81 -r [2001:db8::11]:81 -g',
      '-A -u 192.0.2.101:54 -s rr',
      '-a -u 192.0.2.101:54 -r 192.0.2.11:54 -g',
      '-A -u [2001:db8::101]:54 -s rr',
      '-a -u [2001:db8::101]:54 -r [2001:db8::11]:54 -g',
    ].join('\n'),
  );
  t.deepEqual(restored, { status: 0, out: '' });
  director.start();
  const peer = spawn('ip', ['netns', 'exec', server.name, 'python3', PEER, 'server', ...ENDPOINTS]);
  t.teardown(() => peer.kill('SIGKILL'));
  await once(peer.stdout, 'data', { signal: AbortSignal.timeout(10_000) });
  return { client, server, switches, outside, inside, director };
}

/** Where the server serves: as NAT's server, and by the virtual addresses that DR leaves in packets. */
const ENDPOINTS = [
  ...['198.51.100.11', '8080', '2001:db8:1::11', '8080'],
  ...['198.51.100.11', '5353', '2001:db8:1::11', '5353'],
  ...['192.0.2.101', '81', '2001:db8::101', '81', '192.0.2.101', '54', '2001:db8::101', '54'],
];
const NAT = { 4: '192.0.2.100', 6: '2001:db8::100' } as const;
const DR = { 4: '192.0.2.101', 6: '2001:db8::101' } as const;

async function transferAll(t: ExecutionContext, { client }: Net): Promise<void> {
  for (const family of [4, 6] as const) {
    await t.notThrowsAsync(client.runAside('python3', PEER, 'tcp', NAT[family], '80', `${BYTES}`), `TCP NAT ${family}`);
    await t.notThrowsAsync(client.runAside('python3', PEER, 'tcp', DR[family], '81', `${BYTES}`), `TCP DR ${family}`);
    const bursts = ['20', '30', '1200'];
    await t.notThrowsAsync(client.runAside('python3', PEER, 'udp', NAT[family], '53', ...bursts), `UDP NAT ${family}`);
    await t.notThrowsAsync(client.runAside('python3', PEER, 'udp', DR[family], '54', ...bursts), `UDP DR ${family}`);
  }
}

/** The frames of a pcap file. */
function framesOf(path: string): Uint8Array[] {
  const file = readFileSync(path);
  const frames: Uint8Array[] = [];
  for (let at = 24; at + 16 <= file.length; ) {
    const length = file.readUInt32LE(at + 8);
    frames.push(Uint8Array.from(file.subarray(at + 16, at + 16 + length)));
    at += 16 + length;
  }
  return frames;
}

for (const [name, offload, comes, goes] of [
  ['both', { outside: true, inside: true }, true, true],
  ['only the outer', { outside: true, inside: false }, true, false],
  ['only the inner', { outside: false, inside: true }, false, false],
  ['neither', { outside: false, inside: false }, false, false],
] as const) {
  test(`TCP and UDP through NAT and DR in both families; of the TAPs, ${name} with offloads`, async (t) => {
    const net = await lay(t, offload);
    await transferAll(t, net);
    const { outside, inside } = net;
    t.is(outside.uncutIn > 0, comes);
    t.is(inside.uncutOut > 0, goes);
    t.is(outside.longestIn > 16_000, comes);
    t.is(inside.uncutIn > 0, offload.inside);
    t.like(net.director.counters(), { lost: 0 });
    t.deepEqual(outside.tap.drops.oversize, 0);
  });
}

test('what comes out in the end has right checksums, where the kernel must compute and cut by itself', async (t) => {
  const net = await lay(t, { outside: true, inside: true });
  const { switches, client, server, outside, inside } = net;
  // The bridges' ports towards the hosts are cards that can do nothing.
  for (const port of ['br0-c0', 'br0-s0', 'br1-s1']) switches.run('ethtool', '-K', port, 'tx', 'off', 'sg', 'off');
  const folder = mkdtempSync(join(tmpdir(), 'tapvs-offload-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const captures = [];
  for (const [host, on, mac] of [
    [client, 'c0', outside.mac],
    [server, 's0', outside.mac],
    [server, 's1', inside.mac],
  ] as const) {
    const path = join(folder, `${on}.pcap`);
    const arguments_ = [
      '-i',
      on,
      '-Q',
      'in',
      '-U',
      '-B',
      '65536',
      '-s',
      '0',
      '-w',
      path,
      'ether',
      'src',
      mac,
      'and',
      '(ip or ip6)',
    ];
    const child = spawn('ip', ['netns', 'exec', host.name, 'tcpdump', '-Z', 'root', ...arguments_]);
    t.teardown(() => child.kill('SIGKILL'));
    await once(child.stderr, 'data', { signal: AbortSignal.timeout(10_000) });
    captures.push({ path, child, on });
  }
  await pause(200);
  await transferAll(t, net);
  t.true(outside.uncutIn > 0 && outside.uncutOut > 0 && inside.uncutIn > 0 && inside.uncutOut > 0);
  for (const { path, child, on } of captures) {
    const ended = once(child, 'exit', { signal: AbortSignal.timeout(10_000) });
    child.kill('SIGINT');
    await ended;
    const frames = framesOf(path);
    t.true(frames.length > BYTES / MTU, `${on}: ${frames.length} frames`);
    for (const frame of frames) {
      t.true(frame.length <= LINK + MTU);
      checkSums(frame);
    }
  }
});
