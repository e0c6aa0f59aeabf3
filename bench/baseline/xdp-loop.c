/*
 * The C loop by AF_XDP: exchanges MAC addresses where a frame lies in the memory shared with the kernel, and gives the same
 * memory back to be sent; nothing is copied here.
 *
 *     xdp-loop INTERFACE OWN-MAC MAC MAC
 *
 * Takes frames for OWN-MAC and sends what comes from one of the two hosts to the other. In the driver, by copying. Says
 * `ready`.
 */
#include "loop.h"

#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define BURST 64
#define CHUNK 2048
#define COUNT 2048u

struct ring {
  uint32_t *producer, *consumer;
  void *entries;
  uint32_t at;
};

static int bpf(enum bpf_cmd command, union bpf_attr *attributes) {
  int result = (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
  if (result < 0) die("bpf %d", command);
  return result;
}

/* bpf_redirect_map(map, rx_queue_index, XDP_PASS) in the driver. */
static void attach(int sock, int interface) {
  uint32_t key = 0;
  union bpf_attr map = {.map_type = BPF_MAP_TYPE_XSKMAP, .key_size = 4, .value_size = 4, .max_entries = 1};
  int map_fd = bpf(BPF_MAP_CREATE, &map);
  union bpf_attr element = {.map_fd = (uint32_t)map_fd, .key = (uintptr_t)&key, .value = (uintptr_t)&sock};
  bpf(BPF_MAP_UPDATE_ELEM, &element);
  struct bpf_insn code[] = {
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 1, .off = offsetof(struct xdp_md, rx_queue_index)},
      {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map_fd},
      {0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = XDP_PASS},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map},
      {.code = BPF_JMP | BPF_EXIT},
  };
  union bpf_attr program = {.prog_type = BPF_PROG_TYPE_XDP,
                            .insns = (uintptr_t)code,
                            .insn_cnt = sizeof code / sizeof *code,
                            .license = (uintptr_t) "MIT"};
  union bpf_attr link = {.link_create = {.prog_fd = (uint32_t)bpf(BPF_PROG_LOAD, &program),
                                         .target_ifindex = (uint32_t)interface,
                                         .attach_type = BPF_XDP,
                                         .flags = XDP_FLAGS_DRV_MODE}};
  bpf(BPF_LINK_CREATE, &link);
}

static struct ring map_ring(int sock, const struct xdp_ring_offset *offsets, size_t entry, off_t where) {
  uint8_t *base = mmap(NULL, offsets->desc + COUNT * entry, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, sock, where);
  if (base == MAP_FAILED) die("mmap");
  return (struct ring){(uint32_t *)(base + offsets->producer), (uint32_t *)(base + offsets->consumer), base + offsets->desc, 0};
}

static uint32_t load(const uint32_t *at) {
  return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static void store(uint32_t *at, uint32_t value) {
  __atomic_store_n(at, value, __ATOMIC_RELEASE);
}

static void give(struct ring *fill, uint64_t address) {
  ((uint64_t *)fill->entries)[fill->at++ & (COUNT - 1)] = address;
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "xdp-loop INTERFACE OWN-MAC MAC MAC\n");
    return 2;
  }
  struct hosts hosts;
  parse_mac(argv[2], hosts.own);
  parse_mac(argv[3], hosts.first);
  parse_mac(argv[4], hosts.second);
  int sock = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (sock < 0) die("AF_XDP");
  uint8_t *area = mmap(NULL, COUNT * CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (area == MAP_FAILED) die("mmap");
  struct xdp_umem_reg memory = {.addr = (uintptr_t)area, .len = COUNT * CHUNK, .chunk_size = CHUNK};
  uint32_t count = COUNT;
  if (setsockopt(sock, SOL_XDP, XDP_UMEM_REG, &memory, sizeof memory) < 0) die("XDP_UMEM_REG");
  const int rings[] = {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING};
  for (int i = 0; i < 4; i++)
    if (setsockopt(sock, SOL_XDP, rings[i], &count, sizeof count) < 0) die("ring %d", rings[i]);
  struct xdp_mmap_offsets offsets;
  socklen_t size = sizeof offsets;
  if (getsockopt(sock, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &size) < 0) die("XDP_MMAP_OFFSETS");
  struct ring fill = map_ring(sock, &offsets.fr, sizeof(uint64_t), XDP_UMEM_PGOFF_FILL_RING);
  struct ring completed = map_ring(sock, &offsets.cr, sizeof(uint64_t), XDP_UMEM_PGOFF_COMPLETION_RING);
  struct ring received = map_ring(sock, &offsets.rx, sizeof(struct xdp_desc), XDP_PGOFF_RX_RING);
  struct ring sent = map_ring(sock, &offsets.tx, sizeof(struct xdp_desc), XDP_PGOFF_TX_RING);
  for (uint64_t i = 0; i < COUNT; i++) give(&fill, i * CHUNK);
  store(fill.producer, fill.at);
  int interface = (int)if_nametoindex(argv[1]);
  struct sockaddr_xdp address = {
      .sxdp_family = AF_XDP, .sxdp_ifindex = (uint32_t)interface, .sxdp_flags = XDP_COPY | XDP_USE_NEED_WAKEUP};
  if (bind(sock, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
  attach(sock, interface);
  printf("ready\n");
  fflush(stdout);

  for (;;) {
    uint32_t ready = load(received.producer) - received.at;
    if (ready > BURST) ready = BURST;
    for (uint32_t i = 0; i < ready; i++) {
      struct xdp_desc entry = ((struct xdp_desc *)received.entries)[received.at++ & (COUNT - 1)];
      uint8_t *frame = area + entry.addr;
      if (entry.len < ETH_HLEN || !is_ours(frame, &hosts)) {
        give(&fill, entry.addr);
        continue;
      }
      hand_over(frame, &hosts);
      ((struct xdp_desc *)sent.entries)[sent.at++ & (COUNT - 1)] = entry;
    }
    store(received.consumer, received.at);
    store(sent.producer, sent.at);
    /* It takes some dozen frames for each call. */
    for (uint32_t before; (before = load(sent.consumer)) != sent.at;)
      if (sendto(sock, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && load(sent.consumer) == before) break;
    for (uint32_t end = load(completed.producer); completed.at != end;)
      give(&fill, ((uint64_t *)completed.entries)[completed.at++ & (COUNT - 1)]);
    store(completed.consumer, completed.at);
    store(fill.producer, fill.at);
    struct pollfd wait = {.fd = sock, .events = POLLIN};
    if (ready == 0 && poll(&wait, 1, -1) < 0) die("poll");
  }
}
