/**
 * How a connection lies in memory: one row of 32-bit words in one Int32Array. An IPv4 row is 16 words, exactly one cache
 * line; an IPv6 row is 32. (Rows beat one array per field from 100 000 connections on, and a row must not straddle a
 * cache line; measured, see bench.)
 *
 * A row is referred to by the index of its first word. Row 0 is never used, so 0 means "none".
 */

/** Client port in the upper half, virtual port in the lower. */
export const PORTS = 0;
/** State (8 bits), IP protocol (8 bits), server port (16 bits). */
export const META = 1;
/** The flags below. */
export const FLAGS = 2;
/** Id of the destination, or {@link NO_DESTINATION}. */
export const DEST = 3;
/** Row of the template (or FTP control connection) that this one hangs on; 0 for none. */
export const CONTROL = 4;
/** Tick at which it expires, if no packet comes. */
export const EXPIRES = 5;
/** Ticks that every packet sets the timer to. */
export const TIMEOUT = 6;
/** Packets seen from the client. */
export const IN_PKTS = 7;
/** Next row of the same hash bucket; 0 ends the chain. Free rows are chained by it too. */
export const NEXT = 8;
/** Neighbours in the timer wheel's slot; see wheel.ts. */
export const TIMER_NEXT = 9;
export const TIMER_PREV = 10;
/** How many connections hang on this one. */
export const N_CONTROL = 11;
/** Firewall mark of the packet that made it. */
export const MARK = 12;
/** The client's address; the virtual address and the server's follow, each of the table's width. */
export const CADDR = 13;

/** The virtual and the server's address in a row of IPv4. */
export const VADDR4 = 14;
export const DADDR4 = 15;

export const NO_DESTINATION = -1;

/** Words in a row, for addresses of one word (IPv4) or four (IPv6). */
export function strideOf(width: number): number {
  return width === 1 ? 16 : 32;
}

/** Connection flags, with the kernel's numbers (include/uapi/linux/ip_vs.h, IP_VS_CONN_F_*): the sync protocol carries them. */
export const FWD_MASK = 0x7;
/** It came from a sync master. */
export const SYNCED = 0x20;
/** It is in the hash table. */
export const HASHED = 0x40;
/** No packet has come from the server. */
export const NOOUTPUT = 0x80;
/** Counts as inactive. */
export const INACTIVE = 0x100;
export const OUT_SEQ = 0x200;
export const IN_SEQ = 0x400;
export const SEQ_MASK = 0x600;
/** The client's port is not known yet. */
export const NO_CPORT = 0x800;
/** A persistence template. */
export const TEMPLATE = 0x1000;
/** For one datagram only. */
export const ONE_PACKET = 0x2000;
/** Of FTP, control or data: with Linux also netfilter tracks it, which shows in what becomes of it with its server. */
export const TRACKED = 0x10000;

/** Flags of the director's own, which never leave it. */
/** An application helper looks into it; see apps/. */
export const HELPED = 0x1000000;
/** A template of a persistence engine; see engine-templates.ts. */
export const ENGINE = 0x2000000;
/** The server's address is not that of its destination. */
export const ELSEWHERE = 0x4000000;
/** NAT: the server has answered the connection's SYN; see handshakes.ts. */
export const SYN_ANSWERED = 0x8000000;
/** All that is kept beside the row for some connections goes with them. */
export const HAS_MORE: number = HELPED | ENGINE;

/** A template's states. */
export const TEMPLATE_NONE = 0;
/** A connection of the template's client was established. */
export const TEMPLATE_ASSURED = 1;
