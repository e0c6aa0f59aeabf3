/** `devices`: what the frames come from and go to. */
import { flag, INTERFACE_NAME, integer, list, object, oneOf, text } from '../schema-parts.ts';
import type { Problem, Section } from '../section.ts';

const tap = object(
  'A TAP: a wire with two ends, an interface of the kernel and the director.',
  {
    type: oneOf('What it is.', ['tap']),
    name: text("The name of the kernel's interface, at most 15 characters.", { pattern: INTERFACE_NAME }),
    namespace: text('The network namespace it is in: a name that `ip netns` knows, or the path of a namespace file.'),
    mac: text('The MAC address that the director uses. Default: one that is the same every time.'),
    kernelMac: text("The MAC address of the kernel's interface. Default: what the kernel gave it."),
    mtu: integer('Largest IP packet in bytes. Default: what the kernel has.', 68, 65521),
    up: flag("Whether to bring the kernel's interface up.", { default: true }),
    offload: flag('Whether checksums and segmentation are left to the other end, both ways.', { default: false }),
    io: oneOf(
      'How frames are written: all of a burst by one system call, or one by one.',
      ['auto', 'io_uring', 'burst'],
      {
        default: 'auto',
      },
    ),
    existing: flag(
      'true: attach to an interface that is there (`ip tuntap add`), which stays. false: fail if it is there. Default: ' +
        'attach to it, or make one that goes with the process.',
    ),
  },
  ['type', 'name'],
);

export const devices: Section<'devices'> = {
  name: 'devices',
  schema: list('What frames come from and go to.', tap, { minItems: 1 }),
  check(value, { interfaces }): Problem[] {
    return value.flatMap(({ name }, i) => {
      if (value.findIndex((other) => other.name === name) !== i)
        return [{ path: ['devices', i, 'name'], message: 'must be unique' }];
      if (!interfaces.some(({ device }) => device === name))
        return [{ path: ['devices', i, 'name'], message: 'must be used by one of the interfaces' }];
      return [];
    });
  },
};
