/**
 * A real server's end of an IPIP tunnel (RFC 2003) for kernels without the ipip device. The server's routing hands every
 * packet of IP protocol 4 to a TAP; this takes the outer header off and gives the inner packet back through the same TAP.
 */
import type { Device, FrameBatch } from '../../src/index.ts';
import { ethernet, ipv4 } from '../../src/packet/index.ts';

const BURST = 32;
/** Room for a frame: more than the lab's MTU of 1500 asks for. */
const ROOM = 2048;

/** Unwraps what comes out of the device, until the device is closed. */
export class Decapsulator {
  readonly #device: Device;
  readonly #batch: FrameBatch;
  readonly #view: DataView;

  /** @param fail called when the device has died. */
  constructor(device: Device, fail: (error: Error) => void) {
    const memory = new Uint8Array(BURST * ROOM);
    this.#device = device;
    this.#batch = {
      memory,
      offsets: new Int32Array(BURST),
      lengths: new Int32Array(BURST),
      partial: new Int32Array(BURST),
      segments: new Int32Array(BURST),
      room: ROOM,
      count: 0,
    };
    this.#view = new DataView(memory.buffer);
    device.open(() => this.#unwrapAll(), fail);
  }

  /** Closes the device. */
  close(): void {
    this.#device.close();
  }

  #unwrapAll(): void {
    const { offsets, lengths } = this.#batch;
    let received: number;
    do {
      for (let i = 0; i < BURST; i++) offsets[i] = i * ROOM;
      this.#batch.count = BURST;
      received = this.#device.receive(this.#batch);
      let unwrapped = 0;
      for (let i = 0; i < received; i++) {
        const removed = this.#unwrap(offsets[i]!, lengths[i]!);
        if (removed === 0) continue;
        offsets[unwrapped] = offsets[i]! + removed;
        lengths[unwrapped++] = lengths[i]! - removed;
      }
      this.#batch.count = unwrapped;
      if (unwrapped > 0) this.#device.transmit(this.#batch);
    } while (received === BURST);
  }

  /**
   * Moves the Ethernet header over the outer IP header and turns it round: the inner packet goes back to where the outer
   * one came from, the server's own interface.
   * @returns how many bytes were taken off the frame's front; 0 when it carries no IPIP packet.
   */
  #unwrap(at: number, length: number): number {
    const view = this.#view;
    const outer = at + ethernet.ETHERNET_HEADER;
    if (length < ethernet.ETHERNET_HEADER + 2 * ipv4.IPV4_HEADER) return 0;
    if (ethernet.etherType(view, at) !== ethernet.ETHERTYPE_IPV4) return 0;
    if (ipv4.version(view, outer) !== 4 || ipv4.protocol(view, outer) !== ipv4.PROTO_IPIP) return 0;
    const removed = ipv4.headerLength(view, outer);
    if (length < ethernet.ETHERNET_HEADER + removed + ipv4.IPV4_HEADER) return 0;
    const [ownHigh, ownLow] = [ethernet.dstHigh(view, at), ethernet.dstLow(view, at)];
    const [serverHigh, serverLow] = [ethernet.srcHigh(view, at), ethernet.srcLow(view, at)];
    const start = at + removed;
    ethernet.setEtherType(view, start, ethernet.ETHERTYPE_IPV4);
    ethernet.setSrc(view, start, ownHigh, ownLow);
    ethernet.setDst(view, start, serverHigh, serverLow);
    return removed;
  }
}
