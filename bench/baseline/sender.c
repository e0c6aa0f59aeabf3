/*
 * Sends small frames to a forwarder, faster than it can take or at an even pace: packets of many clients to one service,
 * and, where asked for, as many replies of its server from another interface.
 *
 *     sender --interface IF --to MAC [OPTIONS]
 *       --as MAC               the source of requests; otherwise the interface's own
 *       --replies IF           also sends the server's replies from this interface ...
 *       --replies-in NAME      ... which is in that network namespace
 *       --flows N              1024; taken in an order without a pattern
 *       --flood                instead of that, every frame is a SYN of another client
 *       --udp                  UDP instead of TCP
 *       --prepare RATE         first a SYN and an ACK of each flow at that rate, twice, so that they are established
 *       --rate RATE            frames a second, one at a time; 0 (the default) is as fast as can be
 *       --seconds S            3; or less, when it is told to end (SIGTERM)
 *       --vip IP, --server IP, --clients IP   10.0.0.100, 10.0.0.11, 198.18.0.0 (and up)
 *       --port N               80: the service's, and the server's
 *
 * Says `sending` when it begins (after preparing), and `sent N in S seconds` at the end.
 */
#include "wire.h"

#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/uio.h>

#define BURST 64
#define DEFAULT_PORT 80
/* Clients have this many addresses (the benchmark network 198.18.0.0/15, RFC 2544), and ports above FIRST_PORT. */
#define ADDRESS_BITS 17
#define FIRST_PORT 1024
#define PORTS (65536 - FIRST_PORT)

static struct options {
  const char *interface, *replies, *replies_in;
  uint8_t to[MAC_LENGTH], as[MAC_LENGTH];
  uint32_t vip, server, clients;
  uint16_t port;
  uint32_t flows;
  bool flood, udp, has_as;
  double prepare, rate, seconds;
} options;

static volatile sig_atomic_t told_to_end;

static void tell_to_end(int signal) {
  (void)signal;
  told_to_end = 1;
}

/* Frames and what sendmmsg wants of them, one for each flow. */
struct frames {
  int fd;
  uint32_t count, next;
  uint8_t (*bytes)[FRAME_LENGTH];
  struct iovec *parts;
  struct mmsghdr *messages;
};

static struct endpoint client(uint64_t number) {
  /* Neighbours in number differ in address and port: a multiplicative hash, one to one within 2^33. */
  uint64_t mixed = (number * 0x9e3779b97f4a7c15ull) >> 20;
  return (struct endpoint){options.clients + (uint32_t)(mixed & ((1u << ADDRESS_BITS) - 1)),
                           (uint16_t)(FIRST_PORT + number % PORTS)};
}

static void *allocate(size_t count, size_t size) {
  void *memory = calloc(count, size);
  if (memory == NULL) die("memory");
  return memory;
}

static struct frames make_frames(int fd, uint32_t count) {
  struct frames frames = {.fd = fd, .count = count};
  frames.bytes = allocate(count, FRAME_LENGTH);
  frames.parts = allocate(count, sizeof *frames.parts);
  frames.messages = allocate(count, sizeof *frames.messages);
  for (uint32_t i = 0; i < count; i++) {
    frames.parts[i] = (struct iovec){frames.bytes[i], FRAME_LENGTH};
    frames.messages[i].msg_hdr.msg_iov = &frames.parts[i];
    frames.messages[i].msg_hdr.msg_iovlen = 1;
  }
  return frames;
}

/* The flows' numbers in an order without a pattern, the same every time (Fisher-Yates). */
static uint32_t *shuffled(uint32_t count) {
  uint32_t *order = allocate(count, sizeof *order);
  uint64_t state = 0x853c49e6748fea9bull;
  for (uint32_t i = 0; i < count; i++) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    uint32_t other = (uint32_t)((state >> 33) % (i + 1));
    order[i] = order[other];
    order[other] = i;
  }
  return order;
}

/* Up to `most` frames. Returns how many the interface took. */
static uint32_t send_burst(struct frames *frames, uint32_t most) {
  uint32_t left = frames->count - frames->next;
  int sent = sendmmsg(frames->fd, frames->messages + frames->next, left < most ? left : most, 0);
  if (sent < 0) {
    if (errno == ENOBUFS || errno == EAGAIN || errno == EINTR) return 0;
    die("sendmmsg");
  }
  frames->next += (uint32_t)sent;
  if (frames->next == frames->count) frames->next = 0;
  return (uint32_t)sent;
}

/* Waits for the moment of frame `number` at `rate` a second: busily, for a sleep is longer than the pause between two. */
static void pace(uint64_t begun, double rate, uint64_t number) {
  uint64_t due = begun + (uint64_t)((double)number * NS_PER_SECOND / rate);
  while (now_ns() < due) __builtin_ia32_pause();
}

/* A SYN and an ACK of each flow, in the flows' own order; and again, for what got lost on somebody not yet warm. */
static void prepare(int fd, const uint8_t *mac) {
  uint8_t flags[4] = {TCP_SYN, TCP_ACK, TCP_SYN, TCP_ACK};
  if (options.udp) memset(flags, 0, sizeof flags);
  uint64_t begun = now_ns(), number = 0;
  for (int pass = 0; pass < 4; pass++) {
    for (uint32_t i = 0; i < options.flows; i++) {
      uint8_t frame[FRAME_LENGTH];
      build_frame(frame, options.to, mac, client(i), (struct endpoint){options.vip, options.port}, flags[pass]);
      pace(begun, options.prepare, number++);
      while (send(fd, frame, sizeof frame, 0) < 0)
        if (errno != ENOBUFS) die("send");
    }
  }
  usleep(50000);
}

