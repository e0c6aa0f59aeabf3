/** tapvs: the Linux Virtual Server director in user space. */
export { Capture } from './capture.ts';
export { type Clock, ManualClock, SystemClock } from './clock.ts';
export type { DirectorOptions, InterfaceOptions, NeighbourOptions, RouteOptions } from './configuration.ts';
export { FORWARD_NAMES, type ForwardMethod } from './conntrack/forward-method.ts';
export * from './devices/index.ts';
export { Director } from './director.ts';
export type { CapturedFrame } from './engine/capture/buffer.ts';
export type { CaptureBound } from './engine/capture/captures.ts';
export type { CaptureFilter, CaptureOptions } from './engine/capture/options.ts';
export type { Drain, DrainOptions, DrainProgress, DrainState } from './engine/drains.ts';
export type { DirectorCounters, DirectorEvents } from './engine/engine.ts';
export type {
  ExplainOptions,
  Explanation,
  ExplanationFrame,
  ExplanationStep,
} from './engine/explain/explanation.ts';
export type { ReadBytes } from './engine/handover/blocks.ts';
export { type HandoverSource, inspectHandover, type TakenOver } from './engine/handover/handover.ts';
export type { PlantedCounts } from './engine/handover/planting.ts';
export type { Histogram, StateCount, TableFill, Workload, WorkloadOptions } from './engine/workload.ts';
export { DirectorError, type DirectorErrorCode } from './errors.ts';
export type * from './health/config.ts';
export type { IpvsadmResult } from './ipvsadm/ipvsadm.ts';
export type { PassedHandler } from './pipeline.ts';
export * from './schedulers/index.ts';
export type * from './services/config.ts';
export type { Destination } from './services/destination.ts';
export type { EnginePacket, PersistenceEngine } from './services/engines/engine.ts';
export { sip } from './services/engines/sip.ts';
export type { MarkRule, Marks } from './services/marks.ts';
export type { Service } from './services/service.ts';
export type { RateSnapshot, StatsSnapshot } from './services/stats.ts';
export type { SyncBackupCounters } from './sync/backup.ts';
export type { SyncCounters } from './sync/daemons.ts';
export type { SyncMasterCounters } from './sync/master.ts';
export { SYNC_REFUSAL_TEXTS, SYNC_REFUSALS, type SyncRefusal } from './sync/message.ts';
export { UdpTransport, type UdpTransportOptions } from './sync/socket.ts';
export type {
  SyncEndpoint,
  SyncReceive,
  SyncReceiver,
  SyncSender,
  SyncTransport,
} from './sync/transport.ts';
export type { Sysctl, SysctlName } from './sysctl.ts';
export { VERDICT_NAMES, VERDICT_TEXTS, type VerdictName } from './verdicts.ts';
