/** What is counted of a server's connections: indices of `Destination`'s counts. */
import { INACTIVE, TEMPLATE } from './layout.ts';

export const ACTIVE_CONNS = 0;
export const INACTIVE_CONNS = 1;
export const PERSISTENT_CONNS = 2;

/** Among which of them a connection with these flags is. */
export function countOf(flags: number): number {
  if ((flags & TEMPLATE) !== 0) return PERSISTENT_CONNS;
  return (flags & INACTIVE) !== 0 ? INACTIVE_CONNS : ACTIVE_CONNS;
}
