#include "burst.h"

#include <errno.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "frames.h"
#include "tap.h"
#include "vnet.h"

/*
 * The system calls by their numbers. In a program with threads, and Node always has some, read() and write() of the C library
 * are made so that pthread_cancel() could end them, which takes two locked instructions a call: 2 to 5 % of a director's
 * time (perf, frames of 64 bytes).
 */
static ssize_t read_uncancelled(int fd, void *buffer, size_t size) {
  return syscall(SYS_read, fd, buffer, size);
}

static ssize_t write_uncancelled(int fd, const void *buffer, size_t size) {
  return syscall(SYS_write, fd, buffer, size);
}

/*
 * Reads one frame; a result above `room` means that it was longer. The kernel cuts a frame to the room without a word,
 * so there has to be one byte more to read into. That is the byte behind the slot, put back afterwards, where the
 * memory has one; a second part for it to go to costs 160 ns a frame (790 instead of 630 measured).
 */
static ssize_t read_frame(int fd, uint8_t *slot, size_t room, bool has_byte_behind) {
  if (has_byte_behind) {
    uint8_t behind = slot[room];
    ssize_t length = read_uncancelled(fd, slot, room + 1);
    slot[room] = behind;
    return length;
  }
  uint8_t spill;
  struct iovec parts[2] = {{.iov_base = slot, .iov_len = room}, {.iov_base = &spill, .iov_len = 1}};
  return readv(fd, parts, 2);
}

int32_t tap_receive(int fd, const struct burst *burst, int32_t room, struct drops *drops, int *end) {
  const int32_t header = header_length(burst);
  int32_t filled = 0;
  *end = BURST_OK;
  /* As many reads as there are entries: a flood of frames that do not fit must not hold the loop here. */
  for (int32_t reads = 0; reads < burst->count; reads++) {
    int32_t offset = load(&burst->offsets[filled]);
    if (!inside(burst, offset, room)) {
      *end = BURST_OUT_OF_BOUNDS;
      break;
    }
    uint8_t *slot = burst->memory + offset - header;
    ssize_t length;
    do length = read_frame(fd, slot, (size_t)(header + room), inside(burst, offset, room + 1));
    while (length < 0 && errno == EINTR);
    if (length < 0 && errno == EINVAL && header > 0) {
      /* The kernel has thrown a frame away whose segmentation the header has no word for. */
      add(&drops->offload, 1);
      continue;
    }
    if (length < 0) {
      /* Out of memory is a matter of waiting; poll says when there is something again. */
      if (errno != EAGAIN && errno != ENOMEM && errno != ENOBUFS) *end = errno;
      break;
    }
    if (accept_frame(burst, filled, offset, (int32_t)length, room, drops)) filled++;
  }
  return filled;
}

int32_t tap_transmit(int fd, const struct burst *burst, struct drops *drops, int *end) {
  int32_t sent = 0;
  *end = BURST_OK;
  for (int32_t i = 0; i < burst->count; i++) {
    struct outgoing frame;
    if (!prepare_frame(burst, i, &frame, drops, end)) {
      if (*end != BURST_OK) return i;
      continue;
    }
    ssize_t length;
    do length = write_uncancelled(fd, frame.start, frame.length);
    while (length < 0 && errno == EINTR);
    if (length >= 0) {
      sent++;
      continue;
    }
    count_failure(errno, drops, end);
    if (*end == BURST_OK) continue;
    /* The interface is gone, for this frame and all that follow. */
    add(&drops->link_down, (uint64_t)(burst->count - i - 1));
    break;
  }
  return sent;
}
