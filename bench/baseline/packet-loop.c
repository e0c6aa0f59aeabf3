/*
 * The C loop by a packet socket: takes frames of an interface from a ring that the kernel fills, exchanges their MAC
 * addresses where they lie, and sends them by one call for each burst.
 *
 *     packet-loop INTERFACE OWN-MAC MAC MAC
 *
 * Takes frames for OWN-MAC and sends what comes from one of the two hosts to the other. Says `ready`.
 */
#include "loop.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define BURST 64
#define SLOT 2048
#define BLOCK 65536
#define BLOCKS 64
#define SLOTS (BLOCK / SLOT * BLOCKS)

static void set(int fd, int option, int value) {
  if (setsockopt(fd, SOL_PACKET, option, &value, sizeof value) < 0) die("packet option %d", option);
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "packet-loop INTERFACE OWN-MAC MAC MAC\n");
    return 2;
  }
  struct hosts hosts;
  parse_mac(argv[2], hosts.own);
  parse_mac(argv[3], hosts.first);
  parse_mac(argv[4], hosts.second);
  uint8_t mac[MAC_LENGTH];
  int fd = packet_socket(argv[1], 0, mac);
  set(fd, PACKET_VERSION, TPACKET_V2);
  set(fd, PACKET_IGNORE_OUTGOING, 1);
  struct tpacket_req request = {
      .tp_block_size = BLOCK, .tp_block_nr = BLOCKS, .tp_frame_size = SLOT, .tp_frame_nr = SLOTS};
  if (setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) < 0) die("PACKET_RX_RING");
  uint8_t *ring = mmap(NULL, (size_t)BLOCK * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (ring == MAP_FAILED) die("mmap");
  struct sockaddr_ll address = {
      .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(argv[1])};
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
  printf("ready\n");
  fflush(stdout);

  static struct mmsghdr messages[BURST];
  static struct iovec parts[BURST];
  for (uint32_t next = 0;;) {
    int count = 0;
    uint32_t seen = 0;
    for (; seen < BURST; seen++) {
      struct tpacket2_hdr *slot = (struct tpacket2_hdr *)(ring + (size_t)((next + seen) % SLOTS) * SLOT);
      if ((__atomic_load_n(&slot->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0) break;
      uint8_t *frame = (uint8_t *)slot + slot->tp_mac;
      if (slot->tp_snaplen < ETH_HLEN || !is_ours(frame, &hosts)) continue;
      hand_over(frame, &hosts);
      parts[count] = (struct iovec){frame, slot->tp_snaplen};
      messages[count].msg_hdr = (struct msghdr){.msg_iov = &parts[count], .msg_iovlen = 1};
      count++;
    }
    /* What the kernel has no room for is lost, as on any wire. */
    for (int i = 0; i < count;) {
      int taken = sendmmsg(fd, &messages[i], (unsigned)(count - i), MSG_DONTWAIT);
      i += taken > 0 ? taken : 1;
    }
    for (uint32_t i = 0; i < seen; i++) {
      struct tpacket2_hdr *slot = (struct tpacket2_hdr *)(ring + (size_t)next * SLOT);
      __atomic_store_n(&slot->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
      next = (next + 1) % SLOTS;
    }
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (seen == 0 && poll(&wait, 1, -1) < 0) die("poll");
  }
}
