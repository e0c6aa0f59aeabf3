#include "notify.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "arguments.h"
#include "system.h"

/* Sends without waiting: a manager that does not listen must not stop a director. Returns 0 or errno. */
static int send_datagram(const struct sockaddr_un *address, socklen_t length, const char *message) {
  int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (sock < 0) return errno;
  size_t size = strlen(message);
  ssize_t sent = sendto(sock, message, size, MSG_NOSIGNAL, (const struct sockaddr *)address, length);
  int failure = sent < 0 ? errno : 0;
  close(sock);
  return failure;
}

napi_value notify(napi_env env, napi_callback_info callback) {
  napi_value arguments[2];
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char message[1024];
  if (!get_arguments(env, callback, 2, arguments) ||
      !get_text(env, arguments[0], "path", address.sun_path, sizeof address.sun_path) ||
      !get_text(env, arguments[1], "message", message, sizeof message))
    return NULL;
  /* The length counts: an abstract name is all of it, and has no closing NUL. */
  socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address.sun_path));
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  int failure = send_datagram(&address, length, message);
  if (failure != 0) throw_system_error(env, &(struct system_error){failure, "sendto"}, "notify");
  return NULL;
}
