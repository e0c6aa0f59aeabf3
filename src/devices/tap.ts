import { invalidOption } from '../errors.ts';
import {
  loadBinding,
  TAP_ANY,
  TAP_EXISTING,
  TAP_NEW,
  type TapBinding,
  type TapDrops,
  type TapHandle,
  type TapSystemError,
  TUN_F_CSUM,
  TUN_F_TSO_ECN,
  TUN_F_TSO4,
  TUN_F_TSO6,
  TUN_F_USO4,
  TUN_F_USO6,
} from '../native/binding.ts';
import { CUTS_ECN, CUTS_TCP4, CUTS_TCP6, CUTS_UDP4, CUTS_UDP6 } from '../packet/offload.ts';
import type { Device, DeviceTransfer, FrameBatch } from './device.ts';
import { adoptHandle, LINK_HEADERS, LONGEST_PACKET, NAME_BYTES, NativePort, openingHint } from './native-port.ts';
import {
  bytesOfMac,
  checkInteger,
  checkKeys,
  deviceError,
  isSystemError,
  parseUnicastMac,
  pathOfNamespace,
  stableMac,
  textOfMac,
} from './options.ts';

export type { TapDrops } from '../native/binding.ts';

/**
 * How a TAP is opened. A TAP is a wire with two ends. One is a network interface of the kernel, with an address of its
 * own; the other is this device, behind which the director is a host with another address.
 */
export interface TapOptions {
  /**
   * The interface's name, at most 15 bytes. May hold one `%d`, which the kernel replaces by the first free number.
   * Default: the kernel chooses (`tap0`, `tap1` ...).
   */
  readonly name?: string;
  /**
   * The network namespace to open it in: a name that `ip netns` knows, or the path of a namespace file
   * (`/proc/1234/ns/net`). Default: the caller's. Needs CAP_SYS_ADMIN.
   */
  readonly namespace?: string;
  /**
   * The MAC address that the director uses. Default: a locally administered one that is the same every time for the
   * same device, namespace and host name.
   */
  readonly mac?: string;
  /** The MAC address of the kernel's interface. Default: what the kernel gave it (random, for a new one). */
  readonly kernelMac?: string;
  /** Largest IP packet in bytes, 68 .. 65521; set on the kernel's interface. Default: what the kernel has (1500). */
  readonly mtu?: number;
  /** Whether to bring the kernel's interface up. Default true. */
  readonly up?: boolean;
  /**
   * `true`: attach to an interface that is there already (`ip tuntap add`), which stays when the device is closed.
   * `false`: fail if it is there. Default: attach to it if it is there, else make one, which goes with the device.
   */
  readonly existing?: boolean;
  /**
   * Whether checksums and segmentation are left to the other end, both ways (`IFF_VNET_HDR`, `TUNSETOFFLOAD`): the kernel
   * hands over TCP and UDP uncut, in frames of up to 64 KiB whose checksum is not complete, and takes such frames. Their
   * story is told in `partial` and `segments` of a batch, and the 10 bytes of its memory in front of each offset are the
   * device's to overwrite, in `receive` and in `transmit`. Default false: whoever reads frames and does not know of this
   * would forward checksums that are wrong.
   */
  readonly offload?: boolean;
  /**
   * How many queues to open, 1 .. 256, of an interface that may have several (`IFF_MULTI_QUEUE`): for a director in as
   * many threads. The kernel gives a flow to the queue that last sent a frame of it, or, before one did, to a queue by the
   * flow's hash. Default: an interface with one queue only.
   */
  readonly queues?: number;
  /**
   * How frames are written: `io_uring`, all of a burst by one system call; `burst`, one `write` for each; `auto`, the
   * former where the kernel allows it (not before Linux 6.4, not with `kernel.io_uring_disabled`, not under many seccomp
   * filters), else the latter. {@link TapDevice.io} tells which. Default `auto`.
   */
  readonly io?: TapIo | 'auto';
}

/** How frames are written to a TAP. */
export type TapIo = 'io_uring' | 'burst';

const WAYS = ['auto', 'io_uring', 'burst'];

/** What {@link TapDevice.transfer} sends of each queue. Plain data, but it owns the descriptor. */
export interface DetachedTap {
  /** Whoever shows it first gets the descriptor. Until then it is open, unless the device that sends it is closed. */
  readonly ticket: number;
  readonly name: string;
  readonly mac: string;
  readonly kernelMac: string;
  readonly mtu: number;
  /** What the kernel leaves undone in frames (TUN_F_ bits of linux/if_tun.h). */
  readonly offload: number;
  readonly io: TapIo | 'auto';
}

const KNOWN = ['name', 'namespace', 'mac', 'kernelMac', 'mtu', 'up', 'existing', 'offload', 'queues', 'io'];
const DETACHED = ['ticket', 'name', 'mac', 'kernelMac', 'mtu', 'offload', 'io'];

