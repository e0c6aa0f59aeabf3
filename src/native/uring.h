/*
 * Bursts by io_uring (Linux 6.4 and up), by its bare system calls: all writes of a burst by one call.
 */
#ifndef TAPVS_URING_H
#define TAPVS_URING_H

#include "burst.h"
#include "system.h"

struct uring;

/*
 * A ring of the calling thread, which alone may use it, to write to the TAP `fd`; from malloc(). NULL, with *error filled
 * in, where the kernel refuses one, or TAPs cannot be written to by one.
 */
struct uring *uring_open(int fd, struct system_error *error);

/*
 * Pins `memory`, instead of what was pinned before, so that the kernel finds the frames in it without looking up pages. The bytes
 * must stay where they are until the ring is closed or other memory is registered. False, with nothing pinned, where the
 * kernel does not let this user pin as much.
 */
bool uring_register(struct uring *ring, uint8_t *memory, size_t size);

/* As tap_transmit. All writes are complete when it returns. */
int32_t uring_transmit(struct uring *ring, const struct burst *burst, struct drops *drops, int *end);

/* Gives back what the ring holds of the kernel's; its memory is for free(). */
void uring_close(struct uring *ring);

#endif
