/**
 * Packets: accessor functions per protocol (`(view, offset)`, for hot code), views of headers (for people), a builder
 * and a printer of whole frames.
 */
export * as arp from './arp.ts';
export { buildFrame, buildPacket } from './build.ts';
export type {
  ArpFields,
  Bytes,
  EthernetFields,
  ExtensionFields,
  FrameFields,
  IcmpFields,
  IpFields,
  PacketFields,
  SctpChunk,
  SctpFields,
  TcpFields,
  Transports,
  UdpFields,
  VlanFields,
} from './build-fields.ts';
export { CaptureFile, type CaptureFormat, type FrameRecord } from './capture-file.ts';
export * as checksum from './checksum.ts';
export { crc32c } from './crc32c.ts';
export * as ethernet from './ethernet.ts';
export { HeaderView } from './header-view.ts';
export * as icmp from './icmp.ts';
export * as icmpv6 from './icmpv6.ts';
export * as ipv4 from './ipv4.ts';
export * as ipv6 from './ipv6.ts';
export { parsePacket } from './parse.ts';
export { printFrame, printPacket } from './print.ts';
export * as sctp from './sctp.ts';
export * as tcp from './tcp.ts';
export { formatFlags, parseFlags } from './tcp-flags.ts';
export { IcmpView, Icmpv6View, SctpView, TcpView, UdpView } from './transport-views.ts';
export * as udp from './udp.ts';
export { ArpView, EthernetView, type IpView, Ipv4View, Ipv6View } from './views.ts';
