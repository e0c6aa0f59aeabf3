/*
 * The addon: a TAP as an opaque handle and flat functions on it. JavaScript owns the interface to users, its checks
 * and its words; here every argument is checked once more, so that no call, however wrong, reaches memory it was not
 * given. There are no globals: all state hangs on the handles, and any number of worker threads may load the addon.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "arguments.h"
#include "tap.h"

enum poll_state {
  NOT_STARTED, /* no wake-up asked for; libuv does not know the descriptor */
  POLLING,
  RESTING, /* woke JavaScript, which has not received since: no more calls until it does */
  CLOSING, /* libuv still holds the watcher, its last callback is to come */
  CLOSED,
};

/*
 * One open TAP. Lives until both its JavaScript handle is gone and libuv has let go of the watcher.
 */
struct device {
  napi_env env;
  int fd; /* -1 once closed */
  char name[IFNAMSIZ];
  struct tap_drops drops;
  int failure; /* errno by which a read or write found the interface gone; the watcher reports it */
  enum poll_state state;
  bool received;  /* receive was called since JavaScript was woken */
  bool collected; /* the JavaScript handle is gone */
  uv_poll_t watcher;
  napi_ref wake;                          /* the function to call, while started */
  napi_async_cleanup_hook_handle cleanup; /* while libuv holds the watcher */
};

/* Tells our handles from everything else that JavaScript may pass for one. */
static const napi_type_tag DEVICE_TAG = {0x2f1c6ad1b0a94e6bULL, 0x9c0b5d7e83f1a244ULL};

static void on_closed(uv_handle_t *handle) {
  struct device *device = handle->data;
  device->state = CLOSED;
  napi_remove_async_cleanup_hook(device->cleanup);
  if (device->collected) free(device);
}

/* Closes the device in whatever state it is; again does nothing. */
static void close_device(struct device *device) {
  if (device->fd < 0) return;
  if (device->state == NOT_STARTED) {
    device->state = CLOSED;
  } else {
    device->state = CLOSING;
    napi_delete_reference(device->env, device->wake);
    /* Takes the descriptor out of epoll at once, so that it may be closed before the watcher is. */
    uv_close((uv_handle_t *)&device->watcher, on_closed);
  }
  close(device->fd);
  device->fd = -1;
}

/* The handle was collected, or the environment ends. */
static void on_collected(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  struct device *device = data;
  close_device(device);
  device->collected = true;
  if (device->state == CLOSED) free(device);
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
    if (failure != 0) argument = make_system_error(env, &(struct tap_error){failure, "poll"}, device->name);
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
    /* A TAP never hangs up: this only waits for its end, and keeps the process alive meanwhile. */
    uv_poll_start(watcher, UV_DISCONNECT, on_readable);
    device->state = RESTING;
  }
}

static struct device *get_device(napi_env env, napi_value value) {
  bool ours = false;
  void *data = NULL;
  napi_valuetype type;
  if (napi_typeof(env, value, &type) == napi_ok && type == napi_object)
    napi_check_object_type_tag(env, value, &DEVICE_TAG, &ours);
  if (ours && napi_unwrap(env, value, &data) == napi_ok) return data;
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "handle must be a TAP's");
  return NULL;
}

/* The device of a call that needs it open; NULL with an exception pending. */
static struct device *get_open_device(napi_env env, napi_value value) {
  struct device *device = get_device(env, value);
  if (device == NULL || device->fd >= 0) return device;
  napi_throw_error(env, "ERR_CLOSED", "the TAP is closed");
  return NULL;
}

static napi_value throw_system_error(napi_env env, int number, const char *syscall, const char *name) {
  napi_value exception = make_system_error(env, &(struct tap_error){number, syscall}, name);
  if (exception != NULL) napi_throw(env, exception);
  return NULL;
}

static bool set_number(napi_env env, napi_value object, const char *name, double number) {
  napi_value value;
  return napi_create_double(env, number, &value) == napi_ok &&
         napi_set_named_property(env, object, name, value) == napi_ok;
}

