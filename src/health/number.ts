/** Options that are numbers with fractions. */
import { invalidOption } from '../errors.ts';

/** A number within bounds, or its default when it is not given. @throws DirectorError ERR_INVALID_OPTION */
export function number(option: string, value: number | undefined, min: number, max: number, otherwise: number): number {
  if (value === undefined) return otherwise;
  if (typeof value !== 'number' || !(value >= min && value <= max)) {
    throw invalidOption(option, value, `a number from ${min} to ${max}`);
  }
  return value;
}
