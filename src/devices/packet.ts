import { release } from 'node:os';
import { invalidOption } from '../errors.ts';
import {
  loadBinding,
  type OpenedPacket,
  type OpenedXdp,
  type PacketDrops,
  type TapBinding,
  type TapHandle,
  type TapSystemError,
  XDP_ANY,
  XDP_GENERIC,
  XDP_NATIVE,
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
  pathOfNamespace,
  textOfMac,
} from './options.ts';

export type { PacketDrops } from '../native/binding.ts';

/**
 * How a device attaches to an interface that is there: a network card, a veth, a bridge. There is no wire in between, as
 * there is with a TAP: the director reads what the interface receives, beside the kernel or instead of it.
 */
export interface PacketOptions {
  /** The interface's name. It has to be there, and up to be of use; it is left as it is. */
  readonly interface: string;
  /**
   * The network namespace that it is in: a name that `ip netns` knows, or the path of a namespace file
   * (`/proc/1234/ns/net`). Default: the caller's. Needs CAP_SYS_ADMIN.
   */
  readonly namespace?: string;
  /**
   * `af_packet` (default): a packet socket. The kernel's stack receives the same frames as well. Checksums and
   * segmentation are handed over, so TCP between hosts on one machine passes in frames of up to 64 KiB.
   * `af_xdp`: frames pass the kernel's stack by, which no longer sees what the interface receives. Made for small
   * packets: it needs an MTU of at most 1838 bytes and a peer that completes its checksums. Network cards do; the other
   * end of a veth does after `ethtool -K PEER tx off tso off gso off`. This is why it is never chosen unasked.
   */
  readonly io?: 'af_packet' | 'af_xdp';
  /**
   * The MAC address that the director uses. Default: the interface's own. With another one, which the interface is told
   * to receive too, the kernel and the director are two hosts on the interface.
   */
  readonly mac?: string;
  /** Whether to receive what is for any MAC address. Default false. */
  readonly promiscuous?: boolean;
  /**
   * `af_packet`: with how many packet sockets to attach, 1 .. 256 (`PACKET_FANOUT`): for a director in as many threads.
   * The kernel gives a flow to one of them by the flow's hash, and a fragment by its addresses. Before Linux 6.13 several
   * need the interface up when it is opened. Default: one.
   */
  readonly queues?: number;
  /** `af_xdp`: the queue of the interface whose frames are received. Default: its only one. */
  readonly queue?: number;
  /**
   * `af_xdp`: where the frames are taken. `native`, in the driver; `generic`, right behind it, which works on every
   * interface, and gains little. Default: native where the driver can, else generic.
   */
  readonly xdpMode?: 'native' | 'generic';
}

/** What {@link PacketDevice.transfer} sends of each queue. Plain data, but it owns the sockets. */
export interface DetachedPacket {
  /** Whoever shows it first gets the sockets. Until then they are open, unless the device that sends it is closed. */
  readonly ticket: number;
  readonly name: string;
  readonly mac: string;
  readonly interfaceMac: string;
  readonly mtu: number;
  readonly io: 'af_packet' | 'af_xdp';
  readonly xdpMode: 'native' | 'generic' | null;
}

const KNOWN = ['interface', 'namespace', 'io', 'mac', 'promiscuous', 'queues', 'queue', 'xdpMode'];
const DETACHED = ['ticket', 'name', 'mac', 'interfaceMac', 'mtu', 'io', 'xdpMode'];

const MOST_QUEUE = 0x7fff;
/** The kernel's limit (PACKET_FANOUT_MAX). */
const MOST_QUEUES = 256;

/**
 * An existing network interface. Opening it needs CAP_NET_RAW, for AF_XDP CAP_NET_ADMIN and CAP_BPF too (before Linux 5.8
 * CAP_SYS_ADMIN).
 */
export class PacketDevice implements Device {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  /** The MAC address of the interface when it was opened. */
  readonly interfaceMac: string;
  /** How frames are carried. */
  readonly io: 'af_packet' | 'af_xdp';
  /** Where AF_XDP takes the frames; null for AF_PACKET. */
  readonly xdpMode: 'native' | 'generic' | null;

