/*
 * Clients and servers of TCP conversations in one program, without a TCP of their own: AF_PACKET on two interfaces, at one
 * the clients, at the other the servers, and between them whatever is measured. A conversation costs this program a few
 * microseconds, so that it is not what limits. What stands in between may forward the packets (a director by DR or NAT) or
 * end the connections (a proxy): the talkers behave the same.
 *
 *   talkers CLIENTS SERVERS VIP PORT MAC MODE COUNT SECONDS
 *
 * CLIENTS and SERVERS are INTERFACE=FIRST/ADDRESSES: that many addresses from the first one on live behind the interface,
 * and the program answers ARP requests for them (the namespace must not have them, or its kernel would answer as well).
 * MAC is where the clients send to. COUNT conversations at a time, each of a client's port of its own. MODE is
 *   connect   connect, one request, one answer, close; then the next port
 *   request   connect once, then request after request
 *   hold      connect, one request, and keep the connection: SECONDS is the limit for that; prints a line when all are
 *             connected, and ends them when there is something on its standard input
 *
 * It says `begun` when it starts to count, which is after a fifth of the time, and one line of JSON when the time is over; after
 * that it ends what connections there are. Exit status 1 with a message when something cannot be had.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
  FIRST_PORT = 2000, PORTS = 60000,
  RING_FRAMES = 4096, FRAME_SIZE = 2048, BURST = 64,
  REQUEST_BYTES = 64, ANSWER_BYTES = 128,
  ETHERNET = 14, IP = 20, TCP = 20,
  FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16,
  /* As TCP begins with (RFC 6298). */
  RETRY_MS = 1000,
  /* Connections that may be under way at a time in the mode hold: fewer than any queue on the way holds. */
  OPENING = 128,
};

enum mode { CONNECT, REQUEST, HOLD };
enum state { CLOSED, CONNECTING, ASKING, HELD };

struct flow {
  uint32_t sent;     /* the next sequence number to send */
  uint32_t received; /* the next one expected */
  uint32_t since;    /* milliseconds: of the last segment sent */
  uint16_t missing;  /* bytes of the answer */
  uint16_t state;
};

struct port {
  int fd;
  uint8_t *ring;
  unsigned next;
  uint8_t mac[6];
  uint32_t first, addresses; /* host byte order */
  uint8_t out[BURST][FRAME_SIZE];
  struct iovec iov[BURST];
  struct mmsghdr messages[BURST];
  unsigned queued;
};

static struct port clients, servers;
static struct flow *flows;
static uint32_t flow_count, next_flow, vip;
static uint16_t vip_port;
static uint8_t contender[6];
static enum mode mode;
static uint32_t now_ms;
static uint64_t connections, answers, retries, resets, talking;

