/** A director's state in its successor's hands: everything that goes on, and nothing that a damaged file could do. */
import test from 'ava';
import fc from 'fast-check';
import { BYPASS } from '../../src/conntrack/forward-method.ts';
import { FWD_MASK, SYNCED, TEMPLATE } from '../../src/conntrack/layout.ts';
import { type ConnectionEntry, Director, inspectHandover, MemoryDevice, type ReadBytes } from '../../src/index.ts';
import { CLIENT, CLIENT6, DIP, Lab, rs, rs6, rsMac, tcp, udp, VIP, VIP6 } from './lab.ts';

function bytesOf(director: Director, note: unknown = null): Buffer {
  return Buffer.concat([...director.handOver(note)]);
}

function reader(bytes: Uint8Array): ReadBytes {
  let at = 0;
  return (count) => bytes.subarray(at, (at += count));
}

/** A lab whose director has taken over from another's; what was written is the same from then on. */
function successor(bytes: Uint8Array, options: ConstructorParameters<typeof Lab>[0] = {}, ipv6 = false): Lab {
  const lab = new Lab({ neighbours: [], ...options }, ipv6);
  lab.director.takeOver(reader(bytes));
  return lab;
}

const endsOf = (one: ConnectionEntry) =>
  [one.protocol, one.clientAddress, one.clientPort, one.virtualAddress, one.virtualPort].join();
const sorted = (director: Director) => director.connections().sort((a, b) => (endsOf(a) < endsOf(b) ? -1 : 1));

/** The same without the timers: a moment passes in between. */
const withoutTimers = (director: Director) => sorted(director).map((entry) => ({ ...entry, expiresInSeconds: 0 }));

/** Services, connections and templates of many kinds. */
function busyLab(): Lab {
  const lab = new Lab({}, true);
  const { director } = lab;
  director.ipvsadm(`-A -t ${VIP}:80 -s wrr`);
  director.ipvsadm(`-a -t ${VIP}:80 -r ${rs(11)} -m -w 3 -x 100 -y 50`);
  director.ipvsadm(`-a -t ${VIP}:80 -r ${rs(12)} -m`);
  director.ipvsadm(`-A -t ${VIP}:443 -s sh -b sh-port -p 600`);
  director.ipvsadm(`-a -t ${VIP}:443 -r ${rs(13)} -g`);
  director.ipvsadm(`-A -u ${VIP}:53 -s rr`);
  director.ipvsadm(`-a -u ${VIP}:53 -r ${rs(14)} -i`);
  director.ipvsadm(`-A -t [${VIP6}]:80 -s lc`);
  director.ipvsadm(`-a -t [${VIP6}]:80 -r ${rs6(11)} -m`);
  director.ipvsadm('-A -f 7 -s rr -p 60');
  director.ipvsadm(`-a -f 7 -r ${rs(15)} -g`);
  director.ipvsadm('--set 1000 100 200');
  for (let port = 40000; port < 40010; port++) {
    lab.client('S', { port });
    if (port % 2 === 0) lab.client('A', { port });
    lab.client('S', { port, toPort: 443, from: `192.0.2.${port - 39900}` });
    lab.datagram({ port });
  }
  lab.frame({
    ip: { source: CLIENT6, destination: VIP6 },
    tcp: { sourcePort: 4000, destinationPort: 80, flags: 'S' },
  });
  lab.sleep(1);
  return lab;
}

test('services, servers, timeouts, counters, connections and templates are as they were', (t) => {
  const lab = busyLab();
  const bytes = bytesOf(lab.director, { hello: 'world' });
  t.like(inspectHandover(reader(bytes)), { note: { hello: 'world' } });
  const next = successor(bytes, {}, true);
  const stripped = (director: Director) =>
    director.services().map((one) => ({
      ...one,
      rates: null,
      destinations: one.destinations.map((each) => ({ ...each, rates: null, handshakes: null })),
    }));
  t.deepEqual(stripped(next.director), stripped(lab.director));
  t.deepEqual(withoutTimers(next.director), withoutTimers(lab.director));
  const lefts = sorted(next.director).map(
    ({ expiresInSeconds }, i) => sorted(lab.director)[i]!.expiresInSeconds - expiresInSeconds,
  );
  t.true(
    lefts.every((difference) => difference === 0 || difference === 1),
    `${lefts}`,
  );
  t.is(sorted(next.director).length, 41);
  t.deepEqual(next.director.getTimeouts(), { tcp: 1000, tcpfin: 100, udp: 200 });
  t.deepEqual(next.director.statistics(), lab.director.statistics());
  t.is(next.director.ipvsadm('-S -n').out, lab.director.ipvsadm('-S -n').out);
  // Once more: nothing is there twice.
  const again = next.director.takeOver(reader(bytes));
  t.like(again, { connections: 0, problems: [] });
  t.is(again.refused, sorted(next.director).length);
});

