/**
 * The sections of the configuration file, in the order in which a director is set up; it is taken apart in the opposite
 * one.
 */
import type { Configuration } from './configuration.ts';
import type { Change, Section } from './section.ts';
import { control } from './sections/control.ts';
import { devices } from './sections/devices.ts';
import { director } from './sections/director.ts';
import { handover } from './sections/handover.ts';
import { metrics } from './sections/metrics.ts';
import { interfaces, neighbours, routes } from './sections/network.ts';
import { log, privileges, stop } from './sections/process.ts';
import { services } from './sections/services.ts';
import { sync } from './sections/sync.ts';
import { marks, timeouts, tunables } from './sections/tunables.ts';

/** Every section. A new one is a file in `sections/`, a line here, and its type in `configuration.ts`. */
export const SECTIONS: readonly Section[] = [
  devices,
  interfaces,
  routes,
  neighbours,
  director,
  privileges,
  log,
  stop,
  handover,
  tunables,
  timeouts,
  marks,
  services,
  sync,
  control,
  metrics,
] as readonly Section[];

/** Which sections a plan is for. */
export type Which = (section: Section) => boolean;

/**
 * The steps from one configuration to another, in order: a pure function.
 * @param which leaves out sections. Default: none.
 */
export function plan(before: Configuration, after: Configuration, which: Which = () => true): Change[] {
  return SECTIONS.filter(which).flatMap(
    (section) => section.plan?.(before[section.name] as never, after[section.name] as never) ?? [],
  );
}
