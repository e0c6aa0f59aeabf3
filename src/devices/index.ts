/** Network interfaces for a director, and wrappers that watch, record or disturb one. */
export type { Device, DeviceTransfer, FrameBatch } from './device.ts';
export {
  type FaultCounts,
  FaultDevice,
  type FaultOptions,
  type FaultRates,
} from './fault.ts';
export * from './memory.ts';
export { PcapDevice, type PcapDeviceOptions } from './pcap.ts';
export { PcapWriter, type PcapWriterOptions } from './pcap-writer.ts';
export { type FrameStream, StreamDevice, type StreamDeviceOptions, type StreamDrops } from './stream.ts';
export { type DetachedTap, TapDevice, type TapDrops, type TapOptions } from './tap.ts';
export { type FrameDirection, type FrameTracer, lineTracer, TracerDevice } from './tracer.ts';
