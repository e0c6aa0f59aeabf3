/**
 * The captures that run in an engine. While there are any, a device of its own stands in front of each of the engine's
 * devices and looks at what passes; when there are none the frame path is as if this file were not there.
 */
import type { Device, FrameBatch } from '../../devices/device.ts';
import { DirectorError, invalidOption } from '../../errors.ts';
import type { Line } from '../../host/assembly.ts';
import { MemoryView } from '../../packet/memory-view.ts';
import type { Parts } from '../parts.ts';
import { CaptureBuffer, type CapturedFrame } from './buffer.ts';
import { LATER, Matcher, NO, YES } from './matcher.ts';
import { type CaptureOptions, type CaptureSettings, captureSettings } from './options.ts';

/** Captures that there may be at once. */
const MOST = 4;

/** The bound at which a capture ended. */
export type CaptureBound = 'packets' | 'bytes' | 'seconds';

/** What a capture has seen since it was last asked. */
export interface Captured {
  readonly frames: CapturedFrame[];
  /** Frames that found no room, since the capture began. */
  readonly lost: number;
  /** Why it has ended; null while it goes on. */
  readonly ended: CaptureBound | null;
}

/** One capture. */
class Running {
  readonly #settings: CaptureSettings;
  readonly #matcher: Matcher;
  readonly #buffer: CaptureBuffer;
  readonly #untilMs: number;
  #packets = 0;
  #bytes = 0;
  #lost = 0;
  ended: CaptureBound | null = null;

  constructor(settings: CaptureSettings, parts: Parts, nowMs: number) {
    this.#settings = settings;
    this.#matcher = new Matcher(settings, parts);
    this.#buffer = new CaptureBuffer(settings.bufferBytes);
    this.#untilMs = nowMs + settings.seconds * 1000;
  }

  look(view: DataView, batch: FrameBatch, count: number, timeMs: number, device: number, isIn: boolean): void {
    this.expire(timeMs);
    const { offsets, lengths } = batch;
    for (let i = 0; i < count && this.ended === null; i++) {
      const verdict = this.#matcher.judge(view, offsets[i], lengths[i]);
      // What the director sends has had its connection.
      if (verdict === NO || (verdict === LATER && !isIn)) continue;
      const kept = Math.min(lengths[i], this.#settings.snapLength);
      if (!this.#buffer.push(view, offsets[i], lengths[i], kept, timeMs, device, isIn, verdict === YES)) this.#lost++;
      else if (verdict === YES) this.#count(kept);
    }
  }

  /** Ends it when its time is over. */
  expire(timeMs: number): void {
    if (timeMs >= this.#untilMs) this.ended ??= 'seconds';
  }

  #count(kept: number): void {
    this.#packets++;
    this.#bytes += kept;
    if (this.#packets >= this.#settings.packets) this.ended ??= 'packets';
    else if (this.#bytes >= this.#settings.bytes) this.ended ??= 'bytes';
  }

  take(devices: readonly string[]): Captured {
    const frames = this.#buffer.take(devices, (view, frame, kept) => {
      const isWanted = this.#matcher.judge(view, frame, kept) === YES;
      if (isWanted) this.#count(kept);
      return isWanted;
    });
    return { frames, lost: this.#lost, ended: this.ended };
  }
}

/** Shows what passes a device. No WrappedDevice: whatever is behind a director knows devices by their interface only. */
class WatchedDevice implements Device {
  readonly device: Device;
  readonly #look: (batch: FrameBatch, count: number, isIn: boolean) => void;

  constructor(device: Device, look: (batch: FrameBatch, count: number, isIn: boolean) => void) {
    this.device = device;
    this.#look = look;
  }

  get name(): string {
    return this.device.name;
  }

  get mac(): string {
    return this.device.mac;
  }

  get mtu(): number {
    return this.device.mtu;
  }

  open(wake: () => void, fail: (error: Error) => void): void {
    this.device.open(wake, fail);
  }

  receive(batch: FrameBatch): number {
    const filled = this.device.receive(batch);
    if (filled > 0) this.#look(batch, filled, true);
    return filled;
  }

  transmit(batch: FrameBatch): number {
    // Before they are sent: afterwards the memory is not ours to look at.
    this.#look(batch, batch.count, false);
    return this.device.transmit(batch);
  }

  close(): void {
    this.device.close();
  }
}

export class Captures {
  readonly #parts: Parts;
  readonly #running = new Map<number, Running>();
  readonly #view = new MemoryView();
  /** When the clock was 0, in milliseconds since 1970. */
  readonly #epochMs: number;
  readonly #names: readonly string[];
  #next = 1;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#epochMs = parts.configuration.clock === null ? performance.timeOrigin : 0;
    this.#names = parts.lines.map(({ port }) => port.device.name);
  }

  /** @returns its number. @throws DirectorError ERR_INVALID_OPTION, ERR_TOO_MANY_CAPTURES */
  start(options: CaptureOptions): number {
    const settings = captureSettings(options);
    if (this.#running.size >= MOST) {
      throw new DirectorError('ERR_TOO_MANY_CAPTURES', `${MOST} captures are running, which is the most there may be`);
    }
    const id = this.#next++;
    this.#running.set(id, new Running(settings, this.#parts, this.#nowMs()));
    for (const [i, line] of this.#parts.lines.entries()) this.#watch(line, i);
    return id;
  }

  /** What it has seen since it was last asked. @throws DirectorError ERR_INVALID_OPTION when there is none of that number */
  take(id: number): Captured {
    const running = this.#running.get(id);
    if (running === undefined) throw invalidOption('capture', id, 'one that runs');
    running.expire(this.#nowMs());
    return running.take(this.#names);
  }

  /** The same for the last time. */
  stop(id: number): Captured {
    const captured = this.take(id);
    this.#running.delete(id);
    if (this.#running.size === 0) this.#unwatch();
    return captured;
  }

  #nowMs(): number {
    return this.#epochMs + this.#parts.time.clock.now();
  }

  #watch({ port }: Line, device: number): void {
    if (port.device instanceof WatchedDevice) return;
    port.device = new WatchedDevice(port.device, (batch, count, isIn) => {
      const view = this.#view.of(batch.memory);
      const nowMs = this.#nowMs();
      let goesOn = false;
      for (const running of this.#running.values()) {
        if (running.ended !== null) continue;
        running.look(view, batch, count, nowMs, device, isIn);
        goesOn = true;
      }
      // Those that have ended cost nothing while nobody fetches what they saw.
      if (!goesOn) this.#unwatch();
    });
  }

  #unwatch(): void {
    for (const { port } of this.#parts.lines) {
      if (port.device instanceof WatchedDevice) port.device = port.device.device;
    }
  }
}
