import type { Device, FrameBatch } from '../../../src/devices/device.ts';
import { framesOf } from './batch.ts';

/** A device whose two ends are arrays. Wakes only when told to. */
export class FakeDevice implements Device {
  readonly name = 'fake0';
  readonly mac = '02:00:00:00:00:01';
  readonly mtu = 1500;
  /** Frames to be received. */
  readonly incoming: Uint8Array[] = [];
  /** Frames that were sent. */
  readonly outgoing: Uint8Array[] = [];
  closed = 0;
  wake: () => void = () => {};
  fail: (error: Error) => void = () => {};

  open(wake: () => void, fail: (error: Error) => void): void {
    this.wake = wake;
    this.fail = fail;
  }

  receive(batch: FrameBatch): number {
    let filled = 0;
    while (filled < batch.count && this.incoming.length > 0) {
      const frame = this.incoming.shift()!;
      batch.memory.set(frame, batch.offsets[filled]);
      batch.lengths[filled++] = frame.length;
    }
    return filled;
  }

  transmit(batch: FrameBatch): number {
    this.outgoing.push(...framesOf(batch, batch.count));
    return batch.count;
  }

  close(): void {
    this.closed++;
  }
}