const LEAST_MTU = 68;
/** The kernel's limit for a TAP: 65535 less the Ethernet header. */
const MOST_MTU = 65521;
/** The kernel's limit (MAX_TAP_QUEUES). */
const MOST_QUEUES = 256;

/** A TAP interface of the Linux kernel. Opening one needs CAP_NET_ADMIN, or an interface that was made for the user. */
export class TapDevice implements Device {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  /** The MAC address of the kernel's interface when the device was opened. */
  readonly kernelMac: string;

  /** Whether the kernel completes checksums, and may hand over frames without one: so with {@link TapOptions.offload}. */
  readonly checksumOffload: boolean;
  /**
   * The kinds of frames, as bits of packet/offload.ts, that the kernel takes and may hand over uncut: with
   * {@link TapOptions.offload} all of TCP's, and UDP's since Linux 6.2; otherwise 0.
   */
  readonly segmentation: number;
  /** The longest frame that may be received, in bytes. */
  readonly largestFrame: number;

  /** How frames are written. */
  readonly io: TapIo;
  /** Why it is not io_uring, when `auto` was asked for: the system call that the kernel refused. */
  readonly ioRefusal: Error | undefined;

  readonly #port: NativePort;
  readonly #offload: number;
  readonly #wanted: TapIo | 'auto';

  private constructor(native: TapBinding, handles: readonly TapHandle[], tap: Omit<DetachedTap, 'ticket'>) {
    this.#offload = tap.offload;
    this.#wanted = tap.io;
    this.ioRefusal = tap.io === 'burst' ? undefined : ringRefusal(native, handles, tap);
    this.io = tap.io === 'burst' || this.ioRefusal !== undefined ? 'burst' : 'io_uring';
    this.#port = new NativePort(native, handles, tap.name, this.io === 'io_uring');
    this.name = tap.name;
    this.mac = tap.mac;
    this.kernelMac = tap.kernelMac;
    this.mtu = tap.mtu;
    this.checksumOffload = (tap.offload & TUN_F_CSUM) !== 0;
    this.segmentation = cutsOf(tap.offload);
    this.largestFrame = LINK_HEADERS + (this.segmentation === 0 ? tap.mtu : LONGEST_PACKET);
  }

  /**
   * Opens a TAP. It stays open until {@link close}, or until nobody holds the device any more. One that somebody else has open is
   * waited for, for 0.1 s: a process that was killed holds it a moment longer than it lives.
   * @throws DirectorError ERR_INVALID_OPTION; ERR_DEVICE with the failed system call as `cause` (an Error with `code`,
   *   `syscall` and `device`); ERR_UNSUPPORTED_PLATFORM on other systems than Linux or without the native addon.
   */
  static open(options: TapOptions = {}): TapDevice {
    checkKeys(options, KNOWN);
    const {
      name = '',
      namespace,
      mac,
      kernelMac,
      mtu,
      up = true,
      existing,
      offload = false,
      queues,
      io = 'auto',
    } = options;
    checkName(name, existing);
    const namespacePath = namespace === undefined ? '' : pathOfNamespace(namespace);
    if (mac !== undefined) parseUnicastMac(mac, 'mac');
    const kernelBytes = kernelMac === undefined ? new Uint8Array(0) : bytesOfMac(kernelMac, 'kernelMac');
    if (mtu !== undefined) checkInteger('mtu', mtu, LEAST_MTU, MOST_MTU);
    if (typeof up !== 'boolean') throw invalidOption('up', up, 'a boolean');
    if (typeof offload !== 'boolean') throw invalidOption('offload', offload, 'a boolean');
    if (queues !== undefined) checkInteger('queues', queues, 1, MOST_QUEUES);
    if (!WAYS.includes(io)) throw invalidOption('io', io, `one of ${WAYS.join(', ')}`);
    const existence = existing === undefined ? TAP_ANY : existing ? TAP_EXISTING : TAP_NEW;

    const native = loadBinding();
    try {
      const tap = native.open(name, namespacePath, existence, kernelBytes, mtu ?? 0, up, offload, queues ?? 0);
      const itsMac = textOfMac(tap.mac);
      const ourMac = mac?.toLowerCase() ?? stableMac(tap.name, namespacePath);
      if (ourMac === itsMac) {
        for (const handle of tap.handles) native.close(handle);
        throw invalidOption('mac', mac, "an address other than the kernel's on the same wire");
      }
      const described = { name: tap.name, mac: ourMac, kernelMac: itsMac, mtu: tap.mtu, offload: tap.offload, io };
      return new TapDevice(native, tap.handles, described);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      const problem = `cannot be opened: ${error.message}${hint(error)}`;
      throw deviceError(describe(name, namespace), problem, error);
    }
  }

