/*
 * Arguments and errors at the border to JavaScript. Every function here that returns false (or NULL) has left a
 * JavaScript exception pending; the caller returns NULL at once.
 */
#ifndef TAPVS_ARGUMENTS_H
#define TAPVS_ARGUMENTS_H

#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "burst.h"
#include "system.h"

/* Fetches exactly `count` arguments. */
bool get_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *arguments);

/* A whole number between `least` and `most`. */
bool get_integer(napi_env env, napi_value value, const char *name, int32_t least, int32_t most, int32_t *result);

bool get_boolean(napi_env env, napi_value value, const char *name, bool *result);

/* A string of less than `size` bytes in UTF-8, without NUL bytes. */
bool get_text(napi_env env, napi_value value, const char *name, char *result, size_t size);

/* A MAC address as a Uint8Array of six bytes, or none when it is empty. */
bool get_mac(napi_env env, napi_value value, const char *name, uint8_t *mac, bool *given);

/* A Uint8Array. */
bool get_bytes(napi_env env, napi_value value, const char *name, uint8_t **bytes, size_t *size);

/*
 * The memory, offsets, lengths, partial and segments, and the count of a burst. The entries are not looked at, nor are
 * partial and segments without `offload`.
 */
bool get_burst(napi_env env, const napi_value *arrays, napi_value count, bool offload, struct burst *burst);

void throw_out_of_bounds(napi_env env, int32_t index);

bool set_number(napi_env env, napi_value object, const char *name, double number);

/* An array of numbers. */
bool set_bytes(napi_env env, napi_value object, const char *name, const uint8_t *bytes, size_t count);

/* An Error as Node makes them for system calls: message, code, errno, syscall; and the device's name. */
napi_value make_system_error(napi_env env, const struct system_error *error, const char *device);

void throw_system_error(napi_env env, const struct system_error *error, const char *device);

#endif
