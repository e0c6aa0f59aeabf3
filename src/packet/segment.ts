/**
 * Cuts a frame that stands for several segments of TCP or datagrams of UDP into them, as a network card does it
 * (kernel behaviour: tcp_gso_segment, __udp_gso_segment, inet_gso_segment).
 */
import { fold } from './checksum.ts';
import * as ipv4 from './ipv4.ts';
import * as ipv6 from './ipv6.ts';
import { SEGMENT_ECN, SEGMENT_UDP } from './offload.ts';
import * as tcp from './tcp.ts';
import { setUdpLength } from './udp.ts';
import type { Unfinished } from './unfinished.ts';

/** One packet that is being cut. Reused for every one; it stays where it is until all segments are written. */
export class Segments {
  /** How many segments there are. */
  count = 0;
  /** How long the longest of them is, as an IP packet, in bytes. */
  longest = 0;
  #ip = 0;
  #length = 0;
  #isUdp = false;
  /** Bytes in front of the transport header, in front of the payload, and of payload in a segment. */
  #transport = 0;
  #headers = 0;
  #size = 0;
  /** Where the checksum field is, counted from the IP header. */
  #field = 0;

  /** Takes the IP packet of `length` bytes at `ip` over; nothing is left in `unfinished`. */
  begin(ip: number, length: number, unfinished: Unfinished): void {
    this.longest = unfinished.longest;
    this.#ip = ip;
    this.#length = length;
    this.#isUdp = (unfinished.kind & ~SEGMENT_ECN) === SEGMENT_UDP;
    this.#transport = unfinished.start - ip;
    this.#headers = unfinished.longest - unfinished.size;
    this.#size = unfinished.size;
    this.#field = unfinished.field - ip;
    this.count = Math.ceil((length - this.#headers) / unfinished.size);
    unfinished.clear();
  }

  /**
   * Writes segment `i` as an IP packet at `target` (the first also where the packet itself lies, when no other is wanted).
   * Its transport checksum is begun, and left in `unfinished`.
   * @returns its length, in bytes.
   */
  write(memory: Uint8Array, view: DataView, i: number, target: number, unfinished: Unfinished): number {
    const done = i * this.#size;
    const source = this.#ip + this.#headers + done;
    const payload = Math.min(this.#size, this.#ip + this.#length - source);
    memory.copyWithin(target, this.#ip, this.#ip + this.#headers);
    memory.copyWithin(target + this.#headers, source, source + payload);
    const length = this.#headers + payload;
    if (ipv4.version(view, target) === 4) {
      ipv4.setTotalLength(view, target, length);
      ipv4.setIdentification(view, target, (ipv4.identification(view, target) + i) & 0xffff);
      ipv4.writeChecksum(view, target);
    } else ipv6.setPayloadLength(view, target, length - ipv6.IPV6_HEADER);

    const transport = target + this.#transport;
    if (this.#isUdp) setUdpLength(view, transport, length - this.#transport);
    else {
      tcp.setSequence(view, transport, tcp.sequence(view, transport) + done);
      let gone = i > 0 ? tcp.CWR : 0;
      if (i < this.count - 1) gone |= tcp.FIN | tcp.PSH;
      tcp.setFlags(view, transport, tcp.flags(view, transport) & ~gone);
    }
    // Of the pseudo header only the length has changed.
    const field = target + this.#field;
    view.setUint16(field, fold(view.getUint16(field) + (0xffff - (this.#length - length))));
    unfinished.start = transport;
    unfinished.field = field;
    return length;
  }
}
