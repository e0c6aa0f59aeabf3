/**
 * From an IP packet in the pool to frames on a device: link header, neighbour, fragments, and the queue of each device
 * that goes out once per burst.
 */

import type { Family } from '../address.ts';
import type { Device } from '../devices/device.ts';
import { finish, sumBytes } from '../packet/checksum.ts';
import type { Packet } from '../packet/dissect.ts';
import * as ethernet from '../packet/ethernet.ts';
import * as ipv4 from '../packet/ipv4.ts';
import * as ipv6 from '../packet/ipv6.ts';
import { cutsNeeded } from '../packet/offload.ts';
import { BURST, type FramePool } from '../packet/pool.ts';
import { Segments } from '../packet/segment.ts';
import { Unfinished } from '../packet/unfinished.ts';
import type { Interface, Port } from './interface.ts';
import { INCOMPLETE, type Neighbour, type Neighbours, STALE, type WaitingPacket } from './neighbours.ts';

const { ETHERNET_HEADER, ETHERTYPE_IPV4 } = ethernet;

/** Frames that may wait on one device; more are sent early. */
const QUEUE = 2 * BURST;

export class Wire {
  readonly pool: FramePool;
  readonly view: DataView;
  /** What is left to do of the packet at hand: see {@link forward}. */
  readonly unfinished: Unfinished = new Unfinished();
  /** The packet that is being cut. */
  readonly segments: Segments = new Segments();
  readonly #ports: Port[] = [];
  #neighbours!: Neighbours;
  /** Frames handed to devices, and how many of them were not taken. */
  sent = 0;
  lost = 0;

  constructor(pool: FramePool) {
    this.pool = pool;
    this.view = pool.view;
  }

  set neighbours(neighbours: Neighbours) {
    this.#neighbours = neighbours;
  }

  addPort(device: Device): Port {
    const port: Port = {
      device,
      checksumOffload: device.checksumOffload === true,
      segmentation: device.checksumOffload === true ? (device.segmentation ?? 0) : 0,
      outgoing: {
        memory: this.pool.memory,
        offsets: new Int32Array(QUEUE),
        lengths: new Int32Array(QUEUE),
        partial: new Int32Array(QUEUE),
        segments: new Int32Array(QUEUE),
        room: 0,
        count: 0,
      },
    };
    this.#ports.push(port);
    return port;
  }

  /** Where to write an IP packet of the director's own; there is room for a link header in front. */
  takeSlot(): number {
    let slot = this.pool.takeSpare();
    if (slot < 0) {
      this.flush();
      slot = this.pool.takeSpare();
    }
    return slot + ethernet.ETHERNET_HEADER;
  }

  // ---- The packet at hand, and what is left to do of it -------------------------------------------------------------

  /**
   * The checksum field at `field` of the packet at hand holds a partial sum: what is missing are the bytes from `start` to
   * the packet's end. {@link forward} completes it, or the device if it can.
   */
  leavePartial(start: number, field: number): void {
    const { unfinished, view } = this;
    if (unfinished.start !== 0) {
      // A packet inside is unfinished. Once it is not, all of it sums up to what its field holds now, complemented: so
      // the outer sum is known without its payload (kernel behaviour: lco_csum).
      const inner = ~view.getUint16(unfinished.field) & 0xffff;
      view.setUint16(field, finish(sumBytes(view, start, unfinished.start - start, inner)) || 0xffff);
      return;
    }
    unfinished.start = start;
    unfinished.field = field;
  }

  /** How long the longest IP packet is on the wire that the packet at hand stands for. */
  longest(packet: Packet): number {
    return this.unfinished.size === 0 ? packet.length : this.unfinished.longest;
  }

  /** Makes the packet at hand, which is not sent on, one that is complete: of several segments the first. */
  completeFirst(packet: Packet): void {
    const { unfinished, segments, view, pool } = this;
    if (unfinished.size !== 0) {
      segments.begin(packet.ip, packet.length, unfinished);
      packet.length = segments.write(pool.memory, view, 0, packet.ip, unfinished);
    }
    unfinished.complete(view, packet.ip + packet.length);
  }

