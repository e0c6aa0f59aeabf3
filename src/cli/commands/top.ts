/** `tapvs top`: a live view of a running director. */
import { setTimeout as pause } from 'node:timers/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { ask } from '../../control/client.ts';
import type { StatusAnswer } from '../../control/verbs/status.ts';
import { askDirector } from '../ask-director.ts';
import { reasonOf } from '../reason.ts';
import { layOut, MIN_WIDTH } from '../top/screen.ts';
import { Terminal } from '../top/terminal.ts';
import { socketOption } from './options.ts';

interface Options {
  readonly interval: number;
  readonly once: boolean;
  readonly socket: string;
}

const REQUEST = { verb: 'status', parameters: {} };
const HELP = `
Keys: up, down, page up, page down, home scroll; space looks at once; q ends.
Rates are those since the look before; ill servers (down, ejected, full, or of weight 0) are red.`;

function seconds(text: string): number {
  const value = Number(text);
  if (!(value >= 0.2 && value <= 3600)) throw new InvalidArgumentError('0.2 to 3600 seconds, please.');
  return value;
}

export const top: Command = new Command('top')
  .description('show services, servers, their rates and health, live')
  .addOption(new Option('-i, --interval <seconds>', 'between looks').argParser(seconds).default(1))
  .option('--once', 'print it once, as text, and end', false)
  .addOption(socketOption())
  .addHelpText('after', HELP)
  .action(async ({ interval, once, socket }: Options) => {
    const before = (await askDirector(socket, REQUEST)) as StatusAnswer | undefined;
    if (before === undefined) return;
    if (once || !process.stdout.isTTY || !process.stdin.isTTY) await print(socket, interval, before);
    else await watch(socket, interval, before);
  });

async function print(socket: string, interval: number, before: StatusAnswer): Promise<void> {
  await pause(interval * 1000);
  const now = (await askDirector(socket, REQUEST)) as StatusAnswer | undefined;
  if (now === undefined) return;
  const { head, body } = layOut(now, before, '', Math.max(MIN_WIDTH, process.stdout.columns ?? MIN_WIDTH));
  process.stdout.write([...head, ...body].map(({ text }) => `${text.trimEnd()}\n`).join(''));
}

/** Shows it until a key or a signal ends it. */
function watch(socket: string, interval: number, first: StatusAnswer): Promise<void> {
  return new Promise((resolve) => {
    let now = first;
    let before: StatusAnswer | null = null;
    let failure = '';
    let scrolled = 0;
    let timer: NodeJS.Timeout | undefined;
    const ended = new AbortController();

    const draw = () => {
      const { width, height } = terminal;
      const title = failure === '' ? `every ${interval} s` : failure;
      const { head, body } = layOut(now, before, title, Math.max(MIN_WIDTH, width));
      scrolled = Math.max(0, Math.min(scrolled, body.length - (height - head.length)));
      terminal.show([...head, ...body.slice(scrolled)]);
    };
    const look = async () => {
      clearTimeout(timer);
      try {
        const next = (await ask(socket, REQUEST, undefined, ended.signal)) as StatusAnswer;
        before = now;
        now = next;
        failure = '';
      } catch (error) {
        failure = reasonOf(error);
      }
      if (ended.signal.aborted) return;
      draw();
      clearTimeout(timer);
      timer = setTimeout(look, interval * 1000);
    };
    const scroll = (lines: number) => {
      scrolled += lines;
      draw();
    };
    const end = () => {
      if (ended.signal.aborted) return;
      ended.abort();
      clearTimeout(timer);
      terminal.giveBack();
      resolve();
    };
    const keys: Readonly<Record<string, () => void>> = {
      q: end,
      'ctrl-c': end,
      escape: end,
      up: () => scroll(-1),
      down: () => scroll(1),
      pageup: () => scroll(-terminal.height / 2),
      pagedown: () => scroll(terminal.height / 2),
      home: () => scroll(-Infinity),
      space: () => void look(),
    };
    const terminal = new Terminal(process.stdin, process.stdout, (key) => keys[key]?.(), draw);
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, end);
    // Whatever happens, the terminal is to be as it was.
    process.once('exit', () => terminal.giveBack());
    terminal.take();
    draw();
    timer = setTimeout(look, interval * 1000);
  });
}
