/** Watching a service: what becomes of its servers' weights, who wins when hands are at work, and what is told. */
import { setImmediate as turn } from 'node:timers/promises';
import test from 'ava';
import type { DirectorError, HealthChange, HealthOptions } from '../../src/index.ts';
import { Lab, rs, tcp } from '../core/lab.ts';

const A = { address: rs(11) };
const B = { address: rs(12) };
const SORRY = { address: rs(18), weight: 1 };

/** A lab in which this test says how the servers are. */
class Clinic {
  readonly lab = new Lab();
  readonly told: string[] = [];
  readonly ill = new Set<string>();
  readonly loads = new Map<string, number>();

  constructor(servers: readonly { address: string; weight?: number }[] = [A, B]) {
    const { director } = this.lab;
    director.addService(tcp(), { scheduler: 'wrr' });
    for (const { address, weight = 100 } of servers) director.addDestination(tcp(), { address }, { weight });
    director.on('health', (change) => this.told.push(describe(change)));
  }

  watch(options: HealthOptions = {}): void {
    this.lab.director.watch(tcp(), {
      check: async ({ address }) => {
        if (this.ill.has(address)) throw new Error('ill');
      },
      interval: 1,
      timeout: 0.5,
      jitter: 0,
      rise: 1,
      fall: 1,
      ...options,
    });
  }

  /** Lets time pass as it does for promises too. */
  async sleep(seconds: number): Promise<void> {
    for (let i = 0; i < seconds * 10; i++) {
      this.lab.clock.advance(100);
      await turn();
    }
  }

  /** `.11*100 .12*0`: the servers in the table. */
  table(): string {
    const { destinations } = this.lab.director.service(tcp());
    return destinations
      .map(({ address, weight }) => `${address.replace('10.0.0', '')}*${weight}`)
      .sort()
      .join(' ');
  }

  ipvsadm(line: string): number {
    return this.lab.director.ipvsadm(line).status;
  }
}

function describe(change: HealthChange): string {
  const where = 'server' in change ? `${change.server.address.replace('10.0.0', '')} ` : '';
  return `${change.what} ${where}${change.was} > ${change.now}: ${change.reason}`;
}

test('a server that fails its checks gets weight 0, and its own weight back; each change is told with its reason', async (t) => {
  const clinic = new Clinic();
  clinic.watch({ rise: 2, fall: 2 });
  await clinic.sleep(0.5);
  t.is(clinic.table(), '.11*100 .12*100');
  t.deepEqual(clinic.told.splice(0), ['server .11 unchecked > up: answers', 'server .12 unchecked > up: answers']);
  clinic.ill.add(A.address);
  await clinic.sleep(1);
  t.is(clinic.table(), '.11*100 .12*100', 'once is not enough');
  await clinic.sleep(1);
  t.is(clinic.table(), '.11*0 .12*100');
  t.deepEqual(clinic.told.splice(0), ['server .11 up > down: ill', 'weight .11 100 > 0: ill']);
  clinic.ill.delete(A.address);
  await clinic.sleep(2);
  t.is(clinic.table(), '.11*100 .12*100');
  t.deepEqual(clinic.told, ['server .11 down > up: answers', 'weight .11 0 > 100: its configured weight']);
  const [health] = clinic.lab.director.health();
  t.like(health, { state: 'served', quorum: 1, inUse: 2, sorryServer: null });
  t.like(health!.servers[0], { ...A, port: 80, state: 'up', configuredWeight: 100, weight: 100 });
  t.is(health!.servers[0]!.checks.failed, 2);
});

test('with remove a server that is down leaves the table, with all its options kept', async (t) => {
  const clinic = new Clinic([B]);
  const { director } = clinic.lab;
  const options = { method: 'masq', weight: 7, upperThreshold: 9, lowerThreshold: 3 } as const;
  director.addDestination(tcp(), { ...A, port: 8080 }, options);
  const as = () => director.service(tcp()).destinations.find(({ address }) => address === A.address);
  const before = as();
  clinic.watch({ onFailure: 'remove' });
  clinic.ill.add(A.address);
  await clinic.sleep(1);
  t.is(clinic.table(), '.12*100');
  t.is(director.health()[0]!.servers.find(({ port }) => port === 8080)!.weight, null);
  clinic.ill.clear();
  await clinic.sleep(2);
  t.deepEqual(as(), before);
});

