/** Captured frames that nobody has fetched yet, one behind the other in memory that was laid out beforehand. */
import { copyBytes } from '../../packet/memory-view.ts';

/** A captured frame. */
export interface CapturedFrame {
  /** When it was seen, in milliseconds since 1970 (of a director with a clock of its own: by that clock). */
  readonly timeMs: number;
  /** The device's name. */
  readonly device: string;
  /** `in`: the director received it; `out`: it sent it. */
  readonly direction: 'in' | 'out';
  /** How long it was. */
  readonly length: number;
  /** What was kept of it. */
  readonly bytes: Uint8Array;
}

/** Time (8 bytes), length, bytes kept, device, direction and whether it was judged. */
const HEADER = 20;

export class CaptureBuffer {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  #used = 0;

  constructor(size: number) {
    this.#bytes = new Uint8Array(size);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Appends a frame. Returns whether there was room. */
  push(
    view: DataView,
    frame: number,
    length: number,
    kept: number,
    timeMs: number,
    device: number,
    isIn: boolean,
    isJudged: boolean,
  ): boolean {
    const at = this.#used;
    if (at + HEADER + kept > this.#bytes.length) return false;
    const buffer = this.#view;
    buffer.setFloat64(at, timeMs);
    buffer.setUint32(at + 8, length);
    buffer.setUint32(at + 12, kept);
    buffer.setUint16(at + 16, device);
    buffer.setUint8(at + 18, isIn ? 1 : 0);
    buffer.setUint8(at + 19, isJudged ? 1 : 0);
    copyBytes(view, frame, buffer, at + HEADER, kept);
    this.#used = at + HEADER + kept;
    return true;
  }

  /**
   * All that is there, in order; it is empty then.
   * @param judge whether to take a frame that was not judged when it came.
   */
  take(devices: readonly string[], judge: (view: DataView, frame: number, kept: number) => boolean): CapturedFrame[] {
    const { buffer } = this.#bytes;
    const view = this.#view;
    const frames: CapturedFrame[] = [];
    for (let at = 0; at < this.#used; ) {
      const kept = view.getUint32(at + 12);
      const frame = at + HEADER;
      if (view.getUint8(at + 19) === 1 || judge(view, frame, kept)) {
        frames.push({
          timeMs: view.getFloat64(at),
          device: devices[view.getUint16(at + 16)],
          direction: view.getUint8(at + 18) === 1 ? 'in' : 'out',
          length: view.getUint32(at + 8),
          bytes: new Uint8Array(buffer.slice(frame, frame + kept)),
        });
      }
      at = frame + kept;
    }
    this.#used = 0;
    return frames;
  }
}
