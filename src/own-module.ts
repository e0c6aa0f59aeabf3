/** Code of the user's that is named by its module, so that it can be loaded in whichever thread needs it. */
import { createRequire } from 'node:module';
import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import { invalidOption } from './errors.ts';

/** An export of a module: `{ module: new URL('./first.js', import.meta.url), export: 'first' }`. */
export interface OwnModule {
  /** URL or absolute path of a file. A module that waits at its top level (`await`) cannot be loaded. */
  readonly module: URL | string;
  /** The name of the export. Default `default`. */
  readonly export?: string;
}

/** A module as it can be sent to a thread. */
export interface OwnModuleName {
  readonly module: string;
  readonly export: string;
}

/** Whether an option names a module instead of holding the code itself. */
export function isOwnModule(value: unknown): value is OwnModule {
  return typeof value === 'object' && value !== null && 'module' in value;
}

/** The file and the export. @throws DirectorError ERR_INVALID_OPTION */
export function ownModuleName(option: string, value: OwnModule): OwnModuleName {
  const { module, export: name = 'default' } = value;
  if (typeof name !== 'string') throw invalidOption(`${option}.export`, name, 'the name of an export');
  const text = String(module);
  if (text.startsWith('file:')) return { module: fileURLToPath(text), export: name };
  if (typeof module !== 'string' || !isAbsolute(module)) {
    throw invalidOption(`${option}.module`, module, 'a file URL or an absolute path');
  }
  return { module, export: name };
}

/** What the module exports under that name. @throws DirectorError ERR_INVALID_OPTION when it cannot be loaded */
export function loadOwn(option: string, { module, export: name }: OwnModuleName): unknown {
  let exports: Record<string, unknown>;
  try {
    exports = createRequire(import.meta.url)(module) as Record<string, unknown>;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw invalidOption(`${option}.module`, module, `a module that can be loaded: ${reason}`);
  }
  if (!(name in exports)) throw invalidOption(`${option}.export`, name, `an export of ${module}`);
  return exports[name];
}
