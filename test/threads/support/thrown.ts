/**
 * A scheduler in a worker thread throws while nobody waits for an answer: the program hears of it as of any other mistake,
 * the director goes on, and the program ends by itself although it was never stopped.
 */
import { Director, MemoryDevice } from '../../../src/index.ts';
import { buildFrame } from '../../../src/packet/build.ts';

process.on('uncaughtException', (error) => {
  console.log(`caught: ${error.message}`);
  clearInterval(waiting);
  if (director.counters().verdicts.FAILED === 1) console.log('ended');
});

const device = new MemoryDevice({ name: 'eth0', mac: '02:00:00:00:00:01' });
const director = new Director({
  threads: 1,
  interfaces: [{ device, addresses: ['10.0.0.1/24'] }],
  schedulers: [{ module: new URL('./schedulers.js', import.meta.url), export: 'throwing' }],
});
director.addService({ protocol: 'tcp', address: '10.0.0.100', port: 80 }, { scheduler: 'throwing' });
director.start();
const waiting = setInterval(() => {}, 1000);
device.inject(
  buildFrame({
    ethernet: { source: '02:00:00:00:00:09', destination: device.mac },
    ip: { source: '10.0.0.9', destination: '10.0.0.100' },
    tcp: { sourcePort: 1, destinationPort: 80, flags: 'S' },
  }),
);
