import test from 'ava';
import { lblc, lblcr } from '../../src/schedulers/index.ts';
import type { Destination } from '../../src/services/destination.ts';
import { Bench, packet } from './fixture.ts';

const X = packet({ destination: '203.0.113.1' });
const Y = packet({ destination: '203.0.113.2' });

/** Three servers; the newest, which is the first in the list, last. */
function bench(factory: typeof lblc): [Bench, Destination, Destination, Destination] {
  const made = new Bench(factory);
  return [made, made.add('10.0.0.1', 3), made.add('10.0.0.2', 4), made.add('10.0.0.3', 4)];
}

test('lblc: an address stays where it is while others fill up', (t) => {
  const [servers, , second, third] = bench(lblc);
  t.is(servers.pick(X), third);
  third.activeConns = 4;
  t.is(servers.pick(Y), second);
  t.is(servers.pick(X), third);
});

test('lblc: it moves when its server has more than its weight and another less than half', (t) => {
  const [servers, first, second, third] = bench(lblc);
  servers.pick(X);
  third.activeConns = 5;
  first.activeConns = 2;
  second.activeConns = 2;
  t.is(servers.pick(X), third, 'half is not less than half');
  first.activeConns = 1;
  t.is(servers.pick(X), first);
  third.activeConns = 0;
  t.is(servers.pick(X), first, 'and stays there');
});

test('lblc: a known address reaches its server even at the upper threshold, a new one does not', (t) => {
  const [servers, , second, third] = bench(lblc);
  servers.pick(X);
  third.overloaded = true;
  t.is(servers.pick(X), third);
  t.is(servers.pick(Y), second);
});

test('lblc: an address returns to a server that was deleted and came back', (t) => {
  const [servers, , second, third] = bench(lblc);
  servers.pick(X);
  servers.delete(third);
  servers.revive(third);
  second.activeConns = 0;
  third.activeConns = 3;
  t.is(servers.pick(X), third);
});

test('lblc: an address that nobody asked for is forgotten after lblc_expiration, at the half-hourly sweep', (t) => {
  const [servers, , second, third] = bench(lblc);
  servers.expirationSeconds = 600;
  t.is(servers.pick(X), third);
  t.is(servers.pick(Y), third);
  third.activeConns = 1;
  servers.wait(1500);
  t.is(servers.pick(Y), third);
  servers.wait(310);
  t.is(servers.pick(X), second);
  t.is(servers.pick(Y), third);
});

test('lblcr: another server joins when the least loaded one is swamped', (t) => {
  const [servers, first, second, third] = bench(lblcr);
  t.is(servers.pick(X), third);
  third.activeConns = 5;
  second.activeConns = 2;
  first.activeConns = 1;
  t.is(servers.pick(X), first);
  third.activeConns = 0;
  t.is(servers.pick(X), third, 'both serve the address now');
  third.activeConns = 2;
  t.is(servers.pick(X), first);
});

test('lblcr: of equally loaded members the one that joined last serves', (t) => {
  const [servers, first, , third] = bench(lblcr);
  servers.pick(X);
  third.activeConns = 5;
  third.inactConns = 1;
  servers.service.destinations[1].activeConns = 3;
  t.is(servers.pick(X), first);
  third.activeConns = 0;
  third.inactConns = 0;
  t.is(servers.pick(X), first);
});

test('lblcr: a set that did not change for lblcr_expiration loses its most loaded member', (t) => {
  const [servers, first, second, third] = bench(lblcr);
  servers.expirationSeconds = 600;
  servers.pick(X);
  third.activeConns = 5;
  second.activeConns = 2;
  t.is(servers.pick(X), first);
  first.activeConns = 3;
  third.activeConns = 1;
  servers.wait(600);
  t.is(servers.pick(X), third, 'not yet: first is still a member');
  servers.wait(1);
  third.activeConns = 5;
  t.is(servers.pick(X), first, 'the least loaded is chosen before the most loaded, third, leaves');
  third.activeConns = 0;
  t.is(servers.pick(X), first);
});

test('lblcr: a member at its upper threshold does not serve', (t) => {
  const [servers, , second, third] = bench(lblcr);
  servers.pick(X);
  third.overloaded = true;
  t.is(servers.pick(X), second);
});

test('lblcr: the sets stay bounded while servers come and go', (t) => {
  const servers = new Bench(lblcr);
  for (let n = 0; n < 1000; n++) {
    const destination = servers.add(`10.0.${n >> 8}.${n & 255}`);
    t.is(servers.pick(X), destination);
    servers.delete(destination);
  }
  t.is(servers.pick(X), null);
});
