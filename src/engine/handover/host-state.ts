/** What a director has learned as a host, for its successor: neighbours, so that no packet waits for ARP, and path MTUs. */
import { formatAddress, tryParseAddress } from '../../address.ts';
import { PERMANENT } from '../../host/neighbours.ts';
import type { Parts } from '../parts.ts';

export interface HostState {
  /** The interface's name, the address, and the MAC address as two numbers (the upper 2 bytes, the lower 4). */
  readonly neighbours: readonly (readonly [string, string, number, number])[];
  /** The address, the MTU in bytes, and the ticks for which it is still believed. */
  readonly pathMtus: readonly (readonly [string, number, number])[];
}

/** More path MTUs than that are not taken over. */
const MAX_PATH_MTUS = 65_536;

export function exportHost({ host, time }: Parts): HostState {
  const neighbours: [string, string, number, number][] = [];
  for (const on of host.interfaces) {
    for (const family of [4, 6] as const) {
      for (const one of on.neighbours(family).values()) {
        if (!one.hasMac || one.state === PERMANENT) continue;
        neighbours.push([on.name, formatAddress(family, one.words), one.macHigh, one.macLow]);
      }
    }
  }
  return { neighbours, pathMtus: host.pathMtus(time.tick()) };
}

/**
 * Takes over what there is no better knowledge of. Neighbours are doubted: used at once, and asked soon whether they are
 * still there.
 * @param passedTicks how long ago it was written.
 */
export function importHost({ host, time }: Parts, state: unknown, passedTicks: number): void {
  const { neighbours, pathMtus } = (state ?? {}) as Partial<Record<keyof HostState, unknown>>;
  const tick = time.tick();
  for (const entry of list(neighbours)) {
    const [name, text, macHigh, macLow] = list(entry);
    const on = host.interfaces.find((one) => one.name === name);
    const address = typeof text === 'string' ? tryParseAddress(text) : undefined;
    if (on === undefined || address === undefined || !isUnicast(macHigh) || !Number.isInteger(macLow)) continue;
    const { family, words } = address;
    if (on.neighbours(family).get(words, 0)?.hasMac === true) continue;
    host.neighbours.learn(on, family, words, 0, macHigh, (macLow as number) | 0, true, false, tick);
  }
  for (const entry of list(pathMtus).slice(0, MAX_PATH_MTUS)) {
    const [text, mtu, ticks] = list(entry);
    const address = typeof text === 'string' ? tryParseAddress(text) : undefined;
    if (address === undefined || !Number.isInteger(mtu) || !Number.isInteger(ticks)) continue;
    host.restorePathMtu(
      formatAddress(address.family, address.words),
      mtu as number,
      (ticks as number) - passedTicks,
      tick,
    );
  }
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Whether these are the upper two bytes of a MAC address that one host has. */
function isUnicast(macHigh: unknown): macHigh is number {
  return (
    typeof macHigh === 'number' &&
    Number.isInteger(macHigh) &&
    macHigh >= 0 &&
    macHigh <= 0xffff &&
    (macHigh & 0x100) === 0
  );
}
