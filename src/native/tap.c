#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if_arp.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <uv.h>

#define ETHERNET_HEADER 14

static bool failed(struct tap_error *error, const char *syscall, int number) {
  error->number = number;
  error->syscall = syscall;
  return false;
}

/* Close without touching errno; EINTR needs no second try, Linux has let go of the descriptor by then. */
static void close_quietly(int fd) {
  int saved = errno;
  close(fd);
  errno = saved;
}

/*
 * Makes or attaches to the interface. IFF_NO_PI: frames come bare. No IFF_VNET_HDR, so the kernel segments and
 * checksums before it hands a frame over.
 */
static bool attach(int fd, int sock, const struct tap_options *options, struct ifreq *request,
                   struct tap_error *error) {
  memset(request, 0, sizeof *request);
  memcpy(request->ifr_name, options->name, IFNAMSIZ);
  /* TUNSETIFF makes what it does not find, so whether it is there has to be asked first. */
  if (options->existence == TAP_EXISTING && ioctl(sock, SIOCGIFINDEX, request) < 0)
    return failed(error, "ioctl SIOCGIFINDEX", errno);
  int flags = IFF_TAP | IFF_NO_PI;
  if (options->existence == TAP_NEW) flags |= IFF_TUN_EXCL;
  request->ifr_flags = (short)flags;
  if (ioctl(fd, TUNSETIFF, request) < 0) return failed(error, "ioctl TUNSETIFF", errno);
  return true;
}

/*
 * Gives the kernel's end its address, MTU and state. What is so already is left alone: the owner of a prepared TAP
 * (`ip tuntap add ... user`) may attach to it without being allowed to change it.
 */
