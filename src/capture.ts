/** A capture, as the one who started it has it in hand. */
import type { CapturedFrame } from './engine/capture/buffer.ts';
import type { CaptureBound, Captured } from './engine/capture/captures.ts';
import { type CaptureOptions, captureSettings } from './engine/capture/options.ts';
import type { Engine } from './engine/engine.ts';

/** Frames that pass a director, as they pass. Made by `Director.capture`. */
export class Capture {
  readonly #engine: Pick<Engine, 'startCapture' | 'takeCaptured' | 'stopCapture'>;
  readonly #id: number;
  readonly #most: { readonly packets: number; readonly bytes: number };
  #packets = 0;
  #bytes = 0;
  #lost = 0;
  #ended: CaptureBound | null = null;
  #stopped = false;

  constructor(engine: Pick<Engine, 'startCapture' | 'takeCaptured' | 'stopCapture'>, options: CaptureOptions) {
    this.#most = captureSettings(options);
    this.#engine = engine;
    this.#id = engine.startCapture(options);
  }

  /** Frames that have been read. */
  get packets(): number {
    return this.#packets;
  }

  /** Frames that found no room because they were not read in time. */
  get lost(): number {
    return this.#lost;
  }

  /** The bound at which it has ended; null while it runs, or when it was stopped before it reached any. */
  get ended(): CaptureBound | null {
    return this.#ended;
  }

  /** What was seen since it was last read, in the order of time. */
  read(): CapturedFrame[] {
    if (this.#stopped) return [];
    const frames = this.#keep(this.#engine.takeCaptured(this.#id));
    if (this.#ended !== null) this.stop();
    return frames;
  }

  /** Ends it. @returns what was not read yet */
  stop(): CapturedFrame[] {
    if (this.#stopped) return [];
    this.#stopped = true;
    return this.#keep(this.#engine.stopCapture(this.#id));
  }

  /** Several threads may have seen more, all together, than was asked for. */
  #keep({ frames, lost, ended }: Captured): CapturedFrame[] {
    this.#lost = lost;
    let count = 0;
    while (count < frames.length && this.#packets < this.#most.packets && this.#bytes < this.#most.bytes) {
      this.#packets++;
      this.#bytes += frames[count].bytes.length;
      count++;
    }
    if (this.#packets >= this.#most.packets) this.#ended ??= 'packets';
    else if (this.#bytes >= this.#most.bytes) this.#ended ??= 'bytes';
    else this.#ended ??= ended;
    return frames.slice(0, count);
  }
}
