import { sameAddress, type Words } from '../address.ts';

/**
 * A map from addresses to things, for look-ups on the frame path: open addressing over an Int32Array, no key objects.
 * (A Map with a string key costs thirty times as much.)
 */
export class AddressMap<T> {
  readonly #width: number;
  #keys: Int32Array;
  #values: (T | null)[];
  #size = 0;
  /** Of addresses of one word: the last that was found, 0 for none, and a bit for each that is stored. */
  #found = 0;
  #bits = 0;

  /** @param width words of an address: 1 for IPv4, 4 for IPv6. */
  constructor(width: number) {
    this.#width = width;
    this.#keys = new Int32Array(16 * width);
    this.#values = new Array(16).fill(null);
  }

  get size(): number {
    return this.#size;
  }

  /** What is stored for the address at `words[at]`, or null. */
  get(words: Words, at: number): T | null {
    const mask = this.#values.length - 1;
    for (let i = this.#home(words, at); ; i = (i + 1) & mask) {
      const value = this.#values[i];
      if (value === null || sameAddress(this.#width, this.#keys, i * this.#width, words, at)) return value;
    }
  }

  /** The same for an address of one word, in a map of such: {@link get} without a loop. */
  get4(word: number): T | null {
    const values = this.#values;
    const mask = values.length - 1;
    for (let i = (Math.imul(word, 0x9e3779b1) >>> 16) & mask; ; i = (i + 1) & mask) {
      const value = values[i];
      if (value === null || this.#keys[i] === word) return value;
    }
  }

  /**
   * Whether something is stored for an address of one word. Mostly it is asked for the same address again, or for one of
   * others among few that are stored: then no look-up is made.
   */
  has4(word: number): boolean {
    if (word === this.#found && word !== 0) return true;
    if (((this.#bits >>> bitOf(word)) & 1) === 0 || this.get4(word) === null) return false;
    this.#found = word;
    return true;
  }

  set(words: Words, at: number, value: T): void {
    const width = this.#width;
    if (this.#size * 2 >= this.#values.length) this.#rebuild(this.#values.length * 2, null);
    const mask = this.#values.length - 1;
    let i = this.#home(words, at);
    while (this.#values[i] !== null && !sameAddress(width, this.#keys, i * width, words, at)) i = (i + 1) & mask;
    if (this.#values[i] === null) this.#size++;
    this.#values[i] = value;
    for (let k = 0; k < width; k++) this.#keys[i * width + k] = words[at + k];
    this.#bits |= 1 << bitOf(words[at]);
  }

  delete(words: Words, at: number): void {
    const value = this.get(words, at);
    if (value !== null) this.#rebuild(this.#values.length, value);
  }

  /** Everything stored, in no order. */
  values(): T[] {
    return this.#values.filter((value) => value !== null);
  }

  #home(words: Words, at: number): number {
    let h = 0;
    for (let i = 0; i < this.#width; i++) h = Math.imul(h ^ words[at + i], 0x9e3779b1);
    return (h >>> 16) & (this.#values.length - 1);
  }

  /** Lays everything out again, but `without`. Removing is rare, so it may cost as much. */
  #rebuild(slots: number, without: T | null): void {
    const keys = this.#keys;
    const values = this.#values;
    this.#keys = new Int32Array(slots * this.#width);
    this.#values = new Array(slots).fill(null);
    this.#size = 0;
    this.#found = 0;
    this.#bits = 0;
    values.forEach((value, i) => {
      if (value !== null && value !== without) this.set(keys, i * this.#width, value);
    });
  }
}

/** One of 32 bits, by the address. */
function bitOf(word: number): number {
  return Math.imul(word, 0x9e3779b1) >>> 27;
}
