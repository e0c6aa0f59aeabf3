#include "attachment.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static bool look_up(const struct attachment_options *options, struct attachment *attachment,
                    struct system_error *error) {
  struct ifreq request = {0};
  memcpy(request.ifr_name, options->interface, IFNAMSIZ);
  if (ioctl(attachment->packet, SIOCGIFINDEX, &request) < 0) return failed(error, "ioctl SIOCGIFINDEX", errno);
  attachment->index = request.ifr_ifindex;
  if (ioctl(attachment->packet, SIOCGIFHWADDR, &request) < 0) return failed(error, "ioctl SIOCGIFHWADDR", errno);
  if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER) return failed(error, "ioctl SIOCGIFHWADDR", EAFNOSUPPORT);
  memcpy(attachment->mac, request.ifr_hwaddr.sa_data, MAC_LENGTH);
  if (ioctl(attachment->packet, SIOCGIFMTU, &request) < 0) return failed(error, "ioctl SIOCGIFMTU", errno);
  attachment->mtu = request.ifr_mtu;
  return true;
}

static bool join(const struct attachment *attachment, int type, const uint8_t *mac, struct system_error *error) {
  struct packet_mreq request = {.mr_ifindex = attachment->index, .mr_type = (unsigned short)type};
  if (mac != NULL) {
    request.mr_alen = MAC_LENGTH;
    memcpy(request.mr_address, mac, MAC_LENGTH);
  }
  if (setsockopt(attachment->packet, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request) < 0)
    return failed(error, "setsockopt PACKET_ADD_MEMBERSHIP", errno);
  return true;
}

/*
 * Opens the interface's address filter. All multicast, since nobody tells the kernel of the groups that the director is
 * in (neighbour discovery, sync daemons). The kernel takes all this back when the socket is closed.
 */
static bool open_filter(const struct attachment_options *options, const struct attachment *attachment,
                        struct system_error *error) {
  if (!join(attachment, PACKET_MR_ALLMULTI, NULL, error)) return false;
  if (options->promiscuous) return join(attachment, PACKET_MR_PROMISC, NULL, error);
  if (!options->has_mac || memcmp(options->mac, attachment->mac, MAC_LENGTH) == 0) return true;
  return join(attachment, PACKET_MR_UNICAST, options->mac, error);
}

/*
 * A packet socket reports only that its interface went down, which happens before it is gone, and never again; an AF_XDP
 * socket reports nothing at all. So route netlink is asked.
 */
static bool watch_links(struct attachment *attachment, struct system_error *error) {
  struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
  attachment->links = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (attachment->links < 0) return failed(error, "socket AF_NETLINK", errno);
  if (bind(attachment->links, (struct sockaddr *)&address, sizeof address) < 0)
    return failed(error, "bind AF_NETLINK", errno);
  attachment->events = epoll_create1(EPOLL_CLOEXEC);
  if (attachment->events < 0) return failed(error, "epoll_create1", errno);
  return watch(attachment, attachment->links, error);
}

bool attach(const struct attachment_options *options, struct attachment *attachment, struct system_error *error) {
  *attachment = (struct attachment){.packet = -1, .events = -1, .links = -1};
  attachment->packet = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (attachment->packet < 0) return failed(error, "socket AF_PACKET", errno);
  /* First the look-out, then the look: an interface that goes in between is noticed. */
  if (watch_links(attachment, error) && look_up(options, attachment, error) &&
      open_filter(options, attachment, error))
    return true;
  detach(attachment);
  return false;
}

bool bind_packet_socket(const struct attachment *attachment, int protocol, struct system_error *error) {
  struct sockaddr_ll address = {
      .sll_family = AF_PACKET, .sll_protocol = htons((uint16_t)protocol), .sll_ifindex = attachment->index};
  if (bind(attachment->packet, (struct sockaddr *)&address, sizeof address) == 0) return true;
  return failed(error, "bind AF_PACKET", errno);
}

bool watch(const struct attachment *attachment, int fd, struct system_error *error) {
  struct epoll_event event = {.events = EPOLLIN};
  if (epoll_ctl(attachment->events, EPOLL_CTL_ADD, fd, &event) == 0) return true;
  return failed(error, "epoll_ctl", errno);
}

/* Whether a netlink message says that the interface is gone. */
static bool tells_end(const struct nlmsghdr *message, int index) {
  const struct ifinfomsg *link = NLMSG_DATA(message);
  /* A bridge tells of ports that leave it, too. */
  return message->nlmsg_type == RTM_DELLINK && message->nlmsg_len >= NLMSG_LENGTH(sizeof *link) &&
         link->ifi_family == AF_UNSPEC && link->ifi_index == index;
}

static bool is_gone(const struct attachment *attachment) {
  _Alignas(struct nlmsghdr) char buffer[8192];
  for (;;) {
    ssize_t length = recv(attachment->links, buffer, sizeof buffer, 0);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0 && errno == ENOBUFS) {
      /* Messages were lost. */
      struct ifreq request = {.ifr_ifindex = attachment->index};
      if (ioctl(attachment->packet, SIOCGIFNAME, &request) < 0) return true;
      continue;
    }
    if (length < 0) return false;
    unsigned left = (unsigned)length;
    for (struct nlmsghdr *message = (struct nlmsghdr *)buffer; NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left))
      if (tells_end(message, attachment->index)) return true;
  }
}

bool was_down(const struct attachment *attachment) {
  int report = 0;
  socklen_t size = sizeof report;
  getsockopt(attachment->packet, SOL_SOCKET, SO_ERROR, &report, &size);
  return report == ENETDOWN;
}

int look_for_end(const struct attachment *attachment) {
  was_down(attachment);
  if (!is_gone(attachment)) return 0;
  /* A netlink socket is always writable. */
  struct epoll_event event = {.events = EPOLLOUT};
  epoll_ctl(attachment->events, EPOLL_CTL_MOD, attachment->links, &event);
  return ENODEV;
}

void detach(struct attachment *attachment) {
  int *const descriptors[] = {&attachment->events, &attachment->links, &attachment->packet};
  for (size_t i = 0; i < sizeof descriptors / sizeof *descriptors; i++) {
    if (*descriptors[i] >= 0) close_quietly(*descriptors[i]);
    *descriptors[i] = -1;
  }
}
