import { Director, MemoryDevice } from '../src/index.ts';
import { buildFrame, printFrame } from '../src/packet/index.ts';

const device = new MemoryDevice({ name: 'eth0', mac: '02:00:00:00:00:01' });
device.onTransmit = (frame) => console.log(printFrame(new DataView(frame.buffer), 0, frame.length));

const director = new Director({
  interfaces: [{ device, addresses: ['192.0.2.1/24'] }],
  neighbours: [11, 12].map((n) => ({ ip: `192.0.2.${n}`, mac: `02:00:00:00:00:${n}`, dev: 'eth0' })),
});
director.ipvsadm('-A -t 192.0.2.100:80 -s rr');
director.ipvsadm('-a -t 192.0.2.100:80 -r 192.0.2.11 -g');
director.ipvsadm('-a -t 192.0.2.100:80 -r 192.0.2.12 -g');
director.start();

const ethernet = { source: '02:00:00:00:00:17', destination: device.mac };
const ip = { source: '192.0.2.17', destination: '192.0.2.100' };
for (const sourcePort of [40001, 40002, 40003]) {
  device.inject(buildFrame({ ethernet, ip, tcp: { sourcePort, destinationPort: 80, flags: 'S' } }));
}
director.poll();
console.log(director.ipvsadm('-L -n').out + director.ipvsadm('-L -n -c').out);
director.stop();
