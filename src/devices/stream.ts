import { Buffer } from 'node:buffer';
import { DirectorError, invalidOption } from '../errors.ts';
import { MemoryView } from '../packet/memory-view.ts';
import type { Device, FrameBatch } from './device.ts';
import { FrameQueue } from './frame-queue.ts';
import { checkInteger, checkKeys, deviceError, parseUnicastMac, reasonOf, stableMac } from './options.ts';

/**
 * What a {@link StreamDevice} needs: the shape of npm's `tuntap2`. Every `data` is one Ethernet frame, and so is every
 * `write`.
 */
export interface FrameStream {
  readonly name: string;
  on(event: 'data', listener: (frame: Uint8Array) => void): unknown;
  on(event: 'error', listener: (error: unknown) => void): unknown;
  on(event: 'drain' | 'close', listener: () => void): unknown;
  /** Returns false when it wants no more before it emits `drain`, as a Writable does. */
  write(frame: Uint8Array): unknown;
  release(done: () => void): unknown;
  /** Largest IP packet in bytes. */
  readonly mtu?: number;
  /** The address of the interface at the other end, which the director must not use. */
  readonly mac?: string;
}

export interface StreamDeviceOptions {
  /** The MAC address that the director uses. Default: one that is the same every time for the same name and host. */
  readonly mac?: string;
  /** Largest IP packet in bytes, 68 .. 65521. Default: the stream's, else 1500. */
  readonly mtu?: number;
  /** How many received frames may wait for the director. Default 1024. */
  readonly queueFrames?: number;
  /** How many bytes may be written beyond the point where the stream asked to wait. Default 1 MiB. */
  readonly backlogBytes?: number;
}

/** Frames lost by a {@link StreamDevice}, by reason. */
export interface StreamDrops {
  /** Received, but too many were waiting. */
  readonly queueFull: number;
  /** Received, but longer than the room for it. */
  readonly oversize: number;
  /** Not sent: the stream did not keep up. */
  readonly backlog: number;
  /** Not sent: the stream refused the frame by throwing. */
  readonly refused: number;
}

const KNOWN = ['mac', 'mtu', 'queueFrames', 'backlogBytes'];
/** Ethernet header and two tags, and one byte that tells a frame that is too long. */
const FRAME_EXTRA = 23;

/**
 * Runs a director on any object that emits frames and takes them, one at a time. Made for `tuntap2`; a
 * {@link TapDevice} carries about fifteen times as many frames on the same machine.
 */
export class StreamDevice implements Device {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;

  readonly #stream: FrameStream;
  readonly #queue: FrameQueue;
  readonly #source = new MemoryView();
  readonly #backlogLimit: number;
  #backlog = 0;
  #waiting = false;
  #wake: (() => void) | undefined;
  #fail: ((error: Error) => void) | undefined;
  #wakePending = false;
  #closed = false;
  #failed = false;
  #queueFull = 0;
  #oversize = 0;
  #backlogged = 0;
  #refused = 0;

  /** @throws DirectorError ERR_INVALID_OPTION */
  constructor(stream: FrameStream, options: StreamDeviceOptions = {}) {
    checkStream(stream);
    checkKeys(options, KNOWN);
    const { mac, queueFrames = 1024, backlogBytes = 1 << 20 } = options;
    const mtu = options.mtu ?? (peek(stream, 'mtu') as number | undefined) ?? 1500;
    this.#stream = stream;
    this.name = stream.name;
    this.mtu = checkInteger('mtu', mtu, 68, 65521);
    this.mac = mac === undefined ? stableMac(stream.name, '') : mac.toLowerCase();
    parseUnicastMac(this.mac, 'mac');
    const otherEnd = peek(stream, 'mac');
    if (typeof otherEnd === 'string' && otherEnd.toLowerCase() === this.mac) {
      throw invalidOption('mac', mac, "an address other than the stream's own interface has");
    }
    this.#backlogLimit = checkInteger('backlogBytes', backlogBytes, 0, Number.MAX_SAFE_INTEGER);
    this.#queue = new FrameQueue(checkInteger('queueFrames', queueFrames, 1, 1 << 16), mtu + FRAME_EXTRA);
  }

