#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Since Linux 6.2; the headers of older systems lack them. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

/*
 * Makes or attaches to the interface. IFF_NO_PI: no packet information in front of frames; IFF_VNET_HDR: a virtio-net
 * header instead, without which the kernel segments and checksums before it hands a frame over.
 */
static bool attach(int fd, int sock, const struct tap_options *options, struct ifreq *request,
                   struct system_error *error) {
  memset(request, 0, sizeof *request);
  memcpy(request->ifr_name, options->name, IFNAMSIZ);
  /* TUNSETIFF makes what it does not find, so whether it is there has to be asked first. */
  if (options->existence == TAP_EXISTING && ioctl(sock, SIOCGIFINDEX, request) < 0)
    return failed(error, "ioctl SIOCGIFINDEX", errno);
  int flags = IFF_TAP | IFF_NO_PI;
  if (options->existence == TAP_NEW) flags |= IFF_TUN_EXCL;
  if (options->offload) flags |= IFF_VNET_HDR;
  if (options->queues > 0) flags |= IFF_MULTI_QUEUE;
  request->ifr_flags = (short)flags;
  if (ioctl(fd, TUNSETIFF, request) < 0) return failed(error, "ioctl TUNSETIFF", errno);
  return true;
}

/*
 * Tells the kernel what it may leave to us. Also when that is nothing: an interface that stays keeps what its last
 * owner said, and would hand over frames with checksums that nobody completes.
 */
static bool set_offload(int fd, const struct tap_options *options, struct tap_info *info, struct system_error *error) {
  info->offload = 0;
  if (options->offload) {
    /* What an earlier owner of the interface may have chosen otherwise: the header's size and its byte order. */
    int size = VNET_HEADER;
    int little_endian = 1;
    if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0) return failed(error, "ioctl TUNSETVNETHDRSZ", errno);
    if (ioctl(fd, TUNSETVNETLE, &little_endian) < 0) return failed(error, "ioctl TUNSETVNETLE", errno);
    info->offload = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6;
    if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)info->offload) == 0) return true;
    info->offload &= ~(TUN_F_USO4 | TUN_F_USO6);
  }
  if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)info->offload) < 0) return failed(error, "ioctl TUNSETOFFLOAD", errno);
  return true;
}

/*
 * Gives the kernel's end its address, MTU and state. What is so already is left alone: the owner of a prepared TAP
 * (`ip tuntap add ... user`) may attach to it without being allowed to change it.
 */
static bool configure(int sock, const struct tap_options *options, struct ifreq *request, struct tap_info *info,
                      struct system_error *error) {
  if (ioctl(sock, SIOCGIFHWADDR, request) < 0) return failed(error, "ioctl SIOCGIFHWADDR", errno);
  if (options->has_mac && memcmp(request->ifr_hwaddr.sa_data, options->mac, MAC_LENGTH) != 0) {
    request->ifr_hwaddr.sa_family = ARPHRD_ETHER;
    memcpy(request->ifr_hwaddr.sa_data, options->mac, MAC_LENGTH);
    if (ioctl(sock, SIOCSIFHWADDR, request) < 0) return failed(error, "ioctl SIOCSIFHWADDR", errno);
  }
  memcpy(info->mac, request->ifr_hwaddr.sa_data, MAC_LENGTH);

  if (ioctl(sock, SIOCGIFMTU, request) < 0) return failed(error, "ioctl SIOCGIFMTU", errno);
  if (options->mtu != 0 && request->ifr_mtu != options->mtu) {
    request->ifr_mtu = options->mtu;
    if (ioctl(sock, SIOCSIFMTU, request) < 0) return failed(error, "ioctl SIOCSIFMTU", errno);
  }
  info->mtu = request->ifr_mtu;

  if (options->up) {
    if (ioctl(sock, SIOCGIFFLAGS, request) < 0) return failed(error, "ioctl SIOCGIFFLAGS", errno);
    if ((request->ifr_flags & IFF_UP) == 0) {
      request->ifr_flags |= IFF_UP;
      if (ioctl(sock, SIOCSIFFLAGS, request) < 0) return failed(error, "ioctl SIOCSIFFLAGS", errno);
    }
  }
  return true;
}

/* Attaches one more descriptor to the interface whose name `options` holds; -1 when that fails. */
static int open_queue(int sock, const struct tap_options *options, struct ifreq *request, struct system_error *error) {
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    failed(error, "open /dev/net/tun", errno);
    return -1;
  }
  if (attach(fd, sock, options, request, error)) return fd;
  close_quietly(fd);
  return -1;
}

/* The queues of a TAP whose name is settled: the first is open, `info` counts those that are. */
static bool open_others(int sock, const struct tap_options *options, struct tap_info *info, struct system_error *error) {
  struct tap_options others = *options;
  struct ifreq request;
  memcpy(others.name, info->name, IFNAMSIZ);
  others.existence = TAP_ANY;
  while (info->queues < options->queues) {
    int fd = open_queue(sock, &others, &request, error);
    if (fd < 0) return false;
    info->fds[info->queues++] = fd;
  }
  return true;
}

/* Opens the TAP in the calling thread's network namespace. */
static bool open_here(const struct tap_options *options, struct tap_info *info, struct system_error *error) {
  info->queues = 0;
  int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (sock < 0) return failed(error, "socket", errno);
  struct ifreq request;
  int fd = open_queue(sock, options, &request, error);
  bool ok = fd >= 0;
  if (ok) {
    info->fds[info->queues++] = fd;
    /* The kernel has put the final name, its number filled in, into the request. */
    memcpy(info->name, request.ifr_name, IFNAMSIZ);
    info->name[IFNAMSIZ - 1] = '\0';
    ok = set_offload(fd, options, info, error) && configure(sock, options, &request, info, error) &&
         open_others(sock, options, info, error);
  }
  close_quietly(sock);
  /* The interface, unless it was made persistent by somebody, goes with its descriptors. */
  if (!ok) while (info->queues > 0) close_quietly(info->fds[--info->queues]);
  return ok;
}

struct opening {
  const struct tap_options *options;
  struct tap_info *info;
};

static bool open_step(void *argument, struct system_error *error) {
  const struct opening *opening = argument;
  return open_here(opening->options, opening->info, error);
}

/*
 * A process that was killed may still hold its TAP for a few milliseconds: what it had registered with io_uring is given
 * back by the kernel later than what it had open.
 */
#define BUSY_TRIES 100
#define BUSY_PAUSE_US 1000

bool tap_open(const struct tap_options *options, struct tap_info *info, struct system_error *error) {
  struct opening opening = {options, info};
  for (int tries = 1; !in_namespace(options->namespace_path, open_step, &opening, error); tries++) {
    bool is_held = error->number == EBUSY && strcmp(error->syscall, "ioctl TUNSETIFF") == 0;
    /* One that is to be new, and is there, will not go. */
    if (!is_held || options->existence == TAP_NEW || tries == BUSY_TRIES) return false;
    usleep(BUSY_PAUSE_US);
  }
  return true;
}
