#include "packet.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "frames.h"
#include "tap.h"

#define MAC_ADDRESSES 12
#define VLAN_TAG 4
#define CACHE_LINE 64

/* What the kernel puts in front of a frame in its slot, at most: descriptor, address, virtio-net header, alignment. */
#define SLOT_OVERHEAD (TPACKET2_HDRLEN + 16 + VNET_HEADER + TPACKET_ALIGNMENT)
/* Larger frames go the other way (see take_long_frame); slots for them would be mostly empty. */
#define LARGEST_IN_SLOT 9216
/* Blocks are pieces of memory in one piece: not larger than the kernel easily finds. */
#define BLOCK_SIZE 65536
#define RING_SIZE (64 * BLOCK_SIZE)
/* Socket buffers, for some dozen of the largest frames; the kernel's default holds three. */
#define BUFFER_SIZE (16 << 20)
/* Frames handed to the kernel in one call. */
#define MOST_MESSAGES 128

static bool set_option(const struct packet_port *port, int option, int value, const char *name,
                       struct system_error *error) {
  if (setsockopt(port->attachment.packet, SOL_PACKET, option, &value, sizeof value) == 0) return true;
  return failed(error, name, errno);
}

/* Beyond what ordinary users may have, if allowed. */
static void set_buffer(const struct packet_port *port, int force, int option) {
  int size = BUFFER_SIZE;
  if (setsockopt(port->attachment.packet, SOL_SOCKET, force, &size, sizeof size) < 0)
    setsockopt(port->attachment.packet, SOL_SOCKET, option, &size, sizeof size);
}

static bool make_ring(struct packet_port *port, struct system_error *error) {
  int longest = port->attachment.mtu < LARGEST_IN_SLOT ? port->attachment.mtu : LARGEST_IN_SLOT;
  uint32_t lines = ((uint32_t)longest + SLOT_OVERHEAD + ETH_HLEN + VLAN_TAG + CACHE_LINE - 1) / CACHE_LINE;
  /* An odd number of cache lines, so that the beginnings of slots do not all fall into the same cache sets. */
  port->slot_size = (lines | 1) * CACHE_LINE;
  port->slots_per_block = BLOCK_SIZE / port->slot_size;
  struct tpacket_req request = {
      .tp_block_size = BLOCK_SIZE,
      .tp_block_nr = RING_SIZE / BLOCK_SIZE,
      .tp_frame_size = port->slot_size,
      .tp_frame_nr = RING_SIZE / BLOCK_SIZE * port->slots_per_block,
  };
  if (setsockopt(port->attachment.packet, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) < 0)
    return failed(error, "setsockopt PACKET_RX_RING", errno);
  void *ring = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, port->attachment.packet, 0);
  if (ring == MAP_FAILED) return failed(error, "mmap", errno);
  port->ring = ring;
  port->slot_count = request.tp_frame_nr;
  return true;
}

/*
 * Version 2 of the ring: version 3 fills blocks, which arrive when full or after a timer's millisecond. What we send is
 * not to be received again.
 */
static bool set_up(struct packet_port *port, struct system_error *error) {
  set_buffer(port, SO_RCVBUFFORCE, SO_RCVBUF);
  set_buffer(port, SO_SNDBUFFORCE, SO_SNDBUF);
  return set_option(port, PACKET_VERSION, TPACKET_V2, "setsockopt PACKET_VERSION", error) &&
         set_option(port, PACKET_VNET_HDR, 1, "setsockopt PACKET_VNET_HDR", error) &&
         set_option(port, PACKET_IGNORE_OUTGOING, 1, "setsockopt PACKET_IGNORE_OUTGOING", error) &&
         set_option(port, PACKET_COPY_THRESH, 1, "setsockopt PACKET_COPY_THRESH", error) && make_ring(port, error) &&
         watch(&port->attachment, port->attachment.packet, error) && bind_packet_socket(&port->attachment, ETH_P_ALL, error);
}