test('an established connection goes on by NAT, both ways, without a question to anybody', (t) => {
  const lab = new Lab({ neighbours: [] });
  lab.director.ipvsadm(`-A -t ${VIP}:80`);
  lab.director.ipvsadm(`-a -t ${VIP}:80 -r ${rs(11)} -m`);
  const learn = (ip: string, mac: string) =>
    lab.frame({
      ethernet: { source: mac },
      arp: { operation: 1, senderMac: mac, senderIp: ip, targetMac: '00:00:00:00:00:00', targetIp: DIP },
    } as never);
  learn(rs(11), rsMac(11));
  learn('10.0.0.254', '02:00:00:00:00:fe');
  lab.client('S');
  lab.server(11, 'SA');
  lab.client('A');
  const before = [lab.client('PA'), lab.server(11, 'PA')].map(([sent]) => sent?.text);
  const next = successor(bytesOf(lab.director));
  t.deepEqual(
    [next.client('PA'), next.server(11, 'PA')].map(([sent]) => sent?.text),
    before,
  );
  t.is(next.director.connections()[0]?.state, 'ESTABLISHED');
  next.client('FA');
  next.server(11, 'FA');
  next.client('A');
  t.is(next.director.connections()[0]?.state, 'TIME_WAIT');
  next.sleep(125);
  t.deepEqual(next.director.connections(), []);
  t.like(next.director.services()[0]?.destinations[0], { activeConns: 0, inactConns: 0 });
});

test('templates go on: their clients stay with their servers, and they with their connections', (t) => {
  const lab = new Lab();
  lab.director.ipvsadm(`-A -t ${VIP}:80 -s rr -p 60`);
  for (const n of [11, 12, 13]) lab.director.ipvsadm(`-a -t ${VIP}:80 -r ${rs(n)} -m`);
  lab.client('S', { port: 1000 });
  lab.client('A', { port: 1000 });
  const server = lab.director.connections()[0]!.destinationAddress;
  const next = successor(bytesOf(lab.director));
  for (let port = 2000; port < 2005; port++) next.client('S', { port });
  t.true(next.director.connections().every(({ destinationAddress }) => destinationAddress === server));
  // The template outlives its time as long as the connection is there.
  next.sleep(500);
  t.deepEqual(
    next.director
      .connections()
      .map(({ clientPort }) => clientPort)
      .sort(),
    [0, 1000],
  );
});

test('FTP: passive replies are still rewritten, their data connections expected, and sequence numbers shifted', (t) => {
  const lab = new Lab();
  lab.director.ipvsadm(`-A -t ${VIP}:21`);
  lab.director.ipvsadm(`-a -t ${VIP}:21 -r ${rs(11)} -m`);
  const ends = { toPort: 21 };
  const request = (line: string) =>
    lab.frame({
      ip: { source: CLIENT, destination: VIP },
      tcp: { sourcePort: 40000, destinationPort: 21, flags: 'PA', data: Buffer.from(line) },
    });
  const reply = (of: Lab, line: string, sequence: number) =>
    of.frame({
      ethernet: { source: rsMac(11) },
      ip: { source: rs(11), destination: CLIENT },
      tcp: { sourcePort: 21, destinationPort: 40000, flags: 'PA', sequence, data: Buffer.from(line) },
    })[0]?.text;
  lab.client('S', ends);
  lab.frame({
    ethernet: { source: rsMac(11) },
    ip: { source: rs(11), destination: CLIENT },
    tcp: { sourcePort: 21, destinationPort: 40000, flags: 'SA' },
  });
  lab.client('A', ends);
  request('PASV\r\n');
  t.truthy(reply(lab, '227 Entering Passive Mode (10,0,0,11,20,0).\r\n', 1000));
  request('PASV\r\n');
  const twin = new Lab();
  twin.director.takeOver(reader(bytesOf(lab.director)));
  t.is(twin.director.connections().length, 2);
  // The request was seen by the predecessor, the reply is its successor's.
  const line = '227 Entering Passive Mode (10,0,0,11,20,1).\r\n';
  t.is(reply(twin, line, 2000), reply(lab, line, 2000));
  t.deepEqual(withoutTimers(twin.director), withoutTimers(lab.director));
});

