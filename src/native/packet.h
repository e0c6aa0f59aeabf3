/*
 * Frames of an existing interface through a packet socket: received from a ring that the kernel fills, sent by one call
 * for each burst, both with a virtio-net header (checksums and segmentation). Knows nothing of JavaScript.
 */
#ifndef TAPVS_PACKET_H
#define TAPVS_PACKET_H

#include "attachment.h"
#include "burst.h"

struct packet_port {
  struct attachment attachment;
  uint8_t *ring;
  uint32_t slot_size;
  uint32_t slots_per_block;
  uint32_t slot_count;
  uint32_t next; /* the slot that the kernel fills next */
};

/* How many ports may share an interface's frames (PACKET_FANOUT_MAX). */
#define PACKET_MOST_QUEUES 256

/*
 * Attaches `count` ports to the interface, which begin to receive: each frame by one of them, those of a flow by the same.
 * False with nothing left open, and *error filled in.
 */
bool packet_open(const struct attachment_options *options, struct packet_port *const *ports, int count,
                 struct system_error *error);

/* Takes up to burst->count frames. Returns how many; *end says why it stopped. */
int32_t packet_receive(struct packet_port *port, const struct burst *burst, int32_t room, struct drops *drops,
                       int *end);

/* Sends burst->count frames. Returns how many the kernel took; *end says why it stopped. */
int32_t packet_transmit(struct packet_port *port, const struct burst *burst, struct drops *drops, int *end);

/* Asks how many frames were lost because they were not taken in time. */
void packet_count_missed(const struct packet_port *port, struct drops *drops);

void packet_close(struct packet_port *port);

#endif
