/*
 * System calls: how a failed one is told, and how some are made inside another network namespace.
 */
#ifndef TAPVS_SYSTEM_H
#define TAPVS_SYSTEM_H

#include <stdbool.h>

/* Bytes of an Ethernet address. */
#define MAC_LENGTH 6

/* Which system call failed, and how. */
struct system_error {
  int number;
  const char *syscall;
};

/* Fills in *error and returns false. */
bool failed(struct system_error *error, const char *syscall, int number);

/* Closes without touching errno. */
void close_quietly(int fd);

/*
 * Calls step(argument, error), which returns whether it succeeded, in the network namespace of the file at `path`; NULL
 * or "" is the caller's own. Returns what it returned, or false with *error filled in when the namespace cannot be
 * entered. The calling thread never leaves its own namespace.
 */
bool in_namespace(const char *path, bool (*step)(void *argument, struct system_error *error), void *argument,
                  struct system_error *error);

#endif