test('time passes while nobody works: timers go on from what was left, less that', (t) => {
  const lab = new Lab();
  lab.director.ipvsadm(`-A -u ${VIP}:53`);
  lab.director.ipvsadm(`-a -u ${VIP}:53 -r ${rs(11)} -m`);
  lab.datagram();
  lab.sleep(250);
  lab.datagram({ port: 40001 });
  const bytes = bytesOf(lab.director);
  const now = Date.now;
  try {
    Date.now = () => now() + 100_000;
    const next = new Lab();
    t.like(next.director.takeOver(reader(bytes)), { connections: 1, expired: 1 });
    const [left] = next.director.connections();
    t.is(left?.clientPort, 40001);
    t.true(Math.abs(left!.expiresInSeconds - 200) <= 1);
    // A clock that was set back lets nothing live longer.
    Date.now = () => now() - 3_600_000;
    const back = new Lab();
    t.like(back.director.takeOver(reader(bytes)), { connections: 2 });
  } finally {
    Date.now = now;
  }
});

test('what has no place here is left out, and said', (t) => {
  const lab = busyLab();
  lab.director.ipvsadm(`-d -t ${VIP}:80 -r ${rs(11)}`);
  const bytes = bytesOf(lab.director);
  const all = lab.director.connections().length;
  const next = new Lab({ maxConnections: 8 });
  const taken = next.director.takeOver(reader(bytes));
  t.true(taken.beyondTable > 0);
  t.true(taken.connections + taken.beyondTable < all, 'those of the removed server are not taken along');
  const entries = next.director.connections();
  t.is(entries.length, taken.connections);
  t.true(entries.every(({ destinationAddress }) => destinationAddress !== rs(11)));
});

test('two threads take over from one, and one from two: every connection once', (t) => {
  const lab = busyLab();
  const { length } = lab.director.connections();
  const two = new Director({
    interfaces: [{ device: new MemoryDevice({ name: 'eth0' }), addresses: [`${DIP}/24`] }],
    threads: 2,
  });
  t.teardown(() => two.stop());
  t.is(two.takeOver(reader(bytesOf(lab.director))).connections, length);
  t.is(two.connections().length, length);
  t.deepEqual(
    two.services().map(({ stats }) => stats),
    lab.director.services().map(({ stats }) => stats),
  );
  two.pause();
  const one = new Lab();
  t.is(one.director.takeOver(reader(bytesOf(two))).connections, length);
  const active = (director: Director) =>
    director
      .services()
      .map(({ destinations }) => destinations.map((each) => [each.activeConns, each.inactConns, each.persistConns]));
  t.deepEqual(active(one.director), active(lab.director));
});

test('a director that hands over goes on: each piece is right for its moment', (t) => {
  const lab = busyLab();
  const pieces: Uint8Array[] = [];
  let port = 50000;
  for (const piece of lab.director.handOver()) {
    pieces.push(piece);
    lab.client('S', { port: port++ });
    lab.sleep(1);
  }
  t.true(pieces.length >= 4);
  t.notThrows(() => successor(Buffer.concat(pieces)));
});

// ---- Damaged and hostile -----------------------------------------------------------------------------------------

test('what is damaged or cut off is refused before anything is changed', (t) => {
  const bytes = bytesOf(busyLab().director);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const damaged = Buffer.from(bytes);
      damaged[at]! ^= change;
      t.throws(() => inspectHandover(reader(damaged)), { code: 'ERR_HANDOVER' });
    }),
    { numRuns: 300 },
  );
  for (let length = 0; length < bytes.length; length += 97) {
    t.throws(() => inspectHandover(reader(bytes.subarray(0, length))), { code: 'ERR_HANDOVER' });
  }
  t.throws(() => inspectHandover(reader(Buffer.concat([bytes, Buffer.of(0)]))), { code: 'ERR_HANDOVER' });
});

