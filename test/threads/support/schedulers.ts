/** Schedulers as a user's module has them, for worker threads: one that works, and some that should not be. */
import type { SchedulerFactory } from '../../../src/index.ts';

/** The server that was added first. */
export const first: SchedulerFactory = {
  name: 'first',
  create: (service) => ({ schedule: () => service.destinations.at(-1) ?? null }),
};

export const number = 17;

/** Never comes back. */
export const endless: SchedulerFactory = {
  name: 'endless',
  create: () => {
    for (;;);
  },
};

/** Ends its thread. */
export const leaving: SchedulerFactory = { name: 'leaving', create: () => process.exit(3) };

export const throwing: SchedulerFactory = {
  name: 'throwing',
  create: () => ({
    schedule: () => {
      throw new Error('no idea');
    },
  }),
};
