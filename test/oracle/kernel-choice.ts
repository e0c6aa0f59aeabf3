/** Finds the bytes of a frame from Linux that are the kernel's own choice, and so not compared. */
import { ETHERNET_HEADER, ETHERTYPE_IPV4, ETHERTYPE_IPV6, etherType } from '../../src/packet/ethernet.ts';
import { PROTO_UDP } from '../../src/packet/ipv4.ts';
import type { RecordedFrame } from '../conformance/scenario.ts';

type Ranges = NonNullable<RecordedFrame['free']>;

const PROTO_ICMP = 1;
const ICMPV6 = 58;
const IPV6_HEADER = 40;
const FRAGMENT = 44;
const FRAGMENT_HEADER = 8;

/** Ports that tunnels in GUE lead to: nothing else is sent to them. */
export const GUE_PORTS: readonly number[] = [6080, 5555];

/**
 * The identification of an IPv4 packet that the kernel made (and the header checksum that follows from it), the flow
 * label of an IPv6 one, the source port of GUE and its checksum. A packet that keeps its identification was not made
 * but passed on, and is compared whole.
 * @param sent a frame that Linux sent.
 * @param received the frame that made it do so.
 */
export function kernelChoice(sent: Buffer, received: Buffer | null): Ranges {
  const view = viewOf(sent);
  const type = sent.length >= ETHERNET_HEADER + 20 ? etherType(view, 0) : 0;
  const ip = ETHERNET_HEADER;
  if (type === ETHERTYPE_IPV4) {
    const transport = ip + (sent[ip] & 15) * 4;
    const made = received === null || identification(received) !== identification(sent);
    const header: Ranges = made
      ? [
          [ip + 4, ip + 6],
          [ip + 10, ip + 12],
        ]
      : [];
    return [...header, ...gue(sent, view, sent[ip + 9], transport, view.getUint16(ip + 6) & 0x1fff)];
  }
  if (type === ETHERTYPE_IPV6 && sent.length >= ip + IPV6_HEADER) {
    const made = received === null || flowLabel(received) !== flowLabel(sent);
    const header: Ranges = made ? [[ip + 1, ip + 4]] : [];
    const next = ip + IPV6_HEADER;
    if (sent[ip + 6] !== FRAGMENT || sent.length < next + FRAGMENT_HEADER) {
      return [...header, ...gue(sent, view, sent[ip + 6], next, 0)];
    }
    // The kernel numbers the fragments that it makes as it likes, also of what came in fragments.
    const offset = view.getUint16(next + 2) & 0xfff8;
    const identification = [next + 4, next + FRAGMENT_HEADER] as const;
    return [...header, identification, ...gue(sent, view, sent[next], next + FRAGMENT_HEADER, offset)];
  }
  return [];
}

function gue(sent: Buffer, view: DataView, protocol: number, transport: number, fragment: number): Ranges {
  if (protocol !== PROTO_UDP || fragment !== 0 || sent.length < transport + 8) return [];
  if (!GUE_PORTS.includes(view.getUint16(transport + 2))) return [];
  const hasChecksum = view.getUint16(transport + 6) !== 0;
  const port = [transport, transport + 2] as const;
  return hasChecksum ? [port, [transport + 6, transport + 8]] : [port];
}

function identification(frame: Buffer): number {
  const isIpv4 = frame.length >= ETHERNET_HEADER + 20 && frame.readUInt16BE(12) === ETHERTYPE_IPV4;
  return isIpv4 ? frame.readUInt16BE(ETHERNET_HEADER + 4) : -1;
}

function flowLabel(frame: Buffer): number {
  const isIpv6 = frame.length >= ETHERNET_HEADER + IPV6_HEADER && frame.readUInt16BE(12) === ETHERTYPE_IPV6;
  return isIpv6 ? frame.readUIntBE(ETHERNET_HEADER + 1, 3) & 0xfffff : -1;
}

/** Group membership reports, which hosts send on their own. */
export function isHostChatter(frame: Buffer): boolean {
  const type = frame.readUInt16BE(12);
  if (type === ETHERTYPE_IPV4) return frame[ETHERNET_HEADER + 9] === 2;
  if (type !== ETHERTYPE_IPV6) return false;
  const next = frame[ETHERNET_HEADER + 6];
  const first = frame[ETHERNET_HEADER + IPV6_HEADER];
  return next === 0 || (next === ICMPV6 && ((first >= 133 && first <= 136) || first === 143));
}

/** Whether a frame answers `echoRequest`-style markers: an ICMP echo reply with this identifier. */
export function markerSequence(frame: Buffer, identifier: number): number | null {
  if (frame.length < ETHERNET_HEADER + 28 || frame.readUInt16BE(12) !== ETHERTYPE_IPV4) return null;
  const icmp = ETHERNET_HEADER + 20;
  const isReply = frame[ETHERNET_HEADER + 9] === PROTO_ICMP && frame[icmp] === 0;
  return isReply && frame.readUInt16BE(icmp + 4) === identifier ? frame.readUInt16BE(icmp + 6) : null;
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