static void fail(const char *what) {
  fprintf(stderr, "talkers: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void open_port(struct port *port, char *spec) {
  char *address = strchr(spec, '=');
  char *count = address ? strchr(address, '/') : NULL;
  struct in_addr first;
  if (!count) { errno = EINVAL; fail(spec); }
  *address++ = *count++ = 0;
  if (!inet_aton(address, &first)) { errno = EINVAL; fail(address); }
  port->first = ntohl(first.s_addr);
  port->addresses = (uint32_t)atoi(count);

  port->fd = socket(AF_PACKET, SOCK_RAW, 0);
  if (port->fd < 0) fail("socket");
  struct ifreq ifr = {0};
  snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", spec);
  if (ioctl(port->fd, SIOCGIFHWADDR, &ifr) < 0) fail(spec);
  memcpy(port->mac, ifr.ifr_hwaddr.sa_data, 6);
  /* Not the interface's own: the kernel looks no further at what is not for it. */
  port->mac[5] ^= 1;

  int version = TPACKET_V2, on = 1;
  struct tpacket_req ring = {
    .tp_block_size = FRAME_SIZE * 64, .tp_block_nr = RING_FRAMES / 64, .tp_frame_size = FRAME_SIZE, .tp_frame_nr = RING_FRAMES};
  if (setsockopt(port->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0) fail("PACKET_VERSION");
  if (setsockopt(port->fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring) < 0) fail("PACKET_RX_RING");
  if (setsockopt(port->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) < 0) fail("PACKET_IGNORE_OUTGOING");
  if (setsockopt(port->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on) < 0) fail("PACKET_QDISC_BYPASS");
  port->ring = mmap(NULL, (size_t)FRAME_SIZE * RING_FRAMES, PROT_READ | PROT_WRITE, MAP_SHARED, port->fd, 0);
  if (port->ring == MAP_FAILED) fail("mmap");
  struct sockaddr_ll here = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(spec)};
  if (bind(port->fd, (struct sockaddr *)&here, sizeof here) < 0) fail("bind");
  for (unsigned i = 0; i < BURST; i++) {
    port->iov[i].iov_base = port->out[i];
    port->messages[i].msg_hdr = (struct msghdr){.msg_iov = &port->iov[i], .msg_iovlen = 1};
  }
}

static void flush(struct port *port) {
  for (unsigned done = 0; done < port->queued;) {
    int sent = sendmmsg(port->fd, port->messages + done, port->queued - done, 0);
    /* A full queue loses the frame, as it would on a wire: the conversation is tried again later. */
    done += sent > 0 ? (unsigned)sent : 1;
  }
  port->queued = 0;
}

static uint8_t *slot(struct port *port, size_t length) {
  if (port->queued == BURST) flush(port);
  port->iov[port->queued].iov_len = length;
  return port->out[port->queued++];
}

static uint32_t add16(uint32_t sum, const uint8_t *bytes, size_t length) {
  for (size_t i = 0; i + 1 < length; i += 2) sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
  return sum;
}

static uint16_t folded(uint32_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~sum;
}

static uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static uint32_t get32(const uint8_t *p) { return (uint32_t)get16(p) << 16 | get16(p + 2); }
static void put16(uint8_t *p, uint32_t v) { p[0] = (uint8_t)(v >> 8); p[1] = (uint8_t)v; }
static void put32(uint8_t *p, uint32_t v) { put16(p, v >> 16); put16(p + 2, v & 0xffff); }

struct segment {
  const uint8_t *to;
  uint32_t source, destination;
  uint16_t source_port, destination_port;
  uint32_t seq, ack;
  uint8_t flags;
  uint16_t payload;
};

/* All payload is one letter: its sum is known, and an odd length is not used. */
static void send_segment(struct port *port, const struct segment *s) {
  size_t options = s->flags & SYN ? 4 : 0;
  size_t tcp_length = TCP + options + s->payload;
  uint8_t *frame = slot(port, ETHERNET + IP + tcp_length);
  memcpy(frame, s->to, 6);
  memcpy(frame + 6, port->mac, 6);
  put16(frame + 12, ETH_P_IP);
  uint8_t *ip = frame + ETHERNET;
  static const uint8_t header[IP] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, IPPROTO_TCP};
  memcpy(ip, header, IP);
  put16(ip + 2, (uint32_t)(IP + tcp_length));
  put32(ip + 12, s->source);
  put32(ip + 16, s->destination);
  put16(ip + 10, folded(add16(0, ip, IP)));
  uint8_t *tcp = ip + IP;
  put16(tcp, s->source_port);
  put16(tcp + 2, s->destination_port);
  put32(tcp + 4, s->seq);
  put32(tcp + 8, s->ack);
  tcp[12] = (uint8_t)((TCP + options) << 2);
  tcp[13] = s->flags;
  put16(tcp + 14, 0xffff);
  put32(tcp + 16, 0);
  if (options) put32(tcp + TCP, 0x02040000 | 1460); /* maximum segment size */
  memset(tcp + TCP + options, 'x', s->payload);
  uint32_t sum = IPPROTO_TCP + (uint32_t)tcp_length + (uint32_t)(s->payload / 2) * 0x7878;
  put16(tcp + 16, folded(add16(add16(sum, ip + 12, 8), tcp, TCP + options)));
}

static void send_as_client(uint32_t index, uint8_t flags, uint16_t payload) {
  struct flow *flow = &flows[index];
  send_segment(&clients, &(struct segment){
    .to = contender, .source = clients.first + index / PORTS, .destination = vip,
    .source_port = (uint16_t)(FIRST_PORT + index % PORTS), .destination_port = vip_port,
    .seq = flow->sent, .ack = flags & ACK ? flow->received : 0, .flags = flags, .payload = payload});
  flow->since = now_ms;
}

static void open_next(void) {
  /* A held connection is not used again. */
  while (flows[next_flow].state != CLOSED) next_flow = (next_flow + 1) % flow_count;
  struct flow *flow = &flows[next_flow];
  /* A clock (RFC 9293, 3.4.1): to who remembers the connection before on these ports this is a new one. */
  flow->sent = (uint32_t)(nanoseconds() / 4000);
  flow->state = CONNECTING;
  send_as_client(next_flow, SYN, 0);
  next_flow = (next_flow + 1) % flow_count;
  talking++;
}

static void ask(uint32_t index) {
  flows[index].missing = ANSWER_BYTES;
  flows[index].state = ASKING;
  send_as_client(index, ACK | PSH, REQUEST_BYTES);
}

static void end(uint32_t index) {
  flows[index].state = CLOSED;
  talking--;
}

struct received {
  const uint8_t *from; /* MAC */
  uint32_t source, destination, seq, ack;
  uint16_t source_port, destination_port, payload;
  uint8_t flags;
};