static bool configure(int sock, const struct tap_options *options, struct ifreq *request, struct tap_info *info,
                      struct tap_error *error) {
  if (ioctl(sock, SIOCGIFHWADDR, request) < 0) return failed(error, "ioctl SIOCGIFHWADDR", errno);
  if (options->has_mac && memcmp(request->ifr_hwaddr.sa_data, options->mac, TAP_MAC_LENGTH) != 0) {
    request->ifr_hwaddr.sa_family = ARPHRD_ETHER;
    memcpy(request->ifr_hwaddr.sa_data, options->mac, TAP_MAC_LENGTH);
    if (ioctl(sock, SIOCSIFHWADDR, request) < 0) return failed(error, "ioctl SIOCSIFHWADDR", errno);
  }
  memcpy(info->mac, request->ifr_hwaddr.sa_data, TAP_MAC_LENGTH);

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

/* Opens the TAP in the calling thread's network namespace. */
static bool open_here(const struct tap_options *options, struct tap_info *info, struct tap_error *error) {
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return failed(error, "open /dev/net/tun", errno);
  int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (sock < 0) {
    failed(error, "socket", errno);
    close_quietly(fd);
    return false;
  }
  struct ifreq request;
  bool ok = attach(fd, sock, options, &request, error);
  if (ok) {
    /* The kernel has put the final name, its number filled in, into the request. */
    memcpy(info->name, request.ifr_name, IFNAMSIZ);
    info->name[IFNAMSIZ - 1] = '\0';
    ok = configure(sock, options, &request, info, error);
  }
  close_quietly(sock);
  /* The interface, unless it was made persistent by somebody, goes with the descriptor. */
  if (!ok) close_quietly(fd);
  info->fd = ok ? fd : -1;
  return ok;
}

struct visit {
  int namespace_fd;
  const struct tap_options *options;
  struct tap_info *info;
  struct tap_error *error;
  bool ok;
};

static void open_there(void *argument) {
  struct visit *visit = argument;
  if (setns(visit->namespace_fd, CLONE_NEWNET) < 0) visit->ok = failed(visit->error, "setns", errno);
  else visit->ok = open_here(visit->options, visit->info, visit->error);
}

bool tap_open(const struct tap_options *options, struct tap_info *info, struct tap_error *error) {
  if (options->namespace_path == NULL) return open_here(options, info, error);

  /*
   * A network namespace belongs to a thread, a descriptor to the process. So a thread made for this one call visits
   * the namespace and ends there. The calling thread never leaves its own: the way back, which the kernel refuses to
   * a process whose user namespace does not own the namespace it came from, is not needed.
   * libuv's thread functions, since glibc moved pthread_create (2.34): the binary runs on the older ones as well.
   */
  struct visit visit = {.options = options, .info = info, .error = error};
  visit.namespace_fd = open(options->namespace_path, O_RDONLY | O_CLOEXEC);
  if (visit.namespace_fd < 0) return failed(error, "open", errno);
  uv_thread_t thread;
  int status = uv_thread_create(&thread, open_there, &visit);
  if (status != 0) visit.ok = failed(error, "clone", -status);
  else uv_thread_join(&thread);
  close_quietly(visit.namespace_fd);
  return visit.ok;
}

/* Reads an entry once, whoever else may be writing to it. */
static int32_t load(const int32_t *entry) {
  return __atomic_load_n(entry, __ATOMIC_RELAXED);
}

static bool inside(const struct tap_burst *burst, int32_t offset, int32_t length) {
  return offset >= 0 && length >= 0 && (size_t)offset + (size_t)length <= burst->size;
}

/*
 * Reads one frame; a result above `room` means that it was longer. The kernel cuts a frame to the room without a word,
 * so there has to be one byte more to read into. That is the byte behind the slot, put back afterwards, where the
 * memory has one; a second part for it to go to costs 160 ns a frame (790 instead of 630 measured).
 */
static ssize_t read_frame(int fd, uint8_t *slot, size_t room, bool has_byte_behind) {
  if (has_byte_behind) {
    uint8_t behind = slot[room];
    ssize_t length = read(fd, slot, room + 1);
    slot[room] = behind;
    return length;
  }
  uint8_t spill;
  struct iovec parts[2] = {{.iov_base = slot, .iov_len = room}, {.iov_base = &spill, .iov_len = 1}};
  return readv(fd, parts, 2);
}

int32_t tap_receive(int fd, const struct tap_burst *burst, int32_t room, struct tap_drops *drops, int *end) {
  int32_t filled = 0;
  *end = TAP_OK;
  /* As many reads as there are entries: a flood of frames that do not fit must not hold the loop here. */
  for (int32_t reads = 0; reads < burst->count; reads++) {
    int32_t offset = load(&burst->offsets[filled]);
    if (!inside(burst, offset, room)) {
      *end = TAP_OUT_OF_BOUNDS;
      break;
    }
    ssize_t length;
    do length = read_frame(fd, burst->memory + offset, (size_t)room, inside(burst, offset, room + 1));
    while (length < 0 && errno == EINTR);
    if (length < 0) {
      /* Out of memory is a matter of waiting; poll says when there is something again. */
      if (errno != EAGAIN && errno != ENOMEM && errno != ENOBUFS) *end = errno;
      break;
    }
    if (length > room) {
      drops->oversize++;
      continue;
    }
    burst->lengths[filled++] = (int32_t)length;
  }
  return filled;
}

enum outcome { SENT, NO_BUFFER, LINK_DOWN, INVALID, GONE };

/* Every errno of a write to a TAP. Those not named are the kernel refusing this one frame. */
static enum outcome classify(int number) {
  switch (number) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
      return NO_BUFFER;
    case EIO: /* the interface is down */
      return LINK_DOWN;
    case EBADFD: /* the interface was deleted */
    case EBADF:
    case ENODEV:
    case ENXIO:
      return GONE;
    default: /* EINVAL (no Ethernet header), EFAULT, EMSGSIZE ... */
      return INVALID;
  }
}

static enum outcome send_frame(int fd, const uint8_t *frame, int32_t length, int *end) {
  if (length < ETHERNET_HEADER) return INVALID;
  ssize_t sent;
  do sent = write(fd, frame, (size_t)length);
  while (sent < 0 && errno == EINTR);
  if (sent >= 0) return SENT;
  enum outcome outcome = classify(errno);
  if (outcome == GONE) *end = errno;
  return outcome;
}

int32_t tap_transmit(int fd, const struct tap_burst *burst, struct tap_drops *drops, int *end) {
  int32_t sent = 0;
  *end = TAP_OK;
  for (int32_t i = 0; i < burst->count; i++) {
    int32_t offset = load(&burst->offsets[i]);
    int32_t length = load(&burst->lengths[i]);
    if (!inside(burst, offset, length)) {
      *end = TAP_OUT_OF_BOUNDS;
      return i;
    }
    switch (send_frame(fd, burst->memory + offset, length, end)) {
      case SENT:
        sent++;
        break;
      case NO_BUFFER:
        drops->no_buffer++;
        break;
      case LINK_DOWN:
        drops->link_down++;
        break;
      case INVALID:
        drops->invalid++;
        break;
      case GONE:
        drops->link_down += (uint64_t)(burst->count - i);
        return sent;
    }
  }
  return sent;
}
