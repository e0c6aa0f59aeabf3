/*
 * Opening a TAP interface as the kernel offers it. Knows nothing of JavaScript.
 */
#ifndef TAPVS_TAP_H
#define TAPVS_TAP_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "system.h"

/* As many as the kernel allows (MAX_TAP_QUEUES). */
#define TAP_MOST_QUEUES 256
/* Bytes of the virtio-net header in front of each frame, where there is one. */
#define VNET_HEADER 10

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
  uint8_t mac[MAC_LENGTH];  /* for the kernel's end */
  int mtu;                      /* 0 leaves it alone */
  bool up;                      /* bring the interface up */
  bool offload;                 /* a virtio-net header in front of frames; checksums and segmentation left to us */
  int queues;                   /* of an interface with several (IFF_MULTI_QUEUE); 0: one that has no more than one */
};

/* An open TAP: its descriptors (non-blocking, closed on exec), and what the kernel says of the interface. */
struct tap_info {
  int fds[TAP_MOST_QUEUES];
  int queues; /* how many descriptors there are */
  char name[IFNAMSIZ];
  uint8_t mac[MAC_LENGTH];
  int mtu;
  unsigned offload; /* what the kernel may leave to us: TUN_F_ bits */
};

/* Opens a TAP. Returns false, with nothing left open or made, and *error filled in, when a step fails. */
bool tap_open(const struct tap_options *options, struct tap_info *info, struct system_error *error);

#endif
