#include "packet.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/filter.h>
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

/* PACKET_FANOUT_FLAG_IGNORE_OUTGOING of Linux 6.2: headers may be older, and so may kernels, which pass over it. */
#define FANOUT_IGNORE_OUTGOING 0x4000

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
         watch(&port->attachment, port->attachment.packet, error);
}

static bool begin(const struct packet_port *port, struct system_error *error) {
  return bind_packet_socket(&port->attachment, ETH_P_ALL, error);
}

/* Of what comes from now on, only what the program (classic BPF) accepts is received. */
static bool set_filter(const struct packet_port *port, struct sock_filter *program, size_t length,
                       struct system_error *error) {
  const struct sock_fprog filter = {.len = (unsigned short)length, .filter = program};
  if (setsockopt(port->attachment.packet, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0) return true;
  return failed(error, "setsockopt SO_ATTACH_FILTER", errno);
}

/* For a port that is not in its group yet, and would be given what others are given too. */
static bool receive_nothing(const struct packet_port *port, struct system_error *error) {
  struct sock_filter program[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
  return set_filter(port, program, sizeof program / sizeof *program, error);
}

/* Before Linux 6.2 a group is given what is sent, whatever PACKET_IGNORE_OUTGOING says to each of its sockets. */
static bool receive_incoming(const struct packet_port *port, struct system_error *error) {
  struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
  };
  return set_filter(port, program, sizeof program / sizeof *program, error);
}

/* Joins a group, or makes one, by the kernel's word for it: its number, and above that how it divides, with flags. */
static bool join_group(const struct packet_port *port, uint32_t *group, struct system_error *error) {
  if (!set_option(port, PACKET_FANOUT, (int)*group, "setsockopt PACKET_FANOUT", error)) return false;
  socklen_t size = sizeof *group;
  if (getsockopt(port->attachment.packet, SOL_PACKET, PACKET_FANOUT, group, &size) == 0) return true;
  return failed(error, "getsockopt PACKET_FANOUT", errno);
}

/* Ports that share what is received. They get nothing before all are there. */
static bool begin_together(struct packet_port *const *ports, int count, struct system_error *error) {
  /* A new one, under a number that nobody in the namespace uses. */
  uint32_t group = (PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_UNIQUEID | FANOUT_IGNORE_OUTGOING) << 16;
  for (int i = 0; i < count; i++)
    if (!receive_nothing(ports[i], error) || !begin(ports[i], error) || !join_group(ports[i], &group, error))
      return false;
  for (int i = 0; i < count; i++)
    if (!receive_incoming(ports[i], error)) return false;
  return true;
}

bool packet_open(const struct attachment_options *options, struct packet_port *const *ports, int count,
                 struct system_error *error) {
  int opened = 0;
  bool ok = true;
  while (ok && opened < count) {
    struct packet_port *port = ports[opened];
    memset(port, 0, sizeof *port);
    ok = attach(options, &port->attachment, error);
    if (!ok) break;
    opened++;
    ok = set_up(port, error);
  }
  if (ok) ok = count == 1 ? begin(ports[0], error) : begin_together(ports, count, error);
  while (!ok && opened > 0) packet_close(ports[--opened]);
  return ok;
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
      add(&drops->missed, 1);
      return false;
    }
    length = (size_t)taken - VNET_HEADER;
  }
  if (length + tag > (size_t)room) {
    add(&drops->oversize, 1);
    return false;
  }
  if (!(status & TP_STATUS_COPY)) {
    if (slot->tp_snaplen < length) {
      /* Cut to the slot, and the kernel had no memory to queue it. */
      add(&drops->missed, 1);
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
  if (seen == burst->count && is_time_to_ask(&port->attachment)) packet_count_missed(port, drops);
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
      add(&drops->link_down, (uint64_t)(count - i));
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

void packet_count_missed(const struct packet_port *port, struct drops *drops) {
  struct tpacket_stats statistics;
  socklen_t size = sizeof statistics;
  /* The kernel counts from 0 again each time. */
  if (getsockopt(port->attachment.packet, SOL_PACKET, PACKET_STATISTICS, &statistics, &size) == 0)
    add(&drops->missed, statistics.tp_drops);
}

void packet_close(struct packet_port *port) {
  if (port->ring != NULL) munmap(port->ring, RING_SIZE);
  detach(&port->attachment);
}
