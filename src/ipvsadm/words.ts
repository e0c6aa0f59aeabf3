const BLANK = /[ \t\r\n]/;

/**
 * Splits a command line into words as a shell does with quoting alone: blanks separate words, `'...'` keeps everything,
 * `"..."` keeps everything but a backslash before `"` or `\`, a backslash outside quotes keeps the next character.
 * Nothing is expanded. A quote that is never closed ends with the line.
 */
export function splitWords(line: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (let i = 0; i < line.length; i++) {
    const character = line[i];
    if (character === "'") {
      const end = closing(line, i + 1, "'");
      word = (word ?? '') + line.slice(i + 1, end);
      i = end;
    } else if (character === '"') {
      const end = closing(line, i + 1, '"');
      word = (word ?? '') + line.slice(i + 1, end).replace(/\\(["\\])/g, '$1');
      i = end;
    } else if (character === '\\' && i + 1 < line.length) {
      word = (word ?? '') + line[++i];
    } else if (BLANK.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? '') + character;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}

/** Where the quote that was opened before `from` closes: an index, or the line's length. */
function closing(line: string, from: number, quote: string): number {
  for (let i = from; i < line.length; i++) {
    if (line[i] === '\\' && quote === '"') i++;
    else if (line[i] === quote) return i;
  }
  return line.length;
}

/**
 * Splits a line that `-R` reads: at blanks only, no quoting, no comments. The word `ipvsadm` is dropped wherever it
 * stands, so that lines with and without it can be restored.
 */
export function splitRestoreLine(line: string): string[] {
  return line.split(/[ \t\r]+/).filter((word) => word !== '' && word !== 'ipvsadm');
}
