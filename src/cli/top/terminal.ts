/** A terminal that is taken for a while, and given back as it was. */
import { emitKeypressEvents, type Key } from 'node:readline';
import type { ReadStream, WriteStream } from 'node:tty';
import type { Line, Style } from './screen.ts';

const ESC = '\x1b[';
const ENTER = `${ESC}?1049h${ESC}?25l${ESC}?7l`; // alternate screen, no cursor, no wrapping
const LEAVE = `${ESC}?7h${ESC}?25h${ESC}?1049l`;
const HOME = `${ESC}H`;
const CLEAR_LINE = `${ESC}K`;
const CLEAR_BELOW = `${ESC}J`;
const STYLES: Readonly<Record<Style, string>> = {
  title: `${ESC}7m`,
  service: `${ESC}1m`,
  ill: `${ESC}31m`,
  plain: '',
};

export class Terminal {
  readonly #input: ReadStream;
  readonly #output: WriteStream;
  #isTaken = false;

  /** @param onKey is told the name of each key: `q`, `up`, `c` with Ctrl as `ctrl-c` ... */
  constructor(input: ReadStream, output: WriteStream, onKey: (key: string) => void, onResize: () => void) {
    this.#input = input;
    this.#output = output;
    emitKeypressEvents(input);
    input.on('keypress', (_text: string | undefined, { name = '', ctrl }: Key) => onKey(ctrl ? `ctrl-${name}` : name));
    output.on('resize', onResize);
  }

  get width(): number {
    return this.#output.columns;
  }

  get height(): number {
    return this.#output.rows;
  }

  take(): void {
    this.#isTaken = true;
    this.#input.setRawMode(true);
    this.#input.resume();
    this.#output.write(ENTER);
  }

  /** Gives it back. Does nothing when called again. */
  giveBack(): void {
    if (!this.#isTaken) return;
    this.#isTaken = false;
    this.#output.write(LEAVE);
    this.#input.setRawMode(false);
    this.#input.pause();
  }

  /** Shows these lines, as many as there is room for, in one write. */
  show(lines: readonly Line[]): void {
    if (!this.#isTaken) return;
    const shown = lines.slice(0, this.height).map(({ text, style }) => {
      const cut = text.slice(0, this.width);
      // Cleared before it is written: a full line leaves the cursor on its last character.
      return CLEAR_LINE + (style === 'plain' ? cut : `${STYLES[style]}${cut}${ESC}0m`);
    });
    this.#output.write(HOME + shown.join('\r\n') + (shown.length < this.height ? `\r\n${CLEAR_BELOW}` : ''));
  }
}
