/*
 * The program that brings an interface's frames to an AF_XDP socket, and its place on the interface.
 */
#ifndef TAPVS_XDP_PROGRAM_H
#define TAPVS_XDP_PROGRAM_H

#include <stdbool.h>

#include "system.h"

/* Where the program runs. */
enum xdp_mode {
  XDP_ANY,     /* native if the driver can, else generic */
  XDP_NATIVE,  /* in the driver, before the kernel makes a packet of its own of the frame */
  XDP_GENERIC, /* behind the driver: any interface, little gain */
};

struct xdp_program {
  int map;  /* queue -> socket */
  int link; /* the program's place on the interface, which it leaves when this is closed, also by the process's end */
  enum xdp_mode mode;
};

/*
 * Makes a program that gives the frames of `queue` to `socket` and all others to the kernel, and attaches it to the
 * interface. False with nothing left open.
 */
bool attach_program(struct xdp_program *program, int interface, int queue, int socket, enum xdp_mode mode,
                    struct system_error *error);

void detach_program(struct xdp_program *program);

#endif