/** Puts the right checksum back on every block, as whoever writes such a file on purpose would. */
async function forge(bytes: Buffer, change: (payload: Buffer, kind: number) => void): Promise<Buffer> {
  const { crc32 } = await import('node:zlib');
  const forged = Buffer.from(bytes);
  for (let at = 16; at < forged.length; ) {
    const length = forged.readUInt32LE(at + 4);
    const payload = forged.subarray(at + 12, at + 12 + length);
    change(payload, forged.readUInt32LE(at));
    forged.writeUInt32LE(crc32(payload), at + 8);
    at += 12 + length;
  }
  return forged;
}

test('rows that were forged break nothing: the director lists, works and lets all of it end', async (t) => {
  const bytes = bytesOf(busyLab().director);
  let taken = 0;
  for (let seed = 1; seed <= 60; seed++) {
    let state = seed;
    const random = (below: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const forged = await forge(bytes, (payload, kind) => {
      if (kind !== 2) return;
      const start = 4 + payload.readUInt32LE(0);
      for (let i = 0; i < 40 && start < payload.length; i++) {
        const at = start + 4 * random((payload.length - start) / 4);
        if (seed % 2 === 0) payload.writeInt32LE(random(2 ** 32) | 0, at);
        else payload[at + random(4)] ^= 1 << random(8);
      }
    });
    const lab = new Lab({}, true);
    const { connections } = lab.director.takeOver(reader(forged));
    taken += connections;
    t.is(lab.director.connections().length, connections);
    for (let port = 40000; port < 40010; port++) {
      lab.client('A', { port });
      lab.client('FA', { port });
      lab.server(11, 'A', { toPort: port });
    }
    lab.director.ipvsadm('-Lnc');
    lab.director.sysctl.set('expire_nodest_conn', 1);
    lab.director.flush();
    lab.sleep(3);
    t.is(lab.director.services().length, 0);
    t.true(
      lab.director
        .connections()
        .every(({ flags }) => (flags & (SYNCED | TEMPLATE)) !== 0 || (flags & FWD_MASK) === BYPASS),
    );
  }
  t.true(taken > 100, `${taken}`);
});

test('a state that was forged is refused by name, or part by part', async (t) => {
  const lab = busyLab();
  const bytes = bytesOf(lab.director);
  const values = [null, -1, 1e99, 'x', [], {}];
  for (const value of values) {
    for (const path of [
      'services',
      'timeouts',
      'daemons',
      'host',
      'total',
      'at',
      'services.0',
      'services.0.destinations',
      'services.0.stats',
      'services.0.destinations.0',
      'services.0.address',
      'services.0.flags',
      'services.0.protocol',
      'services.0.destinations.0.stats.conns',
      'services.0.destinations.0.weight',
      'host.neighbours',
      'host.neighbours.0',
      'host.pathMtus',
    ]) {
      const forged = await forgeState(bytes, path, value);
      const next = new Lab({}, true);
      try {
        const { problems } = next.director.takeOver(reader(forged));
        t.true(problems.length < 30);
      } catch (error) {
        t.is((error as { code?: string }).code, 'ERR_HANDOVER', `${path} = ${JSON.stringify(value)}: ${error}`);
      }
      next.client('S');
      next.director.ipvsadm('-Ln --stats');
    }
  }
});

async function forgeState(bytes: Buffer, path: string, value: unknown): Promise<Buffer> {
  const { crc32 } = await import('node:zlib');
  const length = bytes.readUInt32LE(20);
  const state = JSON.parse(bytes.subarray(28, 28 + length).toString());
  const steps = path.split('.');
  let at = state;
  for (const step of steps.slice(0, -1)) at = at?.[step];
  if (typeof at === 'object' && at !== null) at[steps.at(-1)!] = value;
  const payload = Buffer.from(JSON.stringify(state));
  const header = Buffer.alloc(12);
  header.writeUInt32LE(1, 0);
  header.writeUInt32LE(payload.length, 4);
  header.writeUInt32LE(crc32(payload), 8);
  return Buffer.concat([bytes.subarray(0, 16), header, payload, bytes.subarray(28 + length)]);
}

test('UDP services and their one-packet ways leave nothing behind', (t) => {
  const lab = new Lab();
  lab.director.addService(udp(), { onePacket: true });
  lab.director.addDestination(udp(), { address: rs(11) });
  lab.datagram();
  const next = successor(bytesOf(lab.director));
  t.deepEqual(next.director.connections(), []);
  t.is(next.director.service(udp()).flags, lab.director.service(udp()).flags);
  t.throws(() => next.director.service(tcp()), { code: 'ERR_NO_SUCH_SERVICE' });
});
