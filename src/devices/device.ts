/**
 * What the director needs of a network interface: bursts of Ethernet frames in, bursts out, and a call when there is
 * something to read. Concrete devices live beside this file; the director knows only this interface.
 */
import type { MessagePort } from 'node:worker_threads';

/**
 * A burst of frames in one block of memory. The director owns it and hands the same object in again and again, so a
 * device may keep nothing of it after the call.
 */
export interface FrameBatch {
  /** The memory that all frames of the batch lie in. */
  readonly memory: Uint8Array;
  /**
   * Where each frame begins in `memory` (its first byte of Ethernet header), in bytes. For a device with `checksumOffload`
   * the 10 bytes in front of it, which must be there, are the device's to overwrite.
   */
  readonly offsets: Int32Array;
  /** How long each frame is, in bytes, without a frame check sequence. */
  readonly lengths: Int32Array;
  /**
   * Both ways, only for a device with `checksumOffload`: for a frame whose checksum is not complete, where the bytes to be
   * summed begin (upper 16 bits) and where the checksum field is (lower 16), counted from the frame's first byte; the
   * field holds what is to be added (the pseudo header's sum). 0 for all other frames. Such a device sets this word and
   * that of {@link segments} for every frame that it hands over; of others they are not looked at.
   */
  readonly partial: Int32Array;
  /**
   * Both ways, only for a device with `segmentation`: for a frame that stands for several segments, which kind (upper 16
   * bits, one of packet/offload.ts) and how many bytes of payload each carries (lower 16). Its checksum is not complete
   * either, and it is sent only to a device that cuts its kind. 0 for all other frames.
   */
  readonly segments: Int32Array;
  /** How many bytes there are room for at each offset (receiving). */
  readonly room: number;
  /** How many entries are frames (transmitting), or may be filled (receiving). */
  count: number;
}

/** A device, or one queue of it, on its way to another thread: plain data that can be cloned. */
export interface DeviceTransfer {
  /** URL of the module, and the name of its export, of the class whose static `adopt(data)` makes a device of the data. */
  readonly module: string;
  readonly export: string;
  readonly data: unknown;
  /** What of the data is moved and not cloned: message ports. */
  readonly transferList?: readonly MessagePort[];
  /** Whether the device keeps a program alive, as one of the kernel's does. */
  readonly keepsAlive: boolean;
}

/** A network interface that carries Ethernet frames. */
export interface Device {
  /** The interface's name; a director's interface takes its name from here when none is given. */
  readonly name: string;
  /** The MAC address that the director uses on this device, as text. */
  readonly mac: string;
  /** The largest IP packet that fits in a frame, in bytes. */
  readonly mtu: number;

  /**
   * Whether the device completes checksums that the director leaves to it, and may hand over frames whose checksum is not
   * complete ({@link FrameBatch.partial}). Default false.
   */
  readonly checksumOffload?: boolean;
  /**
   * The kinds of frames, as bits of packet/offload.ts, that the device cuts into segments by itself, and may hand over
   * uncut ({@link FrameBatch.segments}). Default 0.
   */
  readonly segmentation?: number;
  /** The longest frame that it may hand over, in bytes: more than the MTU allows with `segmentation`. Default 0: by the MTU. */
  readonly largestFrame?: number;

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

  /**
   * Hands the device on to `count` other threads, one queue to each, for a director that runs there (`threads`). It is
   * theirs from then on; here it can only be closed, which lets go of what none of them has adopted. A device without this
   * method cannot be used by such a director.
   * @throws DirectorError ERR_DEVICE when it is in use or closed, ERR_INVALID_OPTION when it has not as many queues.
   */
  transfer?(count: number): readonly DeviceTransfer[];
  /** For a transferred device whose other end is in this thread: hands on what has come since. */
  collect?(): void;
}