test('what a hand sets is the configured weight; health decides how much of it counts', async (t) => {
  const clinic = new Clinic();
  clinic.watch();
  clinic.ill.add(A.address);
  await clinic.sleep(1);
  t.is(clinic.table(), '.11*0 .12*100');
  t.is(clinic.ipvsadm('-e -t 10.0.0.100:80 -r 10.0.0.11 -w 40'), 0);
  t.is(clinic.table(), '.11*0 .12*100', 'no hand puts a server in use that is not well');
  clinic.ill.clear();
  await clinic.sleep(1);
  t.is(clinic.table(), '.11*40 .12*100');
  t.is(clinic.ipvsadm('-e -t 10.0.0.100:80 -r 10.0.0.12 -w 0'), 0);
  await clinic.sleep(3);
  t.is(clinic.table(), '.11*40 .12*0', 'a server that a hand put out of use stays so, however well it is');
  clinic.ill.add(B.address);
  await clinic.sleep(1);
  clinic.ill.clear();
  await clinic.sleep(2);
  t.is(clinic.table(), '.11*40 .12*0');
  t.is(clinic.ipvsadm('-d -t 10.0.0.100:80 -r 10.0.0.12'), 0);
  t.is(clinic.ipvsadm('-a -t 10.0.0.100:80 -r 10.0.0.13 -w 5'), 0);
  clinic.ill.add(rs(13));
  await clinic.sleep(2);
  t.is(clinic.table(), '.11*40 .13*0', 'a server that is added is watched too');
});

test('a server that health has taken out can be changed and deleted, and is not added twice', async (t) => {
  const clinic = new Clinic();
  const { director } = clinic.lab;
  clinic.watch({ onFailure: 'remove' });
  clinic.ill.add(A.address).add(B.address);
  await clinic.sleep(1);
  t.is(clinic.table(), '');
  const again = () => director.addDestination(tcp(), A);
  t.is(t.throws<DirectorError>(again).code, 'ERR_DESTINATION_EXISTS');
  director.editDestination(tcp(), A, { weight: 3, upperThreshold: 4 });
  t.throws(() => director.editDestination(tcp(), A, { weight: -1 }));
  director.deleteDestination(tcp(), B);
  t.is(t.throws<DirectorError>(() => director.deleteDestination(tcp(), B)).code, 'ERR_NO_SUCH_DESTINATION');
  clinic.ill.clear();
  await clinic.sleep(2);
  t.is(clinic.table(), '.11*3');
  t.is(director.service(tcp()).destinations[0]!.upperThreshold, 4);
});

test('the sorry server serves when all are gone, or fewer than the quorum are left, and goes when they are back', async (t) => {
  const clinic = new Clinic();
  clinic.watch({ quorum: 2, sorryServer: SORRY });
  await clinic.sleep(1);
  clinic.told.length = 0;
  clinic.ill.add(A.address);
  await clinic.sleep(1);
  t.is(clinic.table(), '.11*0 .12*0 .18*1');
  t.deepEqual(clinic.told.splice(0), [
    'server .11 up > down: ill',
    'service served > sorry: 1 of 2 servers in use, quorum 2',
    'weight .11 100 > 0: ill',
    'weight .12 100 > 0: the sorry server serves',
  ]);
  const { director } = clinic.lab;
  const touch = () => director.editDestination(tcp(), { address: SORRY.address }, { weight: 0 });
  t.is(t.throws<DirectorError>(touch).code, 'ERR_INVALID_OPTION');
  clinic.ill.clear();
  await clinic.sleep(1);
  t.is(clinic.table(), '.11*100 .12*100');
  t.is(clinic.told[1], 'service sorry > served: 2 of 2 servers in use, quorum 2');
  t.is(clinic.ipvsadm('-e -t 10.0.0.100:80 -r 10.0.0.11 -w 0'), 0);
  t.is(clinic.table(), '.11*0 .12*0 .18*1', 'who is put out of use by hand does not count either');
});

test('without a sorry server those below the quorum go on', async (t) => {
  const clinic = new Clinic();
  clinic.watch({ quorum: 2 });
  clinic.ill.add(A.address);
  await clinic.sleep(1);
  t.is(clinic.table(), '.11*0 .12*100');
  t.is(clinic.lab.director.health()[0]!.state, 'short');
});

