/*
 * What the programs of the wire benchmark share: failing, the clock, addresses, packet sockets, and the small frames that
 * they send. Linux only; all of them need root.
 */
#ifndef WIRE_H
#define WIRE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAC_LENGTH 6
#define NS_PER_SECOND 1000000000ull

/* Says why, and ends the program. */
__attribute__((format(printf, 1, 2), noreturn, unused)) static void die(const char *format, ...) {
  int number = errno;
  va_list list;
  va_start(list, format);
  vfprintf(stderr, format, list);
  va_end(list);
  fprintf(stderr, ": %s\n", strerror(number));
  exit(1);
}

__attribute__((unused)) static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * NS_PER_SECOND + (uint64_t)time.tv_nsec;
}

__attribute__((unused)) static void parse_mac(const char *text, uint8_t mac[MAC_LENGTH]) {
  unsigned b[MAC_LENGTH];
  if (sscanf(text, "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) != MAC_LENGTH) {
    errno = EINVAL;
    die("%s is no MAC address", text);
  }
  for (int i = 0; i < MAC_LENGTH; i++) mac[i] = (uint8_t)b[i];
}

__attribute__((unused)) static uint32_t parse_ip(const char *text) {
  struct in_addr address;
  if (inet_pton(AF_INET, text, &address) != 1) {
    errno = EINVAL;
    die("%s is no IPv4 address", text);
  }
  return ntohl(address.s_addr);
}

/* From now on the program is in the network namespace of that name (`ip netns`). Sockets stay where they were made. */
__attribute__((unused)) static void enter_namespace(const char *name) {
  char path[256];
  snprintf(path, sizeof path, "/var/run/netns/%s", name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWNET) < 0) die("namespace %s", name);
  close(fd);
}

/* A packet socket on the interface, and the interface's MAC address. With `protocol` 0 it only sends. */
__attribute__((unused)) static int packet_socket(const char *interface, uint16_t protocol, uint8_t mac[MAC_LENGTH]) {
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) die("packet socket");
  struct ifreq request = {0};
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
  if (ioctl(fd, SIOCGIFHWADDR, &request) < 0) die("interface %s", interface);
  memcpy(mac, request.ifr_hwaddr.sa_data, MAC_LENGTH);
  struct sockaddr_ll address = {
      .sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = (int)if_nametoindex(interface)};
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) die("bind to %s", interface);
  return fd;
}

/* Frames go straight to the interface's driver, past queueing disciplines. */
__attribute__((unused)) static void bypass_qdisc(int fd) {
  int one = 1;
  if (setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one) < 0) die("PACKET_QDISC_BYPASS");
}

/* ---- Frames of the smallest size: Ethernet, IPv4, TCP or UDP without options, padded; 64 bytes with the FCS. */

#define FRAME_LENGTH 60
#define IP_OFFSET 14
#define L4_OFFSET 34
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define TCP_SYN 0x02
#define TCP_ACK 0x10
/* Of a UDP frame, behind its header: free for the sender's use. */
#define UDP_DATA_OFFSET 42
#define UDP_DATA_LENGTH 12

struct endpoint {
  uint32_t address;
  uint16_t port;
};

__attribute__((unused)) static void put16(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

__attribute__((unused)) static void put32(uint8_t *at, uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value);
}

__attribute__((unused)) static uint32_t sum16(const uint8_t *at, int length, uint32_t sum) {
  for (int i = 0; i + 1 < length; i += 2) sum += (uint32_t)(at[i] << 8 | at[i + 1]);
  return sum;
}

__attribute__((unused)) static uint16_t folded(uint32_t sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~sum;
}

/* Fills in the checksums of a frame that is otherwise complete. */
__attribute__((unused)) static void put_checksums(uint8_t *frame) {
  uint8_t protocol = frame[IP_OFFSET + 9];
  int length = (frame[IP_OFFSET + 2] << 8 | frame[IP_OFFSET + 3]) - 20;
  put16(frame + IP_OFFSET + 10, 0);
  put16(frame + IP_OFFSET + 10, folded(sum16(frame + IP_OFFSET, 20, 0)));
  uint8_t *field = frame + L4_OFFSET + (protocol == PROTOCOL_TCP ? 16 : 6);
  put16(field, 0);
  uint32_t pseudo = sum16(frame + IP_OFFSET + 12, 8, (uint32_t)(protocol + length));
  put16(field, folded(sum16(frame + L4_OFFSET, length, pseudo)));
}

/* Writes a whole frame. `flags` are TCP's; 0 makes it UDP. */
__attribute__((unused)) static void build_frame(uint8_t *frame, const uint8_t *to, const uint8_t *from,
                                                struct endpoint source, struct endpoint destination, uint8_t flags) {
  memset(frame, 0, FRAME_LENGTH);
  memcpy(frame, to, MAC_LENGTH);
  memcpy(frame + MAC_LENGTH, from, MAC_LENGTH);
  put16(frame + 12, ETH_P_IP);
  uint8_t *ip = frame + IP_OFFSET;
  ip[0] = 0x45;
  put16(ip + 2, 40);
  put16(ip + 6, 0x4000); /* don't fragment */
  ip[8] = 64;
  ip[9] = flags == 0 ? PROTOCOL_UDP : PROTOCOL_TCP;
  put32(ip + 12, source.address);
  put32(ip + 16, destination.address);
  uint8_t *l4 = frame + L4_OFFSET;
  put16(l4, source.port);
  put16(l4 + 2, destination.port);
  if (flags == 0) {
    put16(l4 + 4, 20);
  } else {
    put32(l4 + 4, 1);
    l4[12] = 5 << 4;
    l4[13] = flags;
    put16(l4 + 14, 65535);
  }
  put_checksums(frame);
}

#endif
