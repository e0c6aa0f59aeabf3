/** Network interfaces for a director, and wrappers that watch, record or disturb one. */
export {
  CUTS_ECN,
  CUTS_TCP4,
  CUTS_TCP6,
  CUTS_UDP4,
  CUTS_UDP6,
  SEGMENT_ECN,
  SEGMENT_TCP4,
  SEGMENT_TCP6,
  SEGMENT_UDP,
} from '../packet/offload.ts';
export type { Device, DeviceTransfer, FrameBatch } from './device.ts';
export {
  type FaultCounts,
  FaultDevice,
  type FaultOptions,
  type FaultRates,
} from './fault.ts';
export * from './memory.ts';
export { type DetachedPacket, PacketDevice, type PacketDrops, type PacketOptions } from './packet.ts';
export { PcapDevice, type PcapDeviceOptions } from './pcap.ts';
export { PcapWriter, type PcapWriterOptions } from './pcap-writer.ts';
export { type FrameStream, StreamDevice, type StreamDeviceOptions, type StreamDrops } from './stream.ts';
export { type DetachedTap, TapDevice, type TapDrops, type TapIo, type TapOptions } from './tap.ts';
export { type FrameDirection, type FrameTracer, lineTracer, TracerDevice } from './tracer.ts';
