/**
 * Where real servers' connections are counted when a director works in several threads: shared memory with a place for each
 * server, in which every thread adds and takes off its own connections. So all of them schedule by the true totals.
 *
 * The first thread gives the places out, and tells the others; a removed server's place may be another's at once, for every
 * thread has taken its connections off by then.
 */
import { DirectorError } from '../errors.ts';

/** Words of a place: a cache line, so that servers do not slow each other down. */
const WORDS = 16;
/** Servers that there may be. */
const PLACES = 65_536;

export class SharedCounts {
  readonly words: Int32Array;
  readonly #isFirst: boolean;
  readonly #free: number[] = [];
  #next = 1;

  /** @param isFirst whether this is the thread that gives places out. */
  constructor(memory: SharedArrayBuffer, isFirst: boolean) {
    this.words = new Int32Array(memory);
    this.#isFirst = isFirst;
  }

  static memory(): SharedArrayBuffer {
    return new SharedArrayBuffer(PLACES * WORDS * 4);
  }

  /** The first thread's: a place, as the index of its first word; never 0. @throws DirectorError ERR_UNSUPPORTED */
  take(): number {
    const place = this.#free.pop() ?? this.#next;
    if (place === PLACES) {
      throw new DirectorError('ERR_UNSUPPORTED', `a director in several threads has at most ${PLACES - 1} servers`);
    }
    if (place === this.#next) this.#next++;
    this.words.fill(0, place * WORDS, (place + 1) * WORDS);
    return place * WORDS;
  }

  /** A place is not used any more; the first thread may give it out again. */
  give(at: number): void {
    if (this.#isFirst) this.#free.push(at / WORDS);
  }
}
