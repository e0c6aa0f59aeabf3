/** The schedulers of Linux IPVS, and the interface to write another. */
import { dh } from './dh.ts';
import { fo } from './fo.ts';
import { lblc } from './lblc.ts';
import { lblcr } from './lblcr.ts';
import { lc } from './lc.ts';
import { mh } from './mh.ts';
import { nq } from './nq.ts';
import { ovf } from './ovf.ts';
import { rr } from './rr.ts';
import type { SchedulerFactory } from './scheduler.ts';
import { sed } from './sed.ts';
import { sh } from './sh.ts';
import { twos } from './twos.ts';
import { wlc } from './wlc.ts';
import { wrr } from './wrr.ts';

export type { Comparison, Reasoning } from './reasoning.ts';
export type {
  ScheduledPacket,
  ScheduledService,
  Scheduler,
  SchedulerContext,
  SchedulerFactory,
} from './scheduler.ts';
export { dh, fo, lblc, lblcr, lc, mh, nq, ovf, rr, sed, sh, twos, wlc, wrr };

/** The schedulers by the names that `-s` takes. */
export const SCHEDULERS: ReadonlyMap<string, SchedulerFactory> = new Map(
  [rr, wrr, lc, wlc, sed, nq, sh, dh, lblc, lblcr, fo, ovf, mh, twos].map((factory) => [factory.name, factory]),
);
