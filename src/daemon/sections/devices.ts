/** `devices`: what the frames come from and go to. */
import { DEVICE_SCHEMAS } from '../devices.ts';
import { list } from '../schema-parts.ts';
import type { Problem, Section } from '../section.ts';

export const devices: Section<'devices'> = {
  name: 'devices',
  schema: list(
    'What frames come from and go to.',
    { type: 'object', required: ['type'], discriminator: { propertyName: 'type' }, oneOf: DEVICE_SCHEMAS },
    { minItems: 1 },
  ),
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