  /** Frames lost on the way in or out, by reason. */
  get drops(): StreamDrops {
    return {
      queueFull: this.#queueFull,
      oversize: this.#oversize + this.#queue.oversize,
      backlog: this.#backlogged,
      refused: this.#refused,
    };
  }

  open(wake: () => void, fail: (error: Error) => void): void {
    if (this.#closed) throw deviceError(this.name, 'is closed');
    if (this.#wake !== undefined) throw deviceError(this.name, 'is in use');
    this.#wake = wake;
    this.#fail = fail;
    // The listeners stay when the device is closed, and do nothing then: a stream that is being released may still
    // emit `error`, which without a listener would end the process.
    this.#stream.on('error', (error) => this.#die(reasonOf(error), error));
    this.#stream.on('close', () => this.#die('the stream was closed'));
    this.#stream.on('drain', () => {
      this.#waiting = false;
      this.#backlog = 0;
    });
    this.#stream.on('data', (frame) => this.#take(frame));
  }

  receive(batch: FrameBatch): number {
    const filled = this.#queue.drain(batch);
    if (this.#queue.count > 0) this.#callWake();
    return filled;
  }

  transmit(batch: FrameBatch): number {
    if (this.#closed || this.#failed) return 0;
    let sent = 0;
    for (let i = 0; i < batch.count; i++) {
      if (this.#write(batch.memory, batch.offsets[i], batch.lengths[i])) sent++;
    }
    return sent;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue.clear();
    try {
      this.#stream.release(() => {});
    } catch {
      // Nothing is lost: whoever wants to know listens to the stream itself.
    }
  }

  #take(frame: Uint8Array): void {
    if (this.#closed) return;
    if (frame.length > this.#queue.frameBytes) this.#oversize++;
    else if (this.#queue.push(this.#source.of(frame), 0, frame.length) < 0) this.#queueFull++;
    else this.#callWake();
  }

  /** From the event loop: never from inside receive or transmit, and with everybody else's turn in between. */
  #callWake(): void {
    if (this.#wakePending) return;
    this.#wakePending = true;
    setImmediate(() => {
      this.#wakePending = false;
      if (!this.#closed) this.#wake?.();
    });
  }

  #write(memory: Uint8Array, at: number, length: number): boolean {
    if (this.#waiting && this.#backlog + length > this.#backlogLimit) {
      this.#backlogged++;
      return false;
    }
    try {
      // A copy: the stream may keep it long after the director has used the memory for the next burst.
      if (this.#stream.write(Buffer.from(memory.subarray(at, at + length))) === false) this.#waiting = true;
    } catch {
      this.#refused++;
      return false;
    }
    if (this.#waiting) this.#backlog += length;
    return true;
  }

  #die(reason: string, cause?: unknown): void {
    if (this.#closed || this.#failed) return;
    this.#failed = true;
    // As with wake: the stream may emit from inside a write.
    setImmediate(() => {
      if (!this.#closed)
        this.#fail?.(new DirectorError('ERR_DEVICE', `${this.name}: has failed: ${reason}`, { cause }));
    });
  }
}

function checkStream(stream: FrameStream): void {
  if (typeof stream !== 'object' || stream === null) throw invalidOption('stream', stream, 'an object');
  for (const method of ['on', 'write', 'release'] as const) {
    if (typeof stream[method] !== 'function') throw invalidOption(`stream.${method}`, stream[method], 'a function');
  }
  if (typeof stream.name !== 'string' || stream.name === '') {
    throw invalidOption('stream.name', stream.name, 'a non-empty string');
  }
}

/** A property that may be missing, or, as tuntap2's are while the interface is down, throw. */
function peek(stream: FrameStream, property: 'mac' | 'mtu'): unknown {
  try {
    return stream[property];
  } catch {
    return undefined;
  }
}
