/** Letting a director run dry: no new connections, until the active ones have ended. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Control } from '../ipvsadm/control.ts';
import { keyOfEntry, optionsOfEntry } from '../listing.ts';

/** How often to look, in milliseconds. */
const LOOK_MS = 100;

/** The connections that are active, as listings count them: established ones, with TCP. */
export function activeConnections(control: Control): number {
  let active = 0;
  for (const { destinations } of control.services()) for (const { activeConns } of destinations) active += activeConns;
  return active;
}

/**
 * Gives every server the weight 0 and waits for the active connections to end.
 * @param seconds how long, at most.
 * @param signal ends the waiting.
 * @returns how many are left.
 */
export async function drain(control: Control, seconds: number, signal: AbortSignal): Promise<number> {
  for (const service of control.services()) {
    for (const entry of service.destinations) {
      control.editDestination(keyOfEntry(service), entry, { ...optionsOfEntry(entry), weight: 0 });
    }
  }
  const deadlineMs = performance.now() + seconds * 1000;
  let active = activeConnections(control);
  while (active > 0 && performance.now() < deadlineMs && !signal.aborted) {
    await pause(LOOK_MS, undefined, { signal }).catch(() => {});
    active = activeConnections(control);
  }
  return active;
}
