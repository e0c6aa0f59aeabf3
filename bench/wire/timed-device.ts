/**
 * A device that is timed: how long the director works on a burst between receiving it and handing on what came of it. That is
 * what a packet costs outside of system calls, measured where it happens, after the kernel has had the caches; two looks at the
 * clock for each burst, 0.1 us of several.
 */
import { WrappedDevice } from '../../src/devices/wrapped.ts';
import type { FrameBatch } from '../../src/index.ts';

export class TimedDevice extends WrappedDevice {
  /** When the burst at hand had been received, in milliseconds; 0 when it has been handed on. */
  #received = 0;
  /** Milliseconds worked, and frames and bursts worked on. */
  workedMs = 0;
  frames = 0;
  bursts = 0;

  receive(batch: FrameBatch): number {
    const count = this.device.receive(batch);
    this.#received = count === 0 ? 0 : performance.now();
    if (count > 0) {
      this.bursts++;
      this.frames += count;
    }
    return count;
  }

  transmit(batch: FrameBatch): number {
    if (this.#received !== 0) {
      this.workedMs += performance.now() - this.#received;
      this.#received = 0;
    }
    return this.device.transmit(batch);
  }
}
