/** The daemon's log of what happens by itself: a line for each change, however many packets there are. */
import { setTimeout as pause } from 'node:timers/promises';
import test from 'ava';
import { pino } from 'pino';
import { logEvents } from '../../src/daemon/events.ts';
import { Lab, rs, tcp } from '../core/lab.ts';

interface Logged {
  readonly lines: string[];
  readonly lab: Lab;
}

function logged(threads: number): Logged {
  const lines: string[] = [];
  const write = (line: string) => {
    const { level, time: _, pid: _pid, hostname: _host, msg, ...details } = JSON.parse(line);
    lines.push([level, msg, ...Object.values(details)].join(' | '));
  };
  const lab = new Lab({ threads });
  logEvents(lab.director, pino({ formatters: { level: (label) => ({ level: label }) } }, { write }));
  return { lines, lab };
}

for (const threads of [0, 1]) {
  test(`of a service without servers there is one line, and one when it has one again, with ${threads} threads`, async (t) => {
    const { lines, lab } = logged(threads);
    const { director } = lab;
    t.teardown(() => director.stop());
    director.addService(tcp(), { scheduler: 'rr' });
    director.addService(tcp(81), { scheduler: 'rr' });
    director.addDestination(tcp(), { address: rs(11) }, { weight: 0 });
    for (let round = 0; round < 3; round++) {
      for (let n = 1; n <= 50; n++) lab.client('S', { from: `192.0.2.${n}` });
      await pause(600);
    }
    t.deepEqual(lines.splice(0), [
      'warn | a service has no server for its clients | tcp 10.0.0.100:80 | 1',
      'warn | a service has no server for its clients | tcp 10.0.0.100:81 | 0',
    ]);
    director.editDestination(tcp(), { address: rs(11) }, { weight: 1 });
    director.deleteService(tcp(81));
    await pause(1500);
    t.deepEqual(lines.splice(0), ['info | a service has a server again | tcp 10.0.0.100:80']);
    director.editDestination(tcp(), { address: rs(11) }, { weight: 0 });
    lab.client('S', { from: '192.0.2.99' });
    await pause(1500);
    t.deepEqual(lines, ['warn | a service has no server for its clients | tcp 10.0.0.100:80 | 1']);
  });
}

test('a server that is full again and again is told of at the beginning and in the end', async (t) => {
  const { lines, lab } = logged(0);
  const { director } = lab;
  t.teardown(() => director.stop());
  director.addService(tcp(), { scheduler: 'rr' });
  director.addDestination(tcp(), { address: rs(11) }, { upperThreshold: 1 });
  lab.client('S');
  for (let i = 0; i < 20; i++) {
    director.editDestination(tcp(), { address: rs(11) }, { upperThreshold: 5 });
    director.editDestination(tcp(), { address: rs(11) }, { upperThreshold: 1 });
    lab.client('S', { from: `192.0.2.${i + 10}` });
  }
  director.editDestination(tcp(), { address: rs(11) }, { upperThreshold: 500 });
  await pause(2500);
  const about = lines.filter((line) => line.includes('10.0.0.11:80'));
  t.deepEqual(about, [
    'info | a server is at its upper threshold | tcp 10.0.0.100:80 | 10.0.0.11:80 | 1',
    'info | a server takes connections again | tcp 10.0.0.100:80 | 10.0.0.11:80 | 1',
  ]);
});

test('each change of health and each drain is a line', async (t) => {
  const { lines, lab } = logged(0);
  const { director, clock } = lab;
  t.teardown(() => director.stop());
  director.addService(tcp(), { scheduler: 'rr' });
  for (const n of [11, 12]) director.addDestination(tcp(), { address: rs(n) });
  director.watch(tcp(), {
    check: ({ address }) => {
      if (address === rs(11)) throw new Error('not well');
    },
    fall: 1,
    quorum: 2,
  });
  for (let i = 0; i < 4; i++) {
    clock.advance(250);
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.true(
    lines.includes('warn | health | tcp 10.0.0.100:80 | server | 10.0.0.11:80 | unchecked | down | not well'),
    lines.join('\n'),
  );
  t.true(
    lines.some((line) => line.startsWith('info | health | tcp 10.0.0.100:80 | weight | 10.0.0.11:80 | 1 | 0 | ')),
    lines.join('\n'),
  );
  const short = 'warn | health | tcp 10.0.0.100:80 | service | served | short | ';
  t.true(
    lines.some((line) => line.startsWith(short)),
    lines.join('\n'),
  );
  lines.splice(0);
  director.drain(tcp(), { address: rs(12) });
  clock.advance(2000);
  t.true(
    lines.some((line) => line.startsWith('info | drain | tcp 10.0.0.100:80 | 10.0.0.12:80 | drained')),
    lines.join('\n'),
  );
});