bool packet_open(const struct attachment_options *options, struct packet_port *port, struct system_error *error) {
  memset(port, 0, sizeof *port);
  if (!attach(options, &port->attachment, error)) return false;
  if (set_up(port, error)) return true;
  packet_close(port);
  return false;
}

static struct tpacket2_hdr *next_slot(const struct packet_port *port) {
  uint32_t block = port->next / port->slots_per_block;
  uint32_t slot = port->next % port->slots_per_block;
  return (struct tpacket2_hdr *)(port->ring + (size_t)block * BLOCK_SIZE + (size_t)slot * port->slot_size);
}

/*
 * A frame that its slot is too short for: the kernel has also queued it on the socket, in the same order. It is taken
 * from there in any case, or the next would not be its slot's. Returns the number of bytes of header and frame, also when
 * they are more than there is room for.
 */
static ssize_t take_long_frame(const struct packet_port *port, uint8_t *header, size_t tag, size_t room) {
  const size_t front = VNET_HEADER + MAC_ADDRESSES;
  struct iovec parts[2] = {{.iov_base = header, .iov_len = front}, {.iov_base = header + front + tag}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  if (room < MAC_ADDRESSES + tag) message.msg_iovlen = 0;
  else parts[1].iov_len = room - MAC_ADDRESSES - tag;
  ssize_t length;
  /* ENETDOWN: the interface went down after this. */
  do length = recvmsg(port->attachment.packet, &message, MSG_TRUNC);
  while (length < 0 && (errno == EINTR || errno == ENETDOWN));
  return length;
}

/*
 * A packet socket's virtio-net header has the machine's byte order, a TAP's and that of frames.c is little endian: turns the
 * one into the other, either way.
 */
static void reorder(uint8_t *header) {
  for (size_t at = 2; at < VNET_HEADER; at += sizeof(uint16_t)) {
    uint16_t field;
    memcpy(&field, header + at, sizeof field);
    field = htole16(field);
    memcpy(header + at, &field, sizeof field);
  }
}

static void copy_frame(uint8_t *to, const uint8_t *from, size_t tag, size_t length) {
  size_t front = VNET_HEADER + MAC_ADDRESSES;
  if (tag == 0) {
    memcpy(to, from, VNET_HEADER + length);
    return;
  }
  memcpy(to, from, front);
  memcpy(to + front + tag, from + front, length - MAC_ADDRESSES);
}

/* The kernel has taken the outermost VLAN tag out of the frame. */
static void put_tag(uint8_t *at, const struct tpacket2_hdr *slot, uint32_t status) {
  uint16_t tag[2] = {htons(status & TP_STATUS_VLAN_TPID_VALID ? slot->tp_vlan_tpid : ETH_P_8021Q),
                     htons(slot->tp_vlan_tci)};
  memcpy(at, tag, sizeof tag);
}

/* Takes the frame of a slot as entry `index`. False when it is lost, which is counted. */
static bool take_frame(struct packet_port *port, const struct tpacket2_hdr *slot, uint32_t status,
                       const struct burst *burst, int32_t index, int32_t offset, int32_t room,
                       struct drops *drops) {
  const size_t tag = status & TP_STATUS_VLAN_VALID ? VLAN_TAG : 0;
  uint8_t *header = burst->memory + offset - VNET_HEADER;
  size_t length = slot->tp_len;
  if (status & TP_STATUS_COPY) {
    /* Also what does not fit, which would stand in the way of the next. */
    ssize_t taken = take_long_frame(port, header, tag, (size_t)room);
    if (taken < VNET_HEADER + ETH_HLEN) {
      port->missed++;
      return false;
    }
    length = (size_t)taken - VNET_HEADER;
  }
  if (length + tag > (size_t)room) {
    drops->oversize++;
    return false;
  }
  if (!(status & TP_STATUS_COPY)) {
    if (slot->tp_snaplen < length) {
      /* Cut to the slot, and the kernel had no memory to queue it. */
      port->missed++;
      return false;
    }
    copy_frame(header, (const uint8_t *)slot + slot->tp_mac - VNET_HEADER, tag, length);
  }
  if (tag != 0) put_tag(burst->memory + offset + MAC_ADDRESSES, slot, status);
  reorder(header);
  if (!accept_frame(burst, index, offset, (int32_t)(VNET_HEADER + length + tag), room, drops)) return false;
  if (tag != 0 && burst->partial[index] != 0) burst->partial[index] += VLAN_TAG << 16 | VLAN_TAG;
  return true;
}

int32_t packet_receive(struct packet_port *port, const struct burst *burst, int32_t room, struct drops *drops,
                       int *end) {
  int32_t filled = 0;
  int32_t seen = 0;
  *end = BURST_OK;
  for (; seen < burst->count; seen++) {
    struct tpacket2_hdr *slot = next_slot(port);
    uint32_t status = __atomic_load_n(&slot->tp_status, __ATOMIC_ACQUIRE);
    if ((status & TP_STATUS_USER) == 0) break;
    int32_t offset = load(&burst->offsets[filled]);
    if (!inside(burst, offset, room)) {
      *end = BURST_OUT_OF_BOUNDS;
      return filled;
    }
    if (take_frame(port, slot, status, burst, filled, offset, room, drops)) filled++;
    __atomic_store_n(&slot->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    port->next = port->next + 1 == port->slot_count ? 0 : port->next + 1;
  }
  if (seen == 0 && burst->count > 0) *end = look_for_end(&port->attachment);
  return filled;
}

/* Sends messages; what the kernel refuses is counted, and the rest goes on. Returns how many it took. */
static int32_t send_messages(const struct packet_port *port, struct mmsghdr *messages, int32_t count,
                             struct drops *drops) {
  int32_t sent = 0;
  for (int32_t i = 0; i < count;) {
    int taken = sendmmsg(port->attachment.packet, &messages[i], (unsigned)(count - i), 0);
    if (taken > 0) {
      sent += taken;
      i += taken;
    } else if ((errno == ENETDOWN && !was_down(&port->attachment)) || errno == ENXIO) {
      /* Down, or gone, which is found out elsewhere: this frame and all that follow are lost. */
      drops->link_down += (uint64_t)(count - i);
      break;
    } else if (errno != EINTR && errno != ENETDOWN) {
      count_failure(errno, drops, &(int){BURST_OK});
      i++;
    }
  }
  return sent;
}

int32_t packet_transmit(struct packet_port *port, const struct burst *burst, struct drops *drops, int *end) {
  struct mmsghdr messages[MOST_MESSAGES];
  struct iovec parts[MOST_MESSAGES];
  int32_t sent = 0;
  int32_t ready = 0;
  *end = BURST_OK;
  for (int32_t i = 0; i < burst->count; i++) {
    struct outgoing frame;
    if (!prepare_frame(burst, i, &frame, drops, end)) {
      if (*end == BURST_OK) continue;
      send_messages(port, messages, ready, drops);
      return i;
    }
    uint8_t *start = (uint8_t *)frame.start;
    reorder(start);
    parts[ready] = (struct iovec){start, frame.length};
    messages[ready] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[ready], .msg_iovlen = 1}};
    if (++ready < MOST_MESSAGES) continue;
    sent += send_messages(port, messages, ready, drops);
    ready = 0;
  }
  return sent + send_messages(port, messages, ready, drops);
}

uint64_t packet_missed(struct packet_port *port) {
  struct tpacket_stats statistics;
  socklen_t size = sizeof statistics;
  /* The kernel counts from 0 again each time. */
  if (port->attachment.packet >= 0 &&
      getsockopt(port->attachment.packet, SOL_PACKET, PACKET_STATISTICS, &statistics, &size) == 0)
    port->missed += statistics.tp_drops;
  return port->missed;
}

void packet_close(struct packet_port *port) {
  packet_missed(port);
  if (port->ring != NULL) munmap(port->ring, RING_SIZE);
  detach(&port->attachment);
}
