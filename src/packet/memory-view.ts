/** The DataView of the memory that a director hands in again and again, made once. */
export class MemoryView {
  #memory: Uint8Array = new Uint8Array(0);
  #view: DataView = new DataView(this.#memory.buffer);

  of(memory: Uint8Array): DataView {
    if (memory !== this.#memory) {
      this.#memory = memory;
      this.#view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
    }
    return this.#view;
  }
}

/** Copies `length` bytes from one view to another, four at a time and without allocating. They must not overlap. */
export function copyBytes(from: DataView, fromAt: number, to: DataView, toAt: number, length: number): void {
  let i = 0;
  for (; i + 4 <= length; i += 4) to.setUint32(toAt + i, from.getUint32(fromAt + i));
  for (; i < length; i++) to.setUint8(toAt + i, from.getUint8(fromAt + i));
}
