/*
 * Round trips through a forwarder at light load: a datagram goes from one interface through the forwarder, and when it has
 * come out at the other, an answer goes from there to the first one: back through the forwarder (NAT), or straight (direct
 * routing). One process is both ends, so that nothing but the forwarder, and the kernel in between, takes time.
 *
 *     prober --interface IF --answers IF --answers-in NAMESPACE --through MAC [OPTIONS]
 *       --as MAC               the source of probes; otherwise the interface's own
 *       --back                 the answers go through the forwarder as well
 *       --warm-up SECONDS      0: first so long without a pause, not counted; a forwarder may have to be compiled
 *       --probes N             2000
 *       --pause US             1000 between an answer and the next probe, on average
 *       --vip IP, --server IP, --client IP   10.0.0.100, 10.0.0.11, 198.18.0.1
 *
 * Prints `p50 US p99 US max US lost N of N`. It looks for frames without sleeping, so that its own way out of a sleep is not
 * measured.
 */
#include "wire.h"

#include <getopt.h>
#include <stdbool.h>

#define PORT 80
#define CLIENT_PORT 40000
#define LIMIT_NS (NS_PER_SECOND / 5)
#define LONGEST 256
/* Whoever loses more of them has not been measured at light load; waiting for each takes long. */
#define MOST_LOST 100

static int compare(const void *a, const void *b) {
  double difference = *(const double *)a - *(const double *)b;
  return (difference > 0) - (difference < 0);
}

/*
 * Waits for the frame from this MAC address with this mark, wherever a tunnel has moved it to. Says whether it came in
 * time. Others are those of a bridge that floods.
 */
static bool await(int fd, const uint8_t *from, const uint8_t *mark, uint64_t limit) {
  uint8_t frame[LONGEST];
  while (now_ns() < limit) {
    ssize_t length = recv(fd, frame, sizeof frame, MSG_DONTWAIT);
    if (length < 0) {
      if (errno != EAGAIN) die("recv");
      continue;
    }
    bool is_from = length >= ETH_HLEN && memcmp(frame + MAC_LENGTH, from, MAC_LENGTH) == 0;
    if (is_from && memmem(frame, (size_t)length, mark, UDP_DATA_LENGTH) != NULL) return true;
  }
  return false;
}

int main(int argc, char **argv) {
  static const struct option known[] = {
      {"interface", required_argument, NULL, 'i'}, {"answers", required_argument, NULL, 'a'},
      {"answers-in", required_argument, NULL, 'n'}, {"through", required_argument, NULL, 't'},
      {"as", required_argument, NULL, 'A'},
      {"back", no_argument, NULL, 'b'},             {"probes", required_argument, NULL, 'p'},
      {"warm-up", required_argument, NULL, 'w'},
      {"pause", required_argument, NULL, 'P'},      {"vip", required_argument, NULL, 'v'},
      {"server", required_argument, NULL, 'S'},     {"client", required_argument, NULL, 'c'},
      {0}};
  const char *interface = NULL, *answers = NULL, *answers_in = NULL, *through = NULL, *as = NULL;
  bool back = false;
  int warm_up = 0, probes = 2000, pause_us = 1000;
  uint32_t vip = parse_ip("10.0.0.100"), server = parse_ip("10.0.0.11"), client = parse_ip("198.18.0.1");
  for (int c; (c = getopt_long(argc, argv, "", known, NULL)) >= 0;) {
    switch (c) {
      case 'i': interface = optarg; break;
      case 'a': answers = optarg; break;
      case 'n': answers_in = optarg; break;
      case 't': through = optarg; break;
      case 'A': as = optarg; break;
      case 'b': back = true; break;
      case 'w': warm_up = atoi(optarg); break;
      case 'p': probes = atoi(optarg); break;
      case 'P': pause_us = atoi(optarg); break;
      case 'v': vip = parse_ip(optarg); break;
      case 'S': server = parse_ip(optarg); break;
      case 'c': client = parse_ip(optarg); break;
      default: exit(2);
    }
  }
  if (interface == NULL || answers == NULL || answers_in == NULL || through == NULL || warm_up < 0 || probes < 1 ||
      pause_us < 1) {
    fprintf(stderr, "prober --interface IF --answers IF --answers-in NAMESPACE --through MAC [OPTIONS]\n");
    return 2;
  }
  uint8_t forwarder[MAC_LENGTH], mac[2][MAC_LENGTH];
  parse_mac(through, forwarder);
  int ends[2] = {packet_socket(interface, ETH_P_IP, mac[0])};
  if (as != NULL) parse_mac(as, mac[0]);
  enter_namespace(answers_in);
  ends[1] = packet_socket(answers, ETH_P_IP, mac[1]);

  uint8_t request[FRAME_LENGTH], answer[FRAME_LENGTH];
  struct endpoint from = {client, CLIENT_PORT};
  build_frame(request, forwarder, mac[0], from, (struct endpoint){vip, PORT}, 0);
  build_frame(answer, back ? forwarder : mac[0], mac[1], (struct endpoint){back ? server : vip, PORT}, from, 0);

  double *trips = calloc((size_t)probes, sizeof *trips);
  if (trips == NULL) die("memory");
  int done = 0, lost = 0, counted = 0;
  const uint64_t warm_at = now_ns() + (uint64_t)warm_up * NS_PER_SECOND;
  for (uint32_t mark = 0; counted < probes; mark++) {
    bool is_warm = now_ns() >= warm_at;
    /* From half to one and a half of the pause: not in step with anything periodic. */
    if (is_warm) usleep((useconds_t)(pause_us / 2 + rand() % pause_us));
    put32(request + UDP_DATA_OFFSET, mark);
    memcpy(request + UDP_DATA_OFFSET + 4, "request", 7);
    put_checksums(request);
    memcpy(answer + UDP_DATA_OFFSET, request + UDP_DATA_OFFSET, 4);
    memcpy(answer + UDP_DATA_OFFSET + 4, "answer", 6);
    put_checksums(answer);
    uint64_t begun = now_ns();
    if (send(ends[0], request, sizeof request, 0) < 0) die("send");
    bool came = await(ends[1], forwarder, request + UDP_DATA_OFFSET, begun + LIMIT_NS);
    if (came && send(ends[1], answer, sizeof answer, 0) < 0) die("send");
    came = came && await(ends[0], back ? forwarder : mac[1], answer + UDP_DATA_OFFSET, begun + LIMIT_NS);
    if (is_warm) counted++;
    if (!came && ++lost > MOST_LOST) break;
    if (came && is_warm) trips[done++] = (double)(now_ns() - begun) / 1000;
  }
  if (done == 0 || lost > MOST_LOST) {
    fprintf(stderr, "no answer to %d of %d probes\n", lost, lost + done);
    return 1;
  }
  qsort(trips, (size_t)done, sizeof *trips, compare);
  printf("p50 %.2f p99 %.2f max %.2f lost %d of %d\n", trips[done / 2], trips[done * 99 / 100], trips[done - 1], lost,
         probes);
  return 0;
}