  readonly checksumOffload: boolean;
  readonly segmentation: number;
  readonly largestFrame: number;

  readonly #port: NativePort;

  private constructor(native: TapBinding, handles: readonly TapHandle[], port: Omit<DetachedPacket, 'ticket'>) {
    const xdp = port.io === 'af_xdp';
    this.#port = new NativePort(native, handles, port.name);
    this.name = port.name;
    this.interfaceMac = port.interfaceMac;
    this.mac = port.mac;
    this.mtu = port.mtu;
    this.io = port.io;
    this.xdpMode = port.xdpMode;
    this.checksumOffload = !xdp;
    this.segmentation = xdp ? 0 : kernelCuts();
    this.largestFrame = LINK_HEADERS + (xdp ? port.mtu : LONGEST_PACKET);
  }

  /**
   * Attaches to an interface. It stays attached until {@link close}, or until nobody holds the device any more.
   * @throws DirectorError ERR_INVALID_OPTION; ERR_DEVICE with the failed system call as `cause` (an Error with `code`,
   *   `syscall` and `device`); ERR_UNSUPPORTED_PLATFORM on other systems than Linux or without the native addon.
   */
  static open(options: PacketOptions): PacketDevice {
    checkKeys(options, KNOWN);
    const { namespace, io = 'af_packet', mac, promiscuous = false, queues, queue, xdpMode } = options;
    checkName(options.interface);
    const namespacePath = namespace === undefined ? '' : pathOfNamespace(namespace);
    if (io !== 'af_packet' && io !== 'af_xdp') throw invalidOption('io', io, 'af_packet or af_xdp');
    const macBytes = mac === undefined ? new Uint8Array(0) : bytesOfMac(mac, 'mac');
    if (typeof promiscuous !== 'boolean') throw invalidOption('promiscuous', promiscuous, 'a boolean');
    if (queues !== undefined) checkInteger('queues', queues, 1, MOST_QUEUES);
    if (queue !== undefined) checkInteger('queue', queue, 0, MOST_QUEUE);
    const mode = modeOf(xdpMode);
    if (io === 'af_packet') {
      if (queue !== undefined) throw invalidOption('queue', queue, 'left out: it is for af_xdp');
      if (xdpMode !== undefined) throw invalidOption('xdpMode', xdpMode, 'left out: it is for af_xdp');
    } else if (queues !== undefined) throw invalidOption('queues', queues, 'left out: it is for af_packet');

    const native = loadBinding();
    const { interface: name } = options;
    try {
      const opened =
        io === 'af_packet'
          ? native.openPacket(name, namespacePath, macBytes, promiscuous, queues ?? 1)
          : native.openXdp(name, namespacePath, macBytes, promiscuous, queue ?? -1, mode);
      const interfaceMac = textOfMac(opened.mac);
      const described = { name, mac: mac?.toLowerCase() ?? interfaceMac, interfaceMac, mtu: opened.mtu, io };
      return new PacketDevice(native, opened.handles, { ...described, xdpMode: modeName(opened) });
    } catch (error) {
      if (!isSystemError(error)) throw error;
      const where = namespace === undefined ? name : `${name} in namespace ${namespace}`;
      throw deviceError(where, `cannot be opened: ${error.message}${hint(error)}`, error);
    }
  }

  /**
   * The device of what was handed on, in the thread that calls: with the sockets as they are, and the frames that wait in
   * them. It closes them as one that was opened here does: by {@link close}, when nobody holds it any more, and when the
   * thread ends.
   * @throws DirectorError ERR_INVALID_OPTION; ERR_DEVICE when it was adopted before, or in another process;
   *   ERR_UNSUPPORTED_PLATFORM.
   */
  static adopt(detached: DetachedPacket): PacketDevice {
    checkKeys(detached, DETACHED);
    const native = loadBinding();
    return new PacketDevice(native, [adoptHandle(native, detached.ticket, detached.name)], detached);
  }

  /**
   * Frames lost on the way in or out, by reason, on all queues, also where they were handed on to. Counts on after
   * {@link close}.
   */
  get drops(): PacketDrops {
    return this.#port.drops as PacketDrops;
  }

