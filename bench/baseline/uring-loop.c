/*
 * The io_uring loop: as tap-loop, by fewer system calls: a registered descriptor and registered buffers.
 *
 *     uring-loop TAP OWN-MAC MAC MAC [--reads read|batch|multishot] [--spin] [--vnet]
 *
 *   read       read(2) until there is none or the burst is full, then all writes by one io_uring_enter
 *   batch      reads of the next burst and writes of this one by one io_uring_enter; as many reads as the last burst had,
 *              and a few, for the one that finds nothing is for nothing
 *   multishot  the kernel reads by itself into a ring of buffers (Linux 6.7); writes by one io_uring_enter
 *
 * Says `ready`.
 */
#include "loop.h"

#include <getopt.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define BURST 64
#define SLOTS (2 * BURST)
/* No power of two: slots would share the cache's sets. */
#define SMALL_SLOT 2112
#define LARGE_SLOT (65536 + 64)
#define QUEUE 256
#define BUFFER_GROUP 1
/* Of include/uapi/linux/io_uring.h, newer than many a system's headers. */
#define OP_READ_MULTISHOT 49

enum reads { READS_READ, READS_BATCH, READS_MULTISHOT };

static struct {
  int ring, tap;
  unsigned *sq_tail, *cq_head, *cq_tail, sq_mask, cq_mask, queued;
  struct io_uring_sqe *sqes;
  struct io_uring_cqe *cqes;
  uint8_t *memory;
  size_t slot, header;
  struct hosts hosts;
  bool spin;
} loop;

static uint8_t *slot(unsigned number) {
  return loop.memory + number * loop.slot;
}

static int ring_register(unsigned what, void *argument, unsigned count) {
  return (int)syscall(__NR_io_uring_register, loop.ring, what, argument, count);
}

static void open_ring(void) {
  struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
  loop.ring = (int)syscall(__NR_io_uring_setup, QUEUE, &params);
  if (loop.ring < 0) die("io_uring_setup");
  size_t size = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
  size_t of_submissions = params.sq_off.array + params.sq_entries * sizeof(unsigned);
  if (of_submissions > size) size = of_submissions;
  uint8_t *rings = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, loop.ring, IORING_OFF_SQ_RING);
  loop.sqes = mmap(NULL, params.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_POPULATE, loop.ring, IORING_OFF_SQES);
  if (rings == MAP_FAILED || loop.sqes == MAP_FAILED) die("mmap of the ring");
  loop.sq_tail = (unsigned *)(rings + params.sq_off.tail);
  loop.cq_head = (unsigned *)(rings + params.cq_off.head);
  loop.cq_tail = (unsigned *)(rings + params.cq_off.tail);
  loop.sq_mask = params.sq_entries - 1;
  loop.cq_mask = params.cq_entries - 1;
  loop.cqes = (struct io_uring_cqe *)(rings + params.cq_off.cqes);
  unsigned *array = (unsigned *)(rings + params.sq_off.array);
  for (unsigned i = 0; i < params.sq_entries; i++) array[i] = i;

  loop.memory = mmap(NULL, SLOTS * loop.slot, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (loop.memory == MAP_FAILED) die("memory");
  struct iovec all = {loop.memory, SLOTS * loop.slot};
  if (ring_register(IORING_REGISTER_BUFFERS, &all, 1) < 0) die("IORING_REGISTER_BUFFERS");
  if (ring_register(IORING_REGISTER_FILES, &loop.tap, 1) < 0) die("IORING_REGISTER_FILES");
}

static struct io_uring_sqe *entry(uint8_t opcode, uint64_t user_data) {
  struct io_uring_sqe *sqe = &loop.sqes[(*loop.sq_tail + loop.queued++) & loop.sq_mask];
  memset(sqe, 0, sizeof *sqe);
  sqe->opcode = opcode;
  sqe->flags = IOSQE_FIXED_FILE;
  sqe->off = (uint64_t)-1;
  sqe->user_data = user_data;
  return sqe;
}

#define IS_WRITE (1ull << 32)

static void queue_write(unsigned number, unsigned length) {
  struct io_uring_sqe *sqe = entry(IORING_OP_WRITE_FIXED, IS_WRITE | number);
  sqe->addr = (uint64_t)(uintptr_t)slot(number);
  sqe->len = length;
}

static void queue_read(unsigned number) {
  struct io_uring_sqe *sqe = entry(IORING_OP_READ_FIXED, number);
  sqe->addr = (uint64_t)(uintptr_t)slot(number);
  sqe->len = (unsigned)loop.slot;
}

/* Submits what is queued, and waits for `least` results. */
static void submit(unsigned least) {
  __atomic_store_n(loop.sq_tail, *loop.sq_tail + loop.queued, __ATOMIC_RELEASE);
  long status;
  do status = syscall(__NR_io_uring_enter, loop.ring, loop.queued, least, IORING_ENTER_GETEVENTS, NULL, 0);
  while (status < 0 && errno == EINTR && loop.queued == 0);
  if (status != (long)loop.queued) die("io_uring_enter: %ld of %u", status, loop.queued);
  loop.queued = 0;
}

static bool next_result(struct io_uring_cqe *result) {
  unsigned head = *loop.cq_head;
  if (head == __atomic_load_n(loop.cq_tail, __ATOMIC_ACQUIRE)) return false;
  *result = loop.cqes[head & loop.cq_mask];
  __atomic_store_n(loop.cq_head, head + 1, __ATOMIC_RELEASE);
  return true;
}