/* Turns the next burst into SYNs of clients that have not been seen. */
static void renew(struct frames *frames, uint64_t *number) {
  for (uint32_t i = frames->next; i < frames->next + BURST && i < frames->count; i++) {
    struct endpoint source = client((*number)++);
    put32(frames->bytes[i] + IP_OFFSET + 12, source.address);
    put16(frames->bytes[i] + L4_OFFSET, source.port);
    put_checksums(frames->bytes[i]);
  }
}

static double number_of(const char *text) {
  char *end;
  double value = strtod(text, &end);
  if (*text == '\0' || *end != '\0' || value < 0) {
    errno = EINVAL;
    die("%s", text);
  }
  return value;
}

static void parse(int argc, char **argv) {
  static const struct option known[] = {
      {"interface", required_argument, NULL, 'i'}, {"to", required_argument, NULL, 't'},
      {"as", required_argument, NULL, 'a'},
      {"replies", required_argument, NULL, 'r'},   {"replies-in", required_argument, NULL, 'n'},
      {"flows", required_argument, NULL, 'f'},     {"flood", no_argument, NULL, 'F'},
      {"udp", no_argument, NULL, 'u'},             {"prepare", required_argument, NULL, 'p'},
      {"rate", required_argument, NULL, 'R'},      {"seconds", required_argument, NULL, 's'},
      {"vip", required_argument, NULL, 'v'},       {"server", required_argument, NULL, 'S'},
      {"clients", required_argument, NULL, 'c'},   {"port", required_argument, NULL, 'P'},
      {0}};
  options = (struct options){.port = DEFAULT_PORT,
                             .vip = parse_ip("10.0.0.100"),
                             .server = parse_ip("10.0.0.11"),
                             .clients = parse_ip("198.18.0.0"),
                             .flows = 1024,
                             .seconds = 3};
  bool has_to = false;
  for (int c; (c = getopt_long(argc, argv, "", known, NULL)) >= 0;) {
    switch (c) {
      case 'i': options.interface = optarg; break;
      case 't': parse_mac(optarg, options.to); has_to = true; break;
      case 'a': parse_mac(optarg, options.as); options.has_as = true; break;
      case 'r': options.replies = optarg; break;
      case 'n': options.replies_in = optarg; break;
      case 'f': options.flows = (uint32_t)number_of(optarg); break;
      case 'F': options.flood = true; break;
      case 'u': options.udp = true; break;
      case 'p': options.prepare = number_of(optarg); break;
      case 'R': options.rate = number_of(optarg); break;
      case 's': options.seconds = number_of(optarg); break;
      case 'P': options.port = (uint16_t)number_of(optarg); break;
      case 'v': options.vip = parse_ip(optarg); break;
      case 'S': options.server = parse_ip(optarg); break;
      case 'c': options.clients = parse_ip(optarg); break;
      default: exit(2);
    }
  }
  bool contradictory = options.flood && (options.udp || options.replies != NULL);
  if (options.interface == NULL || !has_to || options.flows == 0 || contradictory || optind < argc) {
    fprintf(stderr, "sender --interface IF --to MAC [OPTIONS]; a flood is of SYNs, without replies\n");
    exit(2);
  }
}

int main(int argc, char **argv) {
  parse(argc, argv);
  uint8_t flags = options.udp ? 0 : options.flood ? TCP_SYN : TCP_ACK;
  struct endpoint service = {options.vip, options.port}, server = {options.server, options.port};
  uint8_t mac[MAC_LENGTH];
  int fd = packet_socket(options.interface, 0, mac);
  if (options.has_as) memcpy(mac, options.as, MAC_LENGTH);
  bypass_qdisc(fd);

  /* The frames of a flood are renewed before each burst; enough of them for no burst to be cut short. */
  uint32_t count = options.flood ? 16 * BURST : options.flows;
  uint32_t *order = shuffled(count);
  struct frames ways[2] = {make_frames(fd, count)};
  for (uint32_t i = 0; i < count; i++)
    build_frame(ways[0].bytes[i], options.to, mac, client(order[i]), service, flags);
  int directions = 1;
  if (options.prepare > 0) prepare(fd, mac);
  if (options.replies != NULL) {
    if (options.replies_in != NULL) enter_namespace(options.replies_in);
    int other = packet_socket(options.replies, 0, mac);
    bypass_qdisc(other);
    ways[directions++] = make_frames(other, count);
    for (uint32_t i = 0; i < count; i++)
      build_frame(ways[1].bytes[i], options.to, mac, server, client(order[i]), flags);
  }

  signal(SIGTERM, tell_to_end);
  printf("sending\n");
  fflush(stdout);
  uint64_t begun = now_ns(), end = begun + (uint64_t)(options.seconds * NS_PER_SECOND);
  uint64_t sent = 0, fresh = 1ull << 32, now = begun;
  for (uint64_t turn = 0; now < end && !told_to_end; turn++) {
    struct frames *way = &ways[turn % (uint64_t)directions];
    if (options.flood) renew(way, &fresh);
    if (options.rate > 0) pace(begun, options.rate, sent);
    sent += send_burst(way, options.rate > 0 ? 1 : BURST);
    now = now_ns();
  }
  printf("sent %llu in %.6f seconds\n", (unsigned long long)sent, (double)(now - begun) / NS_PER_SECOND);
  return 0;
}