  /** Begins to cut the packet at hand, the IP packet of `length` bytes at `ip`. Returns how many segments there are. */
  cut(ip: number, length: number): number {
    this.segments.begin(ip, length, this.unfinished);
    return this.segments.count;
  }

  /**
   * Writes segment `i` of the packet that is being cut, which becomes the packet at hand; there is room for outer headers
   * in front.
   * @param isWhole whether it goes out in one piece.
   * @returns where it begins. Its header says how long it is.
   */
  writeSegment(i: number, isWhole: boolean): number {
    const { segments, pool, view } = this;
    const at = isWhole ? this.takeSlot() : pool.uncut + ethernet.ETHERNET_HEADER;
    this.segmentLength = segments.write(pool.memory, view, i, at, this.unfinished);
    return at;
  }

  /** How long the segment is that was written last. */
  segmentLength = 0;

  /**
   * Sends the packet at hand, or what became of it, as {@link sendIp}: with what is left to do of it, if the device
   * does that.
   */
  forward(family: Family, ip: number, length: number, neighbour: Neighbour, limit: number, tick: number): void {
    if (this.unfinished.start === 0) this.sendIp(family, ip, length, neighbour, limit, tick);
    else this.#forwardUnfinished(family, ip, length, neighbour, limit, tick);
  }

