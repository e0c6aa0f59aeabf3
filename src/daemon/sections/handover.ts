/** `handover`: how the next director goes on with this one's connections. */
import { integer, object, text } from '../schema-parts.ts';
import type { Section } from '../section.ts';

export const handover: Section<'handover'> = {
  name: 'handover',
  schema: object(
    'How the next director goes on with the connections of this one. Its devices must outlive it: `existing` TAPs, ' +
      'interfaces of the machine.',
    {
      file: text(
        'The file in which the state is left on SIGTERM, and taken over at the start. Its folder must be writable for the ' +
          'user of `privileges`. Default: none, and connections end with the director.',
        { pattern: '^/' },
      ),
      snapshotSeconds: integer(
        'How often the file is written while the director runs, for a successor of one that was killed. 0: never.',
        0,
        86_400,
        { default: 0 },
      ),
      maxAgeSeconds: integer('A file that is older is not taken over.', 1, 86_400, { default: 300 }),
    },
    [],
    { default: {} },
  ),
};
