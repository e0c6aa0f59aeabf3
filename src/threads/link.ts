/**
 * One worker thread as the director sees it: calls that wait for their answers, within bounds, and events.
 *
 * A call is a message; the director then sleeps (`Atomics.wait`) until the thread has counted its answer in shared memory,
 * and takes it from the port. So the director's methods stay synchronous, and it never waits for ever.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { DirectorError } from '../errors.ts';
import {
  ANSWERS,
  type Answer,
  type Call,
  CONTROL_WORDS,
  ENDED,
  type Seat,
  type Told,
  unpackError,
} from './messages.ts';

/** What a link tells. */
export interface LinkListener {
  /** Something happened in the thread. */
  told(events: readonly Told[]): void;
  /** The thread has ended, though nobody wanted it to. */
  ended(reason: DirectorError): void;
}

export class WorkerLink {
  readonly #worker: Worker;
  readonly #calls: MessagePort;
  readonly #events: MessagePort;
  readonly #control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4));
  readonly #listener: LinkListener;
  readonly #answerWithinMs: number;
  #nextId = 0;
  #reason: DirectorError | null = null;

  constructor(listener: LinkListener, answerWithinMs: number) {
    this.#listener = listener;
    this.#answerWithinMs = answerWithinMs;
    const calls = new MessageChannel();
    const events = new MessageChannel();
    this.#calls = calls.port1;
    this.#events = events.port1;
    const seat: Seat = {
      calls: calls.port2,
      events: events.port2,
      control: this.#control.buffer as unknown as SharedArrayBuffer,
    };
    this.#worker = new Worker(new URL('./worker.js', import.meta.url), {
      name: 'tapvs',
      workerData: seat,
      transferList: [calls.port2, events.port2],
    });
    this.#worker.on('error', (error) => this.#end(`has ended: ${error.message}`, error));
    this.#worker.on('exit', (status) => this.#end(`has ended with status ${status}`));
    this.#events.on('message', (told: readonly Told[]) => listener.told(told));
    this.#events.unref();
    this.#worker.unref();
  }

  /** Lets a program go on only because of this thread. */
  keepAlive(): void {
    this.#worker.ref();
  }

  /** Sends a call; {@link answer} waits for what becomes of it. */
  send(
    method: string,
    args: readonly unknown[],
    now: number | null,
    transferList: readonly MessagePort[] = [],
  ): number {
    if (this.#reason !== null) throw this.#reason;
    const call: Call = { id: this.#nextId++, method, args, now };
    this.#calls.postMessage(call, transferList);
    return call.id;
  }

  /**
   * Waits for the answer to a call.
   * @throws DirectorError ERR_WORKER when the thread has ended, or does not answer: then it is ended; and what the call
   *   has thrown.
   */
  answer(id: number): unknown {
    const deadline = performance.now() + this.#answerWithinMs;
    for (;;) {
      const answers = Atomics.load(this.#control, ANSWERS);
      const answer = receiveMessageOnPort(this.#calls)?.message as Answer | undefined;
      if (answer !== undefined) {
        if (answer.id !== id) continue;
        if (answer.error !== undefined) throw unpackError(answer.error);
        return answer.result;
      }
      if (this.#reason === null && Atomics.load(this.#control, ENDED) !== 0) this.#end('has ended');
      const leftMs = deadline - performance.now();
      if (this.#reason === null && leftMs <= 0) this.#end(`has not answered within ${this.#answerWithinMs} ms`);
      if (this.#reason !== null) throw this.#reason;
      Atomics.wait(this.#control, ANSWERS, answers, leftMs);
    }
  }

  /** Hands on what the thread has told so far. */
  drain(): void {
    for (;;) {
      const told = receiveMessageOnPort(this.#events)?.message as readonly Told[] | undefined;
      if (told === undefined) return;
      this.#listener.told(told);
    }
  }

  /** Ends the thread. */
  close(): void {
    this.#reason ??= new DirectorError('ERR_CLOSED', 'this director was stopped');
    void this.#worker.terminate();
    this.#calls.close();
    this.#events.close();
  }

  #end(problem: string, cause?: unknown): void {
    this.fail(new DirectorError('ERR_WORKER', `the director's worker thread ${problem}`, { cause }));
  }

  /** Gives the thread up. */
  fail(reason: DirectorError): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    void this.#worker.terminate();
    this.#listener.ended(this.#reason);
  }
}
