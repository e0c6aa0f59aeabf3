/**
 * Run by a test: worker threads that end, in each of the ways that they can, with a TAP in each of its states. Prints
 * how many descriptors are left over. The same file is the worker.
 */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { loadBinding, TAP_ANY } from '../../../src/native/binding.ts';

const STATES = ['idle', 'polling', 'closing', 'busy'] as const;
const ENDS = ['terminate', 'exit', 'close'] as const;

interface Task {
  readonly namespace: string;
  readonly state: (typeof STATES)[number];
  readonly end: (typeof ENDS)[number];
}

function work({ namespace, state, end }: Task): void {
  const native = loadBinding();
  const path = `/var/run/netns/${namespace}`;
  const { handles } = native.open('', path, TAP_ANY, new Uint8Array(0), 0, true, false, 0);
  const handle = handles[0]!;
  const array = new Int32Array(1);
  if (state !== 'idle') native.start(handle, () => {});
  if (state === 'closing') native.close(handle);
  parentPort!.postMessage('ready');
  // The parent ends this one; it must have something to live for.
  const alive = setInterval(() => {}, 1000);
  if (state === 'busy')
    setInterval(() => native.receive(handle, new Uint8Array(99), array, array, array, array, 1, 99), 0);
  if (end === 'exit') setTimeout(() => process.exit(), 5);
  if (end === 'close' && state !== 'busy') {
    setTimeout(() => {
      native.close(handle);
      clearInterval(alive);
    }, 5);
  }
}

async function employ(task: Task): Promise<void> {
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: task });
  const ended = once(worker, 'exit');
  await once(worker, 'message');
  if (task.end === 'terminate' || task.state === 'busy') await worker.terminate();
  await ended;
}

if (isMainThread) {
  const namespace = process.argv[2]!;
  const round = async (): Promise<void> => {
    await Promise.all(STATES.flatMap((state) => ENDS.map((end) => employ({ namespace, state, end }))));
  };
  const descriptors = (): number => readdirSync('/proc/self/fd').length;
  await round();
  const before = descriptors();
  for (let i = 0; i < 3; i++) await round();
  console.log(`descriptors left over: ${descriptors() - before}`);
} else {
  work(workerData as Task);
}
