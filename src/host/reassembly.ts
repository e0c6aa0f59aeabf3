/**
 * Fragments become datagrams again before they are balanced (RFC 791 3.2, RFC 815, RFC 8200 4.5; kernel behaviour:
 * net/ipv4/ip_fragment.c, nf_conntrack_reasm.c). Overlapping fragments make the whole datagram be dropped, as Linux does (RFC 5722's rule,
 * applied to IPv4 too).
 */

import { DST, type Packet, SRC } from '../packet/dissect.ts';
import * as ipv4 from '../packet/ipv4.ts';
import * as ipv6 from '../packet/ipv6.ts';
import { seconds } from '../ticks.ts';

/** How long the first fragment waits for the others. */
const LIFETIME_TICKS = seconds(30);
const LIFETIME6_TICKS = seconds(60);
/** Bytes that all waiting fragments may take; beyond it the oldest datagrams are given up. */
const MAX_BYTES = 4 * 1024 * 1024;
/** What keeping a fragment costs beside its data: many small ones must not take more memory than few large ones. */
const OVERHEAD = 512;
const MAX_DATAGRAM = 65535;

interface Piece {
  readonly start: number;
  readonly end: number;
  readonly bytes: Uint8Array;
  /** The fragments that came in order, one right after the other, that this one is part of. */
  readonly run: { readonly start: number; end: number };
}

interface Datagram {
  readonly key: string;
  readonly deadline: number;
  /** In order, without gaps or overlaps being checked yet. */
  readonly pieces: Piece[];
  /** The headers of the first fragment as they came, an IPv6 fragment header last. */
  headers: Uint8Array | null;
  /** IPv6: which byte of them announces the fragment header. */
  announced: number;
  /** Where the data ends, once the last fragment is there; -1 before. */
  end: number;
  received: number;
  bytes: number;
  largest: number;
  largestWithDf: number;
}

/** What became of a fragment. */
export const FRAGMENT_KEPT = 0;
export const FRAGMENT_BAD = 1;
export const FRAGMENT_COMPLETE = 2;
/** All its bytes are there already. Even if it was the last that was missing, Linux goes on waiting. */
const FRAGMENT_REPEATED = 3;

export class Reassembly {
  readonly #datagrams = new Map<string, Datagram>();
  #bytes = 0;
  /** Length of the datagram that {@link add} has just completed. */
  length = 0;
  /** Length of the largest fragment it came in. */
  largest = 0;

  /** How many datagrams are being put together. */
  get pending(): number {
    return this.#datagrams.size;
  }

