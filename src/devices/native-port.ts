/**
 * What the addon has open, as the devices of the kernel use it: bursts, the way to other threads, and what is said of
 * failures.
 */
import { invalidOption } from '../errors.ts';
import type { TapBinding, TapDrops, TapHandle, TapSystemError } from '../native/binding.ts';
import type { FrameBatch } from './device.ts';
import { checkInteger, deviceError, reasonOf } from './options.ts';

/** IFNAMSIZ of the kernel, less the closing NUL. */
export const NAME_BYTES = 15;
/** The Ethernet header with two tags. */
export const LINK_HEADERS = 22;
/** The longest IP packet, which is also the longest that is left uncut. */
export const LONGEST_PACKET = 65535;

export class NativePort {
  readonly #native: TapBinding;
  /** One for each queue. */
  readonly #handles: readonly TapHandle[];
  /** The first, and when the device is in use the only one. */
  readonly #handle: TapHandle;
  /** The device's name, for errors. */
  readonly #name: string;
  #state: 'idle' | 'in use' | 'handed on' | 'closed' = 'idle';
  /** Of the queues that were handed on. */
  readonly #tickets: number[] = [];
  readonly #hasRing: boolean;
  /** What a ring last wrote from: alive as long as it may be registered. */
  #memory: Uint8Array | null = null;
  #memoryRegistered = false;

  /** @param hasRing whether bursts are written by io_uring. */
  constructor(native: TapBinding, handles: readonly TapHandle[], name: string, hasRing = false) {
    this.#native = native;
    this.#handles = handles;
    this.#handle = handles[0]!;
    this.#name = name;
    this.#hasRing = hasRing;
  }

  /** Whether the memory that a ring last wrote from is registered with it. */
  get memoryRegistered(): boolean {
    return this.#memoryRegistered;
  }

  /** Frames lost on the way in or out, by reason, on all queues, also where they were handed on to. */
  get drops(): TapDrops {
    const [first, ...others] = this.#handles.map((handle) => this.#native.drops(handle));
    return others.reduce(sumOfDrops, first!);
  }

  #checkIdle(): void {
    if (this.#state !== 'idle') throw deviceError(this.#name, `is ${this.#state}`);
  }

  /**
   * Has `wake` called when there is something to receive, and `fail` with ERR_DEVICE when the interface is gone.
   * @throws DirectorError ERR_DEVICE when the device is in use or closed, or has several queues.
   */
  start(wake: () => void, fail: (error: Error) => void): void {
    this.#checkIdle();
    if (this.#handles.length > 1) {
      throw deviceError(this.#name, `has ${this.#handles.length} queues, which are for as many threads`);
    }
    this.#state = 'in use';
    this.#native.start(this.#handle, (error) => {
      if (error === undefined) wake();
      else fail(deviceError(this.#name, `has failed: ${error.message}`, error));
    });
  }

  /**
   * Leaves the queues for `count` other threads.
   * @returns a ticket for each; see {@link adoptHandle}.
   * @throws DirectorError ERR_DEVICE when the device is in use or closed, ERR_INVALID_OPTION when it has not as many queues.
   */
  handOn(count: number): readonly number[] {
    this.#checkIdle();
    if (count !== this.#handles.length) {
      throw invalidOption('queues', this.#handles.length, `the number of threads, ${count}`);
    }
    this.#state = 'handed on';
    // One by one: if one cannot be left, closing still takes back those before it.
    for (const handle of this.#handles) this.#tickets.push(this.#native.detach(handle));
    return this.#tickets;
  }

  /** @throws DirectorError ERR_DEVICE for a batch that is none, or a device that was handed on. */
  receive(batch: FrameBatch): number {
    if (this.#state === 'closed') return 0;
    try {
      const { memory, offsets, lengths, partial, segments, count, room } = batch;
      return this.#native.receive(this.#handle, memory, offsets, lengths, partial, segments, count, room);
    } catch (error) {
      throw deviceError(this.#name, `cannot receive: ${reasonOf(error)}`, error);
    }
  }

  /** @throws DirectorError ERR_DEVICE as {@link receive}. */
  transmit(batch: FrameBatch): number {
    if (this.#state === 'closed') return 0;
    try {
      const { memory, offsets, lengths, partial, segments, count } = batch;
      if (this.#hasRing && memory !== this.#memory) this.#register(memory);
      return this.#native.transmit(this.#handle, memory, offsets, lengths, partial, segments, count);
    } catch (error) {
      throw deviceError(this.#name, `cannot transmit: ${reasonOf(error)}`, error);
    }
  }

  #register(memory: Uint8Array): void {
    this.#memoryRegistered = this.#native.registerMemory(this.#handle, memory);
    this.#memory = memory;
  }

  /** What was handed on stays open where it was adopted; the rest is taken back, for nobody else would close it. */
  close(): void {
    this.#state = 'closed';
    for (const handle of this.#handles) this.#native.close(handle);
    this.#memory = null;
    this.#memoryRegistered = false;
    for (const ticket of this.#tickets) {
      const left = this.#native.adopt(ticket);
      if (left !== null) this.#native.close(left);
    }
  }
}

/**
 * What was left for the ticket, in the thread that calls.
 * @throws DirectorError ERR_INVALID_OPTION; ERR_DEVICE when it was adopted before, or in another process.
 */
export function adoptHandle(native: TapBinding, ticket: number, name: string): TapHandle {
  checkInteger('ticket', ticket, 1, 2 ** 31 - 1);
  const handle = native.adopt(ticket);
  if (handle === null) throw deviceError(name, 'was adopted before, or is not of this process');
  return handle;
}

/** Of two queues of one device, which count the same. */
function sumOfDrops(a: TapDrops, b: TapDrops): TapDrops {
  const counts = Object.entries(a).map(([reason, count]) => [reason, count + b[reason as keyof TapDrops]]);
  return Object.fromEntries(counts) as unknown as TapDrops;
}

/** What a person can do about failures that opening any interface may meet; '' for others. */
export function openingHint(error: TapSystemError): string {
  switch (`${error.syscall} ${error.code}`) {
    case 'ioctl SIOCGIFINDEX ENODEV':
      return ' (there is no interface of this name)';
    case 'open ENOENT':
      return ' (there is no such network namespace)';
    case 'setns EPERM':
      return ' (entering a network namespace needs CAP_SYS_ADMIN)';
    case 'setns EINVAL':
      return ' (the file is not a network namespace)';
    default:
      return '';
  }
}