/* Exchanges the addresses of a frame that was read and queues it for writing. Says whether it did. */
static bool answer(unsigned number, int length) {
  uint8_t *frame = slot(number) + loop.header;
  if (length < (int)loop.header + ETH_HLEN || !is_ours(frame, &loop.hosts)) return false;
  hand_over(frame, &loop.hosts);
  queue_write(number, (unsigned)length);
  return true;
}

static void wait_for_input(void) {
  struct pollfd wait = {.fd = loop.tap, .events = POLLIN};
  if (!loop.spin && poll(&wait, 1, -1) < 0) die("poll");
}

static void run_read(void) {
  for (;;) {
    bool empty = false;
    for (unsigned i = 0; i < BURST; i++) {
      ssize_t length = read(loop.tap, slot(i), loop.slot);
      if (length < 0 && errno == EAGAIN) {
        empty = true;
        break;
      }
      if (length < 0) die("read");
      answer(i, (int)length);
    }
    if (loop.queued > 0) submit(loop.queued);
    for (struct io_uring_cqe result; next_result(&result);) continue;
    if (empty) wait_for_input();
  }
}

static void run_batch(void) {
  /* Two halves of the slots take turns: one is written while the other is read into. */
  unsigned reads = 1, half = 0;
  for (;;) {
    for (unsigned i = 0; i < reads; i++) queue_read(half * BURST + i);
    submit(loop.queued);
    unsigned got = 0;
    for (struct io_uring_cqe result; next_result(&result);) {
      if (result.user_data & IS_WRITE) continue;
      if (result.res < 0 && result.res != -EAGAIN) {
        errno = -result.res;
        die("read");
      }
      if (result.res > 0) {
        got++;
        answer((unsigned)result.user_data, result.res);
      }
    }
    if (got == 0) wait_for_input();
    reads = got == reads ? reads * 2 : got + 1;
    if (reads > BURST) reads = BURST;
    half ^= 1;
  }
}

static void run_multishot(void) {
  size_t size = SLOTS * sizeof(struct io_uring_buf);
  struct io_uring_buf_ring *buffers = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (buffers == MAP_FAILED) die("memory");
  struct io_uring_buf_reg group = {
      .ring_addr = (uint64_t)(uintptr_t)buffers, .ring_entries = SLOTS, .bgid = BUFFER_GROUP};
  if (ring_register(IORING_REGISTER_PBUF_RING, &group, 1) < 0) die("IORING_REGISTER_PBUF_RING");
  uint16_t tail = 0;
  bool armed = false;
  for (unsigned i = 0; i < SLOTS; i++) {
    struct io_uring_buf *buffer = &buffers->bufs[tail++ & (SLOTS - 1)];
    buffer->addr = (uint64_t)(uintptr_t)slot(i);
    buffer->len = (uint32_t)loop.slot;
    buffer->bid = (uint16_t)i;
  }
  __atomic_store_n(&buffers->tail, tail, __ATOMIC_RELEASE);
  for (;;) {
    if (!armed) {
      struct io_uring_sqe *sqe = entry(OP_READ_MULTISHOT, 0);
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = BUFFER_GROUP;
      armed = true;
    }
    /* Writes are done when the call returns; with none of them it waits for a frame. */
    bool writing = loop.queued > 1 || (loop.queued == 1 && armed);
    submit(writing || loop.spin ? loop.queued : 1);
    for (struct io_uring_cqe result; next_result(&result);) {
      uint16_t id;
      bool done;
      if (result.user_data & IS_WRITE) {
        id = (uint16_t)result.user_data;
        done = true;
      } else {
        if ((result.flags & IORING_CQE_F_MORE) == 0) armed = false;
        if (result.res == -ENOBUFS) continue; /* all buffers are being written: it is armed again afterwards */
        if (result.res < 0) {
          errno = -result.res;
          die("multishot read");
        }
        id = (uint16_t)(result.flags >> IORING_CQE_BUFFER_SHIFT);
        done = !answer(id, result.res);
      }
      if (done) {
        struct io_uring_buf *buffer = &buffers->bufs[tail++ & (SLOTS - 1)];
        buffer->addr = (uint64_t)(uintptr_t)slot(id);
        buffer->len = (uint32_t)loop.slot;
        buffer->bid = id;
        __atomic_store_n(&buffers->tail, tail, __ATOMIC_RELEASE);
      }
    }
  }
}

int main(int argc, char **argv) {
  static const struct option known[] = {
      {"reads", required_argument, NULL, 'r'}, {"spin", no_argument, NULL, 's'}, {"vnet", no_argument, NULL, 'v'}, {0}};
  static const char *const names[] = {"read", "batch", "multishot"};
  bool vnet = false;
  int reads = READS_READ;
  for (int c; (c = getopt_long(argc, argv, "", known, NULL)) >= 0;) {
    if (c == '?') return 2;
    if (c == 's') loop.spin = true;
    if (c == 'v') vnet = true;
    if (c == 'r')
      for (reads = 0; reads < 3 && strcmp(optarg, names[reads]) != 0;) reads++;
  }
  if (argc - optind != 4 || reads == 3) {
    fprintf(stderr, "uring-loop TAP OWN-MAC MAC MAC [--reads read|batch|multishot] [--spin] [--vnet]\n");
    return 2;
  }
  parse_mac(argv[optind + 1], loop.hosts.own);
  parse_mac(argv[optind + 2], loop.hosts.first);
  parse_mac(argv[optind + 3], loop.hosts.second);
  loop.header = vnet ? sizeof(struct virtio_net_hdr) : 0;
  loop.slot = vnet ? LARGE_SLOT : SMALL_SLOT;
  loop.tap = open_tap(argv[optind], vnet);
  open_ring();
  printf("ready\n");
  fflush(stdout);
  if (reads == READS_READ) run_read();
  if (reads == READS_BATCH) run_batch();
  run_multishot();
}
