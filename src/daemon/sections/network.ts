/** `interfaces`, `routes`, `neighbours`: the director as a host. */
import { integer, list, object, text } from '../schema-parts.ts';
import type { Problem, Section } from '../section.ts';

export const interfaces: Section<'interfaces'> = {
  name: 'interfaces',
  schema: list(
    "The director's interfaces on the devices.",
    object(
      'An interface is a device, or a VLAN of one.',
      {
        device: text('The name of its device.'),
        name: text('Its own name, for routes and listings. Default: that of the device, with `.VLAN`.', {
          minLength: 1,
        }),
        vlan: integer('802.1Q VLAN id: the interface is that VLAN of the device. Default: untagged frames.', 1, 4094),
        addresses: list('Own addresses with prefix lengths.', text('An address: `192.0.2.1/24`, `2001:db8::1/64`.')),
      },
      ['device'],
    ),
    { minItems: 1 },
  ),
  check(value, { devices }): Problem[] {
    return value.flatMap(({ device }, i) =>
      devices.some(({ name }) => name === device)
        ? []
        : [{ path: ['interfaces', i, 'device'], message: 'must be the name of one of the devices' }],
    );
  },
};

export const routes: Section<'routes'> = {
  name: 'routes',
  schema: list(
    'Routes, as `ip route add` takes them.',
    object(
      'Each has `via` or `dev`.',
      {
        to: text('A network, or `default`.'),
        via: text('The gateway; without one the network is on the link of `dev`.'),
        dev: text("The interface's name. Default: the one whose network the gateway is in."),
      },
      ['to'],
    ),
  ),
};

export const neighbours: Section<'neighbours'> = {
  name: 'neighbours',
  schema: list(
    'Neighbours whose MAC address is known for good.',
    object(
      'Nobody asks for it.',
      {
        ip: text('Its address.'),
        mac: text('Its MAC address.'),
        dev: text("The interface's name."),
      },
      ['ip', 'mac', 'dev'],
    ),
  ),
};
