/** One open descriptor of the addon's, as the devices of the kernel use it: bursts, and what is said of failures. */
import type { TapBinding, TapHandle, TapSystemError } from '../native/binding.ts';
import type { FrameBatch } from './device.ts';
import { deviceError, reasonOf } from './options.ts';

/** IFNAMSIZ of the kernel, less the closing NUL. */
export const NAME_BYTES = 15;
/** The Ethernet header with two tags. */
export const LINK_HEADERS = 22;
/** The longest IP packet, which is also the longest that is left uncut. */
export const LONGEST_PACKET = 65535;

export class NativePort {
  readonly #native: TapBinding;
  readonly #handle: TapHandle;
  /** The device's name, for errors. */
  readonly #name: string;

  constructor(native: TapBinding, handle: TapHandle, name: string) {
    this.#native = native;
    this.#handle = handle;
    this.#name = name;
  }

  /** Has `wake` called when there is something to receive, and `fail` with ERR_DEVICE when the interface is gone. */
  start(wake: () => void, fail: (error: Error) => void): void {
    this.#native.start(this.#handle, (error) => {
      if (error === undefined) wake();
      else fail(deviceError(this.#name, `has failed: ${error.message}`, error));
    });
  }

  /** @throws DirectorError ERR_DEVICE for a batch that is none, or a descriptor that was closed. */
  receive(batch: FrameBatch): number {
    try {
      const { memory, offsets, lengths, partial, segments, count, room } = batch;
      return this.#native.receive(this.#handle, memory, offsets, lengths, partial, segments, count, room);
    } catch (error) {
      throw deviceError(this.#name, `cannot receive: ${reasonOf(error)}`, error);
    }
  }

  /** @throws DirectorError ERR_DEVICE as {@link receive}. */
  transmit(batch: FrameBatch): number {
    try {
      const { memory, offsets, lengths, partial, segments, count } = batch;
      return this.#native.transmit(this.#handle, memory, offsets, lengths, partial, segments, count);
    } catch (error) {
      throw deviceError(this.#name, `cannot transmit: ${reasonOf(error)}`, error);
    }
  }
}

/** What a person can do about failures that opening any interface may meet; '' for others. */
export function openingHint(error: TapSystemError): string {
  switch (`${error.syscall} ${error.code}`) {
    case 'ioctl SIOCGIFINDEX ENODEV':
      return ' (there is no interface of this name)';
    case 'open ENOENT':
      return ' (there is no such network namespace)';
    case 'setns EPERM':
      return ' (entering a network namespace needs CAP_SYS_ADMIN)';
    case 'setns EINVAL':
      return ' (the file is not a network namespace)';
    default:
      return '';
  }
}
