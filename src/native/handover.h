/*
 * Devices on their way from one thread to another. What they have opened belongs to the process, but the handle to the
 * thread that made it; so they are left here, and whoever shows the ticket first takes one. Nobody can take one twice.
 */
#ifndef TAPVS_HANDOVER_H
#define TAPVS_HANDOVER_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "burst.h"

struct device_kind;

struct handover {
  const struct device_kind *kind;
  void *port;
  int fd;
  char name[IFNAMSIZ];
  bool offload;
  int failure; /* what the device has found out, and nobody was told of */
  struct drops *drops;
};

/* Leaves a device. Returns its ticket, from 1 on; 0 when there is no memory, and then it stays the caller's. */
uint32_t handover_leave(const struct handover *left);

/* Takes what was left for a ticket. False when nothing is, any more. */
bool handover_take(uint32_t ticket, struct handover *taken);

#endif