static void hear_as_client(const struct received *in) {
  uint32_t address = in->destination - clients.first, port = (uint32_t)in->destination_port - FIRST_PORT;
  if (address >= clients.addresses || port >= PORTS) return;
  uint32_t index = address * PORTS + port;
  struct flow *flow = &flows[index];
  if (in->flags & RST) {
    if (flow->state == CLOSED) return;
    resets++;
    end(index);
    return;
  }
  if (flow->state == CONNECTING) {
    if ((in->flags & (SYN | ACK)) != (SYN | ACK) || in->ack != flow->sent + 1) return;
    flow->sent++;
    flow->received = in->seq + 1;
    connections++;
    send_as_client(index, ACK, 0);
    ask(index);
    return;
  }
  if (in->payload == 0 && !(in->flags & (FIN | SYN))) return;
  if (flow->state == CLOSED) {
    /* The last segment was lost, and the other side still waits. */
    if (in->flags & FIN) {
      flow->received = in->seq + in->payload + 1;
      send_as_client(index, RST | ACK, 0);
    }
    return;
  }
  if (in->seq != flow->received) {
    send_as_client(index, ACK, 0);
    return;
  }
  flow->received += in->payload;
  if (flow->state == ASKING) {
    /* The request has arrived with the first byte of its answer. */
    if (flow->missing == ANSWER_BYTES && in->payload > 0) flow->sent += REQUEST_BYTES;
    flow->missing = in->payload < flow->missing ? (uint16_t)(flow->missing - in->payload) : 0;
  }
  if (in->flags & FIN) {
    flow->received++;
    if (flow->missing == 0) answers++;
    else resets++;
    send_as_client(index, FIN | ACK, 0);
    flow->sent++;
    end(index);
  } else if (flow->state == ASKING && flow->missing == 0 && mode != CONNECT) {
    answers++;
    if (mode == REQUEST) ask(index);
    else {
      flow->state = HELD;
      talking--;
      send_as_client(index, ACK, 0);
    }
  }
}

/* A server remembers nothing: what it has to say follows from what it hears. */
static void hear_as_server(const struct received *in) {
  if (in->flags & RST) return;
  bool direct = in->destination == vip;
  struct segment out = {
    /* By direct routing the answer goes to the client, else back to where the packet comes from. */
    .to = direct ? clients.mac : in->from, .source = in->destination, .destination = in->source,
    .source_port = in->destination_port, .destination_port = in->source_port,
    .seq = in->ack, .ack = in->seq + in->payload};
  if (in->flags & SYN) {
    out.seq = 1;
    out.ack++;
    out.flags = SYN | ACK;
  } else if (in->payload > 0) {
    out.flags = (uint8_t)(ACK | PSH | (mode == CONNECT ? FIN : 0));
    out.payload = ANSWER_BYTES;
  } else if (in->flags & FIN) {
    out.ack++;
    /* In the mode connect its own FIN went with the answer. */
    out.flags = (uint8_t)(ACK | (mode == CONNECT ? 0 : FIN));
  } else return;
  send_segment(&servers, &out);
}

static void answer_arp(struct port *port, const uint8_t *frame) {
  const uint8_t *arp = frame + ETHERNET;
  uint32_t asked = get32(arp + 24);
  if (get16(arp + 6) != 1 || asked - port->first >= port->addresses) return;
  uint8_t *out = slot(port, ETHERNET + 28);
  memcpy(out, frame + 6, 6);
  memcpy(out + 6, port->mac, 6);
  memcpy(out + 12, frame + 12, 2 + 6);
  put16(out + 20, 2);
  memcpy(out + 22, port->mac, 6);
  put32(out + 28, asked);
  memcpy(out + 32, arp + 8, 10);
}

static void hear(struct port *port, const uint8_t *frame, unsigned length) {
  if (length >= ETHERNET + 28 && get16(frame + 12) == ETH_P_ARP) return answer_arp(port, frame);
  if (length < ETHERNET + IP + TCP || get16(frame + 12) != ETH_P_IP || memcmp(frame, port->mac, 6) != 0) return;
  const uint8_t *ip = frame + ETHERNET, *tcp = ip + IP;
  if (ip[0] != 0x45 || ip[9] != IPPROTO_TCP) return;
  struct received in = {
    .from = frame + 6, .source = get32(ip + 12), .destination = get32(ip + 16),
    .source_port = get16(tcp), .destination_port = get16(tcp + 2), .seq = get32(tcp + 4), .ack = get32(tcp + 8),
    .payload = (uint16_t)(get16(ip + 2) - IP - (tcp[12] >> 4) * 4), .flags = tcp[13]};
  if (port == &clients) hear_as_client(&in);
  else hear_as_server(&in);
}

