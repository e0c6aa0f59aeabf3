/** What a director in threads cannot do, refused by name before anything is changed. */
import type { Configuration } from '../configuration.ts';
import { invalidOption } from '../errors.ts';
import type { DaemonOptions, ServiceKey, ServiceOptions } from '../services/config.ts';
import type { MarkRule } from '../services/marks.ts';
import { canBeCloned } from './messages.ts';

const DATA = 'plain data, which is all that a worker thread (`threads`) can be given';

/** Refuses an argument with functions in it: only data reaches a thread. */
export function refuseCode(arg: unknown): void {
  if (typeof arg !== 'object' || arg === null) return;
  for (const [option, value] of Object.entries(arg)) {
    if (!canBeCloned(value)) throw invalidOption(option, value, DATA);
  }
}

/** Refuses a configuration that no worker thread can be given. */
export function refuseConfiguration({ interfaces, schedulers, engines, random }: Configuration): void {
  interfaces.forEach(({ device }, i) => {
    if (device.transfer !== undefined) return;
    const wanted = 'a device that can be handed to a worker thread (`threads`)';
    throw invalidOption(`interfaces[${i}].device`, device, wanted);
  });
  if (random !== Math.random) throw invalidOption('random', random, DATA);
  for (const [option, list] of Object.entries({ schedulers, engines })) {
    list.forEach((one, i) => {
      if ('module' in one) return;
      throw invalidOption(`${option}[${i}]`, one, 'a module ({ module, export }), which a worker thread can load');
    });
  }
}

/**
 * Refuses, in several threads, persistence of clients with different addresses together: those of one address are in one
 * thread, and there it is exact.
 */
export function refuseSharing(key: ServiceKey, options: ServiceOptions | undefined): void {
  const { engine = '', netmask } = options ?? {};
  if (engine !== '') throw several('engine', engine, 'its clients may be in different ones');
  if (netmask === undefined) return;
  const isIpv6 =
    typeof key === 'object' && key !== null && 'address' in key ? String(key.address).includes(':') : key?.family === 6;
  const whole: readonly unknown[] = isIpv6 ? [128, '128'] : [32, '32', '255.255.255.255'];
  if (!whole.includes(netmask)) throw several('netmask', netmask, "a network's clients may be in different ones");
}

/** Refuses, in several threads, rules that take what is for other hosts: who its client is cannot be told beforehand. */
export function refuseLocalMark(rule: MarkRule): void {
  if (rule?.local === true) throw several('local', true, 'whose packet it is has to be known before');
}

/** Refuses sync daemons in several threads. */
export function refuseDaemon(options: DaemonOptions): void {
  throw several('role', options?.role, 'a daemon speaks for one thread');
}

function several(option: string, value: unknown, why: string): ReturnType<typeof invalidOption> {
  return invalidOption(option, value, `possible in several threads: ${why}`);
}
