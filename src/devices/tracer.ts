import { type Clock, SystemClock } from '../clock.ts';
import { invalidOption } from '../errors.ts';
import { MemoryView } from '../packet/memory-view.ts';
import { printFrame } from '../packet/print.ts';
import type { Device, FrameBatch } from './device.ts';
import { checkDevice } from './options.ts';

/** `in`: the director receives the frame; `out`: it sends it. */
export type FrameDirection = 'in' | 'out';

/** Is shown a frame where it lies. The memory is the director's: look, copy, but keep nothing and change nothing. */
export type FrameTracer = (direction: FrameDirection, memory: Uint8Array, offset: number, length: number) => void;

/**
 * Wraps a device and shows every frame that passes to a function. On a device that finishes checksums and cuts segments by
 * itself, frames are shown as it gets and gives them: uncut, with checksums that are only begun.
 */
export class TracerDevice implements Device {
  readonly #device: Device;
  readonly #trace: FrameTracer;

  /**
   * @param trace called for each frame; {@link lineTracer} makes one that prints.
   * @throws DirectorError ERR_INVALID_OPTION
   */
  constructor(device: Device, trace: FrameTracer) {
    checkDevice(device);
    if (typeof trace !== 'function') throw invalidOption('trace', trace, 'a function');
    this.#device = device;
    this.#trace = trace;
  }

  get name(): string {
    return this.#device.name;
  }

  get mac(): string {
    return this.#device.mac;
  }

  get mtu(): number {
    return this.#device.mtu;
  }

  get checksumOffload(): boolean {
    return this.#device.checksumOffload === true;
  }

  get segmentation(): number {
    return this.#device.segmentation ?? 0;
  }

  get largestFrame(): number {
    return this.#device.largestFrame ?? 0;
  }

  open(wake: () => void, fail: (error: Error) => void): void {
    this.#device.open(wake, fail);
  }

  receive(batch: FrameBatch): number {
    const filled = this.#device.receive(batch);
    for (let i = 0; i < filled; i++) this.#trace('in', batch.memory, batch.offsets[i], batch.lengths[i]);
    return filled;
  }

  transmit(batch: FrameBatch): number {
    for (let i = 0; i < batch.count; i++) this.#trace('out', batch.memory, batch.offsets[i], batch.lengths[i]);
    return this.#device.transmit(batch);
  }

  close(): void {
    this.#device.close();
  }
}

/**
 * A tracer that prints one line for each frame: the clock's seconds, the direction, and the frame as
 * {@link printFrame} words it.
 *
 *     12.345678 in  02:00:00:00:fe:fe > 02:00:00:00:00:01 IPv4 192.0.2.1:40000 > 10.0.0.100:80 ...
 *
 * @param write takes a line without its newline. Default: `console.log`.
 */
export function lineTracer(write: (line: string) => void = console.log, clock: Clock = new SystemClock()): FrameTracer {
  const view = new MemoryView();
  return (direction, memory, offset, length) => {
    const seconds = (clock.now() / 1000).toFixed(6);
    write(`${seconds} ${direction.padEnd(3)} ${printFrame(view.of(memory), offset, length)}`);
  };
}
