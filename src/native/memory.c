#include "memory.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include "arguments.h"
#include "system.h"

#define LARGE_PAGE ((size_t)2 << 20)
/* More than any table takes, and what a size_t holds. */
#define MOST (sizeof(size_t) > 4 ? 0x1p40 : 0x1p30)

static void unmap(napi_env env, void *data, void *hint) {
  (void)env;
  munmap(data, (size_t)(uintptr_t)hint);
}

/* `size` bytes, a multiple of LARGE_PAGE, that begin at one; or NULL. */
static void *map_aligned(size_t size) {
  uint8_t *mapped = mmap(NULL, size + LARGE_PAGE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return NULL;
  uint8_t *begin = (uint8_t *)(((uintptr_t)mapped + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1));
  size_t before = (size_t)(begin - mapped);
  if (before > 0) munmap(mapped, before);
  if (before < LARGE_PAGE) munmap(begin + size, LARGE_PAGE - before);
  /* Only advice: without it everything works as well, on small pages. */
  madvise(begin, size, MADV_HUGEPAGE);
  return begin;
}

napi_value table_memory(napi_env env, napi_callback_info callback) {
  napi_value argument;
  napi_value result;
  double bytes;
  if (!get_arguments(env, callback, 1, &argument)) return NULL;
  if (napi_get_value_double(env, argument, &bytes) != napi_ok || !(bytes >= 1 && bytes <= MOST)) {
    napi_throw_range_error(env, NULL, "bytes must be a number from 1 to 2^40, or to 2^30 on 32-bit systems");
    return NULL;
  }
  size_t size = ((size_t)bytes + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1);
  void *memory = map_aligned(size);
  if (memory == NULL) {
    throw_system_error(env, &(struct system_error){errno, "mmap"}, "table");
    return NULL;
  }
  if (napi_create_external_arraybuffer(env, memory, (size_t)bytes, unmap, (void *)(uintptr_t)size, &result) == napi_ok)
    return result;
  munmap(memory, size);
  napi_throw_error(env, NULL, "this build of Node.js takes no memory of others");
  return NULL;
}