  /**
   * Takes the fragment that `packet` describes. When it completes a datagram, that is written at `target` in the same
   * memory, with its header mended, and {@link length} and {@link largest} are set.
   * @param user distinguishes the places where fragments are put together: what arrives for the director is not mixed
   *   with what passes through.
   */
  add(packet: Packet, memory: Uint8Array, view: DataView, target: number, user: number, tick: number): number {
    const { ip, length, family, fragment } = packet;
    const dataAt = family === 4 ? ip + packet.headerLength : packet.fragmentHeader + ipv6.FRAGMENT_HEADER;
    const start = (fragment & ipv4.OFFSET_MASK) << 3;
    const more = (fragment & ipv4.MF) !== 0;
    let end = start + ip + length - dataAt;
    if (more && ((end - start) & 7) !== 0) {
      if (family === 6) return FRAGMENT_BAD;
      end = start + ((end - start) & ~7); // all but the last must be multiples of 8: Linux cuts the rest off
    }
    if (end <= start || dataAt - ip + end > MAX_DATAGRAM) return FRAGMENT_BAD;

    const key = keyOf(packet, view, user);
    let datagram = this.#datagrams.get(key);
    if (datagram === undefined) {
      datagram = {
        key,
        deadline: (tick + (family === 4 ? LIFETIME_TICKS : LIFETIME6_TICKS)) | 0,
        pieces: [],
        headers: null,
        announced: 0,
        end: -1,
        received: 0,
        bytes: 0,
        largest: 0,
        largestWithDf: 0,
      };
      this.#datagrams.set(key, datagram);
    }
    const verdict = this.#place(datagram, start, end, more, memory, dataAt);
    if (verdict === FRAGMENT_BAD) {
      this.#drop(datagram);
      return FRAGMENT_BAD;
    }
    if (verdict === FRAGMENT_REPEATED) return FRAGMENT_KEPT;
    datagram.largest = Math.max(datagram.largest, length);
    if (family === 4 && (ipv4.fragment(view, ip) & ipv4.DF) !== 0)
      datagram.largestWithDf = Math.max(datagram.largestWithDf, length);
    if (start === 0) {
      datagram.headers = memory.slice(ip, dataAt);
      datagram.announced = packet.fragmentAnnounced - ip;
    }
    while (this.#bytes > MAX_BYTES) this.#drop(this.#datagrams.values().next().value!);
    if (datagram.headers === null || datagram.received !== datagram.end || !this.#datagrams.has(key))
      return FRAGMENT_KEPT;
    return this.#finish(datagram, memory, view, target);
  }

  #place(datagram: Datagram, start: number, end: number, more: boolean, memory: Uint8Array, data: number): number {
    if (!more) {
      if ((datagram.end >= 0 && datagram.end !== end) || datagram.pieces.some((piece) => piece.end > end))
        return FRAGMENT_BAD;
      datagram.end = end;
    } else if (datagram.end >= 0 && end > datagram.end) return FRAGMENT_BAD;
    const { pieces } = datagram;
    const after = pieces.findIndex((piece) => piece.end > start);
    const at = after < 0 ? pieces.length : after;
    const next = pieces[at];
    if (next !== undefined && next.start < end) {
      // Bytes that came in order and come again are a retransmission; anything else that overlaps is not to be trusted.
      return next.run.start <= start && next.run.end >= end ? FRAGMENT_REPEATED : FRAGMENT_BAD;
    }
    const last = pieces.at(-1);
    let run = { start, end };
    if (last !== undefined && last.end === start) {
      run = last.run;
      run.end = end;
    }
    pieces.splice(at, 0, { start, end, bytes: memory.slice(data, data + end - start), run });
    datagram.received += end - start;
    datagram.bytes += end - start + OVERHEAD;
    this.#bytes += end - start + OVERHEAD;
    return FRAGMENT_KEPT;
  }

  #finish(datagram: Datagram, memory: Uint8Array, view: DataView, target: number): number {
    const headers = datagram.headers!;
    const isIpv6 = headers[0] >>> 4 === 6;
    const headerLength = isIpv6 ? headers.length - ipv6.FRAGMENT_HEADER : headers.length;
    this.#drop(datagram);
    if (headerLength + datagram.end > MAX_DATAGRAM) return FRAGMENT_BAD;
    memory.set(headers, target);
    // What announced the fragment header announces now what that announced.
    if (isIpv6) view.setUint8(target + datagram.announced, ipv6.extensionNext(view, target + headerLength));
    for (const piece of datagram.pieces) memory.set(piece.bytes, target + headerLength + piece.start);
    this.length = headerLength + datagram.end;
    this.largest = Math.max(datagram.largest, datagram.largestWithDf);
    if (isIpv6) {
      ipv6.setPayloadLength(view, target, this.length - ipv6.IPV6_HEADER);
      return FRAGMENT_COMPLETE;
    }
    ipv4.setTotalLength(view, target, this.length);
    // "Don't fragment" holds again only if the largest fragments had it: then it goes out in such fragments too.
    ipv4.setFragment(view, target, datagram.largestWithDf === datagram.largest ? ipv4.DF : 0);
    ipv4.writeChecksum(view, target);
    return FRAGMENT_COMPLETE;
  }

  #drop(datagram: Datagram): void {
    this.#bytes -= datagram.bytes;
    this.#datagrams.delete(datagram.key);
  }

  /**
   * Gives up what has waited too long; called about every second.
   * @param expired called for each datagram given up whose first fragment had come, with that fragment: Linux tells the sender.
   */
  advance(tick: number, expired: (firstFragment: Uint8Array) => void): void {
    for (const datagram of this.#datagrams.values()) {
      if (((datagram.deadline - tick) | 0) > 0) continue;
      this.#drop(datagram);
      const first = datagram.pieces[0];
      if (datagram.headers !== null && first.start === 0) {
        const fragment = new Uint8Array(datagram.headers.length + first.bytes.length);
        fragment.set(datagram.headers);
        fragment.set(first.bytes, datagram.headers.length);
        expired(fragment);
      }
    }
  }
}

/** What the fragments of one datagram have in common. */
function keyOf(packet: Packet, view: DataView, user: number): string {
  const { address, protocol, family } = packet;
  if (family === 4) {
    return `${address[SRC]} ${address[DST]} ${ipv4.identification(view, packet.ip)} ${protocol} ${user}`;
  }
  return `${address.join(' ')} ${ipv6.fragmentIdentification(view, packet.fragmentHeader)} ${user}`;
}
