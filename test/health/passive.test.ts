/** What clients' packets tell of a server: counted from real segments, under NAT and DR, and a reason to leave it out. */
import { setImmediate as turn } from 'node:timers/promises';
import test from 'ava';
import type { DestinationOptions, HandshakeCounts, HealthChange, HealthOptions } from '../../src/index.ts';
import { NO_HANDSHAKES } from '../core/handshakes.ts';
import { Lab, rs, tcp } from '../core/lab.ts';

function labWith(method: 'masq' | 'route', ...servers: readonly number[]): Lab {
  const lab = new Lab();
  const options: DestinationOptions = { method, weight: 10 };
  lab.director.addService(tcp(), { scheduler: 'rr' });
  for (const n of servers) lab.director.addDestination(tcp(), { address: rs(n) }, options);
  return lab;
}

function counts(lab: Lab, n = 11): HandshakeCounts {
  return lab.director.service(tcp()).destinations.find(({ address }) => address === rs(n))!.handshakes;
}

test('NAT: a handshake is counted step by step, and timed', (t) => {
  const lab = labWith('masq', 11);
  t.deepEqual(counts(lab), NO_HANDSHAKES);
  lab.client('S');
  t.deepEqual(counts(lab), { ...NO_HANDSHAKES, started: 1 });
  lab.sleep(0.05);
  lab.server(11, 'SA');
  const answered = { ...NO_HANDSHAKES, started: 1, answered: 1, timed: 1, timedSeconds: 0.05 };
  t.deepEqual(counts(lab), answered);
  lab.server(11, 'SA');
  lab.client('A');
  const completed = { ...answered, completed: 1 };
  t.deepEqual(counts(lab), completed);
  for (let i = 0; i < 5; i++) {
    lab.client('AP');
    lab.server(11, 'AP');
  }
  t.deepEqual(counts(lab), completed, 'what follows is no handshake');
  lab.server(11, 'R');
  t.deepEqual(counts(lab), { ...completed, reset: 1 });
  lab.server(11, 'R');
  t.is(counts(lab).reset, 1);
  lab.sleep(100);
  t.is(counts(lab).expired, 0);
});

test('NAT: SYNs that are refused, repeated, answered late, or never', (t) => {
  const lab = labWith('masq', 11);
  lab.client('S', { port: 1 });
  lab.server(11, 'RA', { toPort: 1 });
  t.deepEqual(counts(lab), { ...NO_HANDSHAKES, started: 1, refused: 1 });
  lab.client('S', { port: 2 });
  lab.sleep(1);
  lab.client('S', { port: 2 });
  lab.client('S', { port: 2 });
  t.deepEqual(counts(lab), { ...NO_HANDSHAKES, started: 2, refused: 1, repeated: 1 });
  lab.server(11, 'SA', { toPort: 2 });
  t.deepEqual(
    counts(lab),
    { ...NO_HANDSHAKES, started: 2, refused: 1, repeated: 1, answered: 1 },
    'which SYN was answered is not known',
  );
  lab.client('S', { port: 2 });
  lab.client('S', { port: 3 });
  lab.sleep(61);
  t.is(counts(lab).expired, 1, 'the one that the server has answered is not its fault');
  t.is(counts(lab).repeated, 1);
});

test('NAT: a reset by the client, or of the end of a connection, says nothing', (t) => {
  const lab = labWith('masq', 11);
  for (const port of [1, 2]) {
    lab.client('S', { port });
    lab.server(11, 'SA', { toPort: port });
    lab.client('A', { port });
  }
  const before = counts(lab);
  lab.client('R', { port: 1 });
  lab.client('FA', { port: 2 });
  lab.server(11, 'FA', { toPort: 2 });
  lab.server(11, 'R', { toPort: 2 });
  t.deepEqual(counts(lab), before);
});

test('DR: what the client’s segments tell, and no more', (t) => {
  const lab = labWith('route', 11);
  lab.client('S', { port: 1 });
  lab.client('A', { port: 1 });
  t.deepEqual(counts(lab), { ...NO_HANDSHAKES, started: 1, completed: 1 });
  lab.client('S', { port: 2 });
  lab.client('S', { port: 2 });
  t.deepEqual(counts(lab), { ...NO_HANDSHAKES, started: 2, completed: 1, repeated: 1 });
  lab.sleep(61);
  t.deepEqual(counts(lab), { ...NO_HANDSHAKES, started: 2, completed: 1, repeated: 1, expired: 1 });
});

