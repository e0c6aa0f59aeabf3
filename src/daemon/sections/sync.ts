/** `sync`: the daemons that tell other directors of connections, and learn of theirs. */
import { isDeepStrictEqual } from 'node:util';
import { DirectorError } from '../../errors.ts';
import { integer, list, object, oneOf, text } from '../schema-parts.ts';
import type { Change, Problem, Section } from '../section.ts';

export const sync: Section<'sync'> = {
  name: 'sync',
  schema: list(
    'Sync daemons, one of each role at most.',
    object(
      'As `ipvsadm --start-daemon`.',
      {
        role: oneOf('Whether it tells or learns.', ['master', 'backup']),
        mcastInterface: text("The director's interface that it uses. Default: the first one."),
        syncId: integer('Who belongs together; 0 takes every id.', 0, 255, { default: 0 }),
        syncMaxlen: integer('Largest message in bytes. Default: what the MTU allows.', 1, 65507),
        mcastGroup: text('The multicast group. Default: 224.0.0.81.'),
        mcastPort: integer('The UDP port.', 1, 65535, { default: 8848 }),
        mcastTtl: integer('How many routers it passes.', 1, 255, { default: 1 }),
      },
      ['role'],
    ),
  ),
  triable: true,
  check(value): Problem[] {
    return value.flatMap(({ role }, i) =>
      value.findIndex((other) => other.role === role) === i
        ? []
        : [{ path: ['sync', i, 'role'], message: 'is there already' }],
    );
  },
  plan(before, after): Change[] {
    const changes: Change[] = [];
    before.forEach((was, i) => {
      if (after.some((one) => isDeepStrictEqual(one, was))) return;
      changes.push({ path: ['sync', i], apply: ({ control }) => stopDaemon(() => control.stopDaemon(was.role)) });
    });
    after.forEach((one, i) => {
      if (before.some((was) => isDeepStrictEqual(one, was))) return;
      changes.push({
        path: ['sync', i],
        apply({ control }) {
          stopDaemon(() => control.stopDaemon(one.role));
          control.startDaemon(one);
        },
      });
    });
    return changes;
  },
};

/** Stops what may have been stopped by hand. */
function stopDaemon(stop: () => void): void {
  try {
    stop();
  } catch (error) {
    if (!(error instanceof DirectorError) || error.code !== 'ERR_NO_DAEMON') throw error;
  }
}
