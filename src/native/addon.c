/*
 * The addon: devices as opaque handles and flat functions on them. JavaScript owns the interface to users, its checks
 * and its words; here every argument is checked once more, so that no call, however wrong, reaches memory it was not
 * given. State hangs on the handles, and any number of worker threads may load the addon; what they share is handover.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "device.h"
#include "handover.h"
#include "memory.h"
#include "notify.h"
#include "packet-addon.h"
#include "tap.h"
#include "uring.h"

static int32_t receive_from_tap(struct device *device, const struct burst *burst, int32_t room, int *end) {
  return tap_receive(device->fd, burst, room, device->drops, end);
}

static int32_t transmit_to_tap(struct device *device, const struct burst *burst, int *end) {
  return tap_transmit(device->fd, burst, device->drops, end);
}

static void release_tap(void *port, int fd) {
  (void)port;
  close(fd);
}

static const struct device_kind TAP = {
    .receive = receive_from_tap, .transmit = transmit_to_tap, .release = release_tap};

static int32_t transmit_by_ring(struct device *device, const struct burst *burst, int *end) {
  return uring_transmit(device->port, burst, device->drops, end);
}

/* Only the thread that made it may submit to a ring. */
static void leave_ring(struct device *device) {
  uring_close(device->port);
  free(device->port);
  device->port = NULL;
  device->kind = &TAP;
}

static void release_tap_and_ring(void *port, int fd) {
  uring_close(port);
  close(fd);
}

static const struct device_kind TAP_WITH_RING = {
    .receive = receive_from_tap,
    .transmit = transmit_by_ring,
    .leave_behind = leave_ring,
    .release = release_tap_and_ring,
};

static bool is_tap(napi_env env, const struct device *device) {
  if (device->kind == &TAP || device->kind == &TAP_WITH_RING) return true;
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "handle must be a TAP's");
  return false;
}

/* A counter that another thread may be counting. */
static bool set_counter(napi_env env, napi_value object, const char *name, const uint64_t *counter) {
  return set_number(env, object, name, (double)__atomic_load_n(counter, __ATOMIC_RELAXED));
}

/* { handles, name, mac, mtu, offload } of an open TAP, whose descriptors the handles own from now on. */
static napi_value describe(napi_env env, const struct tap_info *info, bool offload) {
  napi_value result;
  napi_value name;
  napi_value handles;
  bool ok = napi_create_object(env, &result) == napi_ok && napi_create_array(env, &handles) == napi_ok;
  for (int i = 0; i < info->queues; i++) {
    napi_value handle = ok ? make_device(env, &TAP, NULL, info->fds[i], info->name, offload) : NULL;
    if (!ok) close(info->fds[i]);
    ok = handle != NULL && napi_set_element(env, handles, (uint32_t)i, handle) == napi_ok;
  }
  ok = ok && napi_set_named_property(env, result, "handles", handles) == napi_ok &&
       napi_create_string_utf8(env, info->name, NAPI_AUTO_LENGTH, &name) == napi_ok &&
       napi_set_named_property(env, result, "name", name) == napi_ok &&
       set_bytes(env, result, "mac", info->mac, MAC_LENGTH) && set_number(env, result, "mtu", info->mtu) &&
       set_number(env, result, "offload", info->offload);
  return ok ? result : NULL;
}

/* open(name, namespacePath, existence, mac, mtu, up, offload, queues) -> { handles, name, mac, mtu, offload } */
static napi_value open_tap(napi_env env, napi_callback_info callback) {
  napi_value arguments[8];
  struct tap_options options = {0};
  struct tap_info info;
  struct system_error error;
  char path[4096];
  int32_t existence;
  int32_t mtu;
  int32_t queues;
  if (!get_arguments(env, callback, 8, arguments) ||
      !get_text(env, arguments[0], "name", options.name, sizeof options.name) ||
      !get_text(env, arguments[1], "namespacePath", path, sizeof path) ||
      !get_integer(env, arguments[2], "existence", TAP_ANY, TAP_NEW, &existence) ||
      !get_mac(env, arguments[3], "mac", options.mac, &options.has_mac) ||
      !get_integer(env, arguments[4], "mtu", 0, INT32_MAX, &mtu) ||
      !get_boolean(env, arguments[5], "up", &options.up) ||
      !get_boolean(env, arguments[6], "offload", &options.offload) ||
      !get_integer(env, arguments[7], "queues", 0, TAP_MOST_QUEUES, &queues))
    return NULL;
  options.namespace_path = path;
  options.existence = (enum tap_existence)existence;
  options.mtu = mtu;
  options.queues = queues;
  if (tap_open(&options, &info, &error)) return describe(env, &info, options.offload);
  throw_system_error(env, &error, options.name);
  return NULL;
}

