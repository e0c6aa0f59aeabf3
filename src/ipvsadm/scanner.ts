import { SWITCHES, type Switch } from './options.ts';

const BY_LONG = new Map(SWITCHES.map((known) => [known.long, known]));
const BY_SHORT = new Map(
  SWITCHES.filter((known) => known.short !== undefined).map((known) => [known.short as string, known]),
);

/** A switch that was found, with its value where it has one. */
export interface Found {
  readonly long: string;
  readonly value: string | undefined;
}

/** Why scanning cannot go on: the words that popt, the option library of the real program, has for it. */
export type ScanError = 'unknown option' | 'missing argument' | 'option does not take an argument';

/**
 * Walks over the words of a command line as popt does: `--long`, `--long=value`, `--long value`, `-s`, `-svalue`,
 * `-s=value`, `-s value`, several short ones in one word, `--` before words that are no options. Long names are never
 * abbreviated. Words that are no options may stand anywhere and are kept for {@link rest}.
 */
export class Scanner {
  readonly #words: readonly string[];
  #next = 0;
  /** What is left of a word of short options. */
  #cluster = '';
  /** The word that the last switch or error was found in. */
  word = '';
  /** The words that are no options, in order; complete once {@link next} returned undefined. */
  readonly rest: string[] = [];

  constructor(words: readonly string[]) {
    this.#words = words;
  }

  /** The next switch; an error as text; undefined at the end of the line. */
  next(): Found | ScanError | undefined {
    if (this.#cluster !== '') return this.#short();
    while (this.#next < this.#words.length) {
      this.word = this.#words[this.#next++];
      if (this.word === '--') {
        this.rest.push(...this.#words.slice(this.#next));
        this.#next = this.#words.length;
      } else if (this.word.startsWith('--')) {
        return this.#long();
      } else if (this.word.startsWith('-') && this.word !== '-') {
        this.#cluster = this.word.slice(1);
        return this.#short();
      } else {
        this.rest.push(this.word);
      }
    }
    return undefined;
  }

  #long(): Found | ScanError {
    const equals = this.word.indexOf('=');
    const known = BY_LONG.get(this.word.slice(2, equals < 0 ? undefined : equals));
    if (known === undefined) return 'unknown option';
    return this.#withValue(known, equals < 0 ? undefined : this.word.slice(equals + 1));
  }

  #short(): Found | ScanError {
    const known = BY_SHORT.get(this.#cluster[0]);
    if (known === undefined) return 'unknown option';
    const after = this.#cluster.slice(1);
    if (known.argument === 'none') {
      this.#cluster = after.startsWith('=') ? '' : after;
      return this.#withValue(known, after.startsWith('=') ? after.slice(1) : undefined);
    }
    this.#cluster = '';
    return this.#withValue(known, after === '' ? undefined : after.replace(/^=/, ''));
  }

  #withValue(known: Switch, attached: string | undefined): Found | ScanError {
    if (known.argument === 'none') {
      return attached === undefined ? { long: known.long, value: undefined } : 'option does not take an argument';
    }
    if (attached !== undefined) return { long: known.long, value: attached };
    const following = this.#words[this.#next];
    if (known.argument === 'optional' && (following === undefined || following.startsWith('-'))) {
      return { long: known.long, value: undefined };
    }
    if (following === undefined) return 'missing argument';
    this.#next++;
    return { long: known.long, value: following };
  }
}
