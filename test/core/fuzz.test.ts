/**
 * A million hostile frames: nothing throws, nothing is written outside a frame's own slot, every frame ends in exactly one
 * counter, everything sent is a whole frame, and in the end everything is forgotten.
 *
 * FUZZ_FRAMES=<number> throws more or fewer, FUZZ_SEED=<number> others.
 */
import test, { type ExecutionContext } from 'ava';
import { TEMPLATE } from '../../src/conntrack/layout.ts';
import { Director, ManualClock, VERDICT_NAMES, type VerdictName } from '../../src/index.ts';
import type { ServiceKey } from '../../src/services/config.ts';
import { type Guarded, GuardedDevice, type OffloadWriter } from './guarded-device.ts';
import { DIP, GATEWAY, GATEWAY_MAC, MACS, rs, rsMac, seededRandom, tcp, udp, VIP } from './lab.ts';
import { ftpFrames, Mutator, syncFrames, VIP6 } from './mutation.ts';

const FRAMES = Number(process.env.FUZZ_FRAMES ?? 1_000_000);
const SEED = Number(process.env.FUZZ_SEED ?? 1);

const FWM: ServiceKey = { fwmark: 7 };

/** An IPv4 server of an IPv6 service. */
const MIXED = { address: rs(15) };

/** Every service with its servers: all protocols, methods and tunnels. */
const SERVERS: readonly (readonly [ServiceKey, object, readonly (readonly [object, object])[]])[] = [
  [
    tcp(80),
    { scheduler: 'rr' },
    [
      [{ address: rs(11) }, { method: 'masq' }],
      [{ address: rs(12), port: 8080 }, { method: 'masq' }],
    ],
  ],
  [
    tcp(81),
    { scheduler: 'wlc' },
    [
      [{ address: rs(13) }, {}],
      [{ address: '10.0.0.99' }, {}],
    ],
  ],
  [
    tcp(82),
    { scheduler: 'wrr' },
    [
      [{ address: rs(14) }, { method: 'tunnel' }],
      [{ address: rs(15) }, { method: 'tunnel', tunnel: { type: 'gre', checksum: 'csum' } }],
      [{ address: rs(16) }, { method: 'tunnel', tunnel: { type: 'gue', port: 6080, checksum: 'remcsum' } }],
    ],
  ],
  [tcp(83), { scheduler: 'lc' }, [[{ address: DIP }, {}]]],
  [tcp(84), { scheduler: 'rr' }, []],
  [tcp(0), { scheduler: 'rr', persistent: 60 }, [[{ address: '172.16.0.12', port: 0 }, { method: 'masq' }]]],
  [
    udp(80),
    { scheduler: 'rr', onePacket: true },
    [
      [{ address: rs(11), port: 5353 }, { method: 'masq' }],
      [{ address: rs(12) }, {}],
    ],
  ],
  [udp(81), { scheduler: 'sh' }, [[{ address: rs(13) }, {}]]],
  [udp(82), { scheduler: 'mh', persistent: 30, netmask: 24 }, [[{ address: rs(14) }, { method: 'tunnel' }]]],
  [{ protocol: 'sctp', address: VIP, port: 80 }, { scheduler: 'rr' }, [[{ address: rs(11) }, { method: 'masq' }]]],
  [{ protocol: 'sctp', address: VIP, port: 81 }, { scheduler: 'rr' }, [[{ address: rs(12) }, {}]]],
  [
    FWM,
    { scheduler: 'lblcr', persistent: 60 },
    [
      [{ address: rs(17) }, { method: 'masq' }],
      [{ address: rs(18) }, { method: 'tunnel' }],
    ],
  ],
  [tcp(80, VIP6), { scheduler: 'rr' }, [[{ address: '2001:db8::b', port: 8080 }, { method: 'masq' }]]],
  [tcp(81, VIP6), { scheduler: 'rr' }, [[{ address: '2001:db8::c' }, {}]]],
  [
    tcp(82, VIP6),
    { scheduler: 'rr', persistent: 60 },
    [
      [{ address: '2001:db8::d' }, { method: 'tunnel' }],
      [{ address: '2001:db8::e' }, { method: 'tunnel', tunnel: { type: 'gue', port: 6080, checksum: 'remcsum' } }],
      [MIXED, { method: 'tunnel', tunnel: { type: 'gre' } }],
    ],
  ],
  [udp(80, VIP6), { scheduler: 'rr' }, [[{ address: '2001:db8::b', port: 5353 }, { method: 'masq' }]]],
];

