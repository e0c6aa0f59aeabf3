#include "arguments.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

static bool wrong_type(napi_env env, const char *name, const char *expected) {
  char message[128];
  snprintf(message, sizeof message, "%s must be %s", name, expected);
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
  return false;
}

bool get_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *arguments) {
  size_t given = count;
  if (napi_get_cb_info(env, info, &given, arguments, NULL, NULL) == napi_ok && given >= count) return true;
  char message[64];
  snprintf(message, sizeof message, "%zu arguments expected, %zu given", count, given);
  napi_throw_type_error(env, "ERR_MISSING_ARGS", message);
  return false;
}

bool get_integer(napi_env env, napi_value value, const char *name, int32_t least, int32_t most, int32_t *result) {
  double number;
  if (napi_get_value_double(env, value, &number) != napi_ok) return wrong_type(env, name, "a number");
  /* The range first: it keeps NaN and what no int32_t holds away from the conversion. */
  if (number >= least && number <= most && number == (int32_t)number) {
    *result = (int32_t)number;
    return true;
  }
  char message[128];
  snprintf(message, sizeof message, "%s must be a whole number from %d to %d, not %g", name, least, most, number);
  napi_throw_range_error(env, "ERR_OUT_OF_RANGE", message);
  return false;
}

bool get_boolean(napi_env env, napi_value value, const char *name, bool *result) {
  return napi_get_value_bool(env, value, result) == napi_ok || wrong_type(env, name, "a boolean");
}

bool get_text(napi_env env, napi_value value, const char *name, char *result, size_t size) {
  size_t length;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) return wrong_type(env, name, "a string");
  if (length < size) {
    napi_get_value_string_utf8(env, value, result, size, &length);
    if (strlen(result) == length) return true;
  }
  char message[128];
  snprintf(message, sizeof message, "%s must be shorter than %zu bytes, and without NUL", name, size);
  napi_throw_range_error(env, "ERR_OUT_OF_RANGE", message);
  return false;
}

/* Kinds of typed arrays that Node-API does not know are not said. */
#define UNKNOWN ((napi_typedarray_type)-1)

bool get_mac(napi_env env, napi_value value, const char *name, uint8_t *mac, bool *given) {
  napi_typedarray_type type = UNKNOWN;
  size_t length = 0;
  void *data;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, NULL, NULL) == napi_ok && type == napi_uint8_array &&
      (length == 0 || length == MAC_LENGTH)) {
    *given = length != 0;
    if (*given) memcpy(mac, data, MAC_LENGTH);
    return true;
  }
  return wrong_type(env, name, "a Uint8Array of 6 bytes or none");
}

static bool get_array(napi_env env, napi_value value, const char *name, napi_typedarray_type wanted,
                      const char *expected, void **data, size_t *length) {
  napi_typedarray_type type = UNKNOWN;
  /* Says itself whether it is one. */
  if (napi_get_typedarray_info(env, value, &type, length, data, NULL, NULL) == napi_ok && type == wanted) return true;
  return wrong_type(env, name, expected);
}

/* An Int32Array; `*least` becomes its length if that is less. */
static bool get_words(napi_env env, napi_value value, const char *name, int32_t **words, size_t *least) {
  void *data;
  size_t length;
  if (!get_array(env, value, name, napi_int32_array, "an Int32Array", &data, &length)) return false;
  *words = data;
  if (length < *least) *least = length;
  return true;
}

bool get_bytes(napi_env env, napi_value value, const char *name, uint8_t **bytes, size_t *size) {
  void *data;
  if (!get_array(env, value, name, napi_uint8_array, "a Uint8Array", &data, size)) return false;
  *bytes = data;
  return true;
}

bool get_burst(napi_env env, const napi_value *arrays, napi_value count, bool offload, struct burst *burst) {
  int32_t *offsets;
  size_t most = INT32_MAX;
  if (!get_bytes(env, arrays[0], "memory", &burst->memory, &burst->size)) return false;
  if (!get_words(env, arrays[1], "offsets", &offsets, &most)) return false;
  if (!get_words(env, arrays[2], "lengths", &burst->lengths, &most)) return false;
  burst->offsets = offsets;
  burst->partial = NULL;
  burst->segments = NULL;
  if (offload && (!get_words(env, arrays[3], "partial", &burst->partial, &most) ||
                  !get_words(env, arrays[4], "segments", &burst->segments, &most)))
    return false;
  return get_integer(env, count, "count", 0, (int32_t)most, &burst->count);
}

void throw_out_of_bounds(napi_env env, int32_t index) {
  char message[64];
  snprintf(message, sizeof message, "frame %d lies outside of the memory", index);
  napi_throw_range_error(env, "ERR_OUT_OF_RANGE", message);
}

bool set_number(napi_env env, napi_value object, const char *name, double number) {
  napi_value value;
  return napi_create_double(env, number, &value) == napi_ok &&
         napi_set_named_property(env, object, name, value) == napi_ok;
}

bool set_bytes(napi_env env, napi_value object, const char *name, const uint8_t *bytes, size_t count) {
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

static void set_text(napi_env env, napi_value object, const char *name, const char *text) {
  napi_value value;
  if (napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value) == napi_ok)
    napi_set_named_property(env, object, name, value);
}

napi_value make_system_error(napi_env env, const struct system_error *error, const char *device) {
  char code[32];
  char reason[128];
  uv_err_name_r(-error->number, code, sizeof code);
  uv_strerror_r(-error->number, reason, sizeof reason);
  /* libuv has no name for this one, and it is what a TAP answers once its interface was deleted. */
  if (error->number == EBADFD) {
    strcpy(code, "EBADFD");
    strcpy(reason, "file descriptor in bad state");
  }
  char message[512];
  int length = snprintf(message, sizeof message, "%s: %s, %s", code, reason, error->syscall);
  if (device[0] != '\0') snprintf(message + length, sizeof message - (size_t)length, " '%s'", device);

  napi_value text;
  napi_value result;
  napi_value number;
  if (napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &text) != napi_ok ||
      napi_create_error(env, NULL, text, &result) != napi_ok || napi_create_int32(env, -error->number, &number) != napi_ok)
    return NULL;
  set_text(env, result, "code", code);
  set_text(env, result, "syscall", error->syscall);
  set_text(env, result, "device", device);
  napi_set_named_property(env, result, "errno", number);
  return result;
}

void throw_system_error(napi_env env, const struct system_error *error, const char *device) {
  napi_value exception = make_system_error(env, error, device);
  if (exception != NULL) napi_throw(env, exception);
}
