/**
 * The forward methods, with the kernel's numbers (include/uapi/linux/ip_vs.h, IP_VS_CONN_F_FWD_MASK): the sync protocol
 * carries them.
 */

/** NAT: rewrite the destination, and the source of every reply. `-m` */
export const MASQ = 0;
/** The server is the director itself: the packet goes up its own stack. */
export const LOCAL = 1;
/** Wrap the packet in another IP header. `-i` */
export const TUNNEL = 2;
/** Direct routing: only the MAC addresses change. `-g` */
export const ROUTE = 3;
/** No server: on to the address that the packet was sent to. */
export const BYPASS = 4;

/** One of the five numbers above. */
export type ForwardMethodNumber = 0 | 1 | 2 | 3 | 4;

/** How a destination is asked for: `local` follows from an address of the director's own and is never asked for. */
export type ForwardMethod = 'masq' | 'tunnel' | 'route';

/** The names that `ipvsadm -L` prints. */
export const FORWARD_NAMES: readonly string[] = ['Masq', 'Local', 'Tunnel', 'Route', 'Bypass'];
