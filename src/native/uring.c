#include "uring.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "frames.h"

/* Writes that one call submits: twice a burst, which is what the director's queues hold. */
#define ENTRIES 128

/*
 * Smaller bursts are written one by one. CPU time of the calling thread, through a bridge to a veth (Linux 6.18, medians of
 * 120 interleaved rounds), to write(2): 1.07 for 4 frames, 1.04 for 8, 1.02 for 16, 1.00 for 32 and 64; without a registered
 * file 1.03 for 64. Registered memory makes no difference to it.
 */
#define LEAST 32

/* Newer than the headers of some systems (Linux 5.18, 6.0, 6.1). */
#ifndef IORING_SETUP_SUBMIT_ALL
#define IORING_SETUP_SUBMIT_ALL (1U << 7)
#endif
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif

struct uring {
  int fd;
  int tap;
  bool knows_tap; /* it is registered, so that it need not be looked up for every frame */
  uint8_t *memory; /* what is registered to write from; NULL for none */
  size_t memory_size;
  void *rings; /* both queues' heads and tails, and the results */
  size_t rings_size;
  struct io_uring_sqe *submissions;
  size_t submissions_size;
  uint32_t *submission_tail;
  uint32_t submission_mask;
  uint32_t *result_head;
  uint32_t *result_tail;
  uint32_t result_mask;
  struct io_uring_cqe *results;
};

static int setup(struct io_uring_params *params) {
  /* One thread uses the ring and asks for results itself: the kernel need neither lock nor interrupt it. */
  memset(params, 0, sizeof *params);
  params->flags = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  int fd = (int)syscall(__NR_io_uring_setup, ENTRIES, params);
  if (fd >= 0 || errno != EINVAL) return fd;
  memset(params, 0, sizeof *params); /* before Linux 6.1 */
  return (int)syscall(__NR_io_uring_setup, ENTRIES, params);
}

static void *map(int fd, size_t size, off_t what) {
  return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, what);
}

static bool map_rings(struct uring *ring, const struct io_uring_params *params) {
  size_t of_results = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
  size_t of_submissions = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
  ring->rings_size = of_results > of_submissions ? of_results : of_submissions;
  ring->submissions_size = params->sq_entries * sizeof(struct io_uring_sqe);
  ring->rings = map(ring->fd, ring->rings_size, IORING_OFF_SQ_RING);
  if (ring->rings == MAP_FAILED) return false;
  ring->submissions = map(ring->fd, ring->submissions_size, IORING_OFF_SQES);
  if (ring->submissions == MAP_FAILED) {
    munmap(ring->rings, ring->rings_size);
    return false;
  }
  uint8_t *base = ring->rings;
  ring->submission_tail = (uint32_t *)(base + params->sq_off.tail);
  ring->submission_mask = params->sq_entries - 1;
  ring->result_head = (uint32_t *)(base + params->cq_off.head);
  ring->result_tail = (uint32_t *)(base + params->cq_off.tail);
  ring->result_mask = params->cq_entries - 1;
  ring->results = (struct io_uring_cqe *)(base + params->cq_off.cqes);
  uint32_t *order = (uint32_t *)(base + params->sq_off.array);
  for (uint32_t i = 0; i < params->sq_entries; i++) order[i] = i;
  return true;
}

static bool registers(const struct uring *ring, unsigned what, const void *argument, unsigned count) {
  return syscall(__NR_io_uring_register, ring->fd, what, argument, count) >= 0;
}

static long enter(const struct uring *ring, uint32_t submit, uint32_t wait_for) {
  return syscall(__NR_io_uring_enter, ring->fd, submit, wait_for, IORING_ENTER_GETEVENTS, NULL, 0);
}

/*
 * Whether the kernel takes RWF_NOWAIT (see queue_write) of a TAP, which it does since Linux 6.4; before, every single write
 * from a ring is answered with EOPNOTSUPP. Asked by a frame that no TAP takes, since it has no Ethernet header.
 */
