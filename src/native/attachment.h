/*
 * What every way of attaching to an existing interface has in common: a packet socket on it, which holds its place in
 * the interface's address filter, and a look-out for the interface's end. Knows nothing of JavaScript.
 */
#ifndef TAPVS_ATTACHMENT_H
#define TAPVS_ATTACHMENT_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "system.h"

struct attachment_options {
  char interface[IFNAMSIZ];
  const char *namespace_path; /* file of a network namespace; NULL or "" is the caller's own */
  bool has_mac;
  uint8_t mac[MAC_LENGTH]; /* to receive beside the interface's own */
  bool promiscuous;        /* receive what is for any address */
};

struct attachment {
  int packet; /* packet socket: receives nothing until it is bound to a protocol; non-blocking, closed on exec */
  int events; /* epoll: readable when there is something to receive or to find out about the interface */
  int links;  /* route netlink: tells of interfaces that come and go */
  int index;
  int mtu;
  uint8_t mac[MAC_LENGTH];
  uint32_t full_receives; /* those that took as many frames as they might */
};

/* Finds the interface in the calling thread's network namespace. False with nothing left open. */
bool attach(const struct attachment_options *options, struct attachment *attachment, struct system_error *error);

/* Binds the packet socket to a protocol (host order), so that it receives. */
bool bind_packet_socket(const struct attachment *attachment, int protocol, struct system_error *error);

/* Wakes whoever polls `events` when `fd` is readable. */
bool watch(const struct attachment *attachment, int fd, struct system_error *error);

/*
 * Takes away what a packet socket once reports of an interface that went down: it would wake, and fail a call, when the
 * interface is up again. Returns whether there was such a report.
 */
bool was_down(const struct attachment *attachment);

/*
 * Looks for the reason of a wake-up that brought no frame. Returns ENODEV when the interface is gone (deleted, or moved to
 * another namespace), after which `events` stays readable; 0 otherwise.
 */
int look_for_end(const struct attachment *attachment);

/*
 * After a receive that took as many frames as it might: whether to ask the kernel what it lost, since who wants to know may
 * be in another thread. A ring that was full takes several such receives to empty, seven where its slots are largest, so
 * every fourth sees all of it; asking takes 300 ns, in bursts of 64 that is 1.2 ns a frame.
 */
static inline bool is_time_to_ask(struct attachment *attachment) {
  return ++attachment->full_receives % 4 == 0;
}

/* Closes everything. */
void detach(struct attachment *attachment);

#endif
