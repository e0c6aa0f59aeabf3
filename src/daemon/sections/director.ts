/** `director`: what the director is built with. */
import { flag, integer, object } from '../schema-parts.ts';
import type { Section } from '../section.ts';

export const director: Section<'director'> = {
  name: 'director',
  schema: object(
    'The director itself.',
    {
      forwarding: flag("Whether packets for others are routed: NAT needs it for the servers' replies.", {
        default: false,
      }),
      claimVips: flag("Whether the address of a service becomes the director's own, so that ARP is answered for it.", {
        default: true,
      }),
      maxConnections: integer('Connections that there may be, for each of IPv4 and IPv6.', 1, 2 ** 25, {
        default: 2 ** 18,
      }),
      icmpErrorsPerSecond: integer('ICMP errors that may be sent per second.', 0, 1_000_000_000, { default: 1000 }),
      threads: integer(
        'In how many worker threads it works, each with a queue of every device. 0: in the one that reads this file and ' +
          'answers on the control socket.',
        0,
        16,
        { default: 0 },
      ),
      spin: flag('Whether it looks for frames without ever sleeping: a processor for each thread, for shorter waits.', {
        default: false,
      }),
    },
    [],
    { default: {} },
  ),
};
