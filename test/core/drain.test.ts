/** Draining a server: nothing new comes, what is there goes on, and whoever asked is told how it stands. */
import test from 'ava';
import type { DrainProgress } from '../../src/index.ts';
import { CLIENT, Lab, rs, tcp } from './lab.ts';

function natLab(options: { persistent?: number } = {}): Lab {
  const lab = new Lab();
  lab.director.addService(tcp(), { scheduler: 'rr', ...options });
  for (const n of [11, 12]) lab.director.addDestination(tcp(), { address: rs(n) }, { method: 'masq', weight: n });
  return lab;
}

function establish(lab: Lab, port: number, from?: string): number {
  const ends = { port, ...(from === undefined ? {} : { from }) };
  lab.client('S', ends);
  lab.client('A', ends);
  const made = lab.director
    .connections()
    .find((one) => one.clientPort === port && one.clientAddress === (from ?? CLIENT));
  return made?.destinationAddress === rs(11) ? 11 : 12;
}

function watch(lab: Lab): DrainProgress[] {
  const told: DrainProgress[] = [];
  lab.director.on('drain', (progress) => told.push(progress));
  return told;
}

const weightOf = (lab: Lab, n: number) =>
  lab.director.service(tcp()).destinations.find(({ address }) => address === rs(n))?.weight;

function server(lab: Lab): number {
  lab.director.editDestination(tcp(), { address: rs(12) }, { method: 'masq', weight: 0 });
  const made = establish(lab, 40000);
  lab.director.editDestination(tcp(), { address: rs(12) }, { method: 'masq', weight: 12 });
  return made;
}

test('nothing new comes, what is there goes on until it ends, and that is told', async (t) => {
  const lab = natLab();
  const told = watch(lab);
  t.is(server(lab), 11);
  const drain = lab.director.drain(tcp(), { address: rs(11) });
  t.is(weightOf(lab, 11), 0);
  for (let port = 41000; port < 41010; port++) t.is(establish(lab, port), 12);
  t.is(lab.client('PA').length, 1);
  lab.sleep(3);
  t.deepEqual(lab.director.drains(), [drain]);
  t.is(lab.director.drainOf(tcp(), { address: rs(11), port: 80 }), drain);
  lab.client('FA');
  lab.server(11, 'FA');
  lab.client('A');
  lab.sleep(130);
  const { state } = await drain.ended;
  t.is(state, 'drained');
  t.deepEqual(
    told.map((one) => [one.state, one.activeConns, one.inactConns]),
    [
      ['draining', 1, 0],
      ['draining', 0, 1],
      ['drained', 0, 0],
    ],
  );
  t.like(told[0], { service: tcp(), destination: { address: rs(11), port: 80 }, secondsLeft: null });
  t.deepEqual(lab.director.drains(), []);
  t.is(weightOf(lab, 11), 0);
});

test('templates count: their clients still come to the server', async (t) => {
  const lab = natLab({ persistent: 60 });
  const made = establish(lab, 40000);
  const drain = lab.director.drain(tcp(), { address: rs(made) });
  t.is(drain.progress.persistConns, 1);
  t.is(establish(lab, 40001), made);
  t.not(establish(lab, 40000, '192.0.2.9'), made);
  lab.sleep(1000);
  t.is((await drain.ended).state, 'drained');
});

test('at the deadline what is left goes on, or ends', async (t) => {
  for (const expire of [false, true]) {
    const lab = natLab({ persistent: 3600 });
    const made = establish(lab, 40000);
    const drain = lab.director.drain(tcp(), { address: rs(made) }, { deadline: 20, expire });
    t.is(drain.progress.secondsLeft, 20);
    lab.sleep(19);
    t.is(drain.progress.state, 'draining');
    lab.sleep(2);
    const left = expire ? 0 : 1;
    t.like(await drain.ended, { state: 'deadline', activeConns: left, persistConns: left, secondsLeft: 0 });
    t.is(lab.director.connections().length, 2 * left);
    t.is(weightOf(lab, made), 0);
  }
});

test('a server is removed in the end, drained or not; its connections as the tunables say', async (t) => {
  const lab = natLab();
  const idle = lab.director.drain(tcp(), { address: rs(12) }, { remove: true });
  t.is((await idle.ended).state, 'drained');
  t.is(weightOf(lab, 12), undefined);
  establish(lab, 40000);
  lab.director.sysctl.set('expire_nodest_conn', 1);
  const busy = lab.director.drain(tcp(), { address: rs(11) }, { remove: true, deadline: 1 });
  lab.sleep(2);
  t.is((await busy.ended).state, 'deadline');
  t.is(weightOf(lab, 11), undefined);
  t.is(lab.director.connections().length, 0);
});

test('cancelling gives the weight back; whoever changes the server overrules', async (t) => {
  const lab = natLab();
  server(lab);
  const first = lab.director.drain(tcp(), { address: rs(11) }, { deadline: 10, remove: true });
  first.cancel();
  first.cancel();
  t.is((await first.ended).state, 'cancelled');
  t.is(weightOf(lab, 11), 11);
  lab.sleep(20);
  t.is(weightOf(lab, 11), 11);

  const second = lab.director.drain(tcp(), { address: rs(11) }, { deadline: 10, remove: true });
  lab.director.editDestination(tcp(), { address: rs(11) }, { method: 'masq', weight: 3 });
  lab.sleep(20);
  t.is((await second.ended).state, 'overruled');
  t.is(weightOf(lab, 11), 3);

  const third = lab.director.drain(tcp(), { address: rs(11) });
  lab.director.deleteService(tcp());
  lab.sleep(1);
  t.is((await third.ended).state, 'overruled');

  const other = natLab();
  server(other);
  const fourth = other.director.drain(tcp(), { address: rs(11) });
  other.director.stop();
  t.is((await fourth.ended).state, 'stopped');
});

test('what cannot be drained is refused, and nothing is changed', (t) => {
  const lab = natLab();
  server(lab);
  const drain = (options: object, address = rs(11), service = tcp()) =>
    lab.director.drain(service, { address }, options);
  t.throws(() => drain({ deadline: -1 }), { code: 'ERR_INVALID_OPTION', message: /deadline/ });
  t.throws(() => drain({ deadline: 0.5 }), { code: 'ERR_INVALID_OPTION' });
  t.throws(() => drain({ expire: 1 }), { code: 'ERR_INVALID_OPTION', message: /expire/ });
  t.throws(() => drain({ expires: true }), { code: 'ERR_INVALID_OPTION', message: /expires/ });
  t.throws(() => drain({}, 'x'), { code: 'ERR_INVALID_OPTION' });
  t.throws(() => drain({}, rs(13)), { code: 'ERR_NO_SUCH_DESTINATION' });
  t.throws(() => drain({}, rs(11), { ...tcp(), port: 81 } as ReturnType<typeof tcp>), { code: 'ERR_NO_SUCH_SERVICE' });
  t.is(weightOf(lab, 11), 11);
  drain({});
  t.throws(() => drain({}), { code: 'ERR_DRAINING' });
});
