/* Telling a service manager: one datagram to a Unix socket, which Node.js cannot send. */
#ifndef TAPVS_NOTIFY_H
#define TAPVS_NOTIFY_H

#include <node_api.h>

/* notify(path, message): throws a system error when the datagram is not taken. A path that begins with @ is abstract. */
napi_value notify(napi_env env, napi_callback_info callback);

#endif
