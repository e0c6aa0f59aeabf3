/** The schema of the configuration file, and checking a content against it. */
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import type { Configuration } from './configuration.ts';
import type { Path, Problem, Schema } from './section.ts';
import { SECTIONS } from './sections.ts';

/** The JSON Schema (draft 7) of a whole file; published as `config.schema.json`. */
export const SCHEMA: Schema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'tapvs',
  description: 'The configuration of a director: `tapvs run --config FILE`.',
  type: 'object',
  properties: {
    $schema: { type: 'string', description: 'Where this schema is, for editors.' },
    ...Object.fromEntries(SECTIONS.map(({ name, schema }) => [name, schema])),
  },
  required: ['devices', 'interfaces'],
  additionalProperties: false,
};

let compiled: ValidateFunction | undefined;

/** Checks a content, and fills in the defaults. */
function validate(value: unknown): readonly ErrorObject[] {
  const options = {
    discriminator: true,
    allErrors: true,
    useDefaults: true,
    allowUnionTypes: true,
    strictTypes: false,
  };
  compiled ??= new Ajv(options).compile(SCHEMA);
  compiled(value);
  return compiled.errors ?? [];
}

/** What a director is before it has a configuration: every section's default, but no control socket yet. */
export function emptyConfiguration(): Configuration {
  const value = { devices: [], interfaces: [], control: { socket: '' } };
  validate(value); // that there must be some is no matter here
  return value as unknown as Configuration;
}

/**
 * Checks a content, and fills in the defaults.
 * @returns the problems there are; with none, `value` has become a {@link Configuration}.
 */
export function checkSchema(value: unknown): Problem[] {
  // A failed `if` says so beside what was wrong.
  return validate(value)
    .filter(({ keyword }) => keyword !== 'if')
    .map(problemOf);
}

function pathOf(pointer: string): Path {
  const steps = pointer.split('/').slice(1);
  return steps.map((step) => (/^\d+$/.test(step) ? Number(step) : step.replaceAll('~1', '/').replaceAll('~0', '~')));
}

function problemOf({ keyword, instancePath, params, message = '' }: ErrorObject): Problem {
  const path = pathOf(instancePath);
  switch (keyword) {
    case 'additionalProperties':
      return { path: [...path, params.additionalProperty], message: 'is no option here' };
    case 'discriminator':
      return { path: [...path, params.tag], message: 'is of no kind that there is' };
    case 'false schema':
      return { path, message: 'must not be given here' };
    case 'enum':
      return { path, message: `must be one of ${params.allowedValues.join(', ')}` };
    default:
      return { path, message };
  }
}

/** A path as people write it: `services[0].port`. */
export function formatPath(path: Path): string {
  return path.map((step, i) => (typeof step === 'number' ? `[${step}]` : i === 0 ? step : `.${step}`)).join('');
}