/* useRing(handle): from now on bursts are written by io_uring */
static napi_value use_ring(napi_env env, napi_callback_info callback) {
  napi_value argument;
  struct system_error error;
  if (!get_arguments(env, callback, 1, &argument)) return NULL;
  struct device *device = get_open_device(env, argument);
  if (device == NULL || !is_tap(env, device) || device->port != NULL) return NULL;
  struct uring *ring = uring_open(device->fd, &error);
  if (ring == NULL) {
    throw_system_error(env, &error, device->name);
    return NULL;
  }
  device->port = ring;
  device->kind = &TAP_WITH_RING;
  return NULL;
}

/* registerMemory(handle, memory) -> whether bursts are written from it by a ring that knows it */
static napi_value register_memory(napi_env env, napi_callback_info callback) {
  napi_value arguments[2];
  napi_value result;
  uint8_t *memory;
  size_t size;
  if (!get_arguments(env, callback, 2, arguments)) return NULL;
  struct device *device = get_open_device(env, arguments[0]);
  if (device == NULL || !is_tap(env, device) || !get_bytes(env, arguments[1], "memory", &memory, &size)) return NULL;
  bool registered = device->kind == &TAP_WITH_RING && uring_register(device->port, memory, size);
  return napi_get_boolean(env, registered, &result) == napi_ok ? result : NULL;
}

/* start(handle, wake): from now on wake() is called when there is something to read, wake(error) when it is over. */
static napi_value start(napi_env env, napi_callback_info callback) {
  napi_value arguments[2];
  if (!get_arguments(env, callback, 2, arguments)) return NULL;
  struct device *device = get_open_device(env, arguments[0]);
  if (device == NULL) return NULL;
  napi_valuetype type;
  if (napi_typeof(env, arguments[1], &type) != napi_ok || type != napi_function)
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "wake must be a function");
  else if (device->state != NOT_STARTED)
    napi_throw_error(env, "ERR_INVALID_STATE", "the device was started before");
  else
    start_polling(device, arguments[1]);
  return NULL;
}

static napi_value make_count(napi_env env, int32_t count) {
  napi_value result;
  return napi_create_int32(env, count, &result) == napi_ok ? result : NULL;
}

/* receive(handle, memory, offsets, lengths, partial, segments, count, room) -> how many were filled */
static napi_value receive(napi_env env, napi_callback_info callback) {
  napi_value arguments[8];
  struct burst burst;
  int32_t room;
  if (!get_arguments(env, callback, 8, arguments)) return NULL;
  struct device *device = get_open_device(env, arguments[0]);
  if (device == NULL || !get_burst(env, &arguments[1], arguments[6], device->offload, &burst) ||
      !get_integer(env, arguments[7], "room", 0, INT32_MAX - 64, &room))
    return NULL;
  int end;
  int32_t filled = device->kind->receive(device, &burst, room, &end);
  received_from(device);
  if (end == BURST_OUT_OF_BOUNDS) {
    throw_out_of_bounds(env, filled);
    return NULL;
  }
  if (end != BURST_OK) device->failure = end;
  return make_count(env, filled);
}

/* transmit(handle, memory, offsets, lengths, partial, segments, count) -> how many the kernel took */
static napi_value transmit(napi_env env, napi_callback_info callback) {
  napi_value arguments[7];
  struct burst burst;
  if (!get_arguments(env, callback, 7, arguments)) return NULL;
  struct device *device = get_open_device(env, arguments[0]);
  if (device == NULL || !get_burst(env, &arguments[1], arguments[6], device->offload, &burst)) return NULL;
  int end;
  int32_t sent = device->kind->transmit(device, &burst, &end);
  if (end == BURST_OUT_OF_BOUNDS) {
    throw_out_of_bounds(env, sent);
    return NULL;
  }
  if (end != BURST_OK) device->failure = end;
  return make_count(env, sent);
}

