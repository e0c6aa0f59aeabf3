/* Memory for large tables that are read in no order: on large pages, and aligned to them. */
#ifndef TAPVS_MEMORY_H
#define TAPVS_MEMORY_H

#include <node_api.h>

/*
 * memory(bytes) -> an ArrayBuffer of zeros. Pages that were never written take no memory. Throws a system error when the
 * system has no address space.
 */
napi_value table_memory(napi_env env, napi_callback_info callback);

#endif
