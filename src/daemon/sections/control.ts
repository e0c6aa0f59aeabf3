/** `control`: the socket on which ipvsadm and other tools find the director. */
import { isDeepStrictEqual } from 'node:util';
import { DEFAULT_SOCKET } from '../../control/protocol.ts';
import { ControlServer } from '../../control/server.ts';
import { VERBS } from '../../control/verbs.ts';
import { findAccount } from '../accounts.ts';
import type { ControlConfiguration } from '../configuration.ts';
import { object, text } from '../schema-parts.ts';
import type { Change, Running, Section } from '../section.ts';

/** How long requests at hand may take when the socket is closed, in milliseconds. */
const GRACE_MS = 2000;

export const control: Section<'control'> = {
  name: 'control',
  schema: object(
    'The control socket. Whoever may write to it may change everything.',
    {
      socket: text('Its path.', { default: DEFAULT_SOCKET, pattern: '^/' }),
      mode: text('Who may use it, in octal digits (in quotes). Default: its owner.', {
        default: '0600',
        pattern: '^0?[0-7]{3}$',
      }),
      user: text('Its owner. Default: the user of `privileges`, or of the process.', { minLength: 1 }),
      group: text("Its group. Default: the owner's.", { minLength: 1 }),
    },
    [],
    { default: {}, dependencies: { group: ['user'] } },
  ),
  plan(before, after): Change[] {
    if (isDeepStrictEqual(before, after)) return [];
    return [{ path: ['control'], apply: (running) => reopen(running, after) }];
  },
};

/** Opens the socket that the file asks for, in the place of the one there is. */
async function reopen(running: Running, { socket: path, mode, user, group }: ControlConfiguration): Promise<void> {
  const { director, remote, logger, opened, account } = running;
  await opened.get('control')?.();
  opened.delete('control');
  const owner = user === undefined ? account : findAccount('control', user, group);
  const server = await ControlServer.listen({
    path,
    mode: Number.parseInt(mode, 8),
    ...(owner !== null && { owner }),
    verbs: VERBS,
    context: { director, control: remote, note: (what, details) => logger.info({ by: 'socket', ...details }, what) },
    onMistake: (verb, error) => logger.error({ verb, mistake: String(error) }, 'a verb failed by a mistake of its own'),
  });
  opened.set('control', () => server.close(GRACE_MS));
  logger.info({ mode }, 'control socket open');
}
