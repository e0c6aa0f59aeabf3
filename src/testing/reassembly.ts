interface Piece {
  readonly start: number;
  readonly bytes: Uint8Array;
}

/** Parts of a byte stream that came before their turn. Positions are sequence numbers that do not wrap. */
export class Reassembly {
  /** By start; pieces do not overlap. */
  #pieces: Piece[] = [];

  /** Keeps a part; where it overlaps what is kept already, the older bytes stay. */
  add(start: number, bytes: Uint8Array): void {
    const pieces: Piece[] = [];
    let from = start;
    const end = start + bytes.length;
    for (const piece of this.#pieces) {
      if (from < end && from < piece.start) {
        pieces.push({ start: from, bytes: bytes.subarray(from - start, Math.min(end, piece.start) - start) });
      }
      pieces.push(piece);
      from = Math.max(from, piece.start + piece.bytes.length);
    }
    if (from < end) pieces.push({ start: from, bytes: bytes.subarray(from - start) });
    this.#pieces = pieces.sort((a, b) => a.start - b.start);
  }

  /** Takes the part that begins at `position` or covers it, from there on; `undefined` while there is a gap. */
  take(position: number): Uint8Array | undefined {
    for (;;) {
      const first = this.#pieces[0];
      if (first === undefined || first.start > position) return undefined;
      this.#pieces.shift();
      if (first.start + first.bytes.length > position) return first.bytes.subarray(position - first.start);
    }
  }
}
