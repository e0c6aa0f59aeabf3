/**
 * As much of a shell as recordings use around `ipvsadm`: sequences, pipes, redirections to and from files (kept in
 * memory), single and double quotes, and the commands `printf`, `echo` and `cat`.
 */
export interface CommandResult {
  readonly status: number;
  readonly out: string;
}

/** Runs one command: its words, and what it reads. */
export type Command = (words: readonly string[], stdin: string) => CommandResult;

const OPERATORS = new Set([';', '|', '<', '>', '&&']);

interface Token {
  readonly text: string;
  readonly operator: boolean;
}

function tokenize(line: string): Token[] {
  const tokens: Token[] = [];
  const pattern = /\s*(?:(&&|[;|<>])|((?:'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^\s;|<>'"\\])+))/gy;
  for (let match = pattern.exec(line); match !== null; match = pattern.exec(line)) {
    const [, operator, word] = match;
    if (operator !== undefined) tokens.push({ text: operator, operator: true });
    else tokens.push({ text: unquote(word), operator: false });
  }
  return tokens;
}

function unquote(word: string): string {
  return word.replace(/'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)/g, (_, single, double, escaped) =>
    single !== undefined ? single : double !== undefined ? double.replace(/\\(["\\$`])/g, '$1') : escaped,
  );
}

function printf(format: string, args: readonly string[]): string {
  const unescaped = format.replaceAll('\\n', '\n').replaceAll('\\t', '\t').replaceAll('\\\\', '\\');
  const slots = unescaped.split('%s').length - 1;
  if (slots === 0) return unescaped;
  let out = '';
  for (let i = 0; i < Math.max(1, args.length); i += slots) {
    let k = i;
    out += unescaped.replaceAll('%s', () => args[k++] ?? '');
  }
  return out;
}

export class Shell {
  readonly #commands: ReadonlyMap<string, Command>;
  readonly #files = new Map<string, string>();

  constructor(commands: Readonly<Record<string, Command>>) {
    this.#commands = new Map<string, Command>([
      ['printf', ([format = '', ...args]) => ({ status: 0, out: printf(format, args) })],
      ['echo', (words) => ({ status: 0, out: `${words.join(' ')}\n` })],
      [
        'cat',
        (words, stdin) => ({ status: 0, out: words.map((file) => this.#files.get(file) ?? '').join('') || stdin }),
      ],
      ...Object.entries(commands),
    ]);
  }

  /** Runs a line; the status is that of its last command. */
  run(line: string): CommandResult {
    let status = 0;
    let printed = '';
    let words: string[] = [];
    let stdin = '';
    let target: string | null = null;
    const tokens = [...tokenize(line), { text: ';', operator: true }];
    for (let i = 0; i < tokens.length; i++) {
      const { text, operator } = tokens[i];
      if (!operator || !OPERATORS.has(text)) words.push(text);
      else if (text === '<') stdin = this.#files.get(tokens[++i].text) ?? '';
      else if (text === '>') target = tokens[++i].text;
      else {
        const result = words.length === 0 ? { status, out: '' } : this.#execute(words, stdin);
        status = result.status;
        stdin = '';
        if (target !== null) this.#files.set(target, result.out);
        else if (text === '|') stdin = result.out;
        else printed += result.out;
        words = [];
        target = null;
        if (text === '&&' && status !== 0) break;
      }
    }
    return { status, out: printed };
  }

  #execute([name, ...rest]: string[], stdin: string): CommandResult {
    const command = this.#commands.get(name);
    if (command === undefined) return { status: 127, out: `${name}: not found\n` };
    return command(rest, stdin);
  }
}
