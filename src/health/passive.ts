/** What the packets of a server's connections say of its health. */
import type { HandshakeCounts } from '../services/config.ts';
import type { Suspicion } from './options.ts';

/**
 * Compares what was counted at two times.
 * @returns why the server should get no new connections for a while; null when nothing speaks against it.
 */
export function suspect(before: HandshakeCounts, now: HandshakeCounts, suspicion: Suspicion): string | null {
  const { connections, failing, count } = suspicion;
  const started = now.started - before.started;
  if (started < connections) return null;
  const failures = count.map((kind) => [kind, now[kind] - before[kind]] as const);
  const failed = failures.reduce((sum, [, some]) => sum + some, 0);
  if (failed / started < failing) return null;
  const kinds = failures.filter(([, some]) => some > 0).map(([kind, some]) => `${some} ${kind}`);
  return `${failed} failures in ${started} new connections: ${kinds.join(', ')}`;
}