  #forwardUnfinished(
    family: Family,
    ip: number,
    length: number,
    neighbour: Neighbour,
    limit: number,
    tick: number,
  ): void {
    const { unfinished } = this;
    const { port } = neighbour.interface;
    unfinished.fit(length); // a helper may have made it shorter
    if (unfinished.size !== 0) {
      const needed = cutsNeeded(unfinished.kind, family);
      // What waits is cut when it goes.
      const mayStay = (port.segmentation & needed) === needed || neighbour.state === INCOMPLETE;
      if (unfinished.longest > limit || !mayStay) {
        this.#forwardSegments(family, ip, length, neighbour, limit, tick);
        return;
      }
    } else if (length > limit || !port.checksumOffload) {
      unfinished.complete(this.view, ip + length);
      this.sendIp(family, ip, length, neighbour, limit, tick);
      return;
    }
    const partial = unfinished.partial(ip);
    const segments = unfinished.segments();
    unfinished.clear();
    this.#deliver(ip, length, neighbour, tick, partial, segments);
  }

  #forwardSegments(
    family: Family,
    ip: number,
    length: number,
    neighbour: Neighbour,
    limit: number,
    tick: number,
  ): void {
    const isWhole = this.unfinished.longest <= limit;
    const count = this.cut(ip, length);
    for (let i = 0; i < count; i++) {
      const at = this.writeSegment(i, isWhole);
      this.forward(family, at, this.segmentLength, neighbour, limit, tick);
    }
  }

  // ---- What is complete ---------------------------------------------------------------------------------------------

  /** Queues a frame as it is. */
  sendFrame(on: Interface, frame: number, length: number): void {
    this.#queue(on.port, frame, length, 0, 0);
  }

  /** Writes the link header in front of what begins at `at` and queues the frame. */
  sendTo(on: Interface, at: number, length: number, type: number, macHigh: number, macLow: number): void {
    this.#sendTo(on, at, length, type, macHigh, macLow, 0, 0);
  }

  /** Sends a complete IPv4 packet that is no larger than the interface allows to a neighbour that has a MAC address. */
  sendIpv4(to: Neighbour, ip: number, length: number): void {
    const { view } = this;
    const on = to.interface;
    if (on.vlan !== 0) {
      this.#sendTo(on, ip, length, ethernet.ETHERTYPE_IPV4, to.macHigh, to.macLow, 0, 0);
      return;
    }
    const frame = ip - ETHERNET_HEADER;
    // Both addresses and the type in three words and a half.
    view.setInt32(frame, (to.macHigh << 16) | (to.macLow >>> 16));
    view.setInt32(frame + 4, (to.macLow << 16) | on.macHigh);
    view.setInt32(frame + 8, on.macLow);
    view.setUint16(frame + 12, ETHERTYPE_IPV4);
    this.#queue(on.port, frame, length + ETHERNET_HEADER, 0, 0);
  }

  /** Sends an IP packet that is no larger than the interface allows to a neighbour, or lets it wait for the MAC address. */
  send(ip: number, length: number, neighbour: Neighbour, tick: number): void {
    this.#deliver(ip, length, neighbour, tick, 0, 0);
  }

  /** @param partial as `FrameBatch.partial`, but counted from the IP header. */
  #deliver(ip: number, length: number, neighbour: Neighbour, tick: number, partial: number, segments: number): void {
    if (neighbour.state === INCOMPLETE) {
      const bytes = this.pool.memory.slice(ip, ip + length);
      this.#neighbours.wait(neighbour, { bytes, partial, segments }, tick);
      return;
    }
    if (neighbour.state === STALE) this.#neighbours.use(neighbour, tick);
    const type = neighbour.family === 4 ? ethernet.ETHERTYPE_IPV4 : ethernet.ETHERTYPE_IPV6;
    const { interface: on, macHigh, macLow } = neighbour;
    this.#sendTo(on, ip, length, type, macHigh, macLow, partial, segments);
  }

  #sendTo(
    on: Interface,
    at: number,
    length: number,
    type: number,
    macHigh: number,
    macLow: number,
    partial: number,
    segments: number,
  ): void {
    const { view } = this;
    const header = on.headerLength;
    const frame = at - header;
    ethernet.setDst(view, frame, macHigh, macLow);
    ethernet.setSrc(view, frame, on.macHigh, on.macLow);
    if (on.vlan !== 0) {
      view.setUint16(frame + 12, ethernet.ETHERTYPE_VLAN);
      view.setUint16(frame + 14, on.vlan);
    }
    view.setUint16(at - 2, type);
    this.#queue(on.port, frame, length + header, partial === 0 ? 0 : partial + ((header << 16) | header), segments);
  }

  #queue({ outgoing }: Port, frame: number, length: number, partial: number, segments: number): void {
    const { count } = outgoing;
    outgoing.offsets[count] = frame;
    outgoing.lengths[count] = length;
    outgoing.partial[count] = partial;
    outgoing.segments[count] = segments;
    outgoing.count = count + 1;
    if (count + 1 === QUEUE || frame >= this.pool.jumboSlot) this.flush();
  }

  /** RFC 791 3.2; kernel behaviour: ip_do_fragment. */
  #fragment4(ip: number, length: number, neighbour: Neighbour, limit: number, tick: number): void {
    const { view, pool } = this;
    const headerLength = ipv4.headerLength(view, ip);
    const field = ipv4.fragment(view, ip);
    const step = (limit - headerLength) & ~7;
    const data = length - headerLength;
    for (let done = 0; done < data; done += step) {
      const part = Math.min(step, data - done);
      const slot = this.takeSlot();
      pool.memory.copyWithin(slot, ip, ip + headerLength);
      pool.memory.copyWithin(slot + headerLength, ip + headerLength + done, ip + headerLength + done + part);
      if (done > 0) dropUncopiedOptions(view, slot, headerLength);
      const more = done + part < data ? ipv4.MF : field & ipv4.MF;
      ipv4.setTotalLength(view, slot, headerLength + part);
      ipv4.setFragment(view, slot, (field & ipv4.DF) | more | ((field & ipv4.OFFSET_MASK) + (done >>> 3)));
      ipv4.writeChecksum(view, slot);
      this.send(slot, headerLength + part, neighbour, tick);
    }
  }

  /**
   * Sends an IP packet, in fragments of at most `limit` bytes when it is longer. `limit` is the interface's MTU, or less
   * for a packet that came in smaller fragments.
   */
  sendIp(family: Family, ip: number, length: number, neighbour: Neighbour, limit: number, tick: number): void {
    if (length <= limit) {
      this.send(ip, length, neighbour, tick);
      return;
    }
    if (family === 4) this.#fragment4(ip, length, neighbour, limit, tick);
    else this.#fragment6(ip, length, neighbour, limit, tick);
  }

  /** IPv6 is only fragmented by its sender: here, what came in fragments and was put together (RFC 8200 4.5). */
  #fragment6(ip: number, length: number, neighbour: Neighbour, limit: number, tick: number): void {
    const { view, pool } = this;
    const announced = fragmentPosition(view, ip);
    const headerLength = announced.headerLength;
    const next = view.getUint8(announced.at);
    const most = Math.max(limit, ipv6.IPV6_MIN_MTU) - headerLength - ipv6.FRAGMENT_HEADER;
    const data = length - headerLength;
    const id = nextFragmentId();
    let part = 0;
    for (let done = 0; done < data; done += part) {
      part = data - done <= most ? data - done : most & ~7;
      const slot = this.takeSlot();
      const header = slot + headerLength;
      pool.memory.copyWithin(slot, ip, ip + headerLength);
      view.setUint8(slot + announced.at - ip, ipv6.EXT_FRAGMENT);
      ipv6.writeFragmentHeader(view, header, next, done | (done + part < data ? ipv6.MORE_FRAGMENTS : 0), id);
      pool.memory.copyWithin(header + ipv6.FRAGMENT_HEADER, ip + headerLength + done, ip + headerLength + done + part);
      const total = headerLength + ipv6.FRAGMENT_HEADER + part;
      ipv6.setPayloadLength(view, slot, total - ipv6.IPV6_HEADER);
      this.send(slot, total, neighbour, tick);
    }
  }

  /** Sends an IP packet kept outside the pool: one that had waited. */
  sendCopy({ bytes, partial, segments }: WaitingPacket, neighbour: Neighbour, tick: number): void {
    const { pool, unfinished, view } = this;
    const ip = bytes.length <= pool.spareRoom ? this.takeSlot() : pool.jumbo + ethernet.ETHERNET_HEADER;
    pool.memory.set(bytes, ip);
    if (partial === 0) {
      this.send(ip, bytes.length, neighbour, tick);
      return;
    }
    unfinished.resume(view, ip, partial, segments);
    this.forward(neighbour.family, ip, bytes.length, neighbour, neighbour.interface.mtu, tick);
  }

  /** Hands everything queued to the devices: one call each. What a device throws is thrown when all have had theirs. */
  flush(): void {
    let thrown: { readonly error: unknown } | null = null;
    for (let i = 0; i < this.#ports.length; i++) {
      const { device, outgoing } = this.#ports[i];
      if (outgoing.count === 0) continue;
      let taken = 0;
      try {
        taken = device.transmit(outgoing);
      } catch (error) {
        thrown ??= { error };
      }
      this.sent += taken;
      this.lost += outgoing.count - taken;
      outgoing.count = 0;
    }
    this.pool.releaseSpares();
    if (thrown !== null) throw thrown.error;
  }
}

