/** What runs in a director's worker thread: an engine that is called by messages. */
import { type MessagePort, workerData } from 'node:worker_threads';
import type { Configuration } from '../configuration.ts';
import type { Device } from '../devices/device.ts';
import { CrossingDevice } from '../engine/crossing.ts';
import { LocalEngine } from '../engine/local.ts';
import { knownTo } from '../engine/parts.ts';
import { Team } from '../engine/team.ts';
import { loadOwn, ownModuleName } from '../own-module.ts';
import { FrameRing } from '../packet/frame-ring.ts';
import {
  ANSWERS,
  type Answer,
  type Call,
  ENDED,
  type EnginePlan,
  type Membership,
  packError,
  type Seat,
  type Told,
} from './messages.ts';
import { ToldClock } from './told-clock.ts';

class EngineServer {
  readonly #calls: MessagePort;
  readonly #events: MessagePort;
  readonly #control: Int32Array;
  readonly #clock = new ToldClock();
  #engine: LocalEngine | null = null;
  /** Events since the last message. */
  #told: Told[] = [];

  constructor({ calls, events, control }: Seat) {
    this.#calls = calls;
    this.#events = events;
    this.#control = new Int32Array(control);
    calls.on('message', (call: Call) => this.#serve(call));
  }

  #serve({ id, method, args, now }: Call): void {
    if (now !== null) this.#clock.tell(now);
    let answer: Answer;
    try {
      answer = { id, result: this.#do(method, args) };
    } catch (error) {
      answer = { id, error: packError(error) };
    }
    this.#flush();
    this.#calls.postMessage(answer);
    this.#count(ANSWERS);
  }

  #do(method: string, args: readonly unknown[]): unknown {
    switch (method) {
      case 'prepare':
        return void knownTo(args[0] as Configuration);
      case 'build':
        return this.#build(args[0] as EnginePlan);
      case 'advance':
        return this.#clock.run();
      default: {
        const engine = this.#engine as unknown as Record<string, (...args: readonly unknown[]) => unknown>;
        return engine[method](...args);
      }
    }
  }

  #build({ configuration, interfaces, devices, isToldTime, membership }: EnginePlan): void {
    const adopted = devices.map((transfer) => {
      const { adopt } = loadOwn('device', ownModuleName('device', transfer)) as { adopt(data: unknown): Device };
      return adopt(transfer.data);
    });
    const used = membership === null ? adopted : crossings(adopted, membership);
    const whole: Configuration = {
      ...configuration,
      interfaces: interfaces.map((one) => ({ ...one, device: used[one.device] })),
      clock: isToldTime ? this.#clock : null,
      random: Math.random,
    };
    const team = membership === null ? null : new Team(membership.team, membership.index);
    this.#engine = new LocalEngine(whole, (event, ...told) => this.tell([event, ...told]), team);
  }

  /** Tells the director: of all that happens in a turn of the event loop by one message. */
  tell(told: Told): void {
    if (this.#told.length === 0) setImmediate(() => this.#flush());
    this.#told.push(told.map((one) => (one instanceof Error ? packError(one) : one)) as unknown as Told);
  }

  #flush(): void {
    if (this.#told.length === 0) return;
    this.#events.postMessage(this.#told);
    this.#told = [];
  }

  /** Nobody will answer any more. */
  end(): void {
    Atomics.store(this.#control, ENDED, 1);
    this.#count(ANSWERS);
  }

  #count(word: number): void {
    Atomics.add(this.#control, word, 1);
    Atomics.notify(this.#control, word);
  }
}

/** Lets each device's queue take in from the other threads, and give to them, what is theirs. */
function crossings(devices: readonly Device[], { index, rings, ports }: Membership): CrossingDevice[] {
  const ends = (memories: readonly (SharedArrayBuffer | null)[]) =>
    memories.map((memory) => (memory === null ? null : FrameRing.at(memory)));
  const notify = (thread: number) => ports[thread]?.postMessage(null);
  const made = devices.map((device, i) => {
    return new CrossingDevice(device, index, { to: ends(rings[i].to), from: ends(rings[i].from) }, notify);
  });
  // One wake-up looks at all devices.
  for (const port of ports) port?.on('message', () => made[0].wake());
  return made;
}

const server = new EngineServer(workerData as Seat);
process.on('exit', () => server.end());
// What the user's code throws between calls is nobody's here: it is thrown again where the director is.
process.on('uncaughtException', (error) => server.tell(['thrown', error]));
