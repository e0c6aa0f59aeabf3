/** A memory device whose director runs in another thread: both ends of one of its queues. */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { FrameRing } from '../packet/frame-ring.ts';
import { MemoryView } from '../packet/memory-view.ts';
import type { Device, DeviceTransfer, FrameBatch } from './device.ts';

/** What is known of the device. */
export type MemoryTraits = Required<
  Pick<Device, 'name' | 'mac' | 'mtu' | 'checksumOffload' | 'segmentation' | 'largestFrame'>
>;

/** What the director's thread makes its end of. */
interface MemoryQueueData extends MemoryTraits {
  readonly toDirector: SharedArrayBuffer;
  readonly fromDirector: SharedArrayBuffer;
  readonly port: MessagePort;
}

/** The end in the thread that injects frames and is given those that the director sends. */
export class MemoryQueueEnd {
  readonly transfer: DeviceTransfer;
  readonly #toDirector: FrameRing;
  readonly #fromDirector: FrameRing;
  readonly #port: MessagePort;
  readonly #source = new MemoryView();

  /**
   * @param bytes how much may wait each way.
   * @param arrived called when the director has sent something.
   */
  constructor(traits: MemoryTraits, bytes: number, arrived: () => void) {
    // One frame more: one that would lie across the ring's end leaves a gap there.
    const room = bytes + FrameRing.room(traits.largestFrame);
    this.#toDirector = FrameRing.of(room);
    this.#fromDirector = FrameRing.of(room);
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    port1.on('message', arrived);
    port1.unref();
    const rings = { toDirector: this.#toDirector.memory, fromDirector: this.#fromDirector.memory };
    const data: MemoryQueueData = { ...traits, ...rings, port: port2 };
    this.transfer = { module: import.meta.url, export: 'MemoryQueue', data, transferList: [port2], keepsAlive: false };
  }

  /** How many frames wait for the director. */
  get waiting(): number {
    return this.#toDirector.waiting;
  }

  /** Frames that the director found too long. */
  get lost(): number {
    return this.#toDirector.lost;
  }

  push(frame: Uint8Array, partial: number, segments: number): void {
    this.#toDirector.push(this.#source.of(frame), 0, frame.length, partial, segments);
    if (this.#toDirector.announce()) this.#port.postMessage(null);
  }

  /** Calls `sink` with a copy of every frame that the director has sent since. */
  collect(sink: (frame: Uint8Array, partial: number, segments: number) => void): void {
    const ring = this.#fromDirector;
    ring.attend();
    while (ring.next()) {
      const { length, partial, segments } = ring;
      const frame = new Uint8Array(length);
      ring.moveTo(new DataView(frame.buffer), 0);
      sink(frame, partial, segments);
    }
  }

  close(): void {
    this.#port.close();
  }
}

/** The end in the director's thread. */
export class MemoryQueue implements Device {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly checksumOffload: boolean;
  readonly segmentation: number;
  readonly largestFrame: number;
  readonly #toDirector: FrameRing;
  readonly #fromDirector: FrameRing;
  readonly #port: MessagePort;
  readonly #target = new MemoryView();

  private constructor(data: MemoryQueueData) {
    this.name = data.name;
    this.mac = data.mac;
    this.mtu = data.mtu;
    this.checksumOffload = data.checksumOffload;
    this.segmentation = data.segmentation;
    this.largestFrame = data.largestFrame;
    this.#toDirector = FrameRing.at(data.toDirector);
    this.#fromDirector = FrameRing.at(data.fromDirector);
    this.#port = data.port;
  }

  /** Makes the director's end of what {@link MemoryQueueEnd.transfer} holds. */
  static adopt(this: void, data: unknown): MemoryQueue {
    return new MemoryQueue(data as MemoryQueueData);
  }

  open(wake: () => void): void {
    this.#port.on('message', wake);
    if (this.#toDirector.waiting > 0) setImmediate(wake);
  }

  receive(batch: FrameBatch): number {
    const ring = this.#toDirector;
    const target = this.#target.of(batch.memory);
    ring.attend();
    let filled = 0;
    while (filled < batch.count && ring.next()) {
      if (ring.length > batch.room) {
        ring.take();
        ring.lose();
        continue;
      }
      batch.lengths[filled] = ring.length;
      batch.partial[filled] = ring.partial;
      batch.segments[filled] = ring.segments;
      ring.moveTo(target, batch.offsets[filled++]);
    }
    return filled;
  }

  transmit(batch: FrameBatch): number {
    const source = this.#target.of(batch.memory);
    let sent = 0;
    for (let i = 0; i < batch.count; i++) {
      const { offsets, lengths, partial, segments } = batch;
      if (this.#fromDirector.push(source, offsets[i], lengths[i], partial[i], segments[i])) sent++;
    }
    if (this.#fromDirector.announce()) this.#port.postMessage(null);
    return sent;
  }

  close(): void {
    this.#port.close();
  }
}
