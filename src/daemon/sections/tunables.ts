/** `tunables`, `timeouts`, `marks`: what a director's services share. */
import { isDeepStrictEqual } from 'node:util';
import { ProtocolTimeouts } from '../../conntrack/protocols.ts';
import type { Timeouts } from '../../services/config.ts';
import { type SysctlName, SysctlTable, SysctlValues, sysctlLimit, sysctlNames } from '../../sysctl.ts';
import { flag, integer, list, object, oneOf, text } from '../schema-parts.ts';
import type { Change, Schema, Section } from '../section.ts';

/** A director's tunables as they are in the beginning. */
const DEFAULTS = new SysctlTable(new SysctlValues(), () => {});

function tunable(name: SysctlName): Schema {
  const initial = DEFAULTS.text(name);
  if (name === 'sync_threshold') return text(`As in net.ipv4.vs.${name}: two numbers.`, { default: initial });
  return integer(`As in net.ipv4.vs.${name}.`, 0, sysctlLimit(name), { default: Number(initial) });
}

export const tunables: Section<'tunables'> = {
  name: 'tunables',
  schema: object(
    'The tunables of /proc/sys/net/ipv4/vs, with the defaults of the kernel.',
    Object.fromEntries(sysctlNames().map((name) => [name, tunable(name)])),
    [],
    { default: {} },
  ),
  triable: true,
  plan(before, after): Change[] {
    return Object.entries(after)
      .filter(([name, value]) => before[name] !== value)
      .map(([name, value]) => ({
        path: ['tunables', name],
        apply({ director, logger }) {
          director.sysctl.set(name, value);
          logger.info({ tunable: name, value }, 'tunable set');
        },
      }));
  },
};

const { tcp, tcpfin, udp } = new ProtocolTimeouts().get();
const MAX_TIMEOUT = 31 * 86_400;

export const timeouts: Section<'timeouts'> = {
  name: 'timeouts',
  schema: object(
    'The timeouts of `ipvsadm --set`, in seconds.',
    {
      tcp: integer('Of established TCP connections.', 1, MAX_TIMEOUT, { default: tcp }),
      tcpfin: integer('Of TCP connections after a FIN.', 1, MAX_TIMEOUT, { default: tcpfin }),
      udp: integer('Of UDP.', 1, MAX_TIMEOUT, { default: udp }),
    },
    [],
    { default: {} },
  ),
  triable: true,
  plan(before, after): Change[] {
    const changed = (Object.keys(after) as (keyof Timeouts)[]).filter((name) => before[name] !== after[name]);
    if (changed.length === 0) return [];
    const values = Object.fromEntries(changed.map((name) => [name, after[name]]));
    return [{ path: ['timeouts'], apply: ({ control }) => control.setTimeouts(values) }];
  },
};

const ports: Schema = {
  description: 'A port, or the first and last of a range.',
  oneOf: [
    { type: 'integer', minimum: 0, maximum: 65535 },
    { type: 'array', items: { type: 'integer', minimum: 0, maximum: 65535 }, minItems: 2, maxItems: 2 },
  ],
};

export const marks: Section<'marks'> = {
  name: 'marks',
  schema: list(
    'Rules that give packets firewall marks; the last that fits decides.',
    object(
      'Everything given must fit.',
      {
        protocol: oneOf('The protocol.', ['tcp', 'udp', 'sctp']),
        source: text('Source address or network.'),
        destination: text('Destination address or network.'),
        sourcePort: ports,
        destinationPort: ports,
        mark: integer('The mark.', 0, 2 ** 32 - 1),
        local: flag("Whether such packets are taken as the director's own wherever they go.", { default: false }),
      },
      ['mark'],
    ),
  ),
  triable: true,
  plan(before, after): Change[] {
    if (isDeepStrictEqual(before, after)) return [];
    return [
      {
        path: ['marks'],
        apply({ director, logger }) {
          director.marks.clear();
          for (const rule of after) director.marks.add(rule);
          logger.info({ rules: after.length }, 'firewall marks set');
        },
      },
    ];
  },
};
