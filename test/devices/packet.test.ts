/** PacketDevice on real veth pairs: one end is the device's, at the other a second device or the kernel. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ava, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { PacketDevice, type PacketOptions } from '../../src/devices/packet.ts';
import type { DirectorError } from '../../src/errors.ts';
import { buildFrame } from '../../src/packet/build.ts';
import { SEGMENT_TCP4 } from '../../src/packet/offload.ts';
import { batchOf, experimentalFrame, framesOf, makeBatch, receiveAll, UNTOUCHED } from './support/batch.ts';
import { causeOf, failOnError, errorOf as thrownBy } from './support/errors.ts';
import { type Namespace, testWithTaps as test } from './support/namespace.ts';
import { Responder } from './support/responder.ts';
import { turns, until } from './support/until.ts';
import { connect, open } from './support/veth.ts';

type Ways = Pick<PacketOptions, 'io' | 'xdpMode'>;
const WAYS: readonly Ways[] = [
  { io: 'af_packet' },
  { io: 'af_xdp', xdpMode: 'native' },
  { io: 'af_xdp', xdpMode: 'generic' },
];
const nameOf = ({ io, xdpMode }: Ways): string => `${io}${xdpMode === undefined ? '' : ` ${xdpMode}`}`;

/** Devices at both ends of a veth, that at the far end with a packet socket, and nothing waiting on them. */
function openPair(t: ExecutionContext, way: Ways): [near: PacketDevice, far: PacketDevice, Namespace, Namespace] {
  const [near, far] = connect(t);
  const pair: [PacketDevice, PacketDevice] = [open(t, near, way), open(t, far, { interface: 'wire1' })];
  for (const device of pair) receiveAll(device);
  return [...pair, near, far];
}

/** What `PacketDevice.open` throws. */
const errorOf = (options: PacketOptions): DirectorError => thrownBy(() => PacketDevice.open(options));

const NOTHING_LOST = { oversize: 0, noBuffer: 0, linkDown: 0, invalid: 0, offload: 0, missed: 0 };
const programOf = (namespace: Namespace): string | undefined =>
  /prog\/(xdp\w*)|(xdp\w*) /.exec(namespace.ip('link', 'show', 'wire0'))?.[0]?.trim();

