/**
 * The native addon, as it is: an opaque handle for each open descriptor and flat functions on it. Loaded when the first device
 * of the kernel's is opened, so that everything else works where it was not built.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DirectorError } from '../errors.ts';

/** An open TAP, or one of its queues, or a socket on an interface. Only the addon can look inside. */
export interface TapHandle {
  readonly tapHandle: unique symbol;
}

/** Whether the interface may be there already: attach to it or make it, it must be there, it must not. */
export const TAP_ANY = 0;
export const TAP_EXISTING = 1;
export const TAP_NEW = 2;

/** What the kernel may leave to a TAP's reader, as bits (include/uapi/linux/if_tun.h). */
export const TUN_F_CSUM = 0x01;
export const TUN_F_TSO4 = 0x02;
export const TUN_F_TSO6 = 0x04;
export const TUN_F_TSO_ECN = 0x08;
export const TUN_F_USO4 = 0x20;
export const TUN_F_USO6 = 0x40;

/** What `open` gives: a handle for each queue, and what the kernel says of the interface. */
export interface OpenedTap {
  readonly handles: readonly TapHandle[];
  /** The interface's name, as the kernel completed it. */
  readonly name: string;
  /** The six bytes of the kernel's own address on the interface. */
  readonly mac: readonly number[];
  readonly mtu: number;
  /** What the kernel may leave undone in frames: TUN_F_ bits. */
  readonly offload: number;
}

/** Frames lost by a TAP, by reason. */
export interface TapDrops {
  /** Received, but longer than the room for it. */
  readonly oversize: number;
  /** Not sent: the kernel had no memory or no queue space. */
  readonly noBuffer: number;
  /** Not sent: the interface is down, or gone. */
  readonly linkDown: number;
  /** Not sent: shorter than an Ethernet header, or refused by the kernel. */
  readonly invalid: number;
  /** Received, or not sent: what it says of a checksum to be completed or of segments does not fit the frame. */
  readonly offload: number;
}

/** Frames lost by a device on an existing interface, by reason. */
export interface PacketDrops extends TapDrops {
  /** Not received: they were not taken in time, or the kernel had no memory for them. */
  readonly missed: number;
}

/** Where the program of an AF_XDP socket runs: in the driver if it can, there or not at all, behind the driver. */
export const XDP_ANY = 0;
export const XDP_NATIVE = 1;
export const XDP_GENERIC = 2;

/** What `openPacket` gives: a handle for each queue, and what the kernel says of the interface. */
export interface OpenedPacket {
  readonly handles: readonly TapHandle[];
  /** The six bytes of the interface's address. */
  readonly mac: readonly number[];
  readonly mtu: number;
}

/** What `openXdp` gives, with one handle. */
export interface OpenedXdp extends OpenedPacket {
  /** `XDP_NATIVE` or `XDP_GENERIC`. */
  readonly mode: number;
}

/** A failed system call, as the addon throws it. */
export interface TapSystemError extends Error {
  /** `EPERM`, `EBUSY` ... */
  readonly code: string;
  /** The negative number of it. */
  readonly errno: number;
  /** `open /dev/net/tun`, `ioctl TUNSETIFF`, `setns` ... */
  readonly syscall: string;
  /** The interface's name. */
  readonly device: string;
}

/**
 * The addon's functions. All of them check their arguments and throw a TypeError or RangeError for wrong ones; `start`,
 * `receive`, `transmit` and `detach` throw an Error with code `ERR_CLOSED` for a closed device.
 */
