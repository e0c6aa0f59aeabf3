/*
 * A TAP interface as the kernel offers it: opening one, and moving bursts of frames. Knows nothing of JavaScript.
 */
#ifndef TAPVS_TAP_H
#define TAPVS_TAP_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#define TAP_MAC_LENGTH 6

/* Whether the interface may be there already. */
enum tap_existence {
  TAP_ANY,      /* attach to it if it is there, else make it */
  TAP_EXISTING, /* it must be there */
  TAP_NEW,      /* it must not be there */
};

struct tap_options {
  char name[IFNAMSIZ];          /* may hold one "%d" for the kernel to number; empty: the kernel chooses */
  const char *namespace_path;   /* file of a network namespace; NULL is the caller's own */
  enum tap_existence existence;
  bool has_mac;
  uint8_t mac[TAP_MAC_LENGTH];  /* for the kernel's end */
  int mtu;                      /* 0 leaves it alone */
  bool up;                      /* bring the interface up */
};

/* An open TAP: its descriptor (non-blocking, closed on exec), and what the kernel says of the interface. */
struct tap_info {
  int fd;
  char name[IFNAMSIZ];
  uint8_t mac[TAP_MAC_LENGTH];
  int mtu;
};

/* Which system call failed, and how. */
struct tap_error {
  int number;
  const char *syscall;
};

/* Opens a TAP. Returns false, with nothing left open or made, and *error filled in, when a step fails. */
bool tap_open(const struct tap_options *options, struct tap_info *info, struct tap_error *error);

/* Frames that were lost, by reason. */
struct tap_drops {
  uint64_t oversize;  /* received, longer than the room for it */
  uint64_t no_buffer; /* not sent: the kernel had no memory or no queue space (EAGAIN, ENOBUFS, ENOMEM) */
  uint64_t link_down; /* not sent: the interface is down (EIO) */
  uint64_t invalid;   /* not sent: shorter than an Ethernet header, or refused by the kernel for any other reason */
};

/*
 * A burst in somebody else's memory. Nothing in the arrays is trusted: another thread may share and change them, so
 * each entry is read once and checked against the memory's size before it is used.
 */
struct tap_burst {
  uint8_t *memory;
  size_t size;
  const int32_t *offsets;
  int32_t *lengths;
  int32_t count;
};

/* What ended a burst. Values above 0 are errno: the interface is gone. */
#define TAP_OK 0
#define TAP_OUT_OF_BOUNDS (-1) /* an entry lies outside of the memory; the one whose index was returned */

/* Reads up to burst->count frames. Returns how many; *end says why it stopped. */
int32_t tap_receive(int fd, const struct tap_burst *burst, int32_t room, struct tap_drops *drops, int *end);

/* Writes burst->count frames. Returns how many the kernel took; *end says why it stopped. */
int32_t tap_transmit(int fd, const struct tap_burst *burst, struct tap_drops *drops, int *end);

#endif
