/** Run by a test in a shell that limits the size of files: records until the file is full. */
import { PcapWriter } from '../../../src/devices/pcap-writer.ts';
import { until } from './until.ts';

process.on('SIGXFSZ', () => {}); // which the limit sends beside the error
let failures = 0;
const writer = new PcapWriter(process.argv[2]!, {
  flushMs: 1,
  onError: (error) => {
    failures++;
    console.log(`${error.code} ${(error.cause as NodeJS.ErrnoException).code}`);
  },
});
const frame = new DataView(new ArrayBuffer(1500));
for (let i = 0; i < 10; i++) writer.write(frame, 0, 1500, 0);
await until(() => failures > 0, 'the failure');
writer.write(frame, 0, 1500, 0);
writer.close();
console.log(`failures ${failures}, left out ${writer.dropped}`);