test('a server that comes back starts slowly', async (t) => {
  const clinic = new Clinic();
  clinic.watch({ slowStart: { duration: 10, from: 0.1, steps: 3 } });
  clinic.ill.add(A.address);
  await clinic.sleep(1);
  clinic.ill.clear();
  await clinic.sleep(1);
  const weights: string[] = [];
  for (let i = 0; i < 12; i++) {
    weights.push(clinic.table().split(' ')[0]!);
    await clinic.sleep(1);
  }
  t.deepEqual([...new Set(weights)], ['.11*10', '.11*40', '.11*70', '.11*100']);
  t.true(clinic.told.includes('weight .11 10 > 40: slow start, step 1 of 3'));
});

test('weights follow the load that a function tells, and stay where it cannot', async (t) => {
  const clinic = new Clinic();
  clinic.watch({
    load: {
      from: ({ address }) => {
        const load = clinic.loads.get(address);
        if (load === undefined) throw new Error('no idea');
        return load;
      },
      least: 0.2,
    },
  });
  clinic.loads.set(A.address, 0.6);
  await clinic.sleep(1);
  t.is(clinic.table(), '.11*40 .12*100');
  clinic.loads.set(A.address, 0.99);
  await clinic.sleep(1);
  t.is(clinic.table(), '.11*20 .12*100');
  clinic.loads.delete(A.address);
  await clinic.sleep(2);
  t.is(clinic.table(), '.11*20 .12*100');
  t.is(clinic.lab.director.health()[0]!.servers.find(({ address }) => address === A.address)!.load, 0.99);
});

test('a check that does not answer has failed, and is told to stop', async (t) => {
  const clinic = new Clinic([A]);
  let aborted = 0;
  clinic.watch({
    check: (_server, signal) => {
      signal.addEventListener('abort', () => aborted++);
      return new Promise(() => {});
    },
  });
  await clinic.sleep(1.2);
  t.is(clinic.table(), '.11*0');
  t.is(aborted, 1);
  t.is(clinic.told[0], 'server .11 unchecked > down: no answer within 0.5 s');
  clinic.lab.director.stop();
  await clinic.sleep(3);
  t.is(aborted, 2, 'a director that stops gives up what is under way');
});

test('watching in another way keeps what is known; watching no more gives all back', async (t) => {
  const clinic = new Clinic();
  const { director } = clinic.lab;
  clinic.watch({ onFailure: 'remove', sorryServer: SORRY, quorum: 2 });
  clinic.ill.add(A.address);
  await clinic.sleep(1);
  t.is(clinic.table(), '.12*0 .18*1');
  clinic.watch({ onFailure: 'quiesce' });
  t.is(clinic.table(), '.11*0 .12*100');
  clinic.watch({ onFailure: 'remove', sorryServer: SORRY });
  t.is(clinic.table(), '.12*100');
  director.unwatch(tcp());
  t.is(clinic.table(), '.11*100 .12*100');
  t.deepEqual(director.health(), []);
  t.is(t.throws<DirectorError>(() => director.unwatch(tcp())).code, 'ERR_NO_SUCH_SERVICE');
});

test('servers may be checked each in its own way, or not at all', async (t) => {
  const clinic = new Clinic();
  clinic.ill.add(A.address);
  const fail = () => Promise.reject(new Error('never well'));
  clinic.watch({
    servers: [
      { ...A, check: null },
      { ...B, check: fail },
    ],
  });
  await clinic.sleep(1);
  t.is(clinic.table(), '.11*100 .12*0');
  clinic.watch({ servers: [{ ...B, check: null }] });
  t.is(clinic.table(), '.11*100 .12*100', 'who is not checked any more is not down any more');
  await clinic.sleep(1);
  t.is(clinic.table(), '.11*0 .12*100');
});

test('whoever wants the servers as they were set gets them so: drains, and successors', async (t) => {
  const clinic = new Clinic([{ ...A, weight: 30 }, B]);
  const { director } = clinic.lab;
  clinic.watch({ onFailure: 'remove', sorryServer: SORRY });
  clinic.ill.add(A.address).add(B.address);
  await clinic.sleep(1);
  t.is(clinic.table(), '.18*1');
  const bytes = Buffer.concat([...director.handOver()]);
  let at = 0;
  const successor = new Clinic([]);
  successor.lab.director.flush();
  successor.lab.director.takeOver((count) => bytes.subarray(at, (at += count)));
  t.is(successor.table(), '.11*30 .12*100');

  const drain = director.drain(tcp(), A);
  clinic.ill.clear();
  await clinic.sleep(2);
  t.is((await drain.ended).state, 'drained');
  t.is(clinic.table(), '.11*0 .12*100');
  clinic.lab.client('S');
  const other = director.drain(tcp(), B);
  t.is(clinic.table(), '.11*0 .12*0 .18*1');
  other.cancel();
  t.is(clinic.table(), '.11*0 .12*100');
});

