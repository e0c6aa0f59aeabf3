/**
 * Frames that stand for several segments, as a virtio-net header tells of them (virtio 1.2, 5.1.6; the kernel's
 * include/uapi/linux/virtio_net.h): the sender, or the card, cuts them last of all.
 */
import type { Family } from '../address.ts';

/** Kinds, with the numbers of virtio: a frame has one, beside {@link SEGMENT_ECN}. */
export const SEGMENT_TCP4 = 1;
export const SEGMENT_TCP6 = 4;
export const SEGMENT_UDP = 5;
/** TCP with congestion marks: only the first segment keeps CWR. */
export const SEGMENT_ECN = 0x80;

/** What a device can cut, as bits. */
export const CUTS_TCP4 = 1;
export const CUTS_TCP6 = 2;
export const CUTS_UDP4 = 4;
export const CUTS_UDP6 = 8;
export const CUTS_ECN = 16;

/** What a device must be able to cut for frames of a kind, as bits; 0 for a kind that there is not in the family. */
export function cutsNeeded(kind: number, family: Family): number {
  const ecn = (kind & SEGMENT_ECN) !== 0 ? CUTS_ECN : 0;
  switch (kind & ~SEGMENT_ECN) {
    case SEGMENT_TCP4:
      return family === 4 ? CUTS_TCP4 | ecn : 0;
    case SEGMENT_TCP6:
      return family === 6 ? CUTS_TCP6 | ecn : 0;
    case SEGMENT_UDP:
      return family === 4 ? CUTS_UDP4 : CUTS_UDP6;
    default:
      return 0;
  }
}
