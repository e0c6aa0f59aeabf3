/** Bytes that go in at one end and out at the other, and can be read anywhere in between. */
export class ByteQueue {
  readonly #chunks: Uint8Array[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Appends the chunk itself, not a copy. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  /** Takes the oldest chunk, or what is left of it. */
  shift(): Uint8Array | undefined {
    const chunk = this.#chunks.shift();
    this.#length -= chunk?.length ?? 0;
    return chunk;
  }

  /** Forgets the first `count` bytes. */
  drop(count: number): void {
    let left = Math.min(count, this.#length);
    this.#length -= left;
    while (left > 0) {
      const first = this.#chunks[0]!;
      if (first.length > left) {
        this.#chunks[0] = first.subarray(left);
        return;
      }
      left -= first.length;
      this.#chunks.shift();
    }
  }

  /** A copy of the `count` bytes from `offset` on, or of as many as there are. */
  copy(offset: number, count: number): Uint8Array {
    const bytes = new Uint8Array(Math.max(0, Math.min(count, this.#length - offset)));
    let filled = 0;
    let skip = offset;
    for (const chunk of this.#chunks) {
      if (filled === bytes.length) break;
      if (skip < chunk.length) {
        const part = chunk.subarray(skip, skip + bytes.length - filled);
        bytes.set(part, filled);
        filled += part.length;
      }
      skip = Math.max(0, skip - chunk.length);
    }
    return bytes;
  }
}
