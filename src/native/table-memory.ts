/**
 * Memory for tables that are read in no order. On large pages the processor finds an address in one step where it needs
 * several on small ones: a look-up among a million connections is a third cheaper.
 */
import { loadBinding } from './binding.ts';

/** Smaller tables do not fill one large page. */
const LARGE_PAGE = 2 ** 21;

/** That many zeros. On large pages where the addon is there and the kernel has them, else ordinary memory. */
export function tableMemory(bytes: number): ArrayBuffer {
  if (bytes >= LARGE_PAGE) {
    try {
      return loadBinding().memory(bytes);
    } catch {
      // Not on Linux, the addon was not built, or this program may not map as much: Node's own memory is as good, but slower.
    }
  }
  return new ArrayBuffer(bytes);
}