for (const way of WAYS) {
  test(`attaches to an interface, says how, and leaves it as it was: ${nameOf(way)}`, (t) => {
    const [near] = connect(t);
    const before = near.link('wire0');
    const device = open(t, near, way);
    t.deepEqual([device.name, device.mac, device.interfaceMac], ['wire0', before.address, before.address]);
    t.deepEqual([device.mtu, device.io, device.xdpMode], [1500, way.io, way.xdpMode ?? null]);
    t.deepEqual(device.drops, NOTHING_LOST);
    const running = { undefined, native: 'xdp', generic: 'xdpgeneric' }[String(way.xdpMode)];
    t.is(programOf(near), running);
    device.close();
    t.is(programOf(near), undefined);
    t.deepEqual(near.link('wire0'), before);
  });

  test(`frames of every length arrive byte for byte, in order, and nothing is written beside them: ${nameOf(way)}`, (t) => {
    const [near, far] = openPair(t, way);
    const frame = fc
      .tuple(fc.integer({ min: 14, max: 1514 }), fc.integer({ min: 0, max: 255 }))
      .map(([length, fill]) => experimentalFrame(length, fill));
    for (const [from, to] of [
      [far, near],
      [near, far],
    ] as const) {
      fc.assert(
        fc.property(fc.array(frame, { minLength: 1, maxLength: 80 }), (frames) => {
          t.is(from.transmit(batchOf(frames)), frames.length);
          const batch = makeBatch(128);
          const count = to.receive(batch);
          const received = framesOf(batch, count);
          t.deepEqual(received, frames);
          const expected = new Uint8Array(batch.memory.length).fill(UNTOUCHED);
          for (const [i, each] of received.entries()) expected.set(each, batch.offsets[i]);
          // The bytes in front of a frame are the device's, for the virtio-net header.
          if (to.checksumOffload)
            for (const at of batch.offsets.subarray(0, count)) batch.memory.fill(UNTOUCHED, at - 10, at);
          t.deepEqual(batch.memory, expected);
        }),
        { numRuns: 50, seed: 7 },
      );
    }
    t.deepEqual(near.drops, NOTHING_LOST);
    t.deepEqual(far.drops, NOTHING_LOST);
  });

  test(`drops and counts what is too long for the room: ${nameOf(way)}`, (t) => {
    const [near, far] = openPair(t, way);
    far.transmit(batchOf([100, 101, 99, 1000, 100].map((length) => experimentalFrame(length))));
    const received = [];
    for (let calls = 0; calls < 10; calls++) {
      const batch = makeBatch(1, 100);
      if (near.receive(batch) === 1) received.push(batch.lengths[0]);
    }
    t.deepEqual(received, [100, 99, 100]);
    t.is(near.drops.oversize, 2);
    near.close();
    t.is(near.drops.oversize, 2);
  });

  test(`loses what cannot be sent, as a wire does, and counts it by reason: ${nameOf(way)}`, (t) => {
    const [device, far, near] = openPair(t, way);
    const good = experimentalFrame(60, 1);
    t.is(device.transmit(batchOf([good, new Uint8Array(13), new Uint8Array(0), good])), 2);
    t.deepEqual(device.drops, { ...NOTHING_LOST, invalid: 2 });
    near.ip('link', 'set', 'wire0', 'down');
    for (let i = 0; i < 600; i++) t.is(device.transmit(batchOf([good, good])), 0);
    t.deepEqual(device.drops, { ...NOTHING_LOST, linkDown: 1200, invalid: 2 });
    near.ip('link', 'set', 'wire0', 'up');
    receiveAll(far);
    // What was lost stays lost: only what is sent now arrives.
    const frames = [experimentalFrame(60, 2), experimentalFrame(61, 3)];
    t.is(device.transmit(batchOf(frames)), 2);
    t.deepEqual(receiveAll(far), frames);
    far.transmit(batchOf(frames));
    t.deepEqual(receiveAll(device), frames);
    near.ip('link', 'del', 'wire0');
    t.is(device.transmit(batchOf([good, good])), 0);
    t.is(device.drops.linkDown, 1202);
    t.is(device.receive(makeBatch(4)), 0);
  });

  test(`counts what it was too slow for: ${nameOf(way)}`, (t) => {
    const [near, far] = openPair(t, way);
    const burst = batchOf(Array.from({ length: 100 }, () => experimentalFrame(1500)));
    let sent = 0;
    for (let i = 0; i < 40; i++) sent += far.transmit(burst);
    t.is(sent, 4000);
    const received = receiveAll(near).length;
    t.true(received >= 2000 && received < 4000, `${received}`);
    t.is(near.drops.missed, sent - received);
    far.transmit(burst);
    t.is(receiveAll(near).length, 100);
    near.close();
    t.is(near.drops.missed, sent - received);
  });

  test(`a larger burst than its rings is sent whole: ${nameOf(way)}`, (t) => {
    const [near, far] = openPair(t, way);
    const frames = Array.from({ length: 1500 }, (_, i) => experimentalFrame(60, i & 0xff));
    for (let i = 0; i < 3; i++) {
      t.is(near.transmit(batchOf(frames)), frames.length);
      t.deepEqual(receiveAll(far), frames);
    }
    t.deepEqual(near.drops, NOTHING_LOST);
  });

  test(`reports that the interface was deleted, once, and not that it is down: ${nameOf(way)}`, async (t) => {
    const [near] = connect(t);
    const device = open(t, near, way);
    const errors: Error[] = [];
    device.open(
      () => receiveAll(device),
      (error) => errors.push(error),
    );
    near.ip('link', 'set', 'wire0', 'down');
    near.ip('link', 'add', 'other', 'type', 'bridge');
    near.ip('link', 'del', 'other');
    await turns(20);
    near.ip('link', 'set', 'wire0', 'up');
    await turns(20);
    t.deepEqual(errors, []);
    near.ip('link', 'del', 'wire0');
    await until(() => errors.length > 0, 'the failure');
    device.receive(makeBatch(1));
    await turns(5);
    t.is(errors.length, 1);
    const [error] = errors as DirectorError[];
    t.is(error!.code, 'ERR_DEVICE');
    t.deepEqual([causeOf(error!).code, causeOf(error!).device], ['ENODEV', 'wire0']);
  });

  test(`reports that the interface was moved elsewhere: ${nameOf(way)}`, async (t) => {
    const [near, far] = connect(t);
    const device = open(t, near, way);
    const errors: Error[] = [];
    device.open(
      () => receiveAll(device),
      (error) => errors.push(error),
    );
    near.ip('link', 'set', 'wire0', 'netns', far.name);
    await until(() => errors.length > 0, 'the failure');
    t.is(errors.length, 1);
  });

  test(`calls until everything was taken, not before it was received, and is silent then: ${nameOf(way)}`, async (t) => {
    const [near, far] = openPair(t, way);
    let wakes = 0;
    let taken = 0;
    let taking = false;
    near.open(() => {
      wakes++;
      if (taking) taken += near.receive(makeBatch(1));
    }, failOnError);
    await turns(5);
    const idle = wakes;
    far.transmit(batchOf(Array.from({ length: 50 }, () => experimentalFrame(60))));
    await until(() => wakes > idle, 'the wake-up');
    await turns(20);
    t.is(wakes, idle + 1);
    taking = true;
    taken += near.receive(makeBatch(1));
    await until(() => taken === 50, 'all frames');
    await turns(20);
    const done = wakes;
    await turns(20);
    t.is(wakes, done);
    t.true(done <= idle + 52);
  });

  test(`closes in every state, also from inside its own wake-up, and says so afterwards: ${nameOf(way)}`, async (t) => {
    const [idle] = openPair(t, way);
    idle.close();
    idle.close();
    t.is(idle.receive(makeBatch(1)), 0);
    t.is(idle.transmit(batchOf([experimentalFrame(60)])), 0);
    t.throws(() => idle.open(() => {}, failOnError), { code: 'ERR_DEVICE', message: /is closed/ });

    const [polled] = openPair(t, way);
    polled.open(() => {}, failOnError);
    t.throws(() => polled.open(() => {}, failOnError), { code: 'ERR_DEVICE', message: /is in use/ });
    polled.close();
    polled.close();

    const [near, far] = openPair(t, way);
    let wakes = 0;
    near.open(() => {
      wakes++;
      near.receive(makeBatch(1));
      near.close();
    }, failOnError);
    far.transmit(batchOf([experimentalFrame(60), experimentalFrame(60)]));
    await until(() => wakes > 0, 'the wake-up');
    await turns(10);
    t.is(wakes, 1);
  });

  test(`opening, failing and closing leaves no descriptors behind: ${nameOf(way)}`, async (t) => {
    const [near] = connect(t);
    const descriptors = () => readdirSync('/proc/self/fd').length;
    const cycle = (rounds: number) => {
      for (let i = 0; i < rounds; i++) {
        const device = PacketDevice.open({ interface: 'wire0', namespace: near.name, ...way });
        if (i % 2 === 0) device.open(() => {}, failOnError);
        if (way.io === 'af_xdp') errorOf({ interface: 'wire0', namespace: near.name, ...way });
        device.close();
        errorOf({ interface: 'none0', namespace: near.name, ...way });
      }
    };
    cycle(2);
    await turns(5);
    const before = descriptors();
    cycle(20);
    await turns(5);
    t.is(descriptors(), before);
    t.is(programOf(near), undefined);
  });

  test(`a batch that lies is refused, whatever it says: ${nameOf(way)}`, (t) => {
    const [device, far] = openPair(t, way);
    const batch = makeBatch(2);
    for (const lie of [
      { count: 3 },
      { count: -1 },
      { room: 1e9 },
      { offsets: new Int32Array([-1, 0]) },
      { memory: [] as never },
    ]) {
      far.transmit(batchOf([experimentalFrame(60)]));
      t.throws(() => device.receive({ ...batch, ...lie }), { code: 'ERR_DEVICE' });
    }
    for (const lie of [{ count: 3 }, { lengths: new Int32Array([-1, 0]) }, { offsets: new Int32Array([1e9, 0]) }]) {
      t.throws(() => device.transmit({ ...batch, ...lie }), { code: 'ERR_DEVICE' });
    }
    t.is(receiveAll(device).length, 5);
  });

  test(`a process that ends, or is killed, leaves nothing on the interface: ${nameOf(way)}`, (t) => {
    const [near] = connect(t);
    const script = fileURLToPath(new URL('./support/attach-and-end.js', import.meta.url));
    const run = (how: string) =>
      execFileSync(process.execPath, [script, near.name, JSON.stringify(way), how], {
        encoding: 'utf8',
        timeout: 20_000,
      });
    t.is(run('close-later'), 'opened\nclosed\n');
    t.is(run('exit'), 'opened\n');
    t.throws(() => run('kill'), { message: /SIGKILL|failed/ });
    t.is(programOf(near), undefined);
    t.false(near.ip('-d', 'link', 'show', 'wire0').includes('promiscuity 1'));
  });

  test(`carries frames both ways: the kernel resolves the address of, and pings, a host behind the wire: ${nameOf(way)}`, async (t) => {
    const [near, far] = connect(t);
    const device = open(t, near, way);
    far.ip('address', 'add', '198.51.100.1/24', 'dev', 'wire1');
    const responder = new Responder(device, '198.51.100.2');
    device.open(() => responder.wake(), failOnError);
    const output = await far.runAside('ping', '-c', '3', '-i', '0.5', '-s', '1400', '198.51.100.2');
    t.regex(output, /3 received, 0% packet loss/);
    t.regex(far.ip('neigh', 'show', '198.51.100.2'), new RegExp(`lladdr ${device.mac}`));
  });
}

