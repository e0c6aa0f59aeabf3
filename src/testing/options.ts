/** What people write, checked and turned into numbers. All functions throw DirectorError ERR_INVALID_OPTION. */
import { parseAddress, parsePrefix } from '../address.ts';
import { invalidOption } from '../errors.ts';

export function readIpv4(text: string, option: string): number {
  const { family, words } = parseAddress(text, option);
  if (family !== 4) throw invalidOption(option, text, 'an IPv4 address');
  return words[0]!;
}

/** An address and the length of its prefix; the host bits stay. */
export function readIpv4Prefix(text: string, option: string): { readonly address: number; readonly length: number } {
  const { family, words, length } = parsePrefix(text, option);
  if (family !== 4) throw invalidOption(option, text, 'an IPv4 address with an optional prefix length');
  return { address: words[0]!, length };
}

export function isPort(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 65535;
}

export function checkPort(port: unknown, option: string): void {
  if (!isPort(port)) throw invalidOption(option, port, 'a port from 1 to 65535');
}