static bool set_bytes(napi_env env, napi_value object, const char *name, const uint8_t *bytes, size_t count) {
  napi_value array;
  if (napi_create_array_with_length(env, count, &array) != napi_ok) return false;
  for (size_t i = 0; i < count; i++) {
    napi_value byte;
    if (napi_create_uint32(env, bytes[i], &byte) != napi_ok ||
        napi_set_element(env, array, (uint32_t)i, byte) != napi_ok)
      return false;
  }
  return napi_set_named_property(env, object, name, array) == napi_ok;
}

/* { handle, name, mac, mtu } of an open device. */
static napi_value describe(napi_env env, napi_value handle, const struct tap_info *info) {
  napi_value result;
  napi_value name;
  if (napi_create_object(env, &result) != napi_ok || napi_set_named_property(env, result, "handle", handle) != napi_ok ||
      napi_create_string_utf8(env, info->name, NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_set_named_property(env, result, "name", name) != napi_ok ||
      !set_bytes(env, result, "mac", info->mac, TAP_MAC_LENGTH) || !set_number(env, result, "mtu", info->mtu))
    return NULL;
  return result;
}

/* The address in the element of a length-6 array, or none when it is empty. */
static bool get_mac(napi_env env, napi_value value, struct tap_options *options) {
  bool is_typed_array = false;
  napi_typedarray_type type;
  size_t length = 0;
  void *data;
  napi_is_typedarray(env, value, &is_typed_array);
  if (is_typed_array && napi_get_typedarray_info(env, value, &type, &length, &data, NULL, NULL) == napi_ok &&
      type == napi_uint8_array && (length == 0 || length == TAP_MAC_LENGTH)) {
    options->has_mac = length != 0;
    if (options->has_mac) memcpy(options->mac, data, TAP_MAC_LENGTH);
    return true;
  }
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "mac must be a Uint8Array of 6 bytes or none");
  return false;
}

/* open(name, namespacePath, existence, mac, mtu, up) -> { handle, name, mac, mtu } */
static napi_value open_tap(napi_env env, napi_callback_info callback) {
  napi_value arguments[6];
  struct tap_options options = {0};
  struct tap_info info;
  struct tap_error error;
  char path[4096];
  int32_t existence;
  int32_t mtu;
  if (!get_arguments(env, callback, 6, arguments) ||
      !get_text(env, arguments[0], "name", options.name, sizeof options.name) ||
      !get_text(env, arguments[1], "namespacePath", path, sizeof path) ||
      !get_integer(env, arguments[2], "existence", TAP_ANY, TAP_NEW, &existence) ||
      !get_mac(env, arguments[3], &options) || !get_integer(env, arguments[4], "mtu", 0, INT32_MAX, &mtu) ||
      !get_boolean(env, arguments[5], "up", &options.up))
    return NULL;
  options.namespace_path = path[0] == '\0' ? NULL : path;
  options.existence = (enum tap_existence)existence;
  options.mtu = mtu;

  struct device *device = calloc(1, sizeof *device);
  if (device == NULL) return throw_system_error(env, ENOMEM, "malloc", options.name);
  if (!tap_open(&options, &info, &error)) {
    free(device);
    return throw_system_error(env, error.number, error.syscall, options.name);
  }
  device->env = env;
  device->fd = info.fd;
  memcpy(device->name, info.name, sizeof device->name);

  napi_value handle;
  if (napi_create_object(env, &handle) != napi_ok ||
      napi_type_tag_object(env, handle, &DEVICE_TAG) != napi_ok ||
      napi_wrap(env, handle, device, on_collected, NULL, NULL) != napi_ok) {
    close(device->fd);
    free(device);
    return NULL;
  }
  return describe(env, handle, &info);
}

/* start(handle, wake): from now on wake() is called when there is something to read, wake(error) when it is over. */
static napi_value start(napi_env env, napi_callback_info callback) {
  napi_value arguments[2];
  if (!get_arguments(env, callback, 2, arguments)) return NULL;
  struct device *device = get_open_device(env, arguments[0]);
  if (device == NULL) return NULL;
  napi_valuetype type;
  if (napi_typeof(env, arguments[1], &type) != napi_ok || type != napi_function) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "wake must be a function");
    return NULL;
  }
  if (device->state != NOT_STARTED) {
    napi_throw_error(env, "ERR_INVALID_STATE", "the TAP was started before");
    return NULL;
  }
  uv_loop_t *loop;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return NULL;
  if (napi_create_reference(env, arguments[1], 1, &device->wake) != napi_ok) return NULL;
  int status = uv_poll_init(loop, &device->watcher, device->fd);
  if (status < 0) {
    napi_delete_reference(env, device->wake);
    return throw_system_error(env, -status, "epoll_ctl", device->name);
  }
  device->watcher.data = device;
  device->state = POLLING;
  napi_add_async_cleanup_hook(env, on_environment_end, device, &device->cleanup);
  uv_poll_start(&device->watcher, UV_READABLE, on_readable);
  return NULL;
}

