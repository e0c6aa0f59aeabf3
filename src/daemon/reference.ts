/** The reference of the configuration file, in Markdown, from its schema: CONFIGURATION.md is what this gives. */
import { SCHEMA } from './schema.ts';
import type { Schema } from './section.ts';
import { SECTIONS } from './sections.ts';

export { SCHEMA } from './schema.ts';

const HEAD = `# The configuration file

\`tapvs run --config FILE\` reads YAML, or JSON, which is a part of YAML. \`config.schema.json\` is its JSON Schema: with

    # yaml-language-server: $schema=./node_modules/tapvs/config.schema.json

as the first line editors complete the file and show its mistakes; \`tapvs check --config FILE\` tells them with line and
column. Only \`devices\` and \`interfaces\` must be there.

On SIGHUP the file is read again. If anything in it is wrong, nothing changes and the log says what is wrong. Otherwise what
the file changes is set as the file now says. What it does not change stays as it is, also where \`ipvsadm\` has changed it in
the meantime; services and servers that the file never named stay. Connections to servers that stay go on. Sections marked
"restart" cannot be changed this way.

This file is written by \`npm run reference\`.
`;

type Properties = Readonly<Record<string, Schema>>;

/** The whole reference. */
export function reference(): string {
  const properties = SCHEMA.properties as Properties;
  const sections = SECTIONS.map(({ name, plan }) => {
    const mark = plan === undefined ? ' (restart)' : '';
    return `\n## ${name}${mark}\n\n${describe(properties[name])}`;
  });
  return HEAD + sections.join('');
}

function describe(schema: Schema): string {
  if (schema.type !== 'array') return `${schema.description}\n\n${table(schema)}`;
  const items = schema.items as Schema;
  if (Array.isArray(items.oneOf)) {
    const kinds = items.oneOf.map((kind: Schema) => `${kind.description}\n\n${table(kind)}`);
    return `${schema.description} A list, of these kinds.\n\n${kinds.join('\n')}`;
  }
  return `${schema.description} A list. ${items.description}\n\n${table(items)}`;
}

function table(schema: Schema): string {
  return `| option | value | |\n|---|---|---|\n${rows(schema, '')}`;
}

/** A row for each property, with those of objects and lists in it below their own. */
function rows(schema: Schema, prefix: string): string {
  const required = (schema.required ?? []) as readonly string[];
  return Object.entries((schema.properties ?? {}) as Properties)
    .map(([name, property]) => {
      const nested = (property.type === 'array' ? property.items : property) as Schema;
      const inner = property.type === 'array' ? `${prefix}${name}[].` : `${prefix}${name}.`;
      const below = nested.properties === undefined ? '' : rows(nested, inner);
      return `| \`${prefix}${name}\` | ${describeValue(property, required.includes(name))} | ${property.description} |\n${below}`;
    })
    .join('');
}

function describeValue(schema: Schema, required: boolean): string {
  const words = [kindOf(schema)];
  if (required) words.push('required');
  const initial = schema.default;
  if (initial !== undefined && typeof initial !== 'object' && initial !== '') words.push(`default \`${initial}\``);
  return words.join('; ');
}

function kindOf(schema: Schema): string {
  if (Array.isArray(schema.enum))
    return schema.enum
      .filter((word) => word !== '')
      .map((word) => `\`${word}\``)
      .join(', ');
  if (Array.isArray(schema.oneOf)) return schema.oneOf.map(kindOf).join(', or ');
  switch (schema.type) {
    case 'integer':
    case 'number':
      return `${schema.minimum} .. ${schema.maximum}`;
    case 'boolean':
      return '`true`, `false`';
    case 'array':
      return schema.maxItems === 2 ? 'two of them' : 'list';
    case 'string':
      return 'text';
    case 'object':
      return 'object';
    default:
      return (schema.type as readonly string[]).join(' or ');
  }
}
