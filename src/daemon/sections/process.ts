/** `log`, `privileges`, `stop`: the process that the director runs in. */
import { integer, object, oneOf, text } from '../schema-parts.ts';
import type { Change, Section } from '../section.ts';

export const log: Section<'log'> = {
  name: 'log',
  schema: object(
    'The log: lines of JSON on standard output, one for each change, none for packets.',
    { level: oneOf('The least that is logged.', ['debug', 'info', 'warn', 'error'], { default: 'info' }) },
    [],
    { default: {} },
  ),
  plan(before, { level }): Change[] {
    if (before.level === level) return [];
    return [
      {
        path: ['log', 'level'],
        apply({ logger }) {
          logger.level = level;
        },
      },
    ];
  },
};

export const privileges: Section<'privileges'> = {
  name: 'privileges',
  schema: object(
    'Whom the process becomes once its devices and its control socket are open, when it was started by root.',
    {
      user: text('A user by name or number. Default: it stays who it is.', { minLength: 1 }),
      group: text("A group by name or number. Default: the user's own.", { minLength: 1 }),
    },
    [],
    { default: {}, dependencies: { group: ['user'] } },
  ),
};

export const stop: Section<'stop'> = {
  name: 'stop',
  schema: object(
    'How the process ends on SIGTERM.',
    {
      drainSeconds: integer(
        'How long to wait for active connections to end, while no new ones are taken. 0: not at all.',
        0,
        86_400,
        { default: 10 },
      ),
    },
    [],
    { default: {} },
  ),
  // Read when it is time.
  plan: () => [],
};
