/** Pieces that the sections' schemas are made of. */
import type { Schema } from './section.ts';

/** Text. */
export function text(description: string, more: Schema = {}): Schema {
  return { type: 'string', description, ...more };
}

/** An integer from `minimum` to `maximum`. */
export function integer(description: string, minimum: number, maximum: number, more: Schema = {}): Schema {
  return { type: 'integer', description, minimum, maximum, ...more };
}

/** A number from `minimum` to `maximum`, which may have a fraction. */
export function number(description: string, minimum: number, maximum: number, more: Schema = {}): Schema {
  return { type: 'number', description, minimum, maximum, ...more };
}

/** True or false. */
export function flag(description: string, more: Schema = {}): Schema {
  return { type: 'boolean', description, ...more };
}

/** One of a few words. */
export function oneOf(description: string, words: readonly string[], more: Schema = {}): Schema {
  return { type: 'string', description, enum: words, ...more };
}

/** An object with these properties and no others. */
export function object(
  description: string,
  properties: Readonly<Record<string, Schema>>,
  required: readonly string[] = [],
  more: Schema = {},
): Schema {
  return {
    type: 'object',
    description,
    properties,
    ...(required.length > 0 && { required }),
    additionalProperties: false,
    ...more,
  };
}

/** Any number of the same; none, unless there must be some (`minItems`). */
export function list(description: string, items: Schema, more: Schema = {}): Schema {
  return { type: 'array', description, items, ...(more.minItems === undefined && { default: [] }), ...more };
}

/** Largest value of the kernel's signed integers. */
export const MAX_INT: number = 2 ** 31 - 1;
/** Longest name of a network interface (IFNAMSIZ, less the closing NUL), without what the kernel refuses in one. */
export const INTERFACE_NAME = '^[^%/:\\s]{1,15}$';