const TUNABLES = [
  'cache_bypass',
  'conn_reuse_mode',
  'drop_packet',
  'expire_nodest_conn',
  'expire_quiescent_template',
  'nat_icmp_send',
  'pmtu_disc',
  'schedule_icmp',
  'secure_tcp',
  'sloppy_tcp',
  'sloppy_sctp',
];

/** What a run of this kind must have met, lest it fuzz a closed door. */
const MET: readonly VerdictName[] = [
  'MASQ',
  'TUNNEL',
  'ROUTE',
  'LOCAL',
  'REPLY',
  'RELATED',
  'FORWARDED',
  'ARP',
  'NDP',
  'ECHO',
  'REJECTED',
  'HANDED_OVER',
  'FRAGMENT',
  'SHORT_FRAME',
  'OTHER_HOST',
  'UNKNOWN_VLAN',
  'UNKNOWN_ETHERTYPE',
  'BAD_ARP',
  'BAD_HEADER',
  'MARTIAN',
  'BAD_FRAGMENT',
  'TTL_EXCEEDED',
  'TOO_BIG',
  'NO_SERVER',
  'SERVER_GONE',
  'TABLE_FULL',
  'OVERLOAD',
  'SHORT_TRANSPORT',
  'BAD_CHECKSUM',
  'NOT_WANTED',
];

class Fuzz {
  readonly clock = new ManualClock();
  readonly mutator: Mutator;
  readonly shared: Guarded;
  readonly devices: readonly GuardedDevice[];
  readonly director: Director;

  /**
   * @param growing whether frames may grow within their slots.
   * @param unfinished whether eth0 leaves checksums and segmentation undone; eth1 never does.
   */
  constructor(mutator: Mutator, growing: boolean, unfinished = false) {
    this.mutator = mutator;
    this.shared = { growing, cuts: unfinished, guard: null };
    const leave: OffloadWriter = (view, at, length) => this.mutator.leave(view, at, length);
    this.devices = ['eth0', 'eth1'].map(
      (name) =>
        new GuardedDevice(
          name,
          MACS[name]!,
          this.shared,
          (memory, view, at, room) => this.mutator.write(memory, view, at, room),
          unfinished && name === 'eth0' ? leave : null,
        ),
    );
    const [eth0, eth1] = this.devices as [GuardedDevice, GuardedDevice];
    const neighbours = [{ ip: GATEWAY, mac: GATEWAY_MAC, dev: 'eth0' }];
    for (let n = 11; n <= 16; n++) {
      neighbours.push({ ip: rs(n), mac: rsMac(n), dev: 'eth0' });
      neighbours.push({ ip: `2001:db8::${n.toString(16)}`, mac: rsMac(n), dev: 'eth0' });
    }
    this.director = new Director({
      interfaces: [
        { device: eth0, addresses: ['10.0.0.1/24', '2001:db8::1/64'] },
        { device: eth0, vlan: 7, addresses: ['10.7.0.1/24', '2001:db8:7::1/64'] },
        { device: eth1, addresses: ['172.16.0.1/24'] },
      ],
      neighbours,
      routes: [
        { to: 'default', via: GATEWAY },
        { to: '::/0', via: '2001:db8::fe', dev: 'eth0' },
        { to: '198.51.100.0/24', via: '10.7.0.2' },
      ],
      forwarding: true,
      clock: this.clock,
      random: seededRandom(SEED),
      maxConnections: 1500,
    });
    this.director.marks.add({ destinationPort: [5000, 6000], mark: 7 });
    this.director.marks.add({ protocol: 'udp', destination: VIP, destinationPort: 83, mark: 7 });
    for (const [key, options, servers] of SERVERS) {
      this.director.addService(key, options);
      for (const [server, how] of servers) this.director.addDestination(key, server as { address: string }, how);
    }
    this.director.start();
    this.director.poll(); // the devices meet the pool
  }

