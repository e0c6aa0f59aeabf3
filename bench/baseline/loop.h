/*
 * What the loops in place of a director share: a TAP, and what they do to a frame, which is to exchange its MAC addresses.
 */
#ifndef LOOP_H
#define LOOP_H

#include "wire.h"

#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdbool.h>

/* Two hosts: what comes from one is sent to the other. */
struct hosts {
  uint8_t own[MAC_LENGTH], first[MAC_LENGTH], second[MAC_LENGTH];
};

__attribute__((unused)) static void hand_over(uint8_t *frame, const struct hosts *hosts) {
  bool from_first = memcmp(frame + MAC_LENGTH, hosts->first, MAC_LENGTH) == 0;
  memcpy(frame, from_first ? hosts->second : hosts->first, MAC_LENGTH);
  memcpy(frame + MAC_LENGTH, hosts->own, MAC_LENGTH);
}

/* Whether a frame is for us: the kernel's own chatter is let go. */
__attribute__((unused)) static bool is_ours(const uint8_t *frame, const struct hosts *hosts) {
  return memcmp(frame, hosts->own, MAC_LENGTH) == 0;
}

/* Makes a TAP, up; with `vnet` frames have a virtio-net header in front and are neither segmented nor checksummed. */
__attribute__((unused)) static int open_tap(const char *name, bool vnet) {
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) die("/dev/net/tun");
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | (vnet ? IFF_VNET_HDR : 0)};
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  if (ioctl(fd, TUNSETIFF, &request) < 0) die("TUNSETIFF %s", name);
  if (vnet) {
    int header = sizeof(struct virtio_net_hdr);
    if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0) die("TUNSETVNETHDRSZ");
    if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0) die("TUNSETOFFLOAD");
  }
  int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (sock < 0 || ioctl(sock, SIOCSIFFLAGS, &request) < 0) die("SIOCSIFFLAGS");
  close(sock);
  return fd;
}

#endif