const TAGS = [
  [0x81, 0, 0xa0, 7],
  [0x81, 0, 0xa0, 7, 0x81, 0, 0, 9],
  [0x88, 0xa8, 0, 11],
];

function tagged(frame: Uint8Array, tag: readonly number[]): Uint8Array {
  return Uint8Array.of(...frame.subarray(0, 12), ...tag, ...frame.subarray(12));
}

for (const way of WAYS) {
  test(`VLAN tags, which the kernel takes out of frames, stay where they were: ${nameOf(way)}`, (t) => {
    const [near, far] = openPair(t, way);
    const frames = TAGS.flatMap((tag) => [46, 100, 1500].map((length) => tagged(experimentalFrame(length, 3), tag)));
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.transmit(batchOf(frames));
      t.deepEqual(receiveAll(to), frames);
    }
  });
}

test('with another MAC address, the kernel and the director are two hosts on one interface', async (t) => {
  const [near, far] = connect(t);
  near.ip('address', 'add', '198.51.100.3/24', 'dev', 'wire0');
  far.ip('address', 'add', '198.51.100.1/24', 'dev', 'wire1');
  const device = open(t, near, { mac: '02:00:00:00:00:AA' });
  t.is(device.mac, '02:00:00:00:00:aa');
  t.is(device.interfaceMac, near.link('wire0').address);
  const responder = new Responder(device, '198.51.100.2');
  device.open(() => responder.wake(), failOnError);
  for (const address of ['198.51.100.2', '198.51.100.3']) {
    t.regex(await far.runAside('ping', '-c', '2', '-i', '0.5', address), /2 received, 0% packet loss/);
  }
  t.regex(far.ip('neigh', 'show', '198.51.100.2'), /02:00:00:00:00:aa/);
});

