/*
 * Frames of an existing interface through an AF_XDP socket (kernel: Documentation/networking/af_xdp.rst): they pass the
 * kernel's stack by, in both directions. Knows nothing of JavaScript.
 */
#ifndef TAPVS_XDP_H
#define TAPVS_XDP_H

#include <linux/if_xdp.h>

#include "attachment.h"
#include "burst.h"
#include "xdp-program.h"

/* Frames that may wait to be taken, and to be sent: 2 ms at a million frames a second. Powers of two. */
#define XDP_RECEIVE_FRAMES 2048
#define XDP_SEND_FRAMES 512

/* A ring shared with the kernel: one of the two moves `producer`, the other `consumer`. */
struct xdp_ring {
  void *mapping;
  size_t mapping_size;
  uint32_t *producer;
  uint32_t *consumer;
  uint32_t *flags;
  void *entries; /* struct xdp_desc, or 64-bit addresses */
  uint32_t mask;
  uint32_t at; /* where we are in it */
};

struct xdp_port {
  struct attachment attachment;
  struct xdp_program program;
  int socket;
  uint8_t *area; /* the frames' memory, shared with the kernel */
  struct xdp_ring fill;
  struct xdp_ring received;
  struct xdp_ring sent;
  struct xdp_ring completed;
  uint32_t free[XDP_SEND_FRAMES]; /* chunks to send from that the kernel does not hold; the one used last comes first */
  uint32_t free_count;
};

struct xdp_request {
  struct attachment_options attachment;
  int queue; /* of the interface, whose frames are received; -1: its only one */
  enum xdp_mode mode;
};

/* Attaches to the interface and begins to receive. False with nothing left open, and *error filled in. */
bool xdp_open(const struct xdp_request *request, struct xdp_port *port, struct system_error *error);

/* Takes up to burst->count frames. Returns how many; *end says why it stopped. */
int32_t xdp_receive(struct xdp_port *port, const struct burst *burst, int32_t room, struct drops *drops,
                    int *end);

/* Sends burst->count frames. Returns how many the kernel took; *end says why it stopped. */
int32_t xdp_transmit(struct xdp_port *port, const struct burst *burst, struct drops *drops, int *end);

/* Asks how many frames were lost because they were not taken in time, or were too long. */
void xdp_count_missed(const struct xdp_port *port, struct drops *drops);

void xdp_close(struct xdp_port *port);

#endif