static bool takes_nowait(int fd, struct system_error *error) {
  uint8_t byte = 0;
  struct iovec part = {.iov_base = &byte, .iov_len = sizeof byte};
  /* By its number: not every C library has it. The offset, in two halves, is none. */
  if (syscall(SYS_pwritev2, fd, &part, 1, -1L, -1L, RWF_NOWAIT) < 0 && errno == EINVAL) return true;
  return failed(error, "pwritev2 RWF_NOWAIT", errno);
}

struct uring *uring_open(int fd, struct system_error *error) {
  if (!takes_nowait(fd, error)) return NULL;
  struct io_uring_params params;
  struct uring *ring = calloc(1, sizeof *ring);
  if (ring == NULL) {
    failed(error, "malloc", ENOMEM);
    return NULL;
  }
  ring->fd = setup(&params);
  if (ring->fd < 0) {
    failed(error, "io_uring_setup", errno);
    free(ring);
    return NULL;
  }
  /* Of Linux 5.12. Older ones, even where TAPs take RWF_NOWAIT, may lack what is used here. */
  bool ok = (params.features & IORING_FEAT_NATIVE_WORKERS) != 0 || failed(error, "io_uring_setup", ENOSYS);
  ok = ok && (map_rings(ring, &params) || failed(error, "mmap", errno));
  if (!ok) {
    close_quietly(ring->fd);
    free(ring);
    return NULL;
  }
  /* A filter of system calls may allow the one and not the other. */
  if (enter(ring, 0, 0) >= 0) {
    ring->tap = fd;
    ring->knows_tap = registers(ring, IORING_REGISTER_FILES, &fd, 1);
    return ring;
  }
  failed(error, "io_uring_enter", errno);
  uring_close(ring);
  free(ring);
  return NULL;
}

static void forget_memory(struct uring *ring) {
  if (ring->memory != NULL) registers(ring, IORING_UNREGISTER_BUFFERS, NULL, 0);
  ring->memory = NULL;
}

void uring_close(struct uring *ring) {
  /* By themselves they would go later than this call returns, and the TAP and the pinned pages with them. */
  if (ring->knows_tap) registers(ring, IORING_UNREGISTER_FILES, NULL, 0);
  forget_memory(ring);
  munmap(ring->submissions, ring->submissions_size);
  munmap(ring->rings, ring->rings_size);
  close_quietly(ring->fd);
}

bool uring_register(struct uring *ring, uint8_t *memory, size_t size) {
  const struct iovec all = {.iov_base = memory, .iov_len = size};
  forget_memory(ring);
  /* To the kernel no bytes at no address are a place for some that come later. */
  if (size == 0 || !registers(ring, IORING_REGISTER_BUFFERS, &all, 1)) return false;
  ring->memory = memory;
  ring->memory_size = size;
  return true;
}

/* Whether the frame lies in the memory that is registered. */
static bool knows_memory(const struct uring *ring, const struct outgoing *frame) {
  if (ring->memory == NULL || frame->start < ring->memory) return false;
  size_t at = (size_t)(frame->start - ring->memory);
  return at <= ring->memory_size && frame->length <= ring->memory_size - at;
}

/* Entry `index` of those that are not submitted yet. */
static struct io_uring_sqe *entry(const struct uring *ring, uint32_t index) {
  return &ring->submissions[(*ring->submission_tail + index) & ring->submission_mask];
}

/*
 * Puts a write into the queue. RWF_NOWAIT: it is done, or refused, by the time that it is submitted, as one of a
 * descriptor that does not block, instead of waiting for the kernel to have room.
 */
