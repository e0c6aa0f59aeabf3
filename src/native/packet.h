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
  uint64_t missed; /* frames that the kernel found no room for, or no memory */
};

/* Attaches to the interface and begins to receive. False with nothing left open, and *error filled in. */
bool packet_open(const struct attachment_options *options, struct packet_port *port, struct system_error *error);

/* Takes up to burst->count frames. Returns how many; *end says why it stopped. */
int32_t packet_receive(struct packet_port *port, const struct burst *burst, int32_t room, struct drops *drops,
                       int *end);

/* Sends burst->count frames. Returns how many the kernel took; *end says why it stopped. */
int32_t packet_transmit(struct packet_port *port, const struct burst *burst, struct drops *drops, int *end);

/* How many frames were lost because they were not taken in time; also when closed. */
uint64_t packet_missed(struct packet_port *port);

void packet_close(struct packet_port *port);

#endif
