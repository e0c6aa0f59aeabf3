import test from 'ava';
import { SCHEDULERS } from '../../src/schedulers/index.ts';
import { Bench, packet } from './fixture.ts';

test('all fourteen are there, by the names of ipvsadm', (t) => {
  t.is([...SCHEDULERS.keys()].join(' '), 'rr wrr lc wlc sed nq sh dh lblc lblcr fo ovf mh twos');
  for (const [name, factory] of SCHEDULERS) t.is(factory.name, name);
});

for (const [name, factory] of SCHEDULERS) {
  test(`${name}: without servers there is none to choose`, (t) => {
    const bench = new Bench(factory);
    t.is(bench.pick(), null);
    const only = bench.add('10.0.0.1');
    t.is(bench.pick(), only);
    bench.delete(only);
    t.is(bench.pick(), null);
    t.is(bench.pick(packet({ source: '192.0.2.2', destination: '192.0.2.101' })), null);
  });

  test(`${name}: weight 0 and a reached threshold take a server out, and let it back in`, (t) => {
    const bench = new Bench(factory);
    const only = bench.add('10.0.0.1', 0);
    t.is(bench.pick(), null);
    bench.edit(only, 5);
    only.overloaded = true;
    t.is(bench.pick(), null);
    only.overloaded = false;
    t.is(bench.pick(), only);
    bench.edit(only, 0);
    t.is(bench.pick(), null);
    bench.edit(only, 1);
    t.is(bench.pick(), only);
  });

  test(`${name}: takes over servers that are there already`, (t) => {
    const bench = new Bench(SCHEDULERS.get('rr')!);
    for (const n of [1, 2, 3]) bench.add(`10.0.0.${n}`, n);
    bench.use(factory);
    t.true(bench.service.destinations.includes(bench.pick()!));
  });

  test(`${name}: serves IPv6`, (t) => {
    const bench = new Bench(factory, 6);
    const only = bench.add('2001:db8::1');
    t.is(bench.pick(packet({ source: '2001:db8:c::1', destination: '2001:db8::100' })), only);
  });
}