static napi_value make_count(napi_env env, int32_t count) {
  napi_value result;
  return napi_create_int32(env, count, &result) == napi_ok ? result : NULL;
}

/* receive(handle, memory, offsets, lengths, count, room) -> how many were filled */
static napi_value receive(napi_env env, napi_callback_info callback) {
  napi_value arguments[6];
  struct tap_burst burst;
  int32_t room;
  if (!get_arguments(env, callback, 6, arguments)) return NULL;
  struct device *device = get_open_device(env, arguments[0]);
  if (device == NULL || !get_burst(env, &arguments[1], arguments[4], &burst) ||
      !get_integer(env, arguments[5], "room", 0, INT32_MAX - 1, &room))
    return NULL;
  int end;
  int32_t filled = tap_receive(device->fd, &burst, room, &device->drops, &end);
  device->received = true;
  if (device->state == RESTING && device->failure == 0) {
    device->state = POLLING;
    uv_poll_start(&device->watcher, UV_READABLE, on_readable);
  }
  if (end == TAP_OUT_OF_BOUNDS) {
    throw_out_of_bounds(env, filled);
    return NULL;
  }
  if (end != TAP_OK) device->failure = end;
  return make_count(env, filled);
}

/* transmit(handle, memory, offsets, lengths, count) -> how many the kernel took */
static napi_value transmit(napi_env env, napi_callback_info callback) {
  napi_value arguments[5];
  struct tap_burst burst;
  if (!get_arguments(env, callback, 5, arguments)) return NULL;
  struct device *device = get_open_device(env, arguments[0]);
  if (device == NULL || !get_burst(env, &arguments[1], arguments[4], &burst)) return NULL;
  int end;
  int32_t sent = tap_transmit(device->fd, &burst, &device->drops, &end);
  if (end == TAP_OUT_OF_BOUNDS) {
    throw_out_of_bounds(env, sent);
    return NULL;
  }
  if (end != TAP_OK) device->failure = end;
  return make_count(env, sent);
}

/* drops(handle) -> { oversize, noBuffer, linkDown, invalid }; also of a closed device */
static napi_value drops(napi_env env, napi_callback_info callback) {
  napi_value argument;
  napi_value result;
  if (!get_arguments(env, callback, 1, &argument)) return NULL;
  const struct device *device = get_device(env, argument);
  if (device == NULL || napi_create_object(env, &result) != napi_ok ||
      !set_number(env, result, "oversize", (double)device->drops.oversize) ||
      !set_number(env, result, "noBuffer", (double)device->drops.no_buffer) ||
      !set_number(env, result, "linkDown", (double)device->drops.link_down) ||
      !set_number(env, result, "invalid", (double)device->drops.invalid))
    return NULL;
  return result;
}

/* close(handle): in any state, also from inside wake, also again */
static napi_value close_tap(napi_env env, napi_callback_info callback) {
  napi_value argument;
  if (!get_arguments(env, callback, 1, &argument)) return NULL;
  struct device *device = get_device(env, argument);
  if (device != NULL) close_device(device);
  return NULL;
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {.utf8name = "open", .method = open_tap, .attributes = napi_enumerable},
      {.utf8name = "start", .method = start, .attributes = napi_enumerable},
      {.utf8name = "receive", .method = receive, .attributes = napi_enumerable},
      {.utf8name = "transmit", .method = transmit, .attributes = napi_enumerable},
      {.utf8name = "drops", .method = drops, .attributes = napi_enumerable},
      {.utf8name = "close", .method = close_tap, .attributes = napi_enumerable},
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
  return exports;
}
