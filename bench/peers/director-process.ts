/**
 * The director of the benchmark, in a process of its own: `node director-process.js JSON`, the JSON being {@link Task}. Prints a line
 * when it runs, and stops when its standard input ends.
 */
import { Director, TapDevice } from '../../src/index.ts';

/** What the process is told. */
export interface Task {
  readonly tap: string;
  readonly namespace: string;
  readonly mac: string;
  /** The director's own address, with a prefix length. */
  readonly address: string;
  readonly maxConnections: number;
  /** Lines for ipvsadm. */
  readonly commands: readonly string[];
}

const { tap, namespace, mac, address, maxConnections, commands } = JSON.parse(process.argv[2]) as Task;
const director = new Director({
  interfaces: [{ device: TapDevice.open({ name: tap, namespace, mac, offload: true }), addresses: [address] }],
  forwarding: true,
  maxConnections,
});
for (const command of commands) {
  const { status, out } = director.ipvsadm(command);
  if (status !== 0) throw new Error(`ipvsadm ${command}: ${out}`);
}
director.start();
console.log('running');
process.stdin.resume().on('end', () => director.stop());
