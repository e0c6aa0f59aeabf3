import { formatAddress, maskWords } from '../address.ts';

/** The address with its host bits cleared. */
export function networkOf(address: number, length: number): number {
  return address & maskWords(length)[0]!;
}

/** The address as text. */
export function addressText(address: number): string {
  return formatAddress(4, Int32Array.of(address));
}
