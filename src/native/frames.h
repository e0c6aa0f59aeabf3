/*
 * What becomes of one frame of a burst, whichever way it is carried: bounds, virtio-net header, reasons of losses.
 */
#ifndef TAPVS_FRAMES_H
#define TAPVS_FRAMES_H

#include "burst.h"

/* Reads an entry once, whoever else may be writing to it. */
static inline int32_t load(const int32_t *entry) {
  return __atomic_load_n(entry, __ATOMIC_RELAXED);
}

/* Counts, for whoever reads it from another thread. */
static inline void add(uint64_t *counter, uint64_t count) {
  __atomic_store_n(counter, *counter + count, __ATOMIC_RELAXED);
}

/* Bytes in front of each frame that are read and written with it. */
int32_t header_length(const struct burst *burst);

/* Whether a frame, with the header in front of it, lies in the memory. */
bool inside(const struct burst *burst, int32_t offset, int32_t length);

/*
 * Takes `length` bytes that were read into the slot at `offset`, header included, as the frame of entry `index`. False
 * when it is none, which is counted. A `length` beyond header and room tells of a frame that was longer.
 */
bool accept_frame(const struct burst *burst, int32_t index, int32_t offset, int32_t length, int32_t room,
                  struct drops *drops);

/* What is to be written for a frame: the frame, and the header in front of it. */
struct outgoing {
  const uint8_t *start;
  uint32_t length;
};

/*
 * Makes entry `index` ready to be written. False when it cannot be: either that is counted, or *end says that the entry
 * lies outside of the memory.
 */
bool prepare_frame(const struct burst *burst, int32_t index, struct outgoing *frame, struct drops *drops,
                   int *end);

/* Counts a write that failed with this errno. *end tells of one by which the interface is gone. */
void count_failure(int number, struct drops *drops, int *end);

#endif
