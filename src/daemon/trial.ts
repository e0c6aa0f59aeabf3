/**
 * Trying a configuration out: on a director with memory devices, which is set up as the real one will be and thrown away.
 * So whatever a director refuses is known before anything is changed, in the director's own words.
 */
import type { Device } from '../devices/device.ts';
import { MemoryDevice } from '../devices/memory.ts';
import { DirectorError } from '../errors.ts';
import { findAccount } from './accounts.ts';
import { buildDirector } from './build.ts';
import type { Configuration } from './configuration.ts';
import { checkQueues } from './devices.ts';
import { silentLog } from './log.ts';
import { emptyConfiguration } from './schema.ts';
import type { Path, Problem, Running } from './section.ts';
import { plan } from './sections.ts';

/** What a director would refuse of a configuration that keeps to the schema. */
export function tryOut(configuration: Configuration): Problem[] {
  const problems: Problem[] = [];
  const attempt = <T>(path: Path, action: () => T): T | undefined => {
    try {
      return action();
    } catch (error) {
      if (!(error instanceof DirectorError)) throw error;
      problems.push({ path: [...path, ...optionPath(error.option)], message: messageOf(error) });
      return undefined;
    }
  };
  const { user, group } = configuration.privileges;
  if (user !== undefined) attempt([], () => findAccount('privileges', user, group));
  const { user: owner, group: ownerGroup } = configuration.control;
  if (owner !== undefined) attempt([], () => findAccount('control', owner, ownerGroup));

  const devices = new Map<string, Device>();
  configuration.devices.forEach((one, i) => {
    const { name, mac } = one;
    const mtu = one.type === 'tap' ? one.mtu : undefined;
    const options = { name, ...(mac !== undefined && { mac }), ...(mtu !== undefined && { mtu }) };
    const device = attempt(['devices', i], () => {
      checkQueues(one, configuration.director.threads);
      return new MemoryDevice(options);
    });
    if (device !== undefined) devices.set(name, device);
  });
  if (problems.length > 0) return problems;
  const small = { maxConnections: Math.max(1, configuration.director.threads), spin: false };
  const director = attempt([], () => buildDirector(configuration, (name) => devices.get(name)!, small));
  if (director === undefined) return problems;
  const running: Running = {
    director,
    control: director,
    remote: director,
    logger: silentLog(),
    account: null,
    opened: new Map(),
  };
  for (const { path, apply } of plan(emptyConfiguration(), configuration, ({ triable }) => triable === true)) {
    attempt(path, () => void apply(running));
  }
  director.stop();
  return problems;
}

/** The option that an error names, as a path: `tunnel.port`, `interfaces[0].addresses[1]`. */
function optionPath(option: string | undefined): Path {
  // Of a server, directors say `destination.address`.
  const steps = option?.replace(/^destination\./, '').match(/[^.[\]]+/g) ?? [];
  return steps.map((step) => (/^\d+$/.test(step) ? Number(step) : step));
}

/** What an error says beside naming the option, which the path does. */
function messageOf({ message, option }: DirectorError): string {
  return option !== undefined && message.startsWith(`${option}: `) ? message.slice(option.length + 2) : message;
}
