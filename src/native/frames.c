#include "frames.h"

#include <errno.h>
#include <stdlib.h>

#include "tap.h"
#include "vnet.h"

#define ETHERNET_HEADER 14

struct drops *drops_make(void) {
  struct drops *drops = calloc(1, sizeof *drops);
  if (drops != NULL) drops->holders = 1;
  return drops;
}

void drops_hold(struct drops *drops) {
  __atomic_fetch_add(&drops->holders, 1, __ATOMIC_RELAXED);
}

void drops_release(struct drops *drops) {
  if (__atomic_sub_fetch(&drops->holders, 1, __ATOMIC_ACQ_REL) == 0) free(drops);
}

int32_t header_length(const struct burst *burst) {
  return burst->partial != NULL ? VNET_HEADER : 0;
}

bool inside(const struct burst *burst, int32_t offset, int32_t length) {
  return offset >= header_length(burst) && length >= 0 && (size_t)offset + (size_t)length <= burst->size;
}

bool accept_frame(const struct burst *burst, int32_t index, int32_t offset, int32_t length, int32_t room,
                  struct drops *drops) {
  int32_t header = header_length(burst);
  length -= header;
  if (length > room) {
    add(&drops->oversize, 1);
    return false;
  }
  if (header != 0) {
    int32_t partial;
    int32_t segments;
    if (length < 0 || !vnet_read(burst->memory + offset - header, length, &partial, &segments)) {
      add(&drops->offload, 1);
      return false;
    }
    burst->partial[index] = partial;
    burst->segments[index] = segments;
  }
  burst->lengths[index] = length;
  return true;
}

bool prepare_frame(const struct burst *burst, int32_t index, struct outgoing *frame, struct drops *drops,
                   int *end) {
  int32_t offset = load(&burst->offsets[index]);
  int32_t length = load(&burst->lengths[index]);
  int32_t header = header_length(burst);
  if (!inside(burst, offset, length)) {
    *end = BURST_OUT_OF_BOUNDS;
    return false;
  }
  if (length < ETHERNET_HEADER) {
    add(&drops->invalid, 1);
    return false;
  }
  uint8_t *start = burst->memory + offset - header;
  if (header != 0 && !vnet_write(start, start + header, length, load(&burst->partial[index]), load(&burst->segments[index]))) {
    add(&drops->offload, 1);
    return false;
  }
  frame->start = start;
  frame->length = (uint32_t)(header + length);
  return true;
}

/* Every errno of a write to a TAP. Those not named are the kernel refusing this one frame. */
void count_failure(int number, struct drops *drops, int *end) {
  switch (number) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
      add(&drops->no_buffer, 1);
      break;
    case EIO: /* the interface is down */
      add(&drops->link_down, 1);
      break;
    case EBADFD: /* the interface was deleted */
    case EBADF:
    case ENODEV:
    case ENXIO:
      add(&drops->link_down, 1);
      *end = number;
      break;
    default: /* EINVAL (no Ethernet header), EFAULT, EMSGSIZE ... */
      add(&drops->invalid, 1);
  }
}
