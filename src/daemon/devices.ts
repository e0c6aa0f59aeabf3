/** The kinds of device that a configuration file may name. */
import type { Device } from '../devices/device.ts';
import { PacketDevice, type PacketOptions } from '../devices/packet.ts';
import { TapDevice, type TapOptions } from '../devices/tap.ts';
import { invalidOption } from '../errors.ts';
import type { DeviceConfiguration, PacketConfiguration, TapConfiguration } from './configuration.ts';
import { flag, INTERFACE_NAME, integer, object, oneOf, text } from './schema-parts.ts';
import type { Schema } from './section.ts';

const namespace = text(
  'The network namespace it is in: a name that `ip netns` knows, or the path of a namespace file.',
);

const tap: Schema = object(
  'A TAP: a wire with two ends, an interface of the kernel and the director.',
  {
    type: oneOf('What it is.', ['tap']),
    name: text("The name of the kernel's interface, at most 15 characters.", { pattern: INTERFACE_NAME }),
    namespace,
    mac: text('The MAC address that the director uses. Default: one that is the same every time.'),
    kernelMac: text("The MAC address of the kernel's interface. Default: what the kernel gave it."),
    mtu: integer('Largest IP packet in bytes. Default: what the kernel has.', 68, 65521),
    up: flag("Whether to bring the kernel's interface up.", { default: true }),
    offload: flag('Whether checksums and segmentation are left to the other end, both ways.', { default: false }),
    io: oneOf(
      'How frames are written: all of a burst by one system call, or one by one.',
      ['auto', 'io_uring', 'burst'],
      { default: 'auto' },
    ),
    existing: flag(
      'true: attach to an interface that is there (`ip tuntap add`), which stays. false: fail if it is there. Default: ' +
        'attach to it, or make one that goes with the process.',
    ),
  },
  ['type', 'name'],
);

const packet: Schema = object(
  'An existing interface of the machine, a network card say. Before Linux 6.13 it has to be up for several threads.',
  {
    type: oneOf('What it is.', ['packet']),
    name: text('The name of the interface, which is left as it is.', { pattern: INTERFACE_NAME }),
    namespace,
    io: oneOf(
      'A packet socket, beside the stack of the kernel; or AF_XDP, in its place, for small packets, in one thread.',
      ['af_packet', 'af_xdp'],
      { default: 'af_packet' },
    ),
    mac: text("The MAC address that the director uses. Default: the interface's own."),
    promiscuous: flag('Whether to receive what is for any MAC address.', { default: false }),
    queue: integer('With `af_xdp`: the queue whose frames are received. Default: the only one.', 0, 32767),
    xdpMode: oneOf('With `af_xdp`: where frames are taken. Default: native where the driver can.', [
      'native',
      'generic',
    ]),
  },
  ['type', 'name'],
);

/** Their schemas. */
export const DEVICE_SCHEMAS: readonly Schema[] = [tap, packet];

/**
 * Refuses a device that has one queue where several threads need one each.
 * @throws DirectorError ERR_INVALID_OPTION
 */
export function checkQueues(configuration: DeviceConfiguration, threads: number): void {
  if (threads <= 1 || configuration.type !== 'packet' || configuration.io !== 'af_xdp') return;
  throw invalidOption('io', 'af_xdp', 'possible in several threads: it has one queue');
}

/**
 * Opens a device.
 * @param threads in how many the director works: the device gets as many queues.
 * @throws DirectorError ERR_INVALID_OPTION, ERR_DEVICE, ERR_UNSUPPORTED_PLATFORM
 */
export function openDevice(configuration: DeviceConfiguration, threads: number): Device {
  checkQueues(configuration, threads);
  const queues = threads > 1 ? { queues: threads } : {};
  return configuration.type === 'tap' ? openTap(configuration, queues) : openPacket(configuration, queues);
}

function openTap({ type: _, ...options }: TapConfiguration, queues: Pick<TapOptions, 'queues'>): TapDevice {
  return TapDevice.open({ ...options, ...queues });
}

function openPacket(
  { type: _, name, ...options }: PacketConfiguration,
  queues: Pick<PacketOptions, 'queues'>,
): PacketDevice {
  return PacketDevice.open({ ...options, interface: name, ...queues });
}
