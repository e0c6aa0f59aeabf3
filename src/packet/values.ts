/** Values as people write them: the checks and conversions that the frame builder, the views and the printer share. */
import { formatAddress, parseAddress } from '../address.ts';
import { invalidOption } from '../errors.ts';
import { readAddress } from './ipv6.ts';

/**
 * The value itself.
 * @throws DirectorError ERR_INVALID_OPTION naming `option` where it is not an integer from 0 to `max`.
 */
export function integer(value: number, max: number, option: string): number {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw invalidOption(option, value, `an integer from 0 to ${max}`);
  }
  return value;
}

/** The text of an IPv4 address as accessors return it. */
export function ipv4Text(word: number): string {
  return formatAddress(4, Int32Array.of(word));
}

/** The text of the IPv6 address that lies at `at`. */
export function ipv6Text(view: DataView, at: number): string {
  const words = new Int32Array(4);
  readAddress(view, at, words, 0);
  return formatAddress(6, words);
}

/**
 * The word of an IPv4 address.
 * @throws DirectorError ERR_INVALID_OPTION naming `option`.
 */
export function ipv4Word(text: string, option: string): number {
  const address = parseAddress(text, option);
  if (address.family !== 4) throw invalidOption(option, text, 'an IPv4 address');
  return address.words[0]!;
}

/**
 * The four words of an IPv6 address.
 * @throws DirectorError ERR_INVALID_OPTION naming `option`.
 */
export function ipv6Words(text: string, option: string): Int32Array {
  const address = parseAddress(text, option);
  if (address.family !== 6) throw invalidOption(option, text, 'an IPv6 address');
  return address.words;
}
