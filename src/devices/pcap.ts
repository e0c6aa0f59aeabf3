import { type Clock, SystemClock } from '../clock.ts';
import { MemoryView } from '../packet/memory-view.ts';
import type { Device, FrameBatch } from './device.ts';
import { checkKeys } from './options.ts';
import { PCAP_OPTIONS, PcapWriter, type PcapWriterOptions } from './pcap-writer.ts';
import { WrappedDevice } from './wrapped.ts';

export interface PcapDeviceOptions extends PcapWriterOptions {
  /** Where the times come from. Default: the machine's clock. */
  readonly clock?: Clock;
  /**
   * When the clock was 0, in milliseconds since 1970. Default: the right time for the machine's clock, 0 for another.
   */
  readonly epochMs?: number;
}

/**
 * Wraps a device and records every frame that passes, in both directions, to a pcap file. On a device that finishes
 * checksums and cuts segments by itself they are recorded as it gets and gives them: uncut, with checksums that are only
 * begun, as `tcpdump` sees them on the machine that sends.
 */
export class PcapDevice extends WrappedDevice {
  readonly #writer: PcapWriter;
  readonly #clock: Clock;
  readonly #view = new MemoryView();

  /**
   * @param path the file, which is made or emptied.
   * @throws DirectorError ERR_INVALID_OPTION; ERR_DEVICE when the file cannot be opened.
   */
  constructor(device: Device, path: string, options: PcapDeviceOptions = {}) {
    super(device);
    checkKeys(options, ['clock', ...PCAP_OPTIONS]);
    const { clock, ...writerOptions } = options;
    this.#clock = clock ?? new SystemClock();
    const epochMs = clock === undefined ? performance.timeOrigin : 0;
    this.#writer = new PcapWriter(path, { epochMs, ...writerOptions });
  }

  /** Frames that passed but were left out of the file, because the disk did not keep up or had failed. */
  get unrecorded(): number {
    return this.#writer.dropped;
  }

  receive(batch: FrameBatch): number {
    const filled = this.device.receive(batch);
    if (filled > 0) this.#record(batch, filled);
    return filled;
  }

  transmit(batch: FrameBatch): number {
    // Before they are sent: afterwards the memory is not ours to look at.
    this.#record(batch, batch.count);
    return this.device.transmit(batch);
  }

  /** Closes the device and completes the file. */
  override close(): void {
    super.close();
    this.#writer.close();
  }

  #record(batch: FrameBatch, count: number): void {
    const view = this.#view.of(batch.memory);
    const nowMs = this.#clock.now();
    for (let i = 0; i < count; i++) this.#writer.write(view, batch.offsets[i], batch.lengths[i], nowMs);
  }
}