/* drops(handle) -> { oversize, noBuffer, linkDown, invalid, offload, missed? }; also of a closed or detached device */
static napi_value drops(napi_env env, napi_callback_info callback) {
  napi_value argument;
  napi_value result;
  if (!get_arguments(env, callback, 1, &argument)) return NULL;
  struct device *device = get_device(env, argument);
  if (device == NULL) return NULL;
  const struct drops *counted = device->drops;
  const bool misses = device->kind->count_missed != NULL;
  /* Of a device that was handed on the thread that has it asks the kernel. */
  if (misses && device->fd >= 0) device->kind->count_missed(device);
  if (napi_create_object(env, &result) != napi_ok || !set_counter(env, result, "oversize", &counted->oversize) ||
      !set_counter(env, result, "noBuffer", &counted->no_buffer) ||
      !set_counter(env, result, "linkDown", &counted->link_down) ||
      !set_counter(env, result, "invalid", &counted->invalid) ||
      !set_counter(env, result, "offload", &counted->offload) ||
      (misses && !set_counter(env, result, "missed", &counted->missed)))
    return NULL;
  return result;
}

/* detach(handle) -> a ticket; the handle is closed, what it had open is left for the thread that shows the ticket */
static napi_value detach(napi_env env, napi_callback_info callback) {
  napi_value argument;
  napi_value result;
  if (!get_arguments(env, callback, 1, &argument)) return NULL;
  struct device *device = get_open_device(env, argument);
  if (device == NULL) return NULL;
  if (device->kind->leave_behind != NULL) device->kind->leave_behind(device);
  struct handover left = {.kind = device->kind,
                          .port = device->port,
                          .fd = device->fd,
                          .offload = device->offload,
                          .failure = device->failure,
                          .drops = device->drops};
  memcpy(left.name, device->name, sizeof left.name);
  drops_hold(left.drops);
  abandon_device(device);
  uint32_t ticket = handover_leave(&left);
  if (ticket == 0) {
    left.kind->release(left.port, left.fd);
    free(left.port);
    drops_release(left.drops);
    throw_system_error(env, &(struct system_error){ENOMEM, "malloc"}, device->name);
    return NULL;
  }
  return napi_create_uint32(env, ticket, &result) == napi_ok ? result : NULL;
}

/* adopt(ticket) -> the handle of what was detached, or null when nothing is left for this ticket */
static napi_value adopt(napi_env env, napi_callback_info callback) {
  napi_value argument;
  napi_value result;
  int32_t ticket;
  struct handover taken;
  if (!get_arguments(env, callback, 1, &argument) || !get_integer(env, argument, "ticket", 1, INT32_MAX, &ticket))
    return NULL;
  if (!handover_take((uint32_t)ticket, &taken)) return napi_get_null(env, &result) == napi_ok ? result : NULL;
  result = make_device(env, taken.kind, taken.port, taken.fd, taken.name, taken.offload);
  struct device *device = result != NULL ? get_device(env, result) : NULL;
  if (device == NULL) {
    drops_release(taken.drops);
    return NULL;
  }
  device->failure = taken.failure;
  drops_release(device->drops);
  device->drops = taken.drops;
  return result;
}

/* close(handle): in any state, also from inside wake, also again */
static napi_value close_handle(napi_env env, napi_callback_info callback) {
  napi_value argument;
  if (!get_arguments(env, callback, 1, &argument)) return NULL;
  struct device *device = get_device(env, argument);
  if (device != NULL) close_device(device);
  return NULL;
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {.utf8name = "open", .method = open_tap, .attributes = napi_enumerable},
      {.utf8name = "useRing", .method = use_ring, .attributes = napi_enumerable},
      {.utf8name = "registerMemory", .method = register_memory, .attributes = napi_enumerable},
      {.utf8name = "start", .method = start, .attributes = napi_enumerable},
      {.utf8name = "receive", .method = receive, .attributes = napi_enumerable},
      {.utf8name = "transmit", .method = transmit, .attributes = napi_enumerable},
      {.utf8name = "drops", .method = drops, .attributes = napi_enumerable},
      {.utf8name = "detach", .method = detach, .attributes = napi_enumerable},
      {.utf8name = "adopt", .method = adopt, .attributes = napi_enumerable},
      {.utf8name = "close", .method = close_handle, .attributes = napi_enumerable},
      {.utf8name = "memory", .method = table_memory, .attributes = napi_enumerable},
      {.utf8name = "notify", .method = notify, .attributes = napi_enumerable},
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
  define_packet_functions(env, exports);
  return exports;
}
