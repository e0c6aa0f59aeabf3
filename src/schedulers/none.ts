import type { SchedulerFactory } from './scheduler.ts';

/** No scheduler: connections and templates that exist go on, and there are no new ones (`-s none`). */
export const none: SchedulerFactory = {
  name: 'none',
  create: () => ({
    schedule: () => null,
    explain: () => ({ choice: null, rule: 'there is no scheduler, so there are no new connections', compared: [] }),
  }),
};
