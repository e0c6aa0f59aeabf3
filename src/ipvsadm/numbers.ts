const DECIMAL = /^[ \t\n\v\f\r]*[+-]?\d+$/;

/** Reads a decimal number as the C program does (blanks and a sign may lead); undefined outside `min` .. `max`. */
export function parseNumber(text: string, min: number, max: number): number | undefined {
  if (!DECIMAL.test(text)) return undefined;
  const number = Number(text);
  return number >= min && number <= max ? number + 0 : undefined;
}

/** Reads the digits that a text starts with, as C's `atoi` does: 0 where there are none, whatever follows is ignored. */
export function leadingNumber(text: string): number {
  return Number(/^[ \t\n\v\f\r]*([+-]?\d+)/.exec(text)?.[1] ?? 0);
}

/** Reads a firewall mark: 1 .. 4294967295. */
export function parseFwmark(text: string): number | undefined {
  return parseNumber(text, 1, 0xffff_ffff);
}