let fragmentId = 0;
function nextFragmentId(): number {
  fragmentId = (fragmentId + 1) >>> 0;
  return fragmentId;
}

/** Where a fragment header goes: behind the headers that every router reads. `at` is the byte that will announce it. */
function fragmentPosition(view: DataView, ip: number): { at: number; headerLength: number } {
  let at = ip + 6;
  let headerLength = ipv6.IPV6_HEADER;
  for (;;) {
    const next = view.getUint8(at);
    if (next !== ipv6.EXT_HOP_BY_HOP && next !== ipv6.EXT_ROUTING) return { at, headerLength };
    at = ip + headerLength;
    headerLength += ipv6.extensionLength(view, at, next);
  }
}

/** In all fragments but the first, options without the "copied" bit become padding (RFC 791 3.1). */
function dropUncopiedOptions(view: DataView, ip: number, headerLength: number): void {
  const end = ip + headerLength;
  let at = ip + ipv4.IPV4_HEADER;
  while (at < end) {
    const type = view.getUint8(at);
    if (type === 0) return;
    if (type === 1) {
      at++;
      continue;
    }
    const length = at + 1 < end ? view.getUint8(at + 1) : 0;
    if (length < 2 || at + length > end) return;
    if ((type & 0x80) === 0) for (let i = 0; i < length; i++) view.setUint8(at + i, 1);
    at += length;
  }
}
