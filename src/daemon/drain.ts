/** Letting a director run dry: no new connections, until the active ones have ended. */
import { setTimeout as pause } from 'node:timers/promises';
import { MASQ, TUNNEL } from '../conntrack/forward-method.ts';
import type { Control } from '../ipvsadm/control.ts';
import type { DestinationEntry, DestinationOptions, ServiceEntry, ServiceKey } from '../services/config.ts';
import { TUNNEL_CSUM, TUNNEL_GRE, TUNNEL_GUE, TUNNEL_REMCSUM } from '../services/destination.ts';

/** How often to look, in milliseconds. */
const LOOK_MS = 100;

/** The key of a service that a listing shows. */
export function keyOfEntry({ protocol, address, port, fwmark, family }: ServiceEntry): ServiceKey {
  return protocol === 'fwm' ? { fwmark, family } : { protocol, address, port };
}

/** The options of a server that a listing shows. */
export function optionsOfEntry(entry: DestinationEntry): DestinationOptions {
  const { method, weight, upperThreshold, lowerThreshold, tunnelType, tunnelPort, tunnelFlags } = entry;
  const thresholds = { weight, upperThreshold, lowerThreshold };
  if (method !== TUNNEL) return { method: method === MASQ ? 'masq' : 'route', ...thresholds };
  const type = tunnelType === TUNNEL_GUE ? 'gue' : tunnelType === TUNNEL_GRE ? 'gre' : 'ipip';
  const checksum = tunnelFlags === TUNNEL_CSUM ? 'csum' : tunnelFlags === TUNNEL_REMCSUM ? 'remcsum' : 'none';
  return { method: 'tunnel', ...thresholds, tunnel: { type, port: tunnelPort, checksum } };
}

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
