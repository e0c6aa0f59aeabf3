/*
 * The addon: a TAP as an opaque handle and flat functions on it. JavaScript owns the interface to users, its checks
 * and its words; here every argument is checked once more, so that no call, however wrong, reaches memory it was not
 * given. There are no globals: all state hangs on the handles, and any number of worker threads may load the addon.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "device.h"
#include "tap.h"

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

/* { handles, name, mac, mtu, offload } of an open TAP, whose descriptors the handles own from now on. */
static napi_value describe(napi_env env, const struct tap_info *info, bool offload) {
  napi_value result;
  napi_value name;
  napi_value handles;
  bool ok = napi_create_object(env, &result) == napi_ok && napi_create_array(env, &handles) == napi_ok;
  for (int i = 0; i < info->queues; i++) {
    napi_value handle = ok ? make_device(env, info->fds[i], info->name, offload) : NULL;
    if (!ok) close(info->fds[i]);
    ok = handle != NULL && napi_set_element(env, handles, (uint32_t)i, handle) == napi_ok;
  }
  ok = ok && napi_set_named_property(env, result, "handles", handles) == napi_ok &&
       napi_create_string_utf8(env, info->name, NAPI_AUTO_LENGTH, &name) == napi_ok &&
       napi_set_named_property(env, result, "name", name) == napi_ok &&
       set_bytes(env, result, "mac", info->mac, TAP_MAC_LENGTH) && set_number(env, result, "mtu", info->mtu) &&
       set_number(env, result, "offload", info->offload);
  return ok ? result : NULL;
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

/* open(name, namespacePath, existence, mac, mtu, up, offload, queues) -> { handles, name, mac, mtu, offload } */
static napi_value open_tap(napi_env env, napi_callback_info callback) {
  napi_value arguments[8];
  struct tap_options options = {0};
  struct tap_info info;
  struct tap_error error;
  char path[4096];
  int32_t existence;
  int32_t mtu;
  int32_t queues;
  if (!get_arguments(env, callback, 8, arguments) ||
      !get_text(env, arguments[0], "name", options.name, sizeof options.name) ||
      !get_text(env, arguments[1], "namespacePath", path, sizeof path) ||
      !get_integer(env, arguments[2], "existence", TAP_ANY, TAP_NEW, &existence) ||
      !get_mac(env, arguments[3], &options) || !get_integer(env, arguments[4], "mtu", 0, INT32_MAX, &mtu) ||
      !get_boolean(env, arguments[5], "up", &options.up) ||
      !get_boolean(env, arguments[6], "offload", &options.offload) ||
      !get_integer(env, arguments[7], "queues", 0, TAP_MOST_QUEUES, &queues))
    return NULL;
  options.namespace_path = path[0] == '\0' ? NULL : path;
  options.existence = (enum tap_existence)existence;
  options.mtu = mtu;
  options.queues = queues;
  if (tap_open(&options, &info, &error)) return describe(env, &info, options.offload);
  throw_system_error(env, &error, options.name);
  return NULL;
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
    napi_throw_error(env, "ERR_INVALID_STATE", "the TAP was started before");
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
  struct tap_burst burst;
  int32_t room;
  if (!get_arguments(env, callback, 8, arguments)) return NULL;
  struct device *device = get_open_device(env, arguments[0]);
  if (device == NULL || !get_burst(env, &arguments[1], arguments[6], device->offload, &burst) ||
      !get_integer(env, arguments[7], "room", 0, INT32_MAX - 64, &room))
    return NULL;
  int end;
  int32_t filled = tap_receive(device->fd, &burst, room, &device->drops, &end);
  received_from(device);
  if (end == TAP_OUT_OF_BOUNDS) {
    throw_out_of_bounds(env, filled);
    return NULL;
  }
  if (end != TAP_OK) device->failure = end;
  return make_count(env, filled);
}

/* transmit(handle, memory, offsets, lengths, partial, segments, count) -> how many the kernel took */
static napi_value transmit(napi_env env, napi_callback_info callback) {
  napi_value arguments[7];
  struct tap_burst burst;
  if (!get_arguments(env, callback, 7, arguments)) return NULL;
  struct device *device = get_open_device(env, arguments[0]);
  if (device == NULL || !get_burst(env, &arguments[1], arguments[6], device->offload, &burst)) return NULL;
  int end;
  int32_t sent = tap_transmit(device->fd, &burst, &device->drops, &end);
  if (end == TAP_OUT_OF_BOUNDS) {
    throw_out_of_bounds(env, sent);
    return NULL;
  }
  if (end != TAP_OK) device->failure = end;
  return make_count(env, sent);
}

/* drops(handle) -> { oversize, noBuffer, linkDown, invalid, offload }; also of a closed device */
static napi_value drops(napi_env env, napi_callback_info callback) {
  napi_value argument;
  napi_value result;
  if (!get_arguments(env, callback, 1, &argument)) return NULL;
  const struct device *device = get_device(env, argument);
  if (device == NULL || napi_create_object(env, &result) != napi_ok ||
      !set_number(env, result, "oversize", (double)device->drops.oversize) ||
      !set_number(env, result, "noBuffer", (double)device->drops.no_buffer) ||
      !set_number(env, result, "linkDown", (double)device->drops.link_down) ||
      !set_number(env, result, "invalid", (double)device->drops.invalid) ||
      !set_number(env, result, "offload", (double)device->drops.offload))
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
