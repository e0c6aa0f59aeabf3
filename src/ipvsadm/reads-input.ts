/** Whether a command line reads its standard input: known without the rest of the grammar, which takes time to load. */
import { COMMANDS } from './options.ts';
import { Scanner } from './scanner.ts';

/** Whether these arguments of ipvsadm are a restore (`-R`). */
export function readsInput(words: readonly string[]): boolean {
  const first = new Scanner(words).next();
  return typeof first === 'object' && COMMANDS[first.long] === 'restore';
}