test('asks the interface for its MAC address, all groups, and everything when told to, until it is closed', (t) => {
  const [near] = connect(t);
  const counts = () => {
    const link = JSON.parse(near.ip('-json', '-d', 'link', 'show', 'wire0'))[0];
    return [link.promiscuity, link.allmulti];
  };
  const [promiscuity, allmulti] = counts();
  const plain = open(t, near);
  t.deepEqual(counts(), [promiscuity, allmulti + 1]);
  const open2 = open(t, near, { promiscuous: true });
  t.deepEqual(counts(), [promiscuity + 1, allmulti + 2]);
  plain.close();
  open2.close();
  t.deepEqual(counts(), [promiscuity, allmulti]);
});

test('says what is wrong when an interface cannot be had', (t) => {
  const [near, far] = connect(t);
  const there = { interface: 'wire0', namespace: near.name };
  const xdp = { ...there, io: 'af_xdp' } as const;
  const holder = open(t, near, { io: 'af_xdp' });
  near.ip('link', 'add', 'big0', 'mtu', '9000', 'type', 'veth', 'peer', 'name', 'big1');
  near.ip('link', 'add', 'plain0', 'mtu', '1500', 'type', 'veth', 'peer', 'name', 'plain1', 'mtu', '9000');
  near.ip('link', 'add', 'many0', 'numrxqueues', '2', 'numtxqueues', '2', 'type', 'veth', 'peer', 'name', 'many1');
  near.ip('tuntap', 'add', 'dev', 'tunnel0', 'mode', 'tun');
  const cases: [PacketOptions, string, string, RegExp][] = [
    [
      { ...there, interface: 'none0' },
      'ENODEV',
      'ioctl SIOCGIFINDEX',
      /none0 in namespace tapvs-.*no interface of this/,
    ],
    [{ ...there, interface: 'lo' }, 'EAFNOSUPPORT', 'ioctl SIOCGIFHWADDR', /no Ethernet frames/],
    [{ ...there, interface: 'tunnel0' }, 'EAFNOSUPPORT', 'ioctl SIOCGIFHWADDR', /no Ethernet frames/],
    [{ ...xdp, interface: 'big0' }, 'EMSGSIZE', 'bind AF_XDP', /MTU is too large/],
    [{ ...xdp, interface: 'plain0', xdpMode: 'native' }, 'ERANGE', 'bpf BPF_LINK_CREATE', /MTU/],
    [{ ...xdp, interface: 'many0' }, 'EMLINK', 'ioctl ETHTOOL_GCHANNELS', /say which with `queue`/],
    [{ ...xdp, interface: 'plain0', queue: 7 }, 'EINVAL', 'bind AF_XDP', /no such queue/],
    [xdp, 'EBUSY', 'bind AF_XDP', /another AF_XDP socket/],
    [{ interface: 'wire0', namespace: 'tapvs-there-is-none' }, 'ENOENT', 'open', /no such network namespace/],
    [{ interface: 'wire0', namespace: '/proc/version' }, 'EINVAL', 'setns', /not a network namespace/],
  ];
  for (const [options, code, syscall, message] of cases) {
    const error = errorOf(options);
    const cause = causeOf(error);
    t.deepEqual(
      [error.code, cause.code, cause.syscall, cause.device],
      ['ERR_DEVICE', code, syscall, options.interface],
    );
    t.regex(error.message, message);
  }
  t.is(holder.xdpMode, 'native');
  // Where the driver cannot, the program runs behind it.
  const fallen = open(t, near, { interface: 'plain0', io: 'af_xdp' });
  t.is(fallen.xdpMode, 'generic');
  const second = open(t, near, { interface: 'many0', io: 'af_xdp', queue: 1 });
  t.is(second.xdpMode, 'native');
  t.truthy(far);
});

