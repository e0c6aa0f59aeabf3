/**
 * What an application helper keeps of a connection beside its row. Only connections that a helper looks into have this,
 * and only once there is something to keep.
 */

/** One direction's change of sequence numbers, from helpers that put longer or shorter text in place of what was sent. */
export class SequenceShift {
  /** Sequence number, as its sender counts, of the segment that was changed last. */
  changedAt = 0;
  /** What is added to sequence numbers behind that segment, in bytes. */
  delta = 0;
  /** What is added to those up to it. */
  previousDelta = 0;
}

/** A helper's memory of one connection. */
export class ApplicationState {
  /** What the helper waits for; its own numbers, 0 for nothing. */
  mode = 0;
  readonly fromClient: SequenceShift = new SequenceShift();
  readonly fromServer: SequenceShift = new SequenceShift();
}
