/** From a configuration to a director: its devices are given, everything else is in the file. */
import type { DirectorOptions } from '../configuration.ts';
import type { Device } from '../devices/device.ts';
import { Director } from '../director.ts';
import type { Configuration } from './configuration.ts';

/**
 * Builds the director of a configuration, with no services yet.
 * @param deviceOf the device of that name.
 * @param instead replaces options of the director.
 * @throws DirectorError ERR_INVALID_OPTION
 */
export function buildDirector(
  { interfaces, routes, neighbours, director }: Configuration,
  deviceOf: (name: string) => Device,
  instead: Partial<DirectorOptions> = {},
): Director {
  return new Director({
    interfaces: interfaces.map(({ device, ...others }) => ({ ...others, device: deviceOf(device) })),
    routes,
    neighbours,
    ...director,
    ...instead,
  });
}