test('a service that is deleted is watched no more', async (t) => {
  const clinic = new Clinic();
  const { director } = clinic.lab;
  clinic.watch();
  director.flush();
  t.deepEqual(director.health(), []);
  director.addService(tcp());
  clinic.watch({ sorryServer: SORRY });
  t.is(clinic.table(), '.18*1', 'no server, no quorum');
  director.addDestination(tcp(), A, { weight: 2 });
  t.is(clinic.table(), '.11*2');
  director.deleteService(tcp());
  t.deepEqual(director.health(), []);
  await clinic.sleep(2);
  t.deepEqual(director.services(), []);
});

test('what a listener throws breaks nothing', async (t) => {
  const clinic = new Clinic();
  clinic.watch({ sorryServer: SORRY, quorum: 2 });
  await clinic.sleep(1);
  let heard = 0;
  clinic.lab.director.on('health', () => {
    heard++;
    throw new Error('mine');
  });
  t.throws(() => clinic.lab.director.editDestination(tcp(), A, { weight: 0 }), { message: 'mine' });
  t.is(heard, 2, 'each change is told all the same');
  t.is(clinic.table(), '.11*0 .12*0 .18*1');
});

test('wrong options are refused by name, and nothing is watched', (t) => {
  const clinic = new Clinic();
  const { director } = clinic.lab;
  const wrong: readonly (readonly [object, string])[] = [
    [{ chek: {} }, 'chek'],
    [{ check: { type: 'icmp' } }, 'check.type'],
    [{ check: { type: 'tcp', prot: 1 } }, 'check.prot'],
    [{ check: { type: 'tcp', port: 0 } }, 'check.port'],
    [{ check: { type: 'tcp', address: 'web' } }, 'check.address'],
    [{ check: { type: 'http', path: 'health' } }, 'check.path'],
    [{ check: { type: 'http', status: [200, 99] } }, 'check.status[1]'],
    [{ check: { type: 'http', method: 'FETCH' } }, 'check.method'],
    [{ check: { type: 'http', headers: { 'a b': '' } } }, 'check.headers.a b'],
    [{ check: { type: 'dns' } }, 'check.name'],
    [{ check: { type: 'dns', name: 'a', record: 'MX' } }, 'check.record'],
    [{ check: { type: 'udp' } }, 'check.send'],
    [{ check: { type: 'udp', send: '\u{100}' } }, 'check.send'],
    [{ check: { type: 'command', command: [] } }, 'check.command'],
    [{ interval: 0 }, 'interval'],
    [{ timeout: Number.NaN }, 'timeout'],
    [{ rise: 0 }, 'rise'],
    [{ fall: 1.5 }, 'fall'],
    [{ jitter: 2 }, 'jitter'],
    [{ quorum: 0 }, 'quorum'],
    [{ onFailure: 'panic' }, 'onFailure'],
    [{ sorryServer: { address: rs(11) } }, 'sorryServer'],
    [{ sorryServer: { address: rs(18), weight: 0 } }, 'sorryServer.weight'],
    [{ slowStart: {} }, 'slowStart.duration'],
    [{ slowStart: { duration: 1, steps: 0 } }, 'slowStart.steps'],
    [{ load: { from: {} } }, 'load.from.port'],
    [{ load: { from: { port: 1 }, least: 2 } }, 'load.least'],
    [{ load: { from: { port: 1 }, least: 0.5, most: 0.4 } }, 'load.most'],
    [{ passive: { failing: 0 } }, 'passive.failing'],
    [{ passive: { count: ['slow'] } }, 'passive.count'],
    [{ servers: [{ address: rs(11), check: { type: 'tcp', port: -1 } }] }, 'servers[0].check.port'],
  ];
  for (const [options, option] of wrong) {
    const error = t.throws<DirectorError>(() => director.watch(tcp(), options), undefined, option);
    t.is(error.code, 'ERR_INVALID_OPTION');
    t.is(error.option, option);
  }
  t.deepEqual(director.health(), []);
  t.is(t.throws<DirectorError>(() => director.watch(tcp(99), {})).code, 'ERR_NO_SUCH_SERVICE');
});
