/** Reading a configuration file: YAML (of which JSON is a part), with every complaint at its line. */
import { readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { type Document, isMap, isNode, LineCounter, parseDocument } from 'yaml';
import type { Configuration } from './configuration.ts';
import { checkSchema, formatPath } from './schema.ts';
import type { Path, Problem } from './section.ts';
import { SECTIONS } from './sections.ts';
import { tryOut } from './trial.ts';

/** Largest file, in bytes. */
const MAX_BYTES = 16 * 2 ** 20;

/** A configuration file that cannot be used. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
  /** A line for each thing that is wrong: `tapvs.yaml:12:9: services[0].port: must be integer`. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

/** A configuration, and where in its file things stand. */
export interface Loaded {
  readonly configuration: Configuration;
  /** The error for something in the file that turned out wrong later. */
  complain(problems: readonly Problem[]): ConfigurationError;
}

/**
 * Reads and checks a configuration file. What only a director can tell is found out on one that has no devices.
 * Nothing is changed.
 * @throws ConfigurationError with all that is wrong. It names the file without its folder.
 */
export function loadConfiguration(path: string): Loaded {
  const name = basename(path);
  const lines = new LineCounter();
  const document = parseDocument(read(path, name), { lineCounter: lines, prettyErrors: false, version: '1.2' });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${name}:${line}:${col}`;
  };
  const faults = [...document.errors, ...document.warnings];
  if (faults.length > 0) throw new ConfigurationError(faults.map(({ pos, message }) => `${at(pos[0])}: ${message}`));
  const value = toValue(document, name);
  const complain = (problems: readonly Problem[]) =>
    new ConfigurationError(
      problems.map(({ path, message }) => {
        const where = at(offsetOf(document, path));
        return path.length === 0 ? `${where}: ${message}` : `${where}: ${formatPath(path)}: ${message}`;
      }),
    );
  // Each step relies on what the one before it has checked.
  const configuration = value as Configuration;
  for (const check of [checkSchema, checkSections, tryOut]) {
    const problems = check(configuration);
    if (problems.length > 0) throw complain(problems);
  }
  return { configuration, complain };
}

function read(path: string, name: string): string {
  try {
    if (statSync(path).size > MAX_BYTES) throw new ConfigurationError([`${name}: larger than ${MAX_BYTES} bytes`]);
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof ConfigurationError) throw error;
    throw new ConfigurationError([`${name}: cannot be read: ${(error as NodeJS.ErrnoException).code}`]);
  }
}

/** @throws ConfigurationError for aliases that would blow up. */
function toValue(document: Document, name: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 }) ?? {};
  } catch (error) {
    throw new ConfigurationError([`${name}: ${(error as Error).message}`]);
  }
}

function checkSections(configuration: Configuration): Problem[] {
  return SECTIONS.flatMap((section) => section.check?.(configuration[section.name] as never, configuration) ?? []);
}

/** Where a path is in the text; where it is not there, the nearest thing around it. */
function offsetOf(document: Document, path: Path): number {
  for (let length = path.length; length > 0; length--) {
    const within = document.getIn(path.slice(0, length - 1), true) ?? document.contents;
    const key = path[length - 1];
    const pair = isMap(within) ? within.items.find((item) => isNode(item.key) && String(item.key) === key) : undefined;
    const node = pair?.key ?? document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return 0;
}