ava('refuses options that cannot be', (t) => {
  const cases: [object, string][] = [
    [{ interfase: 'eth0' }, 'interfase'],
    [{}, 'interface'],
    [{ interface: '' }, 'interface'],
    [{ interface: 7 }, 'interface'],
    [{ interface: 'a-name-too-long0' }, 'interface'],
    [{ interface: 'a/b' }, 'interface'],
    [{ interface: 'eth0:1' }, 'interface'],
    [{ interface: 'eth0', namespace: '' }, 'namespace'],
    [{ interface: 'eth0', namespace: 3 }, 'namespace'],
    [{ interface: 'eth0', io: 'auto' }, 'io'],
    [{ interface: 'eth0', mac: 'nonsense' }, 'mac'],
    [{ interface: 'eth0', mac: '01:00:5e:00:00:01' }, 'mac'],
    [{ interface: 'eth0', promiscuous: 1 }, 'promiscuous'],
    [{ interface: 'eth0', queues: 0 }, 'queues'],
    [{ interface: 'eth0', queues: 257 }, 'queues'],
    [{ interface: 'eth0', io: 'af_xdp', queues: 1 }, 'queues'],
    [{ interface: 'eth0', io: 'af_xdp', queue: -1 }, 'queue'],
    [{ interface: 'eth0', io: 'af_xdp', queue: 1.5 }, 'queue'],
    [{ interface: 'eth0', queue: 0 }, 'queue'],
    [{ interface: 'eth0', io: 'af_xdp', xdpMode: 'fast' }, 'xdpMode'],
    [{ interface: 'eth0', xdpMode: 'native' }, 'xdpMode'],
  ];
  for (const [options, option] of cases) {
    const error = errorOf(options as PacketOptions);
    t.is(error.code, 'ERR_INVALID_OPTION', option);
    t.is(error.option, option);
  }
});