  /** Throws frames, and looks after each burst that all is well. */
  run(frames: number): void {
    const { director, mutator, clock } = this;
    let thrown = 0;
    for (let burst = 0; thrown < frames; burst++) {
      const size = Math.min(frames - thrown, 1 + mutator.random(128));
      try {
        this.burst(size);
        thrown += size;
        if (mutator.random(4) === 0) this.disturb();
        clock.advance(mutator.random(500) === 0 ? mutator.random(200_000) : mutator.random(100));
        if (burst % 1000 === 0) this.recount();
        const { received } = director.counters();
        if (received !== thrown || this.verdictSum() !== thrown) {
          throw new Error(`${thrown} frames, ${received} received, ${this.verdictSum()} counted`);
        }
      } catch (error) {
        throw new Error(`burst ${burst}, after ${thrown} frames: ${(error as Error).stack}`);
      }
    }
  }

  /** Looks, when it is over, that nothing stays behind. */
  end(t: ExecutionContext): void {
    const { director } = this;
    const { lost, sent } = director.counters();
    t.is(lost, 0);
    t.is(
      sent,
      this.devices.reduce((sum, device) => sum + device.sent, 0),
    );
    this.clock.advance(2 * 3600 * 1000);
    t.deepEqual(director.connections(), []);
    for (const { destinations } of director.services()) {
      for (const { activeConns, inactConns, persistConns } of destinations) {
        t.is(activeConns + inactConns + persistConns, 0);
      }
    }
  }

  /** One burst of up to a whole batch. */
  burst(frames: number): void {
    this.devices[this.mutator.random(8) === 0 ? 1 : 0]!.left = frames;
    this.director.poll();
    this.shared.guard?.check();
  }

  /** An operator who never sleeps. */
  disturb(): void {
    const { director, mutator } = this;
    const [key, , servers] = SERVERS[mutator.random(SERVERS.length)]!;
    const [server, how] = servers.length === 0 ? [undefined, {}] : servers[mutator.random(servers.length)]!;
    switch (mutator.random(6)) {
      case 0: {
        const name = TUNABLES[mutator.random(TUNABLES.length)]!;
        const values = name === 'drop_packet' || name === 'secure_tcp' ? [0, 0, 3] : [0, 1];
        director.sysctl.set(name, values[mutator.random(values.length)]!);
        return;
      }
      case 1:
        director.onPassed = mutator.random(3) === 0 ? () => {} : null;
        return;
      case 2:
        director.setTimeouts({ tcp: 1 + mutator.random(900), udp: 1 + mutator.random(300) });
        return;
      case 3:
        if (mutator.random(10) === 0) director.zero();
        return;
      default: {
        if (server === undefined) return;
        // Daemons cannot be where families are mixed.
        if (server === MIXED && director.daemons().length > 0) return;
        const options = { ...how, weight: mutator.random(4), upperThreshold: [0, 0, 0, 40][mutator.random(4)]! };
        const there = director
          .service(key)
          .destinations.some(({ address }) => address === (server as { address: string }).address);
        if (!there) director.addDestination(key, server as { address: string }, options);
        else if (mutator.random(3) === 0) director.deleteDestination(key, server as { address: string });
        else director.editDestination(key, server as { address: string }, options);
      }
    }
  }

