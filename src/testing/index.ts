/** In-memory hosts and switches: a whole network around a director in one process, for tests and first steps. */
export { type Impairment, type ImpairmentOptions, impair, seededRandom } from './impairment.ts';
export {
  type ConnectionTarget,
  type ConnectOptions,
  MemoryHost,
  type MemoryHostDrops,
  type MemoryHostOptions,
  type MemoryInterfaceOptions,
  type MemoryRouteOptions,
} from './memory-host.ts';
export { type InterfaceAddress, MemoryInterface } from './memory-interface.ts';
export { MemorySwitch, type MemorySwitchOptions } from './memory-switch.ts';
export type { DnatRule, NatOptions, SnatRule } from './nat.ts';
export type { ArpAnnounce, ArpIgnore } from './neighbours.ts';
export type { TcpState } from './tcp-connection.ts';
export type { MemorySocket } from './tcp-socket.ts';
export type { Listener, ListenOptions } from './tcp-stack.ts';
export type { DatagramOrigin, MemoryUdpSocket } from './udp-stack.ts';
export type { Wire, WireEnd } from './wire.ts';
