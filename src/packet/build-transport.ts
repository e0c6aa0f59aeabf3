/** What follows the IP header of a built packet. Part of `build.ts`. */
import { invalidOption } from '../errors.ts';
import type { Bytes, IcmpFields, PacketFields, SctpChunk, SctpFields, TcpFields, UdpFields } from './build-fields.ts';
import { allocate, bytesOf, padded } from './build-util.ts';
import { ICMP_HEADER, writeIcmpChecksum, writeIcmpHeader } from './icmp.ts';
import { ICMPV6_CHECKSUM, ICMPV6_HEADER, writeIcmpv6Header } from './icmpv6.ts';
import { PROTO_ICMP, PROTO_ICMPV6, PROTO_IPIP, PROTO_IPV6, PROTO_SCTP, PROTO_TCP, PROTO_UDP } from './ipv4.ts';
import { CHUNK_HEADER, CHUNK_INIT, SCTP_HEADER, writeChunkHeader, writeSctpChecksum, writeSctpHeader } from './sctp.ts';
import { setUrgentPointer, TCP_CHECKSUM, TCP_HEADER, writeTcpHeader } from './tcp.ts';
import { parseFlags } from './tcp-flags.ts';
import { UDP_CHECKSUM, UDP_HEADER, writeUdpHeader } from './udp.ts';
import { integer } from './values.ts';

/** What goes into an IP packet: its bytes, but for a checksum that the addresses go into. */
export interface Content {
  readonly protocol: number;
  readonly bytes: Uint8Array;
  /** Where the checksum over the pseudo header goes; -1 where there is none. */
  readonly checksumAt: number;
}

/** Builds what the IP header is followed by; `PacketFields` says how. */
export function buildTransport(fields: PacketFields): Content {
  if (fields.tcp !== undefined) return buildTcp(fields.tcp);
  if (fields.udp !== undefined) return buildUdp(fields.udp);
  if (fields.sctp !== undefined) return buildSctp(fields.sctp);
  if (fields.icmp !== undefined) return buildIcmp(fields.icmp);
  if (fields.icmpv6 !== undefined) return buildIcmpv6(fields.icmpv6);
  if (fields.payload !== undefined) return buildPayload(fields.payload);
  throw invalidOption('packet', fields, 'one with tcp, udp, sctp, icmp, icmpv6 or payload');
}

function buildPayload(data: Bytes): Content {
  const bytes = bytesOf(data);
  return { protocol: bytes.length > 0 && bytes[0]! >>> 4 === 6 ? PROTO_IPV6 : PROTO_IPIP, bytes, checksumAt: -1 };
}

function buildTcp(fields: TcpFields): Content {
  const options = padded(fields.options ?? new Uint8Array(), 4, 1);
  const data = bytesOf(fields.data ?? '');
  const headerLength = TCP_HEADER + options.length;
  if (headerLength > 60) throw invalidOption('tcp.options', options.length, 'at most 40 bytes');
  const { bytes, view } = allocate(headerLength + data.length);
  writeTcpHeader(
    view,
    0,
    integer(fields.sourcePort, 0xffff, 'tcp.sourcePort'),
    integer(fields.destinationPort, 0xffff, 'tcp.destinationPort'),
    integer(fields.sequence ?? 1000, 0xffffffff, 'tcp.sequence'),
    integer(fields.acknowledgement ?? 0, 0xffffffff, 'tcp.acknowledgement'),
    headerLength,
    parseFlags(fields.flags ?? 'S', 'tcp.flags'),
    integer(fields.window ?? 64240, 0xffff, 'tcp.window'),
  );
  setUrgentPointer(view, 0, integer(fields.urgentPointer ?? 0, 0xffff, 'tcp.urgentPointer'));
  bytes.set(options, TCP_HEADER);
  bytes.set(data, headerLength);
  return { protocol: PROTO_TCP, bytes, checksumAt: TCP_CHECKSUM };
}

function buildUdp(fields: UdpFields): Content {
  const data = bytesOf(fields.data ?? 'hello');
  const { bytes, view } = allocate(UDP_HEADER + data.length);
  writeUdpHeader(
    view,
    0,
    integer(fields.sourcePort, 0xffff, 'udp.sourcePort'),
    integer(fields.destinationPort, 0xffff, 'udp.destinationPort'),
    integer(bytes.length, 0xffff, 'udp.length'),
  );
  bytes.set(data, UDP_HEADER);
  return { protocol: PROTO_UDP, bytes, checksumAt: fields.zeroChecksum ? -1 : UDP_CHECKSUM };
}

function buildSctp(fields: SctpFields): Content {
  const chunks = (fields.chunks ?? [{ type: CHUNK_INIT }]).map((chunk, i) => buildChunk(chunk, `sctp.chunks[${i}]`));
  const { bytes, view } = allocate(chunks.reduce((sum, chunk) => sum + chunk.length, SCTP_HEADER));
  writeSctpHeader(
    view,
    0,
    integer(fields.sourcePort, 0xffff, 'sctp.sourcePort'),
    integer(fields.destinationPort, 0xffff, 'sctp.destinationPort'),
    integer(fields.verificationTag ?? 0, 0xffffffff, 'sctp.verificationTag'),
  );
  let at = SCTP_HEADER;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  writeSctpChecksum(view, 0, bytes.length);
  return { protocol: PROTO_SCTP, bytes, checksumAt: -1 };
}

function buildChunk(fields: SctpChunk, option: string): Uint8Array {
  const data = bytesOf(fields.data ?? '');
  const length = CHUNK_HEADER + data.length;
  const { bytes, view } = allocate(Math.ceil(length / 4) * 4);
  const type = integer(fields.type, 0xff, `${option}.type`);
  const flags = integer(fields.flags ?? 0, 0xff, `${option}.flags`);
  writeChunkHeader(view, 0, type, flags, integer(length, 0xffff, `${option}.length`));
  bytes.set(data, CHUNK_HEADER);
  return bytes;
}

function buildIcmp(fields: IcmpFields): Content {
  const data = bytesOf(fields.data ?? '');
  const { bytes, view } = allocate(ICMP_HEADER + data.length);
  const type = integer(fields.type, 0xff, 'icmp.type');
  const code = integer(fields.code ?? 0, 0xff, 'icmp.code');
  writeIcmpHeader(view, 0, type, code, integer(fields.rest ?? 0, 0xffffffff, 'icmp.rest'));
  bytes.set(data, ICMP_HEADER);
  writeIcmpChecksum(view, 0, bytes.length);
  return { protocol: PROTO_ICMP, bytes, checksumAt: -1 };
}

function buildIcmpv6(fields: IcmpFields): Content {
  const data = bytesOf(fields.data ?? '');
  const { bytes, view } = allocate(ICMPV6_HEADER + data.length);
  const type = integer(fields.type, 0xff, 'icmpv6.type');
  const code = integer(fields.code ?? 0, 0xff, 'icmpv6.code');
  writeIcmpv6Header(view, 0, type, code, integer(fields.rest ?? 0, 0xffffffff, 'icmpv6.rest'));
  bytes.set(data, ICMPV6_HEADER);
  return { protocol: PROTO_ICMPV6, bytes, checksumAt: ICMPV6_CHECKSUM };
}
