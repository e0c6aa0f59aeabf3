#include "xdp.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "frames.h"

/*
 * Chunks hold a frame each, behind the 256 bytes that the kernel wants in front. Not a power of two: the frames of all
 * chunks would fall into the same few cache sets.
 */
#define CHUNK 2112
#define FRAMES (XDP_RECEIVE_FRAMES + XDP_SEND_FRAMES)
#define AREA_SIZE ((size_t)FRAMES * CHUNK)
#define LONGEST_FRAME (CHUNK - 256)

/* What the kernel may hold of ours at once: a full ring of frames, each with what the kernel adds to it. */
#define SEND_BUFFER (4 << 20)

/* How long to wait for a queue that is taken. */
#define PATIENCE_MS 100

/* In unaligned mode the upper bits of an address are an offset, to be added. */
#define ADDRESS_OF(handle) (((handle)&XSK_UNALIGNED_BUF_ADDR_MASK) + ((handle) >> XSK_UNALIGNED_BUF_OFFSET_SHIFT))

static bool set_option(int socket, int option, const void *value, socklen_t size, const char *name,
                       struct system_error *error) {
  return setsockopt(socket, SOL_XDP, option, value, size) == 0 || failed(error, name, errno);
}

static bool map_ring(struct xdp_port *port, struct xdp_ring *ring, const struct xdp_ring_offset *offsets,
                     uint32_t count, size_t entry_size, off_t where, struct system_error *error) {
  ring->mapping_size = (size_t)offsets->desc + count * entry_size;
  void *mapping =
      mmap(NULL, ring->mapping_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, port->socket, where);
  if (mapping == MAP_FAILED) return failed(error, "mmap", errno);
  uint8_t *base = mapping;
  ring->mapping = mapping;
  ring->producer = (uint32_t *)(base + offsets->producer);
  ring->consumer = (uint32_t *)(base + offsets->consumer);
  ring->flags = (uint32_t *)(base + offsets->flags);
  ring->entries = base + offsets->desc;
  ring->mask = count - 1;
  return true;
}