static void queue_write(const struct uring *ring, uint32_t index, const struct outgoing *frame) {
  struct io_uring_sqe *write = entry(ring, index);
  memset(write, 0, sizeof *write);
  write->opcode = knows_memory(ring, frame) ? IORING_OP_WRITE_FIXED : IORING_OP_WRITE;
  write->flags = ring->knows_tap ? IOSQE_FIXED_FILE : 0;
  write->fd = ring->knows_tap ? 0 : ring->tap;
  write->off = (uint64_t)-1;
  write->addr = (uint64_t)(uintptr_t)frame->start;
  write->len = frame->length;
  write->rw_flags = RWF_NOWAIT;
}

static bool count_result(int32_t result, struct drops *drops, int *end) {
  if (result >= 0) return true;
  count_failure(-result, drops, end);
  return false;
}

/* Takes the results that are there. Returns how many; *sent counts the frames that the kernel took. */
static uint32_t reap(const struct uring *ring, int32_t *sent, struct drops *drops, int *end) {
  uint32_t head = *ring->result_head;
  uint32_t tail = __atomic_load_n(ring->result_tail, __ATOMIC_ACQUIRE);
  for (uint32_t i = head; i != tail; i++)
    if (count_result(ring->results[i & ring->result_mask].res, drops, end)) (*sent)++;
  __atomic_store_n(ring->result_head, tail, __ATOMIC_RELEASE);
  return tail - head;
}

/* Writes what the kernel does not take from the ring (it is out of memory, or a filter came later) one by one. */
static int32_t write_singly(const struct uring *ring, uint32_t first, uint32_t count, struct drops *drops, int *end) {
  int32_t sent = 0;
  for (uint32_t i = first; i < first + count; i++) {
    const struct io_uring_sqe *frame = &ring->submissions[i & ring->submission_mask];
    ssize_t length;
    do length = write(ring->tap, (const void *)(uintptr_t)frame->addr, frame->len);
    while (length < 0 && errno == EINTR);
    if (count_result(length < 0 ? -errno : 0, drops, end)) sent++;
  }
  return sent;
}

/* Submits the first `count` entries and waits until all are done. Returns how many frames the kernel took. */
static int32_t submit(const struct uring *ring, uint32_t count, struct drops *drops, int *end) {
  int32_t sent = 0;
  uint32_t submitted = 0;
  uint32_t done = 0;
  uint32_t first = *ring->submission_tail;
  __atomic_store_n(ring->submission_tail, first + count, __ATOMIC_RELEASE);
  while (done < count) {
    long taken = enter(ring, count - submitted, count - done);
    if (taken > 0) submitted += (uint32_t)taken;
    bool refused = taken < 0 ? errno != EINTR : taken == 0 && submitted < count;
    done += reap(ring, &sent, drops, end);
    if (!refused) continue;
    /* Nothing that was submitted can still be under way, since no write waits. The rest is taken back. */
    __atomic_store_n(ring->submission_tail, first + submitted, __ATOMIC_RELEASE);
    return sent + write_singly(ring, first + submitted, count - submitted, drops, end);
  }
  return sent;
}

int32_t uring_transmit(struct uring *ring, const struct burst *burst, struct drops *drops, int *end) {
  if (burst->count < LEAST) return tap_transmit(ring->tap, burst, drops, end);
  int32_t sent = 0;
  int32_t next = 0;
  int refused = BURST_OK;
  *end = BURST_OK;
  while (next < burst->count && refused == BURST_OK && *end == BURST_OK) {
    uint32_t queued = 0;
    while (next < burst->count && queued < ENTRIES) {
      struct outgoing frame;
      bool ready = prepare_frame(burst, next, &frame, drops, &refused);
      if (refused != BURST_OK) break;
      if (ready) queue_write(ring, queued++, &frame);
      next++;
    }
    if (queued > 0) sent += submit(ring, queued, drops, end);
  }
  if (refused != BURST_OK) {
    *end = refused;
    return next;
  }
  /* The interface is gone. */
  if (*end != BURST_OK) add(&drops->link_down, (uint64_t)(burst->count - next));
  return sent;
}