test('with secure_tcp it is the same', (t) => {
  for (const method of ['masq', 'route'] as const) {
    const lab = labWith(method, 11);
    lab.director.sysctl.set('secure_tcp', 3);
    lab.client('S');
    if (method === 'masq') lab.server(11, 'SA');
    lab.client('A');
    // Then it takes a segment of the server's to leave SYN_RECV, where one is seen.
    if (method === 'masq') lab.server(11, 'A');
    t.like(counts(lab), { started: 1, completed: 1, answered: method === 'masq' ? 1 : 0 });
    lab.client('S', { port: 2 });
    lab.client('S', { port: 2 });
    t.like(counts(lab), { started: 2, repeated: 1 });
  }
});

test('a packet that is only explained is not counted', (t) => {
  const lab = labWith('masq', 11);
  lab.director.explain('tcp 192.0.2.1:40000 > 10.0.0.100:80 S');
  t.deepEqual(counts(lab), NO_HANDSHAKES);
});

/** A lab in which servers refuse, or answer, connections of many clients. */
class Practice {
  readonly lab: Lab;
  readonly told: HealthChange[] = [];
  #port = 1000;

  constructor(options: HealthOptions, ...servers: readonly number[]) {
    this.lab = labWith('masq', ...servers);
    this.lab.director.on('health', (change) => this.told.push(change));
    this.lab.director.watch(tcp(), options);
  }

  /** Connections, of which those that come to these servers are refused. */
  async connect(count: number, refusing: readonly number[]): Promise<void> {
    for (let i = 0; i < count; i++) {
      const port = this.#port++;
      const sent = this.lab.client('S', { port });
      const n = [11, 12, 13].find((one) => sent.some(({ text }) => text.includes(`> ${rs(one)}`)))!;
      this.lab.server(n, refusing.includes(n) ? 'RA' : 'SA', { toPort: port });
    }
    await turn();
  }

  async sleep(seconds: number): Promise<void> {
    for (let i = 0; i < seconds * 10; i++) this.lab.clock.advance(100);
    await turn();
  }

  weights(): number[] {
    return this.lab.director
      .service(tcp())
      .destinations.map(({ weight }) => weight)
      .reverse();
  }
}

test('a server that resets its clients is left out for a while, with the reason, and starts slowly', async (t) => {
  const practice = new Practice(
    { passive: { window: 2, connections: 5, eject: 20 }, slowStart: { duration: 10, from: 0.5, steps: 1 } },
    11,
    12,
  );
  await practice.sleep(1);
  await practice.connect(8, [11]);
  await practice.sleep(3);
  t.deepEqual(practice.weights(), [10, 10], 'too few to conclude from');
  await practice.connect(20, [11]);
  await practice.sleep(2.5);
  t.deepEqual(practice.weights(), [0, 10]);
  t.like(practice.told[0], {
    what: 'server',
    server: { address: rs(11), port: 80 },
    was: 'unchecked',
    now: 'ejected',
    reason: '10 failures in 10 new connections: 10 refused',
  });
  t.is(practice.lab.director.health()[0]!.servers[0]!.state, 'ejected');
  await practice.sleep(18);
  t.deepEqual(practice.weights(), [5, 10]);
  await practice.sleep(10);
  t.deepEqual(practice.weights(), [10, 10]);
});

test('nobody is left out below the quorum, and who is left out comes back when the others go', async (t) => {
  const practice = new Practice({ quorum: 2, passive: { window: 2, connections: 5, eject: 1000 } }, 11, 12, 13);
  await practice.sleep(1);
  await practice.connect(30, [11, 12, 13]);
  await practice.sleep(2.5);
  t.is(practice.weights().filter((weight) => weight === 10).length, 2);
  const { director } = practice.lab;
  const inUse = director.health()[0]!.servers.find(({ weight }) => weight === 10)!;
  director.editDestination(tcp(), { address: inUse.address, port: inUse.port }, { method: 'masq', weight: 0 });
  t.is(practice.weights().filter((weight) => weight === 10).length, 2);
});

test('silence is a failure too, and resets of established connections where that was asked for', async (t) => {
  for (const count of ['repeated', 'reset'] as const) {
    const practice = new Practice({ passive: { window: 2, connections: 2, count: [count] } }, 11, 12);
    const { lab } = practice;
    await practice.sleep(1);
    for (let port = 1; port <= 8; port++) {
      const sent = lab.client('S', { port });
      if (sent.some(({ text }) => text.includes(`> ${rs(11)}`))) lab.client('S', { port });
      else {
        lab.server(12, 'SA', { toPort: port });
        lab.client('A', { port });
        lab.server(12, 'R', { toPort: port });
      }
    }
    await practice.sleep(2.5);
    t.deepEqual(practice.weights(), count === 'repeated' ? [0, 10] : [10, 0]);
    t.is(practice.told[0]!.reason, `4 failures in 4 new connections: 4 ${count}`);
  }
});
