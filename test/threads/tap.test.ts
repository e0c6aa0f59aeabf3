/** Directors in threads on real TAPs, while the program's own event loop stands still. */
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { Director, type DirectorOptions, TapDevice, type TapOptions } from '../../src/index.ts';
import { Namespace, testWithTaps } from '../devices/support/namespace.ts';
import { until } from '../devices/support/until.ts';

const DATAGRAMS = fileURLToPath(new URL('./support/datagrams.js', import.meta.url));
const DIP = '10.0.0.1';
const VIP = '10.0.0.100';
const CLIENTS = 64;
const ROUNDS = 20;

interface Stage {
  readonly namespace: Namespace;
  readonly director: Director;
}

/** A director behind the TAP of a namespace, whose kernel has 10.0.0.2 and may speak for all of 198.18.0.0/24. */
function stage(t: ExecutionContext, tap: TapOptions, options: Partial<DirectorOptions>): Stage {
  const namespace = new Namespace(t);
  const device = TapDevice.open({ name: 'tap0', namespace: namespace.name, ...tap });
  namespace.ip('address', 'add', '10.0.0.2/24', 'dev', 'tap0');
  namespace.ip('route', 'add', 'local', '198.18.0.0/24', 'dev', 'lo');
  const director = new Director({
    interfaces: [{ device, addresses: [`${DIP}/24`] }],
    routes: [{ to: '198.18.0.0/24', via: '10.0.0.2' }],
    ...options,
  });
  t.teardown(() => director.stop());
  director.start();
  return { namespace, director };
}

testWithTaps('a director in a thread answers while the program stands still', (t) => {
  const { namespace, director } = stage(t, {}, { threads: 1 });
  // `run` stops the event loop until ping has ended.
  t.regex(namespace.run('ping', '-c', '3', '-i', '0.2', '-W', '5', DIP), /3 received/);
  t.is(director.counters().verdicts.ECHO, 3);
});

testWithTaps(
  'with two queues all datagrams are counted once, their clients kept together, and servers loaded alike',
  async (t) => {
    const { namespace, director } = stage(t, { queues: 2 }, { threads: 2 });
    const service = { protocol: 'udp', address: VIP, port: 53 } as const;
    director.addService(service, { scheduler: 'lc' });
    for (const n of [11, 12]) director.addDestination(service, { address: `10.0.0.${n}` });
    director.addService({ ...service, port: 54 });
    // Servers that take the frames and say nothing: bare MAC addresses on the TAP.
    const answers = namespace.run('sh', '-c', `ping -c 1 -W 5 ${DIP} && ip neigh`);
    t.regex(answers, /1 received/);
    namespace.ip('address', 'add', '10.0.0.11/32', 'dev', 'lo');
    namespace.ip('address', 'add', '10.0.0.12/32', 'dev', 'lo');
    namespace.run(process.execPath, DATAGRAMS, VIP, `${CLIENTS}`, `${ROUNDS}`);

    // The last frames may still be on their way, from the kernel or from thread to thread.
    const look = () => {
      const link = JSON.parse(namespace.ip('-json', '-s', 'link', 'show', 'tap0'))[0];
      const { packets, dropped } = link.stats64.tx as { packets: number; dropped: number };
      return { packets, dropped, ...director.counters() };
    };
    let seen: ReturnType<typeof look>;
    await until(() => {
      seen = look();
      return seen.received + seen.handOnLost === seen.packets;
    }, 'every frame that the kernel handed over');
    const { dropped, received, verdicts } = seen!;
    t.is(
      Object.values(verdicts).reduce((sum, count) => sum + count, 0),
      received,
    );
    t.is(verdicts.ROUTE + dropped, CLIENTS * ROUNDS);

    const connections = director.connections();
    t.is(connections.length, CLIENTS);
    t.is(new Set(connections.map(({ clientAddress }) => clientAddress)).size, CLIENTS);
    const { stats, destinations } = director.service(service);
    t.is(stats.conns, CLIENTS);
    t.is(stats.inPkts, verdicts.ROUTE);
    t.is(director.statistics().inPkts, verdicts.ROUTE);
    const loads = destinations.map(({ activeConns, inactConns }) => activeConns + inactConns);
    t.is(loads[0]! + loads[1]!, CLIENTS);
    t.true(Math.abs(loads[0]! - loads[1]!) <= 4, `${loads}`);
  },
);