static bool drain(struct port *port) {
  bool any = false;
  for (unsigned i = 0; i < BURST; i++) {
    struct tpacket2_hdr *entry = (struct tpacket2_hdr *)(port->ring + (size_t)port->next * FRAME_SIZE);
    if (!(__atomic_load_n(&entry->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) break;
    hear(port, (uint8_t *)entry + entry->tp_mac, entry->tp_snaplen);
    __atomic_store_n(&entry->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    port->next = (port->next + 1) % RING_FRAMES;
    any = true;
  }
  return any;
}

/* Says again what nobody has answered. */
static void retry(void) {
  for (uint32_t i = 0; i < flow_count; i++) {
    struct flow *flow = &flows[i];
    if ((flow->state != CONNECTING && flow->state != ASKING) || now_ms - flow->since < RETRY_MS) continue;
    retries++;
    if (flow->state == CONNECTING) send_as_client(i, SYN, 0);
    else if (flow->missing == ANSWER_BYTES) send_as_client(i, ACK | PSH, REQUEST_BYTES);
    else send_as_client(i, ACK, 0);
  }
}

/* Handles what there is, or waits a moment for more. */
static void turn(void) {
  bool any = drain(&clients);
  any |= drain(&servers);
  flush(&clients);
  flush(&servers);
  if (any) return;
  struct pollfd fds[] = {{.fd = clients.fd, .events = POLLIN}, {.fd = servers.fd, .events = POLLIN}};
  poll(fds, 2, 10);
}

static void hang_up(void) {
  for (uint32_t i = 0; i < flow_count; i++) {
    if (flows[i].state == CLOSED) continue;
    flows[i].state = CLOSED;
    send_as_client(i, RST | ACK, 0);
    /* Not faster than what is in between can follow. */
    if (i % BURST == 0) turn();
  }
  /* What a proxy has to say to the servers about it. */
  for (uint64_t until = nanoseconds() + 300000000; nanoseconds() < until;) turn();
}

static void say(const char *line) {
  puts(line);
  fflush(stdout);
}

static void hold(void) {
  say("held");
  struct pollfd input = {.fd = 0, .events = POLLIN};
  while (poll(&input, 1, 0) == 0) turn();
}

int main(int argc, char **argv) {
  if (argc != 9) {
    fprintf(stderr, "usage: talkers INTERFACE=FIRST/ADDRESSES INTERFACE=FIRST/ADDRESSES VIP PORT MAC connect|request|hold COUNT SECONDS\n");
    return 1;
  }
  open_port(&clients, argv[1]);
  open_port(&servers, argv[2]);
  struct in_addr address;
  if (!inet_aton(argv[3], &address)) { errno = EINVAL; fail(argv[3]); }
  vip = ntohl(address.s_addr);
  vip_port = (uint16_t)atoi(argv[4]);
  uint8_t *m = contender;
  if (sscanf(argv[5], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", m, m + 1, m + 2, m + 3, m + 4, m + 5) != 6) { errno = EINVAL; fail(argv[5]); }
  mode = !strcmp(argv[6], "connect") ? CONNECT : !strcmp(argv[6], "request") ? REQUEST : HOLD;
  uint64_t count = strtoull(argv[7], NULL, 10);
  double seconds = atof(argv[8]);
  flow_count = clients.addresses * PORTS;
  flows = calloc(flow_count, sizeof *flows);
  if (!flows || count == 0 || count > flow_count) { errno = EINVAL; fail(argv[7]); }

  uint64_t begin = nanoseconds(), last_retry = begin, now = begin;
  uint64_t deadline = begin + (uint64_t)(seconds * 1e9);
  uint64_t counted = mode == HOLD ? begin : begin + (deadline - begin) / 5;
  bool counting = mode == HOLD;
  uint64_t at_a_time = mode == HOLD && count > OPENING ? OPENING : count;
  /* Each run begins elsewhere among the ports: what is in between may still remember those of the run before. */
  next_flow = (uint32_t)(begin / 1000 % flow_count);
  for (; now < deadline; now = nanoseconds()) {
    now_ms = (uint32_t)(now / 1000000);
    if (mode == HOLD && answers >= count) break;
    if (!counting && now >= counted) {
      counting = true;
      counted = now;
      connections = answers = retries = resets = 0;
      say("begun");
    }
    while (talking < at_a_time && (mode != HOLD || answers + talking < count)) open_next();
    turn();
    if (now - last_retry > 100000000) {
      last_retry = now;
      retry();
    }
  }
  char report[200];
  snprintf(report, sizeof report, "{\"connections\":%llu,\"answers\":%llu,\"seconds\":%.6f,\"retries\":%llu,\"resets\":%llu}",
           (unsigned long long)connections, (unsigned long long)answers, (double)(nanoseconds() - counted) / 1e9,
           (unsigned long long)retries, (unsigned long long)resets);
  say(report);
  if (mode == HOLD && answers >= count) hold();
  hang_up();
  return 0;
}
