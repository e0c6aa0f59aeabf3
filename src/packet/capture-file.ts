/**
 * Captured frames as the bytes of a file that tcpdump and Wireshark read: the classic pcap format (pcap-savefile(5)), or
 * pcapng (draft-ietf-opsawg-pcapng), which also says on which device a frame was seen and in which direction.
 */
export type CaptureFormat = 'pcap' | 'pcapng';

/** A frame to be written. */
export interface FrameRecord {
  /** Milliseconds since 1970. */
  readonly timeMs: number;
  readonly device: string;
  readonly direction: 'in' | 'out';
  /** How long it was; `bytes` may be fewer. */
  readonly length: number;
  readonly bytes: Uint8Array;
}

const LINKTYPE_ETHERNET = 1;
/** As tcpdump says it: longer than any frame. */
const SNAP_LENGTH = 262_144;

const PCAP_MAGIC = 0xa1b2c3d4;
const SECTION_HEADER = 0x0a0d0d0a;
const BYTE_ORDER = 0x1a2b3c4d;
const INTERFACE_DESCRIPTION = 1;
const ENHANCED_PACKET = 6;
const IF_NAME = 2;
const EPB_FLAGS = 2;
const INBOUND = 1;
const OUTBOUND = 2;

/** Makes the bytes of one file, from its beginning on. */
export class CaptureFile {
  readonly #format: CaptureFormat;
  /** The devices that were described, in the order of their numbers. */
  readonly #devices: string[] = [];

  constructor(format: CaptureFormat) {
    this.#format = format;
  }

  /** What a file begins with. */
  header(): Uint8Array {
    return this.#format === 'pcap' ? pcapHeader() : sectionHeader();
  }

  /** Frames, to be appended. */
  frames(records: readonly FrameRecord[]): Uint8Array {
    const parts = records.flatMap((record) => {
      if (this.#format === 'pcap') return [pcapRecord(record)];
      const known = this.#devices.indexOf(record.device);
      if (known >= 0) return [enhancedPacket(record, known)];
      const device = this.#devices.push(record.device) - 1;
      return [interfaceDescription(record.device), enhancedPacket(record, device)];
    });
    const bytes = new Uint8Array(parts.reduce((so, part) => so + part.length, 0));
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }
}

function pcapHeader(): Uint8Array {
  const view = new DataView(new ArrayBuffer(24));
  view.setUint32(0, PCAP_MAGIC, true);
  view.setUint16(4, 2, true); // version 2.4
  view.setUint16(6, 4, true);
  view.setUint32(16, SNAP_LENGTH, true);
  view.setUint32(20, LINKTYPE_ETHERNET, true);
  return new Uint8Array(view.buffer);
}

function pcapRecord({ timeMs, length, bytes }: FrameRecord): Uint8Array {
  const view = new DataView(new ArrayBuffer(16 + bytes.length));
  const microseconds = Math.floor(timeMs * 1000);
  view.setUint32(0, Math.floor(microseconds / 1e6), true);
  view.setUint32(4, microseconds % 1e6, true);
  view.setUint32(8, bytes.length, true);
  view.setUint32(12, length, true);
  const record = new Uint8Array(view.buffer);
  record.set(bytes, 16);
  return record;
}

/** A block with room for `body` bytes (padded to four) between its lengths; the body begins at byte 8. */
function block(type: number, body: number): DataView {
  const total = 12 + padded(body);
  const view = new DataView(new ArrayBuffer(total));
  view.setUint32(0, type, true);
  view.setUint32(4, total, true);
  view.setUint32(total - 4, total, true);
  return view;
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

function sectionHeader(): Uint8Array {
  const view = block(SECTION_HEADER, 16);
  view.setUint32(8, BYTE_ORDER, true);
  view.setUint16(12, 1, true); // version 1.0
  view.setBigInt64(16, -1n, true); // of any length
  return new Uint8Array(view.buffer);
}

/** Times of its packets are in microseconds, which need not be said. */
function interfaceDescription(name: string): Uint8Array {
  const text = new TextEncoder().encode(name);
  const view = block(INTERFACE_DESCRIPTION, 8 + 4 + padded(text.length) + 4);
  view.setUint16(8, LINKTYPE_ETHERNET, true);
  view.setUint32(12, SNAP_LENGTH, true);
  view.setUint16(16, IF_NAME, true);
  view.setUint16(18, text.length, true);
  const bytes = new Uint8Array(view.buffer);
  bytes.set(text, 20);
  return bytes;
}

function enhancedPacket({ timeMs, direction, length, bytes }: FrameRecord, device: number): Uint8Array {
  const options = 20 + padded(bytes.length);
  const view = block(ENHANCED_PACKET, options + 8 + 4);
  const microseconds = Math.floor(timeMs * 1000);
  view.setUint32(8, device, true);
  view.setUint32(12, Math.floor(microseconds / 2 ** 32), true);
  view.setUint32(16, microseconds % 2 ** 32, true);
  view.setUint32(20, bytes.length, true);
  view.setUint32(24, length, true);
  const all = new Uint8Array(view.buffer);
  all.set(bytes, 28);
  view.setUint16(8 + options, EPB_FLAGS, true);
  view.setUint16(10 + options, 4, true);
  view.setUint32(12 + options, direction === 'in' ? INBOUND : OUTBOUND, true);
  return all;
}
