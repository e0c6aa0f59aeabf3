/** The verb `capture`: frames as they pass, both sides of chosen connections. */
import { setTimeout as pause } from 'node:timers/promises';
import type { CaptureOptions } from '../../engine/capture/options.ts';
import type { FrameRecord } from '../../packet/capture-file.ts';
import type { Verb } from '../verb.ts';

/** How often what was captured is sent, in milliseconds. */
const PERIOD_MS = 100;
/** Bytes of frames in one message, about: the rest goes into the next. */
const MESSAGE_BYTES = 2 ** 18;

/** A frame as JSON holds it: `bytes` in base64. */
export type CapturedRecord = Omit<FrameRecord, 'bytes'> & { readonly bytes: string };

/** What the verb tells as it goes. */
export interface CaptureNews {
  readonly frames: readonly CapturedRecord[];
  /** Frames lost so far, because they were not taken in time. */
  readonly lost: number;
}

/** How it ended. */
export interface CaptureAnswer {
  readonly packets: number;
  readonly lost: number;
  /** The bound that it reached. */
  readonly ended: string | null;
}

function pieces(frames: readonly FrameRecord[]): FrameRecord[][] {
  const found: FrameRecord[][] = [];
  let room = 0;
  for (const frame of frames) {
    if (room <= 0) {
      found.push([]);
      room = MESSAGE_BYTES;
    }
    found.at(-1)!.push(frame);
    room -= frame.bytes.length;
  }
  return found;
}

/**
 * Parameters: {@link CaptureOptions}. Tells {@link CaptureNews}, the first at once, when the capture has begun. Result, when it
 * has reached one of its bounds: {@link CaptureAnswer}. It ends with its client.
 */
export const captureVerb: Verb = {
  name: 'capture',
  async run(parameters, { director, note }, client): Promise<CaptureAnswer> {
    const capture = director.capture(parameters as CaptureOptions);
    note?.('capture begun', parameters);
    try {
      await client.send({ frames: [], lost: 0 } satisfies CaptureNews);
      while (!client.signal.aborted) {
        const frames = capture.read();
        for (const piece of pieces(frames)) {
          const records = piece.map((frame) => ({ ...frame, bytes: Buffer.from(frame.bytes).toString('base64') }));
          await client.send({ frames: records, lost: capture.lost } satisfies CaptureNews);
        }
        if (capture.ended !== null) break;
        await pause(PERIOD_MS, undefined, { signal: client.signal }).catch(() => {});
      }
    } finally {
      capture.stop();
      note?.('capture ended', { packets: capture.packets, lost: capture.lost });
    }
    return { packets: capture.packets, lost: capture.lost, ended: capture.ended };
  },
};