  /** @throws DirectorError ERR_DEVICE when the device is in use or closed, or has several queues. */
  open(wake: () => void, fail: (error: Error) => void): void {
    this.#port.start(wake, fail);
  }

  transfer(count: number): DeviceTransfer[] {
    const { name, mac, interfaceMac, mtu, io, xdpMode } = this;
    return this.#port.handOn(count).map((ticket) => {
      const data: DetachedPacket = { ticket, name, mac, interfaceMac, mtu, io, xdpMode };
      return { module: import.meta.url, export: 'PacketDevice', data, keepsAlive: true };
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

function checkName(name: string): void {
  const fits =
    typeof name === 'string' && name !== '' && Buffer.byteLength(name) <= NAME_BYTES && !/[/:\s\0]/.test(name);
  if (!fits) throw invalidOption('interface', name, 'the name of an interface');
}

function modeOf(xdpMode: PacketOptions['xdpMode']): number {
  if (xdpMode === undefined) return XDP_ANY;
  if (xdpMode === 'native') return XDP_NATIVE;
  if (xdpMode === 'generic') return XDP_GENERIC;
  throw invalidOption('xdpMode', xdpMode, 'native or generic');
}

/** Where AF_XDP takes the frames; null for AF_PACKET. */
function modeName(opened: OpenedPacket | OpenedXdp): 'native' | 'generic' | null {
  if (!('mode' in opened)) return null;
  return opened.mode === XDP_NATIVE ? 'native' : 'generic';
}

/** What the kernel cuts of what is sent: all of TCP's, and UDP's since it has words for them (Linux 6.2). */
function kernelCuts(): number {
  const [major, minor] = release().split('.', 2).map(Number);
  const udp = major > 6 || (major === 6 && minor >= 2) ? CUTS_UDP4 | CUTS_UDP6 : 0;
  return CUTS_TCP4 | CUTS_TCP6 | CUTS_ECN | udp;
}

/** What a person can do about the failures that people meet. */
function hint(error: TapSystemError): string {
  switch (`${error.syscall} ${error.code}`) {
    case 'ioctl SIOCGIFHWADDR EAFNOSUPPORT':
      return ' (the interface carries no Ethernet frames)';
    case 'socket AF_PACKET EPERM':
    case 'socket AF_XDP EPERM':
      return ' (this needs CAP_NET_RAW)';
    case 'socket AF_XDP EAFNOSUPPORT':
      return ' (the kernel has no AF_XDP)';
    case 'setsockopt PACKET_FANOUT EINVAL':
      return ' (several queues need the interface up, before Linux 6.13)';
    case 'setsockopt XDP_UMEM_REG ENOBUFS':
      return ' (ulimit -l is too low for memory that is shared with the kernel)';
    case 'ioctl ETHTOOL_GCHANNELS EMLINK':
      return ' (the interface has several queues: say which with `queue`, or make it one with ethtool -L NAME combined 1)';
    case 'bind AF_XDP EINVAL':
      return ' (the interface has no such queue)';
    case 'bind AF_XDP EBUSY':
      return ' (another AF_XDP socket has this queue)';
    case 'bind AF_XDP EMSGSIZE':
      return ' (the MTU is too large for AF_XDP)';
    case 'bind AF_XDP ENETDOWN':
      return ' (the interface is down)';
    case 'bpf BPF_MAP_CREATE EPERM':
    case 'bpf BPF_PROG_LOAD EPERM':
    case 'bpf BPF_LINK_CREATE EPERM':
      return ' (this needs CAP_BPF and CAP_NET_ADMIN)';
    case 'bpf BPF_LINK_CREATE EBUSY':
    case 'bpf BPF_LINK_CREATE EEXIST':
      return ' (the interface has an XDP program already)';
    case 'bpf BPF_LINK_CREATE EOPNOTSUPP':
      return ' (the driver runs no XDP programs)';
    case 'bpf BPF_LINK_CREATE ERANGE':
      return " (the MTU, the interface's or its peer's, is too large for XDP)";
    default:
      return openingHint(error);
  }
}
