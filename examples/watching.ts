/**
 * What a director tells: events as they happen, its tables as objects, its counters. Time is driven by hand, so that two
 * minutes pass at once. Run it anywhere, with `npm run example -- watching`.
 */
import { Director, ManualClock, MemoryDevice, VERDICT_TEXTS, type VerdictName } from '../src/index.ts';
import { buildFrame } from '../src/packet/index.ts';

const device = new MemoryDevice({ name: 'eth0' });
const clock = new ManualClock();
const director = new Director({
  clock,
  interfaces: [{ device, addresses: ['192.0.2.1/24'] }],
  neighbours: [{ ip: '192.0.2.11', mac: '02:00:00:00:00:11', dev: 'eth0' }],
});

director.on('connectionCreated', ({ clientPort, destinationAddress, destinationPort }) => {
  console.log(`event: port ${clientPort} is served by ${destinationAddress}:${destinationPort}`);
});
director.on('connectionExpired', ({ clientPort, state }) => {
  console.log(`event: port ${clientPort} was forgotten in ${state}`);
});
director.on('destinationOverload', (_service, { address, activeConns, inactConns, overloaded }) => {
  console.log(`event: ${address} has ${activeConns + inactConns} connections, overloaded: ${overloaded}`);
});
director.on('noDestination', ({ address, port }) => {
  console.log(`event: nobody can serve ${address}:${port}`);
});

const service = { protocol: 'tcp', address: '192.0.2.100', port: 80 } as const;
director.addService(service, { scheduler: 'rr' });
director.addDestination(service, { address: '192.0.2.11' }, { method: 'route', upperThreshold: 2 });
director.start();

/** A client sends a TCP segment from a port of its own. */
function send(sourcePort: number, flags: string): void {
  const ethernet = { source: '02:00:00:00:00:17', destination: device.mac };
  const ip = { source: '192.0.2.17', destination: '192.0.2.100' };
  device.inject(buildFrame({ ethernet, ip, tcp: { sourcePort, destinationPort: 80, flags } }));
  director.poll();
}

send(40001, 'S');
send(40001, 'A'); // answered by the server, past the director: ESTABLISHED
send(40002, 'S'); // the second of two connections that the server may have
send(40003, 'S'); // nobody may take it
device.inject(Uint8Array.of(1, 2, 3)); // no frame at all
director.poll();

const showConnections = (): void => {
  const rows = director.connections().map(({ clientPort, state, expiresInSeconds }) => {
    return `port ${clientPort} ${state}, ${expiresInSeconds} s left`;
  });
  console.log(`connections: ${rows.join('; ') || 'none'}`);
};
showConnections();
clock.advance(120_000); // a connection that was only asked for is forgotten after a minute
showConnections();

const { stats, destinations } = director.service(service);
console.log('service:', stats);
console.log('server:', destinations[0]?.stats);
const { verdicts, received } = director.counters();
console.log(`frames read: ${received}`);
for (const [name, count] of Object.entries(verdicts)) {
  if (count > 0) console.log(`  ${count} ${name}: ${VERDICT_TEXTS[name as VerdictName]}`);
}
director.stop();
