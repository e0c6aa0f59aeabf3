/*
 * Bursts of frames, and how a TAP's are carried: one read or write for each.
 */
#ifndef TAPVS_BURST_H
#define TAPVS_BURST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Frames that were lost, by reason. Counted by the thread that has the descriptor, read by any that had it; so they go
 * with the last of their holders.
 */
struct drops {
  uint32_t holders;
  uint64_t oversize;  /* received, longer than the room for it */
  uint64_t no_buffer; /* not sent: the kernel had no memory or no queue space (EAGAIN, ENOBUFS, ENOMEM) */
  uint64_t link_down; /* not sent: the interface is down (EIO) */
  uint64_t invalid;   /* not sent: shorter than an Ethernet header, or refused by the kernel for any other reason */
  uint64_t offload;   /* received or not sent: checksum or segmentation information that does not fit the frame */
  uint64_t missed;    /* not received: not taken in time, or the kernel had no memory; not of TAPs, which nobody tells */
};

/* Counters at 0 with one holder; NULL when there is no memory. */
struct drops *drops_make(void);
/* One holder more; one less. */
void drops_hold(struct drops *drops);
void drops_release(struct drops *drops);

/*
 * A burst in somebody else's memory. Nothing in the arrays is trusted: another thread may share and change them, so
 * each entry is read once and checked against the memory's size before it is used.
 */
struct burst {
  uint8_t *memory;
  size_t size;
  const int32_t *offsets;
  int32_t *lengths;
  int32_t *partial;  /* NULL: no virtio-net header in front of frames */
  int32_t *segments; /* NULL likewise */
  int32_t count;
};

/* What ended a burst. Values above 0 are errno: the interface is gone. */
#define BURST_OK 0
#define BURST_OUT_OF_BOUNDS (-1) /* an entry lies outside of the memory; the one whose index was returned */

/*
 * Reads up to burst->count frames. Returns how many; *end says why it stopped. A virtio-net header lies in front of the
 * frame, in bytes that must be the memory's too.
 */
int32_t tap_receive(int fd, const struct burst *burst, int32_t room, struct drops *drops, int *end);

/* Writes burst->count frames. Returns how many the kernel took; *end says why it stopped. */
int32_t tap_transmit(int fd, const struct burst *burst, struct drops *drops, int *end);

#endif