  /**
   * The device of what was handed on, in the thread that calls. It closes the descriptor as one that was opened here
   * does: by {@link close}, when nobody holds it any more, and when the thread ends.
   * @throws DirectorError ERR_INVALID_OPTION; ERR_DEVICE when it was adopted before, or in another process;
   *   ERR_UNSUPPORTED_PLATFORM.
   */
  static adopt(detached: DetachedTap): TapDevice {
    checkKeys(detached, DETACHED);
    const native = loadBinding();
    return new TapDevice(native, [adoptHandle(native, detached.ticket, detached.name)], detached);
  }

  /** Frames lost on the way in or out, by reason, on all queues, also where they were handed on to. Counts on after {@link close}. */
  get drops(): TapDrops {
    return this.#port.drops;
  }

  /**
   * Whether the memory that frames were last written from is registered with io_uring, and pinned: so from the first burst on,
   * where the user may pin as much (`ulimit -l`). A director always writes from the same.
   */
  get memoryRegistered(): boolean {
    return this.#port.memoryRegistered;
  }

  /** @throws DirectorError ERR_DEVICE when the device is in use or closed, or has several queues. */
  open(wake: () => void, fail: (error: Error) => void): void {
    this.#port.start(wake, fail);
  }

  transfer(count: number): DeviceTransfer[] {
    const { name, mac, kernelMac, mtu } = this;
    return this.#port.handOn(count).map((ticket) => {
      const data: DetachedTap = { ticket, name, mac, kernelMac, mtu, offload: this.#offload, io: this.#wanted };
      return { module: import.meta.url, export: 'TapDevice', data, keepsAlive: true };
    });
  }

  receive(batch: FrameBatch): number {
    return this.#port.receive(batch);
  }

  transmit(batch: FrameBatch): number {
    return this.#port.transmit(batch);
  }

  close(): void {
    this.#port.close();
  }
}

/** Lets frames be written by io_uring; what the kernel answered where it refuses, unless nothing else is wanted. */
function ringRefusal(
  native: TapBinding,
  handles: readonly TapHandle[],
  { name, io }: Pick<DetachedTap, 'name' | 'io'>,
): Error | undefined {
  try {
    for (const handle of handles) native.useRing(handle);
    return undefined;
  } catch (error) {
    if (!isSystemError(error)) throw error;
    if (io === 'auto') return error;
    for (const handle of handles) native.close(handle);
    throw deviceError(name, `cannot be written to by io_uring: ${error.message}`, error);
  }
}

/** The words of packet/offload.ts for what the kernel granted. */
function cutsOf(granted: number): number {
  const bits = [
    [TUN_F_TSO4, CUTS_TCP4],
    [TUN_F_TSO6, CUTS_TCP6],
    [TUN_F_TSO_ECN, CUTS_ECN],
    [TUN_F_USO4, CUTS_UDP4],
    [TUN_F_USO6, CUTS_UDP6],
  ] as const;
  return bits.reduce((cuts, [bit, cut]) => (granted & bit ? cuts | cut : cuts), 0);
}

/** The kernel's rules (`dev_valid_name`), and one `%d` at most, which is what it accepts. */
function checkName(name: string, existing: boolean | undefined): void {
  if (typeof name !== 'string') throw invalidOption('name', name, 'a string');
  if (existing !== undefined && typeof existing !== 'boolean') throw invalidOption('existing', existing, 'a boolean');
  const pattern = name.includes('%');
  if (existing === true && (name === '' || pattern)) throw invalidOption('name', name, 'the name of an interface');
  if (name === '') return;
  const fits = Buffer.byteLength(name) <= NAME_BYTES && name !== '.' && name !== '..' && !/[/:\s\0]/.test(name);
  if (!fits || (pattern && !/^[^%]*%d[^%]*$/.test(name))) {
    throw invalidOption('name', name, `an interface's name of at most ${NAME_BYTES} bytes`);
  }
}

function describe(name: string, namespace: string | undefined): string {
  const device = name === '' ? 'TAP' : name;
  return namespace === undefined ? device : `${device} in namespace ${namespace}`;
}

/** What a person can do about the failures that people meet. */
function hint(error: TapSystemError): string {
  switch (`${error.syscall} ${error.code}`) {
    case 'open /dev/net/tun ENOENT':
      return ' (the kernel has no TUN/TAP driver, or the container no /dev/net/tun)';
    case 'open /dev/net/tun EACCES':
    case 'open /dev/net/tun EPERM':
      return ' (this user may not open /dev/net/tun)';
    case 'ioctl TUNSETIFF EPERM':
    case 'ioctl SIOCSIFHWADDR EPERM':
    case 'ioctl SIOCSIFMTU EPERM':
    case 'ioctl SIOCSIFFLAGS EPERM':
      return ' (this needs CAP_NET_ADMIN)';
    case 'ioctl TUNSETIFF EBUSY':
      return ' (the interface is in use, or exists and should not)';
    case 'ioctl TUNSETIFF EINVAL':
      return ' (an interface of this name exists and is no TAP, or has one queue where several are wanted, or the reverse)';
    default:
      return openingHint(error);
  }
}