static bool make_rings(struct xdp_port *port, struct system_error *error) {
  void *area = mmap(NULL, AREA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (area == MAP_FAILED) return failed(error, "mmap", errno);
  port->area = area;
  const struct xdp_umem_reg memory = {
      .addr = (uintptr_t)area, .len = AREA_SIZE, .chunk_size = CHUNK, .flags = XDP_UMEM_UNALIGNED_CHUNK_FLAG};
  const uint32_t receive = XDP_RECEIVE_FRAMES;
  const uint32_t send = XDP_SEND_FRAMES;
  struct xdp_mmap_offsets offsets;
  socklen_t size = sizeof offsets;
  const int socket = port->socket;
  if (!set_option(socket, XDP_UMEM_REG, &memory, sizeof memory, "setsockopt XDP_UMEM_REG", error) ||
      !set_option(socket, XDP_UMEM_FILL_RING, &receive, sizeof receive, "setsockopt XDP_UMEM_FILL_RING", error) ||
      !set_option(socket, XDP_UMEM_COMPLETION_RING, &send, sizeof send, "setsockopt XDP_UMEM_COMPLETION_RING", error) ||
      !set_option(socket, XDP_RX_RING, &receive, sizeof receive, "setsockopt XDP_RX_RING", error) ||
      !set_option(socket, XDP_TX_RING, &send, sizeof send, "setsockopt XDP_TX_RING", error))
    return false;
  if (getsockopt(socket, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &size) < 0)
    return failed(error, "getsockopt XDP_MMAP_OFFSETS", errno);
  return map_ring(port, &port->fill, &offsets.fr, receive, sizeof(uint64_t), XDP_UMEM_PGOFF_FILL_RING, error) &&
         map_ring(port, &port->completed, &offsets.cr, send, sizeof(uint64_t), XDP_UMEM_PGOFF_COMPLETION_RING, error) &&
         map_ring(port, &port->received, &offsets.rx, receive, sizeof(struct xdp_desc), XDP_PGOFF_RX_RING, error) &&
         map_ring(port, &port->sent, &offsets.tx, send, sizeof(struct xdp_desc), XDP_PGOFF_TX_RING, error);
}

/* Shows the kernel what we have put into a ring. */
static void publish(struct xdp_ring *ring) {
  __atomic_store_n(ring->producer, ring->at, __ATOMIC_RELEASE);
}

/* The first chunks are for receiving, all of them the kernel's at first; the others are for sending. */
static void share_out(struct xdp_port *port) {
  uint64_t *fill = port->fill.entries;
  for (uint32_t i = 0; i < XDP_RECEIVE_FRAMES; i++) fill[i] = (uint64_t)i * CHUNK;
  port->fill.at = XDP_RECEIVE_FRAMES;
  publish(&port->fill);
  for (uint32_t i = 0; i < XDP_SEND_FRAMES; i++) port->free[i] = (XDP_RECEIVE_FRAMES + i) * CHUNK;
  port->free_count = XDP_SEND_FRAMES;
}

/* How many queues the interface receives from; 1 where the driver does not say. */
static uint32_t count_queues(const struct attachment *attachment, const char *interface) {
  struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
  struct ifreq request = {.ifr_data = (void *)&channels};
  memcpy(request.ifr_name, interface, IFNAMSIZ);
  if (ioctl(attachment->packet, SIOCETHTOOL, &request) < 0) return 1;
  return channels.rx_count + channels.combined_count;
}

static bool bind_socket(struct xdp_port *port, int queue, struct system_error *error) {
  const struct sockaddr_xdp address = {.sxdp_family = AF_XDP,
                                       /* Chunks lie across pages, which a card that reads them itself may not take. */
                                       .sxdp_flags = XDP_USE_NEED_WAKEUP | XDP_COPY,
                                       .sxdp_ifindex = (uint32_t)port->attachment.index,
                                       .sxdp_queue_id = (uint32_t)queue};
  /* The kernel gives a queue free some time after the socket that had it was closed. */
  for (int tries = 0; bind(port->socket, (const struct sockaddr *)&address, sizeof address) < 0; tries++) {
    if (errno != EBUSY || tries == PATIENCE_MS) return failed(error, "bind AF_XDP", errno);
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  }
  return true;
}

static bool set_up(const struct xdp_request *request, struct xdp_port *port, struct system_error *error) {
  /* A frame has a header and maybe a VLAN tag beside what the MTU tells of. */
  if (port->attachment.mtu + ETH_HLEN + 4 > LONGEST_FRAME) return failed(error, "bind AF_XDP", EMSGSIZE);
  if (request->queue < 0 && count_queues(&port->attachment, request->attachment.interface) > 1)
    return failed(error, "ioctl ETHTOOL_GCHANNELS", EMLINK);
  int queue = request->queue < 0 ? 0 : request->queue;
  port->socket = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (port->socket < 0) return failed(error, "socket AF_XDP", errno);
  const int send_buffer = SEND_BUFFER;
  if (setsockopt(port->socket, SOL_SOCKET, SO_SNDBUFFORCE, &send_buffer, sizeof send_buffer) < 0)
    setsockopt(port->socket, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
  if (!make_rings(port, error)) return false;
  share_out(port);
  return bind_socket(port, queue, error) && watch(&port->attachment, port->socket, error) &&
         attach_program(&port->program, port->attachment.index, queue, port->socket, request->mode, error);
}

bool xdp_open(const struct xdp_request *request, struct xdp_port *port, struct system_error *error) {
  memset(port, 0, sizeof *port);
  port->socket = port->program.link = port->program.map = -1;
  if (!attach(&request->attachment, &port->attachment, error)) return false;
  if (set_up(request, port, error)) return true;
  xdp_close(port);
  return false;
}

int32_t xdp_receive(struct xdp_port *port, const struct burst *burst, int32_t room, struct drops *drops,
                    int *end) {
  struct xdp_ring *received = &port->received;
  struct xdp_ring *fill = &port->fill;
  const uint32_t ready = __atomic_load_n(received->producer, __ATOMIC_ACQUIRE) - received->at;
  const uint32_t count = ready < (uint32_t)burst->count ? ready : (uint32_t)burst->count;
  int32_t filled = 0;
  *end = BURST_OK;
  for (uint32_t i = 0; i < count; i++) {
    int32_t offset = load(&burst->offsets[filled]);
    if (!inside(burst, offset, room)) {
      *end = BURST_OUT_OF_BOUNDS;
      break;
    }
    const struct xdp_desc *entry = (const struct xdp_desc *)received->entries + (received->at++ & received->mask);
    if (entry->len <= (uint32_t)room) memcpy(burst->memory + offset, port->area + ADDRESS_OF(entry->addr), entry->len);
    if (accept_frame(burst, filled, offset, (int32_t)entry->len, room, drops)) filled++;
    /* There are as many entries as chunks: this never overtakes the kernel. */
    ((uint64_t *)fill->entries)[fill->at++ & fill->mask] = entry->addr & XSK_UNALIGNED_BUF_ADDR_MASK;
  }
  if (count > 0) {
    __atomic_store_n(received->consumer, received->at, __ATOMIC_RELEASE);
    publish(fill);
  } else if (burst->count > 0) *end = look_for_end(&port->attachment);
  if (count == (uint32_t)burst->count && is_time_to_ask(&port->attachment)) xdp_count_missed(port, drops);
  /* Only a driver that fills our memory by itself ever waits for chunks. */
  if (__atomic_load_n(fill->flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP)
    recvfrom(port->socket, NULL, 0, MSG_DONTWAIT, NULL, NULL);
  return filled;
}

/* Takes back the chunks of frames that are sent. */
static void take_back(struct xdp_port *port) {
  struct xdp_ring *completed = &port->completed;
  const uint32_t producer = __atomic_load_n(completed->producer, __ATOMIC_ACQUIRE);
  if (producer == completed->at) return;
  while (completed->at != producer)
    port->free[port->free_count++] = (uint32_t)((const uint64_t *)completed->entries)[completed->at++ & completed->mask];
  __atomic_store_n(completed->consumer, completed->at, __ATOMIC_RELEASE);
}

/*
 * Has the kernel send what is in the ring. It takes some dozen frames for each call (32 by default), and then says EAGAIN
 * as it does for want of memory; so this goes on as long as it takes any. Returns the errno of what kept it from taking
 * all: what it left is sent with what comes next.
 */
static int send_all(struct xdp_port *port) {
  const struct xdp_ring *sent = &port->sent;
  for (;;) {
    const uint32_t before = __atomic_load_n(sent->consumer, __ATOMIC_ACQUIRE);
    if (before == sent->at || !(__atomic_load_n(sent->flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP)) return 0;
    const bool accepted = sendto(port->socket, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0;
    const int reason = accepted ? EAGAIN : errno;
    take_back(port);
    if (reason != EINTR && __atomic_load_n(sent->consumer, __ATOMIC_ACQUIRE) == before) return reason;
  }
}

/*
 * Sends what was put into the ring. Returns the errno of what kept it from being sent. When the interface is down the
 * kernel has not looked at the ring, and what was put is taken back: it is lost now, instead of being sent some day.
 */
static int flush(struct xdp_port *port, struct drops *drops, int32_t *put) {
  struct xdp_ring *sent = &port->sent;
  const uint32_t start = __atomic_load_n(sent->producer, __ATOMIC_RELAXED);
  publish(sent);
  const int reason = send_all(port);
  if (reason != ENETDOWN && reason != ENXIO) return reason;
  if (__atomic_load_n(sent->consumer, __ATOMIC_ACQUIRE) != start) return reason;
  while (sent->at != start) {
    const struct xdp_desc *entry = (const struct xdp_desc *)sent->entries + (--sent->at & sent->mask);
    port->free[port->free_count++] = (uint32_t)entry->addr;
    add(&drops->link_down, 1);
    --*put;
  }
  publish(sent);
  return reason;
}

static bool has_room(const struct xdp_port *port) {
  const struct xdp_ring *sent = &port->sent;
  return port->free_count > 0 && sent->at - __atomic_load_n(sent->consumer, __ATOMIC_ACQUIRE) <= sent->mask;
}

static void put_frame(struct xdp_port *port, const struct outgoing *frame) {
  struct xdp_ring *sent = &port->sent;
  const uint32_t chunk = port->free[--port->free_count];
  memcpy(port->area + chunk, frame->start, frame->length);
  ((struct xdp_desc *)sent->entries)[sent->at++ & sent->mask] = (struct xdp_desc){.addr = chunk, .len = frame->length};
}

int32_t xdp_transmit(struct xdp_port *port, const struct burst *burst, struct drops *drops, int *end) {
  int32_t put = 0;
  *end = BURST_OK;
  take_back(port);
  for (int32_t i = 0; i < burst->count; i++) {
    struct outgoing frame;
    if (!prepare_frame(burst, i, &frame, drops, end)) {
      if (*end == BURST_OK) continue;
      flush(port, drops, &put);
      return i;
    }
    if (frame.length > LONGEST_FRAME) {
      add(&drops->invalid, 1);
      continue;
    }
    if (!has_room(port)) {
      const int reason = flush(port, drops, &put);
      if (!has_room(port)) {
        if (reason == ENETDOWN || reason == ENXIO) add(&drops->link_down, 1);
        else add(&drops->no_buffer, 1);
        continue;
      }
    }
    put_frame(port, &frame);
    put++;
  }
  flush(port, drops, &put);
  return put;
}

void xdp_count_missed(const struct xdp_port *port, struct drops *drops) {
  struct xdp_statistics statistics;
  socklen_t size = sizeof statistics;
  if (getsockopt(port->socket, SOL_XDP, XDP_STATISTICS, &statistics, &size) < 0) return;
  const uint64_t missed = statistics.rx_dropped + statistics.rx_ring_full;
  __atomic_store_n(&drops->missed, missed, __ATOMIC_RELAXED);
}

static void unmap_ring(const struct xdp_ring *ring) {
  if (ring->mapping != NULL) munmap(ring->mapping, ring->mapping_size);
}

void xdp_close(struct xdp_port *port) {
  detach_program(&port->program);
  if (port->socket >= 0) close_quietly(port->socket);
  port->socket = -1;
  unmap_ring(&port->fill);
  unmap_ring(&port->completed);
  unmap_ring(&port->received);
  unmap_ring(&port->sent);
  if (port->area != NULL) munmap(port->area, AREA_SIZE);
  detach(&port->attachment);
}
