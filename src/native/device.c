#include "device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"

/*
 * The devices that handles of this thread point to: so a handle is told from whatever else JavaScript may pass for one. There
 * are few of them, and looking here takes a fifth of the time that asking the engine for a tag does.
 */
static _Thread_local struct device *devices;

static void forget(const struct device *device) {
  struct device **link = &devices;
  while (*link != NULL && *link != device) link = &(*link)->next;
  if (*link != NULL) *link = device->next;
}

static void free_device(struct device *device) {
  free(device->port);
  if (device->drops != NULL) drops_release(device->drops);
  free(device);
}

static void on_closed(uv_handle_t *handle) {
  struct device *device = handle->data;
  device->state = CLOSED;
  napi_remove_async_cleanup_hook(device->cleanup);
  if (device->collected) free_device(device);
}

static void stop_polling(struct device *device) {
  if (device->state == NOT_STARTED) {
    device->state = CLOSED;
  } else {
    device->state = CLOSING;
    napi_delete_reference(device->env, device->wake);
    /* Takes the descriptor out of epoll at once, so that it may be closed before the watcher is. */
    uv_close((uv_handle_t *)&device->watcher, on_closed);
  }
}

void close_device(struct device *device) {
  if (device->fd < 0) return;
  if (device->kind->count_missed != NULL) device->kind->count_missed(device);
  stop_polling(device);
  device->kind->release(device->port, device->fd);
  device->fd = -1;
}

void abandon_device(struct device *device) {
  stop_polling(device);
  device->fd = -1;
  device->port = NULL;
}

/* The handle was collected, or the environment ends. */
static void on_collected(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  struct device *device = data;
  close_device(device);
  forget(device);
  device->collected = true;
  if (device->state == CLOSED) free_device(device);
}

/* The environment (the process, a worker thread) ends: its loop must not, before the watcher is closed. */
static void on_environment_end(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  close_device(data);
}

/* Calls wake(error); what it throws becomes an uncaught exception, as from any other event. */
static void call_wake(struct device *device, int failure) {
  napi_env env = device->env;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value wake;
  napi_value receiver;
  napi_value argument;
  napi_status status = napi_get_reference_value(env, device->wake, &wake);
  if (status == napi_ok) status = napi_get_global(env, &receiver);
  if (status == napi_ok) status = napi_get_undefined(env, &argument);
  if (status == napi_ok) {
    if (failure != 0) argument = make_system_error(env, &(struct system_error){failure, "poll"}, device->name);
    status = napi_make_callback(env, NULL, receiver, wake, 1, &argument, NULL);
  }
  if (status == napi_pending_exception) {
    napi_value exception;
    if (napi_get_and_clear_last_exception(env, &exception) == napi_ok) napi_fatal_exception(env, exception);
  }
  napi_close_handle_scope(env, scope);
}

/*
 * Level-triggered: as long as there is something to read, this is called once a turn of the loop, and timers and
 * everything else get their turn in between. JavaScript that was woken but did not receive (it will later, or it is
 * busy) is not called again until it has: otherwise the loop would spin.
 */
static void on_readable(uv_poll_t *watcher, int status, int events) {
  (void)events;
  struct device *device = watcher->data;
  /* libuv reports POLLERR as an error, and the kernel sets it when the interface was deleted. */
  int failure = status < 0 ? ENODEV : device->failure;
  device->received = false;
  if (failure != 0) {
    uv_poll_stop(watcher);
    device->failure = failure;
    device->state = RESTING;
  }
  call_wake(device, failure);
  if (device->state == POLLING && !device->received) {
    /* A device never hangs up: this only waits for its end, and keeps the process alive meanwhile. */
    uv_poll_start(watcher, UV_DISCONNECT, on_readable);
    device->state = RESTING;
  }
}

struct device *get_device(napi_env env, napi_value value) {
  void *data = NULL;
  if (napi_get_value_external(env, value, &data) == napi_ok)
    for (struct device *device = devices; device != NULL; device = device->next)
      if (device == data) return device;
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "handle must be a device's");
  return NULL;
}

struct device *get_open_device(napi_env env, napi_value value) {
  struct device *device = get_device(env, value);
  if (device == NULL || device->fd >= 0) return device;
  napi_throw_error(env, "ERR_CLOSED", "the device is closed");
  return NULL;
}

napi_value make_device(napi_env env, const struct device_kind *kind, void *port, int fd, const char *name, bool offload) {
  struct device *device = calloc(1, sizeof *device);
  if (device != NULL) device->drops = drops_make();
  napi_value handle;
  if (device == NULL || device->drops == NULL) {
    free(device);
    kind->release(port, fd);
    free(port);
    napi_throw_error(env, "ENOMEM", "no memory for a device");
    return NULL;
  }
  device->kind = kind;
  device->port = port;
  device->env = env;
  device->fd = fd;
  device->offload = offload;
  strncpy(device->name, name, sizeof device->name - 1);
  if (napi_create_external(env, device, on_collected, NULL, &handle) == napi_ok) {
    device->next = devices;
    devices = device;
    return handle;
  }
  kind->release(port, fd);
  free_device(device);
  return NULL;
}

bool start_polling(struct device *device, napi_value wake) {
  napi_env env = device->env;
  uv_loop_t *loop;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return false;
  if (napi_create_reference(env, wake, 1, &device->wake) != napi_ok) return false;
  int status = uv_poll_init(loop, &device->watcher, device->fd);
  if (status < 0) {
    napi_delete_reference(env, device->wake);
    throw_system_error(env, &(struct system_error){-status, "epoll_ctl"}, device->name);
    return false;
  }
  device->watcher.data = device;
  device->state = POLLING;
  napi_add_async_cleanup_hook(env, on_environment_end, device, &device->cleanup);
  uv_poll_start(&device->watcher, UV_READABLE, on_readable);
  return true;
}

void received_from(struct device *device) {
  device->received = true;
  if (device->state != RESTING || device->failure != 0) return;
  device->state = POLLING;
  uv_poll_start(&device->watcher, UV_READABLE, on_readable);
}
