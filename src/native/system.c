#include "system.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <unistd.h>
#include <uv.h>

bool failed(struct system_error *error, const char *syscall, int number) {
  error->number = number;
  error->syscall = syscall;
  return false;
}

/* EINTR needs no second try, Linux has let go of the descriptor by then. */
void close_quietly(int fd) {
  int saved = errno;
  close(fd);
  errno = saved;
}

struct visit {
  int namespace_fd;
  bool (*step)(void *argument, struct system_error *error);
  void *argument;
  struct system_error *error;
  bool ok;
};

static void make_visit(void *argument) {
  struct visit *visit = argument;
  if (setns(visit->namespace_fd, CLONE_NEWNET) < 0) visit->ok = failed(visit->error, "setns", errno);
  else visit->ok = visit->step(visit->argument, visit->error);
}

bool in_namespace(const char *path, bool (*step)(void *argument, struct system_error *error), void *argument,
                  struct system_error *error) {
  if (path == NULL || path[0] == '\0') return step(argument, error);

  /*
   * A network namespace belongs to a thread, a descriptor to the process. So a thread made for this one call visits
   * the namespace and ends there: the way back, which the kernel refuses to a process whose user namespace does not own
   * the namespace it came from, is not needed.
   * libuv's thread functions, since glibc moved pthread_create (2.34): the binary runs on the older ones as well.
   */
  struct visit visit = {.step = step, .argument = argument, .error = error};
  visit.namespace_fd = open(path, O_RDONLY | O_CLOEXEC);
  if (visit.namespace_fd < 0) return failed(error, "open", errno);
  uv_thread_t thread;
  int status = uv_thread_create(&thread, make_visit, &visit);
  if (status != 0) visit.ok = failed(error, "clone", -status);
  else uv_thread_join(&thread);
  close_quietly(visit.namespace_fd);
  return visit.ok;
}
