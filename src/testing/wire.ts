/** What can be plugged into a {@link MemorySwitch}: a host's interface, or a director's MemoryDevice. */
export interface WireEnd {
  /** The wire brings a frame. The receiver must not change its bytes: others may be reading them too. */
  inject(frame: Uint8Array): void;
  /** Set by what the end is plugged into; called for every frame that the end sends. */
  onTransmit: ((frame: Uint8Array) => void) | null;
}

/** What an end can be plugged into. */
export interface Wire {
  /** Plugs the end in. @returns what pulls it out again. */
  connect(end: WireEnd): () => void;
}
