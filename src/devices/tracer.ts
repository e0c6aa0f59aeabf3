import { type Clock, SystemClock } from '../clock.ts';
import { invalidOption } from '../errors.ts';
import { MemoryView } from '../packet/memory-view.ts';
import { printFrame } from '../packet/print.ts';
import type { Device, FrameBatch } from './device.ts';
import { WrappedDevice } from './wrapped.ts';

/** `in`: the director receives the frame; `out`: it sends it. */
export type FrameDirection = 'in' | 'out';

/** Is shown a frame where it lies. The memory is the director's: look, copy, but keep nothing and change nothing. */
export type FrameTracer = (direction: FrameDirection, memory: Uint8Array, offset: number, length: number) => void;

/**
 * Wraps a device and shows every frame that passes to a function. On a device that finishes checksums and cuts segments by
 * itself, frames are shown as it gets and gives them: uncut, with checksums that are only begun.
 */
export class TracerDevice extends WrappedDevice {
  readonly #trace: FrameTracer;

  /**
   * @param trace called for each frame; {@link lineTracer} makes one that prints.
   * @throws DirectorError ERR_INVALID_OPTION
   */
  constructor(device: Device, trace: FrameTracer) {
    super(device);
    if (typeof trace !== 'function') throw invalidOption('trace', trace, 'a function');
    this.#trace = trace;
  }

  receive(batch: FrameBatch): number {
    const filled = this.device.receive(batch);
    for (let i = 0; i < filled; i++) this.#trace('in', batch.memory, batch.offsets[i], batch.lengths[i]);
    return filled;
  }

  transmit(batch: FrameBatch): number {
    for (let i = 0; i < batch.count; i++) this.#trace('out', batch.memory, batch.offsets[i], batch.lengths[i]);
    return this.device.transmit(batch);
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
