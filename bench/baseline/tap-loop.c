/*
 * The plain C loop: reads a frame from a TAP until there is none, exchanges its MAC addresses, writes it.
 *
 *     tap-loop TAP OWN-MAC MAC MAC [--spin] [--vnet]
 *
 * Takes frames for OWN-MAC and sends what comes from one of the two hosts to the other. Waits by poll(2) when there is
 * nothing, or not at all with --spin. With --vnet it hands frames over that stand for many segments. Says `ready`.
 */
#include "loop.h"

#include <getopt.h>
#include <poll.h>

/* The virtio-net header and the longest frame that stands for many. */
#define ROOM (65536 + 64)

int main(int argc, char **argv) {
  static const struct option known[] = {{"spin", no_argument, NULL, 's'}, {"vnet", no_argument, NULL, 'v'}, {0}};
  bool spin = false, vnet = false;
  for (int c; (c = getopt_long(argc, argv, "", known, NULL)) >= 0;) {
    if (c == '?') return 2;
    if (c == 's') spin = true;
    if (c == 'v') vnet = true;
  }
  if (argc - optind != 4) {
    fprintf(stderr, "tap-loop TAP OWN-MAC MAC MAC [--spin] [--vnet]\n");
    return 2;
  }
  struct hosts hosts;
  parse_mac(argv[optind + 1], hosts.own);
  parse_mac(argv[optind + 2], hosts.first);
  parse_mac(argv[optind + 3], hosts.second);
  int fd = open_tap(argv[optind], vnet);
  printf("ready\n");
  fflush(stdout);

  static uint8_t buffer[ROOM];
  size_t header = vnet ? sizeof(struct virtio_net_hdr) : 0;
  uint8_t *frame = buffer + header;
  for (;;) {
    ssize_t length = read(fd, buffer, ROOM);
    if (length < 0) {
      if (errno != EAGAIN) die("read");
      struct pollfd wait = {.fd = fd, .events = POLLIN};
      if (!spin && poll(&wait, 1, -1) < 0) die("poll");
      continue;
    }
    if ((size_t)length < header + ETH_HLEN || !is_ours(frame, &hosts)) continue;
    hand_over(frame, &hosts);
    /* What the kernel has no room for is lost, as on any wire. */
    if (write(fd, buffer, (size_t)length) < 0 && errno != ENOBUFS && errno != EAGAIN && errno != EINVAL) die("write");
  }
}
