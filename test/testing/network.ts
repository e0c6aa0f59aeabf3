/** What the tests of the in-memory hosts share. */
import { setImmediate as turn } from 'node:timers/promises';
import { ManualClock } from '../../src/clock.ts';
import {
  type Impairment,
  MemoryHost,
  type MemoryHostOptions,
  type MemorySocket,
  MemorySwitch,
  seededRandom,
} from '../../src/testing/index.ts';

/** Nothing in these tests takes longer than this, in the clock's milliseconds. */
const LIMIT_MS = 600_000;

/** Two hosts on one switch, and a clock that all their timers run by. */
export class Pair {
  readonly clock: ManualClock = new ManualClock();
  readonly wire: MemorySwitch;
  readonly client: MemoryHost;
  readonly server: MemoryHost;

  constructor(impairment?: Impairment, server: Partial<MemoryHostOptions> = {}, mtu = 1500) {
    this.wire = new MemorySwitch(impairment === undefined ? {} : { impairment });
    const common = { clock: this.clock, random: seededRandom(1) };
    this.client = new MemoryHost({ ...common, interfaces: [{ addresses: ['10.0.0.1/24'], wire: this.wire, mtu }] });
    this.server = new MemoryHost({
      ...common,
      interfaces: [{ addresses: ['10.0.0.2/24'], wire: this.wire }],
      ...server,
    });
  }

  play<T>(work: Promise<T>): Promise<T> {
    return play(this.clock, work);
  }

  close(): void {
    this.client.close();
    this.server.close();
  }
}

/** Lets time pass, a millisecond a turn of the event loop, until the work is done. */
export async function play<T>(clock: ManualClock, work: Promise<T>): Promise<T> {
  let settled = false;
  const done = (): void => {
    settled = true;
  };
  work.then(done, done);
  const endMs = clock.now() + LIMIT_MS;
  while (!settled) {
    if (clock.now() > endMs) throw new Error(`not done after ${LIMIT_MS} ms`);
    await turn();
    clock.advance(1);
  }
  return work;
}

/** Lets `ms` milliseconds pass, one a turn of the event loop. */
export async function pass(clock: ManualClock, ms: number): Promise<void> {
  for (let i = 0; i < ms; i++) {
    await turn();
    clock.advance(1);
  }
}

/** Everything that the peer sends until it ends. Unlike async iteration this leaves the socket's other half alone. */
export function received(socket: MemorySocket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => void chunks.push(chunk));
    socket.on('end', () => resolve(Buffer.concat(chunks)));
    socket.on('error', reject);
  });
}

/** Ends the socket with `data` and resolves to all that the peer sends. */
export function exchange(socket: MemorySocket, data: Uint8Array): Promise<Buffer> {
  socket.end(data);
  return received(socket);
}

/** Resolves when the socket has closed; to the error that it closed with, if any. */
export function closed(socket: MemorySocket): Promise<(Error & { code?: string }) | undefined> {
  return new Promise((resolve) => {
    let error: Error | undefined;
    socket.on('error', (reason) => {
      error = reason;
    });
    socket.on('close', () => resolve(error));
    socket.resume();
  });
}

/** The next socket that the host is asked for on the port. */
export function nextConnection(host: MemoryHost, port: number, allowHalfOpen = false): Promise<MemorySocket> {
  return new Promise((resolve) => {
    host.listen(port, resolve, { allowHalfOpen });
  });
}

/** `length` bytes that are the same for the same seed. */
export function bytes(length: number, seed: number): Buffer {
  const random = seededRandom(seed);
  return Buffer.from(Uint8Array.from({ length }, () => random() * 256));
}
