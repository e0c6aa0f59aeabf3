/**
 * A scheduler of one's own, at work between a client and three servers in memory: run it anywhere, with
 * `node build/examples/own-scheduler.js`.
 */
import { Director, MemoryDevice, type SchedulerFactory } from '../src/index.ts';
import { MemoryHost, MemorySwitch } from '../src/testing/index.ts';

/** Prefers the server that had no new connection for the longest time. */
const leastRecentlyUsed: SchedulerFactory = {
  name: 'lru',
  create: ({ destinations }) => {
    const queue = [...destinations];
    return {
      schedule: () => {
        const index = queue.findIndex((server) => server.weight > 0 && !server.overloaded);
        if (index < 0) return null;
        const [server] = queue.splice(index, 1);
        queue.push(server);
        return server;
      },
      added: (server) => queue.unshift(server),
      removed: (server) => queue.splice(queue.indexOf(server), 1),
    };
  },
};

const vip = '192.0.2.100';
const wire = new MemorySwitch();
const client = new MemoryHost({ interfaces: [{ addresses: ['192.0.2.17/24'], wire }] });
const servers = [1, 2, 3].map((n) => {
  const host = new MemoryHost({
    interfaces: [{ addresses: [`192.0.2.1${n}/24`], wire }],
    loopback: [vip],
    arpIgnore: 1,
    arpAnnounce: 2,
  });
  host.listen(80, (socket) => socket.end(`server ${n}`));
  return host;
});

const device = new MemoryDevice({ name: 'eth0' });
wire.connect(device);
const director = new Director({ interfaces: [{ device, addresses: ['192.0.2.1/24'] }] }).start();

const service = { protocol: 'tcp', address: vip, port: 80 } as const;
director.addService(service, { scheduler: leastRecentlyUsed });
for (const n of [1, 2, 3]) director.addDestination(service, { address: `192.0.2.1${n}` });

for (let i = 0; i < 6; i++) {
  for await (const answer of client.connect(vip, 80)) console.log(String(answer));
}
console.log(director.ipvsadm('-L -n').out);

director.stop();
for (const host of [client, ...servers]) host.close();