test('ordinary users are told what they lack', (t) => {
  const [near] = connect(t);
  const script = fileURLToPath(new URL('./support/attach-without-privileges.js', import.meta.url));
  const run = (io: string, ...privileges: string[]) => near.run('setpriv', ...privileges, process.execPath, script, io);
  const nobody = ['--reuid', '65534', '--clear-groups', '--inh-caps', '-all'];
  t.regex(run('af_packet', ...nobody), /^ERR_DEVICE wire0: cannot be opened: EPERM.*CAP_NET_RAW\)/);
  t.regex(run('af_xdp', ...nobody), /^ERR_DEVICE .*CAP_NET_RAW\)/);
  const raw = ['--bounding-set', '-all,+net_raw', '--inh-caps', '-all,+net_raw'];
  t.is(run('af_packet', ...raw), 'opened\n');
  t.regex(run('af_xdp', ...raw), /^ERR_DEVICE .*CAP_BPF and CAP_NET_ADMIN\)/);
});

/** A long frame in few words. */
const digest = (frame: Uint8Array): string =>
  `${frame.length} bytes ${createHash('sha256').update(frame).digest('hex').slice(0, 16)}`;

/** A TCP segment of IPv4, or many in one frame, whose checksum is left to be completed. */
function tcpFrame(payload: number): Uint8Array {
  const frame = buildFrame({
    ethernet: { source: '02:00:00:00:00:77', destination: '02:00:00:00:00:78' },
    ip: { source: '198.51.100.1', destination: '198.51.100.2' },
    tcp: { sourcePort: 1, destinationPort: 2, flags: 'A', data: new Uint8Array(payload).fill(7) },
  });
  return frame;
}

test('checksums and segments that are left undone stay so on the way, and are told of, with tags and in any length', (t) => {
  const [near, far] = openPair(t, { io: 'af_packet' });
  t.true(near.checksumOffload);
  const partial = (34 << 16) | 50;
  const tag = (4 << 16) | 4;
  const cases: [Uint8Array, number, number][] = [
    [tcpFrame(100), 0, 0],
    [tcpFrame(100), partial, 0],
    [tagged(tcpFrame(100), TAGS[0]!), partial + tag, 0],
    [tcpFrame(3000), partial, (SEGMENT_TCP4 << 16) | 1000],
    [tcpFrame(64_000), partial, (SEGMENT_TCP4 << 16) | 1448],
    [tagged(tcpFrame(64_000), TAGS[0]!), partial + tag, (SEGMENT_TCP4 << 16) | 1448],
    [tcpFrame(1), 0, 0],
  ];
  for (const [from, to] of [
    [near, far],
    [far, near],
  ] as const) {
    const outgoing = batchOf(cases.map(([frame]) => frame));
    cases.forEach(([, part, segments], i) => {
      outgoing.partial[i] = part;
      outgoing.segments[i] = segments;
    });
    t.is(from.transmit(outgoing), cases.length);
    const incoming = makeBatch(64, 70_000);
    const count = to.receive(incoming);
    t.deepEqual(
      framesOf(incoming, count).map((frame, i) => [digest(frame), incoming.partial[i], incoming.segments[i]]),
      cases.map(([frame, ...words]) => [digest(frame), ...words]),
    );
  }
  t.deepEqual(near.drops, NOTHING_LOST);

  // What does not fit is lost for itself alone.
  const outgoing = batchOf(cases.map(([frame]) => frame));
  cases.forEach(([, part, segments], i) => {
    outgoing.partial[i] = part;
    outgoing.segments[i] = segments;
  });
  far.transmit(outgoing);
  const incoming = makeBatch(64, 2000);
  t.deepEqual(
    framesOf(incoming, near.receive(incoming)).map(digest),
    [0, 1, 2, 6].map((i) => digest(cases[i]![0])),
  );
  t.deepEqual(near.drops, { ...NOTHING_LOST, oversize: 3 });
});
