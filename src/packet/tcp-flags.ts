/** TCP flags as text: the letters `FSRPAUEC`, one a bit from the lowest on (FIN SYN RST PSH ACK URG ECE CWR). */
import { invalidOption } from '../errors.ts';
import { integer } from './values.ts';

const LETTERS = 'FSRPAUEC';

/** The letters of the bits that are set: 0x12 is `SA`. */
export function formatFlags(bits: number): string {
  let text = '';
  for (let i = 0; i < LETTERS.length; i++) if (bits & (1 << i)) text += LETTERS[i];
  return text;
}

/**
 * The bits of letters in any order, or of a number as it is.
 * @throws DirectorError ERR_INVALID_OPTION naming `option` where there is another letter or the number has more than 8 bits.
 */
export function parseFlags(flags: string | number, option: string): number {
  if (typeof flags === 'number') return integer(flags, 0xff, option);
  let bits = 0;
  for (const letter of flags) {
    const i = LETTERS.indexOf(letter);
    if (i < 0) throw invalidOption(option, flags, `made of the letters ${LETTERS}`);
    bits |= 1 << i;
  }
  return bits;
}
