/**
 * Which thread handles a packet, for directors in several: all packets of one client go to one thread, in both directions,
 * whichever queue they came by. By the client's address alone, so that what belongs together meets: persistence, FTP's data
 * connections, fragments.
 *
 * The client of a packet to one of the director's own addresses is its source, that of any other its destination: a server's
 * reply is on its way to the client. An ICMP error belongs to the client of the packet that it is about.
 */
import type { Words } from '../address.ts';
import type { Datapath } from '../datapath.ts';
import { isDiscovery } from '../host/ndp.ts';
import { findOriginal } from '../modes/tunnel-errors.ts';
import * as ethernet from '../packet/ethernet.ts';
import * as icmp from '../packet/icmp.ts';
import * as icmpv6 from '../packet/icmpv6.ts';
import * as ipv4 from '../packet/ipv4.ts';
import * as ipv6 from '../packet/ipv6.ts';

/** It is about neighbours: whichever thread got it handles it, the others learn from it. */
export const EVERYBODY = -1;
/** Nobody's in particular: whichever thread got it handles it. */
export const ANYBODY = -2;

export class Steering {
  readonly #dp: Datapath;
  readonly #threads: number;
  readonly #seed: number;
  readonly #from: Words = new Int32Array(4);
  readonly #to: Words = new Int32Array(4);

  /**
   * @param threads how many there are.
   * @param seed the same for all of them; makes the choice unpredictable to those who choose addresses.
   */
  constructor(dp: Datapath, threads: number, seed: number) {
    this.#dp = dp;
    this.#threads = threads;
    this.#seed = seed;
  }

  /** The number of the thread that the frame at `frame` in the pool is for, {@link EVERYBODY} or {@link ANYBODY}. */
  ownerOf(frame: number, length: number): number {
    const { view } = this.#dp;
    let header = ethernet.ETHERNET_HEADER;
    if (length < header + ethernet.VLAN_TAG) return ANYBODY;
    let type = ethernet.etherType(view, frame);
    if (type === ethernet.ETHERTYPE_VLAN) {
      type = view.getUint16(frame + header + 2);
      header += ethernet.VLAN_TAG;
    }
    const ip = frame + header;
    const end = frame + length;
    if (type === ethernet.ETHERTYPE_IPV4) return ip + ipv4.IPV4_HEADER <= end ? this.#ipv4(ip, end) : ANYBODY;
    if (type === ethernet.ETHERTYPE_IPV6) return ip + ipv6.IPV6_HEADER <= end ? this.#ipv6(ip, end) : ANYBODY;
    return type === ethernet.ETHERTYPE_ARP ? EVERYBODY : ANYBODY;
  }

  #ipv4(ip: number, end: number): number {
    const { view, host } = this.#dp;
    const to = this.#to;
    to[0] = ipv4.destination(view, ip);
    if (!host.isOwn(4, to, 0)) return to[0] >>> 28 === 0xe ? ANYBODY : this.#threadOf(to, 1);
    const from = this.#from;
    if (ipv4.protocol(view, ip) === ipv4.PROTO_ICMP && this.#readConcerned4(ip, end)) return this.#threadOf(from, 1);
    from[0] = ipv4.source(view, ip);
    return this.#threadOf(from, 1);
  }

  /** Reads the client of the packet that the ICMP error at `ip` is about; false when it is no error, or says nothing. */
  #readConcerned4(ip: number, end: number): boolean {
    const dp = this.#dp;
    const { view, host } = dp;
    const message = ip + ipv4.headerLength(view, ip);
    const about = message + icmp.ICMP_HEADER;
    if ((ipv4.fragment(view, ip) & (ipv4.OFFSET_MASK | ipv4.MF)) !== 0 || about + ipv4.IPV4_HEADER > end) return false;
    const type = icmp.icmpType(view, message);
    if (type === icmp.ICMP_ECHO || type === icmp.ICMP_ECHO_REPLY) return false;
    const from = this.#from;
    from[0] = ipv4.source(view, about);
    if (!host.isOwn(4, from, 0)) return true;
    // What the director itself has sent on: a reply to the client, or a tunnel's packet with the client's inside.
    const shim = about + ipv4.headerLength(view, about);
    const original = findOriginal(dp, ipv4.protocol(view, about), ipv4.destination(view, about), shim, end);
    if (original >= 0 && original + ipv4.IPV4_HEADER <= end) from[0] = ipv4.source(view, original);
    else from[0] = ipv4.destination(view, about);
    return true;
  }

  #ipv6(ip: number, end: number): number {
    const { view, host } = this.#dp;
    const to = this.#to;
    const from = this.#from;
    ipv6.readDestination(view, ip, to, 0);
    const isOwn = host.isOwn(6, to, 0);
    const isGroup = ipv6.isMulticast6(to, 0);
    if (!isOwn && !isGroup) return this.#threadOf(to, 4);
    const message = ip + ipv6.IPV6_HEADER;
    if (ipv6.nextHeader(view, ip) === ipv4.PROTO_ICMPV6 && message < end) {
      const type = icmpv6.icmpv6Type(view, message);
      if (isDiscovery(type)) return EVERYBODY;
      const about = message + icmpv6.ICMPV6_HEADER;
      if (isOwn && type < icmpv6.ICMPV6_INFORMATIONAL && about + ipv6.IPV6_HEADER <= end) {
        ipv6.readSource(view, about, from, 0);
        if (host.isOwn(6, from, 0)) ipv6.readDestination(view, about, from, 0);
        return this.#threadOf(from, 4);
      }
    }
    if (isGroup) return ANYBODY;
    ipv6.readSource(view, ip, from, 0);
    return this.#threadOf(from, 4);
  }

  #threadOf(words: Words, width: number): number {
    return this.ownerOfClient(words, 0, width);
  }

  /** The thread of the client whose address of so many words is at `words[at]`. */
  ownerOfClient(words: Words, at: number, width: number): number {
    let h = this.#seed;
    for (let i = 0; i < width; i++) {
      h = Math.imul(h ^ words[at + i], 0x9e3779b1);
      h ^= h >>> 15;
    }
    h = Math.imul(h, 0x85ebca6b);
    return ((h ^ (h >>> 13)) >>> 0) % this.#threads;
  }
}