  /** Whether the counts of every destination are those of the connections that there are. */
  recount(): void {
    const connections = this.director.connections();
    for (const service of this.director.services()) {
      for (const destination of service.destinations) {
        const { activeConns, inactConns, persistConns } = destination;
        if (Math.min(activeConns, inactConns, persistConns) < 0) throw new Error('a count below 0');
      }
    }
    const sum = (count: 'activeConns' | 'inactConns' | 'persistConns') =>
      this.director
        .services()
        .flatMap(({ destinations }) => destinations.map((one) => one[count]))
        .reduce((a, b) => a + b, 0);
    const templates = connections.filter(({ flags }) => (flags & TEMPLATE) !== 0).length;
    // Deleted destinations have connections too, so the sums are bounds.
    if (sum('persistConns') > templates) throw new Error('more templates counted than there are');
    if (sum('activeConns') + sum('inactConns') > connections.length - templates) {
      throw new Error('more connections counted than there are');
    }
  }

  verdictSum(): number {
    return Object.values(this.director.counters().verdicts).reduce((sum, count) => sum + count, 0);
  }
}

test(`${FRAMES} mutated frames`, (t) => {
  const fuzz = new Fuzz(new Mutator(SEED), false);
  fuzz.run(FRAMES);
  const { verdicts } = fuzz.director.counters();
  t.log(VERDICT_NAMES.map((name) => `${name} ${verdicts[name]}`).join(', '));
  if (FRAMES >= 100_000) {
    t.deepEqual(
      MET.filter((name) => verdicts[name] === 0),
      [],
    );
  }
  fuzz.end(t);
});

test('mutated FTP, whose packets grow and shrink', (t) => {
  const fuzz = new Fuzz(new Mutator(SEED, [ftpFrames()]), true);
  for (const [address, server] of [
    [VIP, rs(11)],
    [VIP6, '2001:db8::b'],
  ] as const) {
    fuzz.director.addService(tcp(21, address), { scheduler: 'rr' });
    fuzz.director.addDestination(tcp(21, address), { address: server }, { method: 'masq' });
  }
  let listening = 0;
  fuzz.director.on('connectionCreated', ({ clientPort }) => {
    if (clientPort === 0) listening++;
  });
  fuzz.run(FRAMES / 5);
  t.true(listening > 0 || FRAMES < 100_000);
  fuzz.end(t);
});

test('mutated frames whose checksums and segmentation are left undone, or are said to be', (t) => {
  const fuzz = new Fuzz(new Mutator(SEED), true, true);
  fuzz.run(FRAMES / 5);
  const { verdicts } = fuzz.director.counters();
  t.log(VERDICT_NAMES.map((name) => `${name} ${verdicts[name]}`).join(', '));
  if (FRAMES >= 100_000) {
    const met: readonly VerdictName[] = ['BAD_OFFLOAD', 'MASQ', 'TUNNEL', 'ROUTE', 'REPLY', 'HANDED_OVER', 'TOO_BIG'];
    t.deepEqual(
      met.filter((name) => verdicts[name] === 0),
      [],
    );
  }
  fuzz.end(t);
});

test('mutated messages of a sync master, to a director that is master and backup', (t) => {
  const frames = syncFrames();
  t.true(frames.length >= 10, `${frames.length} messages`);
  const fuzz = new Fuzz(new Mutator(SEED, [frames]), false);
  const { director } = fuzz;
  director.deleteDestination(tcp(82, VIP6), MIXED);
  director.startDaemon({ role: 'backup' });
  director.startDaemon({ role: 'master' });
  let taken = 0;
  director.on('connectionCreated', () => taken++);
  fuzz.run(FRAMES / 5);
  t.true((taken > 0 && director.counters().verdicts.SYNC > 0) || FRAMES < 100_000);
  // A message may say that a connection lives for a month: too long to wait for it here.
  const left = director.connections();
  t.true(left.every(({ expiresInSeconds }) => expiresInSeconds <= 31 * 86_400));
  fuzz.recount();
});
