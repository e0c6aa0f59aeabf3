/**
 * What the director needs of a network interface: bursts of Ethernet frames in, bursts out, and a call when there is
 * something to read. Concrete devices live beside this file; the director knows only this interface.
 */

/**
 * A burst of frames in one block of memory. The director owns it and hands the same object in again and again, so a
 * device may keep nothing of it after the call.
 */
export interface FrameBatch {
  /** The memory that all frames of the batch lie in. */
  readonly memory: Uint8Array;
  /** Where each frame begins in `memory` (its first byte of Ethernet header), in bytes. */
  readonly offsets: Int32Array;
  /** How long each frame is, in bytes, without a frame check sequence. */
  readonly lengths: Int32Array;
  /**
   * Transmitting, only for a device with `checksumOffload`: for a frame whose checksum the device must complete, where
   * the bytes to be summed begin (upper 16 bits) and where the checksum field is (lower 16), counted from the frame's
   * first byte; the field holds what is to be added (the pseudo header's sum). 0 for all other frames.
   */
  readonly partial: Int32Array;
  /** How many bytes there are room for at each offset (receiving). */
  readonly room: number;
  /** How many entries are frames (transmitting), or may be filled (receiving). */
  count: number;
}

/** A network interface that carries Ethernet frames. */
export interface Device {
  /** The interface's name; a director's interface takes its name from here when none is given. */
  readonly name: string;
  /** The MAC address that the director uses on this device, as text. */
  readonly mac: string;
  /** The largest IP packet that fits in a frame, in bytes. */
  readonly mtu: number;

  /** Whether the device completes checksums that the director leaves to it ({@link FrameBatch.partial}). Default false. */
  readonly checksumOffload?: boolean;

  /**
   * Called once when a director takes the device. From now on the device calls `wake` whenever there may be something
   * to receive, never from inside `receive` or `transmit`. `fail` reports that the device has died.
   * @throws DirectorError ERR_DEVICE when the device is in use or closed.
   */
  open(wake: () => void, fail: (error: Error) => void): void;

  /**
   * Fills up to `batch.count` frames, setting `batch.lengths[i]` and writing at `batch.offsets[i]`.
   * A frame longer than `batch.room` is dropped by the device, and counted there.
   * @returns how many frames were filled; fewer than `batch.count` means that there is nothing left for now.
   */
  receive(batch: FrameBatch): number;

  /**
   * Sends `batch.count` frames, in order. What cannot be sent is lost, as on a wire.
   * @returns how many were taken.
   */
  transmit(batch: FrameBatch): number;

  /** Lets go of everything the device holds. Does nothing when called again. */
  close(): void;
}
