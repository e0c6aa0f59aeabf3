/**
 * What a section of the configuration file is: `sections.ts` lists them, `sections/` holds a file for each, with its
 * schema, what the schema cannot say, and how a director that runs comes from one content to another.
 */
import type { Logger } from 'pino';
import type { Director } from '../director.ts';
import type { Control } from '../ipvsadm/control.ts';
import type { Account } from './accounts.ts';
import type { Configuration } from './configuration.ts';

/** A JSON Schema (draft 7). Every property has a `description`, for editors and for CONFIGURATION.md. */
export type Schema = { readonly [keyword: string]: unknown };

/** Where something stands in the file: `['services', 0, 'port']`. */
export type Path = readonly (string | number)[];

/** Something wrong in the file. */
export interface Problem {
  readonly path: Path;
  /** What would be right: `must be ...`, or whatever reads well after the path. */
  readonly message: string;
}

/** What changes are made on. */
export interface Running {
  readonly director: Director;
  /** The director, with the log of changes in between: for what the file asks for. */
  readonly control: Control;
  /** The same for what comes over the control socket. */
  readonly remote: Control;
  readonly logger: Logger;
  /** Whom the process becomes when it is set up; null when it stays who it is. */
  readonly account: Account | null;
  /** Closes what a section has opened, by the section's name; called in reverse order when the director stops. */
  readonly opened: Map<string, () => Promise<void>>;
}

/** One step from one configuration to another. */
export interface Change {
  /** What in the file asks for it; in the old file, when something goes. */
  readonly path: Path;
  /**
   * Makes it so, whatever was done by hand in the meantime. Making it again changes nothing.
   * @throws DirectorError
   */
  apply(running: Running): void | Promise<void>;
}

/** A section of the file; `Name` is its key there. */
export interface Section<Name extends keyof Configuration = keyof Configuration> {
  readonly name: Name;
  readonly schema: Schema;
  /** What the schema cannot say about the section. */
  check?(value: Configuration[Name], whole: Configuration): Problem[];
  /**
   * The steps from `before` to `after`: a pure function. A director starts with the steps from the empty configuration.
   * A section without it can only be changed by a restart.
   */
  plan?(before: Configuration[Name], after: Configuration[Name]): Change[];
  /** Whether its changes concern nothing but the director, so that they can be tried on another one first. */
  readonly triable?: boolean;
}
