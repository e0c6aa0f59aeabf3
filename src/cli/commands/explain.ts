/** `tapvs explain`: says what a running director would do with a packet, and why. */
import { Command } from 'commander';
import type { ExplainAnswer } from '../../control/verbs/explain.ts';
import { askDirector } from '../ask-director.ts';
import { socketOption } from './options.ts';

const EXAMPLES = `
A packet is a frame in hexadecimal, or a line:
  tapvs explain tcp 192.0.2.1:40000 '>' 10.0.0.100:80 S
  tapvs explain 'udp [2001:db8::1]:5353 > [2001:db8::64]:53 len 512 ttl 63'
  tapvs explain 'icmp 192.0.2.1 > 10.0.0.100'`;

export const explain: Command = new Command('explain')
  .description('say what would happen to a packet, and why; nothing is sent or changed')
  .argument('<packet...>', 'a frame in hexadecimal, or a packet in a line')
  .option('-i, --interface <name>', 'where it comes in; default: where the way back to its sender leads')
  .option('--json', 'print all that is known, for programs')
  .addOption(socketOption())
  .addHelpText('after', EXAMPLES)
  .action(async (words: string[], options: { interface?: string; json?: boolean; socket: string }) => {
    const parameters = {
      packet: words.join(' '),
      ...(options.interface === undefined ? {} : { interface: options.interface }),
    };
    const answer = (await askDirector(options.socket, { verb: 'explain', parameters })) as ExplainAnswer | undefined;
    if (answer === undefined) return;
    process.stdout.write(options.json === true ? `${JSON.stringify(answer, null, 2)}\n` : answer.text);
    if (!answer.certain && options.json !== true) {
      process.stdout.write('\nIt might be another server: chance, or a scheduler of your own, decides.\n');
    }
  });
