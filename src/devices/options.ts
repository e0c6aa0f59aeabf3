/** Checks that the options of several devices share. */
import { hostname } from 'node:os';
import { formatMac, type Mac, parseMac } from '../address.ts';
import { DirectorError, invalidOption } from '../errors.ts';
import type { TapSystemError } from '../native/binding.ts';

/**
 * Refuses options that are none, so that a misspelt one does not go unnoticed.
 * @throws DirectorError ERR_INVALID_OPTION
 */
export function checkKeys(options: object, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) throw invalidOption('options', options, 'an object');
  for (const [key, value] of Object.entries(options)) {
    if (!known.includes(key)) throw invalidOption(key, value, `an option; there are ${known.join(', ')}`);
  }
}

/** An integer from `least` to `most`. @throws DirectorError ERR_INVALID_OPTION */
export function checkInteger(option: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw invalidOption(option, value, `an integer from ${least} to ${most}`);
}

/** A device to wrap. @throws DirectorError ERR_INVALID_OPTION */
export function checkDevice(value: unknown): void {
  const device = value as { receive?: unknown; transmit?: unknown } | null | undefined;
  if (typeof device?.receive === 'function' && typeof device.transmit === 'function') return;
  throw invalidOption('device', value, 'a device');
}

/** The I/G bit: set in group addresses, which nobody can own. */
const GROUP_BIT = 0x0100;
const LOCALLY_ADMINISTERED_BIT = 0x0200;

/** The address of one interface: neither a group's nor all zero. @throws DirectorError ERR_INVALID_OPTION */
export function parseUnicastMac(text: string, option: string): Mac {
  const mac = parseMac(text, option);
  if ((mac.high & GROUP_BIT) !== 0 || (mac.high === 0 && mac.low === 0)) {
    throw invalidOption(option, text, 'a unicast MAC address');
  }
  return mac;
}

/**
 * A locally administered MAC address that is the same every time for the same device: a hash (FNV-1a, 32 bits, with two
 * seeds) of the device's name, the host's name and `scope`. The host's name is in it because two directors that back
 * each other up are called alike and sit on one network.
 */
export function stableMac(name: string, scope: string): string {
  const text = `${hostname()}\n${scope}\n${name}`;
  const high = (fnv1a(text, 0x811c9dc5) & ~GROUP_BIT & 0xffff) | LOCALLY_ADMINISTERED_BIT;
  return formatMac(high, fnv1a(text, 0x050c5d1f));
}

function fnv1a(text: string, seed: number): number {
  let hash = seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  // The last characters have reached only the lower bits; spread them.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return hash ^ (hash >>> 13);
}

/** The six bytes of the address of one interface. @throws DirectorError ERR_INVALID_OPTION */
export function bytesOfMac(text: string, option: string): Uint8Array {
  const { high, low } = parseUnicastMac(text, option);
  const bytes = new Uint8Array(6);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, high);
  view.setInt32(2, low);
  return bytes;
}

/** The text of an address of six bytes. */
export function textOfMac(bytes: readonly number[]): string {
  return formatMac(
    (bytes[0] << 8) | bytes[1],
    bytes.slice(2).reduce((word, byte) => (word << 8) | byte, 0),
  );
}

/** Where `ip netns` keeps its namespaces. */
const NAMESPACES = '/var/run/netns/';

/** The file of a network namespace, given that or the name that `ip netns` knows. @throws DirectorError ERR_INVALID_OPTION */
export function pathOfNamespace(namespace: string): string {
  const valid = typeof namespace === 'string' && namespace !== '' && namespace !== '.' && namespace !== '..';
  if (!valid || namespace.includes('\0')) {
    throw invalidOption('namespace', namespace, "a namespace's name or the path of its file");
  }
  return namespace.includes('/') ? namespace : NAMESPACES + namespace;
}

/** Whether the addon threw what the kernel said. */
export function isSystemError(error: unknown): error is TapSystemError {
  return error instanceof Error && 'syscall' in error;
}

/** The error for a device that failed in what it was doing. */
export function deviceError(name: string, problem: string, cause?: unknown): DirectorError {
  return new DirectorError('ERR_DEVICE', `${name}: ${problem}`, { cause });
}

/** The text of whatever was thrown, which need not be an Error. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
