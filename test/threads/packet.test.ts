/** Directors in threads on the end of a real veth, while the program's own event loop stands still. */
import { fileURLToPath } from 'node:url';
import { Director, PacketDevice } from '../../src/index.ts';
import { Namespace, testWithTaps } from '../devices/support/namespace.ts';
import { until } from '../devices/support/until.ts';

const DATAGRAMS = fileURLToPath(new URL('./support/datagrams.js', import.meta.url));
const DIP = '10.0.0.1';
const VIP = '10.0.0.100';
const CLIENTS = 64;
const ROUNDS = 20;

testWithTaps('with two queues all datagrams are counted once, and their clients kept together', async (t) => {
  const near = new Namespace(t);
  const far = new Namespace(t);
  near.ip('link', 'add', 'wire0', 'type', 'veth', 'peer', 'name', 'wire1', 'netns', far.name);
  near.ip('link', 'set', 'wire0', 'up');
  far.ip('address', 'add', '10.0.0.2/24', 'dev', 'wire1');
  // The kernel at the other end may speak for all of these, and has the servers, which take the frames and say nothing.
  far.ip('route', 'add', 'local', '198.18.0.0/24', 'dev', 'lo');
  for (const n of [11, 12]) far.ip('address', 'add', `10.0.0.${n}/32`, 'dev', 'lo');

  const device = PacketDevice.open({ interface: 'wire0', namespace: near.name, queues: 2 });
  far.ip('link', 'set', 'wire1', 'up');
  const director = new Director({
    interfaces: [{ device, addresses: [`${DIP}/24`] }],
    routes: [{ to: '198.18.0.0/24', via: '10.0.0.2' }],
    threads: 2,
  });
  t.teardown(() => director.stop());
  const service = { protocol: 'udp', address: VIP, port: 53 } as const;
  director.addService(service, { scheduler: 'lc' });
  for (const n of [11, 12]) director.addDestination(service, { address: `10.0.0.${n}` });
  director.start();
  // `run` stops the event loop until the program has ended.
  t.regex(far.run('ping', '-c', '3', '-i', '0.2', '-W', '5', DIP), /3 received/);
  far.run(process.execPath, DATAGRAMS, VIP, `${CLIENTS}`, `${ROUNDS}`);

  const sent = () => JSON.parse(far.ip('-json', '-s', 'link', 'show', 'wire1'))[0].stats64.tx;
  const arrived = () => {
    const { received, handOnLost } = director.counters();
    return received + handOnLost === sent().packets;
  };
  // The last may still be waiting.
  await until(arrived, 'every frame that the kernel sent');
  const { received, verdicts, handedOn, handOnLost } = director.counters();
  t.true(handedOn > 0, 'the kernel does not know whose a flow is');
  t.is(
    Object.values(verdicts).reduce((sum, count) => sum + count, 0),
    received,
  );
  t.is(verdicts.ECHO, 3);
  // What the veth itself loses is counted as dropped.
  t.is(verdicts.ROUTE + handOnLost + sent().dropped, CLIENTS * ROUNDS);
  // Even all of them together would find room in one queue.
  t.deepEqual(device.drops, { oversize: 0, noBuffer: 0, linkDown: 0, invalid: 0, offload: 0, missed: 0 });

  const connections = director.connections();
  t.is(connections.length, CLIENTS);
  t.is(new Set(connections.map(({ clientAddress }) => clientAddress)).size, CLIENTS);
  const { stats, destinations } = director.service(service);
  t.is(stats.conns, CLIENTS);
  t.is(stats.inPkts, verdicts.ROUTE);
  const loads = destinations.map(({ activeConns, inactConns }) => activeConns + inactConns);
  t.is(loads[0]! + loads[1]!, CLIENTS);
});
