/**
 * What network cards do, said as plainly as can be: finishing checksums and cutting segments; and the way back, to make
 * frames as a kernel hands them to such a card.
 */
import { type FrameOffload, SEGMENT_ECN, SEGMENT_UDP } from '../../src/index.ts';

const TCP = 6;
const UDP = 17;

/** The sum of 16-bit words, carries added back in; an odd last byte is the upper half of a word. */
function sumOf(...parts: readonly (Uint8Array | number)[]): number {
  let sum = 0;
  for (const part of parts) {
    if (typeof part === 'number') sum += (part >>> 16) + (part & 0xffff);
    else for (let i = 0; i < part.length; i++) sum += i % 2 === 0 ? part[i]! << 8 : part[i]!;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

/** Whether two sums are the same number: 0 can be written in two ways. */
function sameSum(a: number, b: number): boolean {
  return a % 0xffff === b % 0xffff;
}

interface Places {
  readonly ip: number;
  readonly isIpv4: boolean;
  readonly protocol: number;
  readonly transport: number;
  readonly end: number;
}

/** Where things are in a frame; IPv6 extension headers are stepped over. */
function placesOf(frame: Uint8Array, from = 0): Places {
  let ip = 14;
  if (from > 0) ip = from;
  else if (frame[12] === 0x81 && frame[13] === 0) ip = 18;
  const isIpv4 = frame[ip]! >>> 4 === 4;
  if (isIpv4) {
    const end = ip + frame[ip + 2]! * 256 + frame[ip + 3]!;
    return { ip, isIpv4, protocol: frame[ip + 9]!, transport: ip + (frame[ip]! & 15) * 4, end };
  }
  let protocol = frame[ip + 6]!;
  let transport = ip + 40;
  while ([0, 43, 44, 60].includes(protocol)) {
    const length = protocol === 44 ? 8 : (frame[transport + 1]! + 1) * 8;
    protocol = frame[transport]!;
    transport += length;
  }
  return { ip, isIpv4, protocol, transport, end: ip + 40 + frame[ip + 4]! * 256 + frame[ip + 5]! };
}

function pseudoOf(frame: Uint8Array, { ip, isIpv4, protocol, transport, end }: Places): number {
  const addresses = isIpv4 ? frame.subarray(ip + 12, ip + 20) : frame.subarray(ip + 8, ip + 40);
  return sumOf(addresses, protocol, end - transport);
}

function set16(frame: Uint8Array, at: number, value: number): void {
  frame[at] = value >>> 8;
  frame[at + 1] = value & 255;
}

function get16(frame: Uint8Array, at: number): number {
  return frame[at]! * 256 + frame[at + 1]!;
}

/**
 * The frame as a kernel hands it to a card that does the rest: of its TCP or UDP checksum only the pseudo header is
 * summed up.
 */
export function left(frame: Uint8Array, segmentKind = 0, segmentSize = 0): [Uint8Array, FrameOffload] {
  const copy = frame.slice();
  const places = placesOf(copy);
  const checksumField = places.transport + (places.protocol === TCP ? 16 : 6);
  set16(copy, checksumField, pseudoOf(copy, places));
  return [copy, { checksumStart: places.transport, checksumField, segmentKind, segmentSize }];
}

/**
 * What is on the wire in the end: the frame with its checksum, or its segments with theirs.
 * @throws Error where what is left to do does not go with the frame.
 */
export function finished(frame: Uint8Array, offload?: FrameOffload): Uint8Array[] {
  if (offload === undefined) return [frame];
  const { checksumStart, checksumField, segmentKind = 0, segmentSize = 0 } = offload;
  const places = placesOf(frame);
  if (segmentKind === 0) {
    const copy = frame.slice();
    set16(copy, checksumField, ~sumOf(frame.subarray(checksumStart, places.end)) & 0xffff || 0xffff);
    return [copy];
  }
  const { ip, isIpv4, protocol, transport, end } = places;
  const isUdp = (segmentKind & ~SEGMENT_ECN) === SEGMENT_UDP;
  if (checksumStart !== transport || protocol !== (isUdp ? UDP : TCP)) throw new Error('segments of another protocol');
  if (!sameSum(get16(frame, checksumField), pseudoOf(frame, places))) throw new Error('a wrong pseudo header sum');
  if (frame.length !== end) throw new Error('bytes behind the packet');
  const data = transport + (isUdp ? 8 : (frame[transport + 12]! >>> 4) * 4);
  if (end - data <= segmentSize) throw new Error('not more than one segment');

  const segments: Uint8Array[] = [];
  for (let at = data; at < end; at += segmentSize) {
    const payload = frame.subarray(at, Math.min(at + segmentSize, end));
    const segment = Uint8Array.from([...frame.subarray(0, data), ...payload]);
    if (isIpv4) {
      set16(segment, ip + 2, segment.length - ip);
      set16(segment, ip + 4, (get16(frame, ip + 4) + segments.length) & 0xffff);
      set16(segment, ip + 10, 0);
      set16(segment, ip + 10, ~sumOf(segment.subarray(ip, transport)) & 0xffff);
    } else set16(segment, ip + 4, segment.length - ip - 40);
    if (isUdp) set16(segment, transport + 4, segment.length - transport);
    else {
      const view = new DataView(segment.buffer);
      view.setUint32(transport + 4, view.getUint32(transport + 4) + (at - data));
      if (at + segmentSize < end) segment[transport + 13]! &= ~0x09; // FIN, PSH
      if (at > data) segment[transport + 13]! &= ~0x80; // CWR
    }
    set16(segment, checksumField, 0);
    const sum = sumOf(segment.subarray(transport), pseudoOf(segment, placesOf(segment)));
    // The other way to write 0, which UDP needs and cards use for TCP too.
    set16(segment, checksumField, ~sum & 0xffff || 0xffff);
    segments.push(segment);
  }
  return segments;
}

/**
 * Looks at every checksum in a complete frame: of IPv4 headers, TCP, UDP, ICMP, and of what is in tunnels.
 * @throws Error for a wrong one.
 */
export function checkSums(frame: Uint8Array, from = 0): void {
  const places = placesOf(frame, from);
  const { ip, isIpv4, protocol, transport, end } = places;
  const check = (what: string, ...parts: readonly (Uint8Array | number)[]) => {
    if (sumOf(...parts) !== 0xffff) throw new Error(`wrong checksum of ${what}`);
  };
  if (end > frame.length) throw new Error('a packet cut off');
  if (isIpv4) check('IPv4', frame.subarray(ip, transport));
  const isFragment = isIpv4 && (get16(frame, ip + 6) & 0x3fff) !== 0;
  if (isFragment) return;
  const rest = frame.subarray(transport, end);
  switch (protocol) {
    case 1:
      check('ICMP', rest);
      break;
    case 58:
      check('ICMPv6', rest, pseudoOf(frame, places));
      break;
    case 4:
    case 41:
      checkSums(frame, transport);
      break;
    case 47: {
      const hasChecksum = (frame[transport]! & 0x80) !== 0;
      if (hasChecksum) check('GRE', rest);
      checkSums(frame, transport + (hasChecksum ? 8 : 4));
      break;
    }
    case UDP:
      if (get16(frame, transport + 6) !== 0) check('UDP', rest, pseudoOf(frame, places));
      if (get16(frame, transport + 2) === 6080) checkSums(frame, transport + 12);
      break;
    case TCP:
      check('TCP', rest, pseudoOf(frame, places));
      break;
  }
}
