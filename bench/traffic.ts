/**
 * The traffic of the burst benchmarks: one 64-byte TCP segment with ACK for each of N flows, to be played in flow order,
 * and the pseudo-random order in which the flows were opened, so that neighbours in time are strangers in memory.
 * baseline/burst.c makes the same frames by the same rules; both sides print a digest of what they sent.
 */
import { parseAddress } from '../src/address.ts';
import type { Device, FrameBatch } from '../src/index.ts';
import { update16, update32 } from '../src/packet/checksum.ts';
import { buildFrame } from '../src/packet/index.ts';
import * as ipv4 from '../src/packet/ipv4.ts';
import * as tcp from '../src/packet/tcp.ts';

export const VIP = '10.0.0.100';
export const VIRTUAL_PORT = 80;
export const SERVER_PORT = 8080;
export const SERVERS: readonly string[] = ['10.0.0.11', '10.0.0.12', '10.0.0.13', '10.0.0.14'];
export const GATEWAY = '10.0.0.254';
export const GATEWAY_MAC = '02:00:00:00:fe:fe';
export const DIRECTOR_MAC = '02:00:00:00:00:01';
const FIRST_CLIENT = 0x10000000;

/** Bytes in a frame: 64 on the wire, with the check sequence. */
export const FRAME_LENGTH = 60;
/** A stored frame has two bytes in front: frames in the pool begin two bytes behind eight, and are copied by eights. */
const LEAD = 2;
const RECORD_BYTES = 64;
const RECORD_EIGHTS: number = RECORD_BYTES / 8;
const IP: number = LEAD + 14;
const TCP: number = IP + 20;

/** Flags of segments. */
export const ACK: number = tcp.ACK;
export const SYN: number = tcp.SYN;

/** One record for each flow. */
export type Frames = Float64Array;

/** Which way the segments go: from clients to the virtual address, or from NAT servers to clients. */
export type Direction = 'request' | 'reply';

function clientPort(flow: number): number {
  return 1024 + (flow % 50000);
}

/**
 * The segments of `flows` flows.
 * @param serverOf for replies: which of {@link SERVERS} each flow has.
 */
export function makeFrames(flows: number, direction: Direction, serverOf: Uint8Array): Frames {
  const frames = new Float64Array(flows * RECORD_EIGHTS);
  const bytes = new Uint8Array(frames.buffer);
  const view = new DataView(frames.buffer);
  const isReply = direction === 'reply';
  const frame = buildFrame({
    ethernet: { source: GATEWAY_MAC, destination: DIRECTOR_MAC },
    ip: { source: isReply ? '0.0.0.0' : '16.0.0.0', destination: isReply ? '16.0.0.0' : VIP, df: true },
    tcp: {
      sourcePort: isReply ? SERVER_PORT : 0,
      destinationPort: isReply ? 0 : VIRTUAL_PORT,
      flags: 'A',
      data: 'x'.repeat(6),
    },
  });
  const servers = SERVERS.map((address) => parseAddress(address, 'server').words[0]);
  for (let flow = 0; flow < flows; flow++) {
    const at = flow * RECORD_BYTES;
    bytes.set(frame, at + LEAD);
    if (isReply) setWord(view, at, 12, servers[serverOf[flow]]);
  }
  setClients(frames, 0, isReply ? 16 : 12, isReply ? 2 : 0);
  return frames;
}

/** Makes requests of {@link makeFrames} those of as many other flows, from `first` on. */
export function fillFrames(frames: Frames, first: number): void {
  setClients(frames, first, 12, 0);
}

function setClients(frames: Frames, first: number, addressAt: number, portAt: number): void {
  const view = new DataView(frames.buffer);
  for (let i = 0; i * RECORD_EIGHTS < frames.length; i++) {
    const at = i * RECORD_BYTES;
    setWord(view, at, addressAt, FIRST_CLIENT + first + i);
    const port = at + TCP + portAt;
    const check = at + TCP + tcp.TCP_CHECKSUM;
    view.setUint16(check, update16(view.getUint16(check), view.getUint16(port), clientPort(first + i)));
    view.setUint16(port, clientPort(first + i));
  }
}

/** Writes an address of the IP header of the record at `at`, and mends both checksums. */
function setWord(view: DataView, at: number, offset: number, value: number): void {
  const from = view.getInt32(at + IP + offset);
  view.setInt32(at + IP + offset, value);
  ipv4.setHeaderChecksum(view, at + IP, update32(ipv4.headerChecksum(view, at + IP), from, value));
  const check = at + TCP + tcp.TCP_CHECKSUM;
  view.setUint16(check, update32(view.getUint16(check), from, value));
}

/** The flows in a pseudo-random order, the same for the same number. */
export function shuffled(flows: number): Int32Array {
  const order = Int32Array.from({ length: flows }, (_, i) => i);
  let random = 1;
  for (let i = flows - 1; i > 0; i--) {
    random ^= random << 13;
    random ^= random >>> 17;
    random ^= random << 5;
    const j = (random >>> 0) % (i + 1);
    const swap = order[i];
    order[i] = order[j];
    order[j] = swap;
  }
  return order;
}

/**
 * A device that plays frames from memory and lets all that it gets go: no system in between. Handing in a frame is 64
 * bytes copied, as in the C program.
 */
export class ReplayDevice implements Device {
  readonly name = 'replay0';
  readonly mac: string = DIRECTOR_MAC;
  readonly mtu = 1500;
  /** What is played: again and again, in flow order. */
  frames: Frames = new Float64Array(RECORD_EIGHTS);
  /** The order to play it in, once; null for flow order. */
  order: Int32Array | null = null;
  /** What is put into each segment's flags. */
  flags: number = tcp.ACK;
  next = 0;
  /** How many more frames there are to read. */
  waiting = 0;
  sent = 0;
  /** Whether to take the digest of what is sent. */
  digesting = false;
  digest = 0;
  #memory: Float64Array = new Float64Array(0);
  #buffer: ArrayBufferLike = this.#memory.buffer;

  open(): void {}
  close(): void {}

  receive(batch: FrameBatch): number {
    const { lengths, offsets, memory } = batch;
    if (memory.buffer !== this.#buffer) {
      this.#buffer = memory.buffer;
      this.#memory = new Float64Array(memory.buffer, 0, memory.byteLength >> 3);
    }
    const eights = this.#memory;
    const { frames, order } = this;
    const flows = frames.length / RECORD_EIGHTS;
    const count = Math.min(batch.count, this.waiting);
    let flow = this.next;
    for (let i = 0; i < count; i++) {
      const from = (order === null ? flow : order[flow]) * RECORD_EIGHTS;
      const to = (offsets[i] - LEAD) >> 3;
      for (let k = 0; k < RECORD_EIGHTS; k++) eights[to + k] = frames[from + k];
      lengths[i] = FRAME_LENGTH;
      if (++flow === flows) flow = 0;
    }
    if (this.flags !== tcp.ACK) for (let i = 0; i < count; i++) memory[offsets[i] - LEAD + TCP + 13] = this.flags;
    this.next = flow;
    this.waiting -= count;
    return count;
  }

  transmit(batch: FrameBatch): number {
    this.sent += batch.count;
    if (this.digesting) {
      for (let i = 0; i < batch.count; i++) {
        const end = batch.offsets[i] + batch.lengths[i];
        for (let at = batch.offsets[i]; at < end; at++)
          this.digest = (Math.imul(this.digest, 31) + batch.memory[at]) | 0;
      }
    }
    return batch.count;
  }
}
