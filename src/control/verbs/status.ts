/** The verb `status`: all that a screen shows of a director. */
import type { DirectorCounters } from '../../engine/engine.ts';
import type { TableFill } from '../../engine/workload.ts';
import type { ServiceHealthEntry } from '../../health/config.ts';
import type { ServiceEntry } from '../../services/config.ts';
import type { StatsSnapshot } from '../../services/stats.ts';
import { ControlError } from '../protocol.ts';
import type { Verb } from '../verb.ts';

/** One look at a director. */
export interface StatusAnswer {
  /** When, in milliseconds of a clock that never goes back. */
  readonly timeMs: number;
  readonly services: readonly ServiceEntry[];
  readonly health: readonly ServiceHealthEntry[];
  readonly statistics: StatsSnapshot;
  readonly counters: DirectorCounters;
  readonly tables: readonly TableFill[];
}

/** No parameters. Result: {@link StatusAnswer}. */
export const statusVerb: Verb = {
  name: 'status',
  run(parameters, { director }): StatusAnswer {
    if (Object.keys(parameters).length > 0) throw new ControlError('ERR_BAD_REQUEST', 'status has no parameters');
    return {
      timeMs: performance.now(),
      services: director.services(),
      health: director.health(),
      statistics: director.statistics(),
      counters: director.counters(),
      tables: director.workload({ states: false }).tables,
    };
  },
};