export interface TapBinding {
  /**
   * Opens a TAP. An empty `name` lets the kernel choose one, an empty `namespacePath` is the caller's namespace, an
   * empty `mac` and an `mtu` of 0 leave the kernel's choice. `offload`: frames have a virtio-net header. `queues`: of an
   * interface that may have several, 1 .. 256; 0: an interface with one.
   * @throws {@link TapSystemError}
   */
  open(
    name: string,
    namespacePath: string,
    existence: number,
    mac: Uint8Array,
    mtu: number,
    up: boolean,
    offload: boolean,
    queues: number,
  ): OpenedTap;
  /**
   * From now on `transmit` writes by io_uring, in this thread only. Does nothing when called again.
   * @throws {@link TapSystemError} where the kernel refuses it.
   */
  useRing(handle: TapHandle): void;
  /**
   * Registers the memory that `transmit` will write from with the ring, which pins it, instead of what was registered before.
   * Returns whether there is a ring and the kernel lets the user pin as much. The caller keeps the memory alive until the
   * handle is closed or detached, or other memory is registered.
   */
  registerMemory(handle: TapHandle, memory: Uint8Array): boolean;
  /**
   * Attaches packet sockets to an existing interface, `queues` of them, 1 .. 256, each of which receives a part of the
   * flows. `mac`: an address to receive frames for beside the interface's, or empty. The handles are ones with `offload`.
   * @throws {@link TapSystemError}
   */
  openPacket(name: string, namespacePath: string, mac: Uint8Array, promiscuous: boolean, queues: number): OpenedPacket;
  /**
   * Attaches an AF_XDP socket to one queue of an existing interface; -1: its only one.
   * @throws {@link TapSystemError}
   */
  openXdp(
    name: string,
    namespacePath: string,
    mac: Uint8Array,
    promiscuous: boolean,
    queue: number,
    mode: number,
  ): OpenedXdp;
  /**
   * Once for each device: from now on `wake()` is called when there is something to receive, once a turn of the event loop
   * until `receive` has taken it all; not again before `receive` was called. `wake(error)` says that it is over.
   */
  start(handle: TapHandle, wake: (error?: TapSystemError) => void): void;
  /**
   * Fills up to `count` frames of up to `room` bytes. Returns how many. `partial` and `segments` are looked at for a device
   * with `offload` only, which also needs 10 bytes of the memory in front of each offset.
   */
  receive(
    handle: TapHandle,
    memory: Uint8Array,
    offsets: Int32Array,
    lengths: Int32Array,
    partial: Int32Array,
    segments: Int32Array,
    count: number,
    room: number,
  ): number;
  /** Sends `count` frames. Returns how many the kernel took; the others are lost and counted. */
  transmit(
    handle: TapHandle,
    memory: Uint8Array,
    offsets: Int32Array,
    lengths: Int32Array,
    partial: Int32Array,
    segments: Int32Array,
    count: number,
  ): number;
  /** The losses so far, also of a device that was closed or is in another thread. */
  drops(handle: TapHandle): TapDrops;
  /** Closes the handle and leaves what it had open for whichever thread of the process adopts it. Returns a ticket for it. */
  detach(handle: TapHandle): number;
  /** A new handle, in this thread, of what was detached; null for a ticket that was used, or was none. */
  adopt(ticket: number): TapHandle | null;
  /** Closes the device, in any state. Does nothing when called again. */
  close(handle: TapHandle): void;
  /**
   * Sends a datagram to a Unix socket, which Node.js cannot; a path that begins with `@` is an abstract name.
   * @throws {@link TapSystemError}
   */
  notify(path: string, message: string): void;
  /** Zeroed memory on large pages, where the kernel has them. Throws when there is no address space left for it. */
  memory(bytes: number): ArrayBuffer;
}

let loaded: TapBinding | undefined;

/** The package's folder: the compiled file lies deeper in `build` than in `dist`. */
function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json')) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}

/**
 * The addon.
 * @throws DirectorError ERR_UNSUPPORTED_PLATFORM where there is none: on other systems than Linux, and where it was
 *   neither shipped nor built for this one.
 */
export function loadBinding(): TapBinding {
  if (loaded !== undefined) return loaded;
  if (process.platform !== 'linux') {
    const message = `TAP interfaces are supported on Linux only, not on ${process.platform}`;
    throw new DirectorError('ERR_UNSUPPORTED_PLATFORM', message);
  }
  try {
    const load = createRequire(import.meta.url)('node-gyp-build') as (root: string) => TapBinding;
    loaded = load(packageRoot());
  } catch (cause) {
    const message =
      `the native addon for TAP interfaces is missing on this machine (${process.platform}-${process.arch}); ` +
      'build it with a C compiler, make and Python installed: npm rebuild tapvs';
    throw new DirectorError('ERR_UNSUPPORTED_PLATFORM', message, { cause });
  }
  return loaded;
}
