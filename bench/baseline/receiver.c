/*
 * Counts the frames that come out of a forwarder at an interface: those with its source MAC address.
 *
 *     receiver --interface IF --from MAC [--every MS]
 *
 * Answers each line of its standard input by a line `NANOSECONDS COUNT`: the monotonic clock, and the frames since it was
 * started. With --every it says so by itself as well.
 *
 * It reads none of them: the kernel counts what a full socket could not take, which costs the path less than anything
 * else that counts.
 */
#include "wire.h"

#include <getopt.h>
#include <linux/filter.h>
#include <poll.h>

/* Lets frames with this source MAC address through. */
static void filter_source(int fd, const uint8_t mac[MAC_LENGTH]) {
  uint32_t first = (uint32_t)mac[0] << 24 | (uint32_t)mac[1] << 16 | (uint32_t)mac[2] << 8 | mac[3];
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 6), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, first, 0, 3),
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 10), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(mac[4] << 8 | mac[5]), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 1),          BPF_STMT(BPF_RET | BPF_K, 0)};
  struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0) die("SO_ATTACH_FILTER");
}

int main(int argc, char **argv) {
  static const struct option known[] = {{"interface", required_argument, NULL, 'i'},
                                        {"from", required_argument, NULL, 'f'},
                                        {"every", required_argument, NULL, 'e'},
                                        {0}};
  const char *interface = NULL, *from = NULL;
  int every = -1;
  for (int c; (c = getopt_long(argc, argv, "", known, NULL)) >= 0;) {
    switch (c) {
      case 'i': interface = optarg; break;
      case 'f': from = optarg; break;
      case 'e': every = atoi(optarg); break;
      default: exit(2);
    }
  }
  if (interface == NULL || from == NULL) {
    fprintf(stderr, "receiver --interface IF --from MAC [--every MS]\n");
    return 2;
  }
  uint8_t mac[MAC_LENGTH], own[MAC_LENGTH];
  parse_mac(from, mac);
  int fd = packet_socket(interface, ETH_P_ALL, own);
  filter_source(fd, mac);
  int smallest = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &smallest, sizeof smallest) < 0) die("SO_RCVBUF");

  uint64_t count = 0;
  for (;;) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    int ready = poll(&input, 1, every);
    if (ready < 0) die("poll");
    char line[64];
    if (ready > 0 && read(STDIN_FILENO, line, sizeof line) <= 0) return 0;
    struct tpacket_stats stats; /* read means zeroed; the first number includes the dropped ones */
    socklen_t size = sizeof stats;
    if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) < 0) die("PACKET_STATISTICS");
    count += stats.tp_packets;
    printf("%llu %llu\n", (unsigned long long)now_ns(), (unsigned long long)count);
    fflush(stdout);
  }
}
