/** `tapvs capture`: frames that pass a running director, as a pcap file or stream. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { CaptureAnswer, CaptureNews } from '../../control/verbs/capture.ts';
import { CaptureFile, type CaptureFormat } from '../../packet/capture-file.ts';
import { askDirector } from '../ask-director.ts';
import { FilterError, parseCaptureFilter } from '../capture-filter.ts';
import { socketOption } from './options.ts';

interface Options {
  readonly write: string;
  readonly format: CaptureFormat;
  readonly packets?: number;
  readonly bytes?: number;
  readonly seconds?: number;
  readonly snapLength?: number;
  readonly socket: string;
}

const HELP = `
A filter chooses connections, which are captured on both sides of the director, under NAT with both address pairs:
  tapvs capture service tcp 10.0.0.100:80 | tcpdump -nr -
  tapvs capture -w slow.pcapng client 192.0.2.0/24 server 10.0.0.11:8080
  tapvs capture --seconds 5 service fwmark 1 port 443 -w marked.pcapng
Without one all frames are captured. It ends at the first of its bounds, or by Ctrl-C.`;

/** Exit status for a command line that cannot be understood. */
const STATUS_USAGE = 2;

/** Exit status when the file cannot be written. */
const STATUS_OUTPUT = 1;

function count(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('a number, please.');
  return Number(text);
}

function bound(flags: string, description: string): Option {
  return new Option(flags, description).argParser(count);
}

/** Where the bytes go: to standard output, or into a file. */
function openOutput(path: string): { write: (bytes: Uint8Array) => void; close: () => void } {
  if (path === '-') return { write: (bytes) => void process.stdout.write(bytes), close: () => {} };
  const fd = openSync(path, 'w', 0o600); // what people send each other is nobody else's
  const write = (bytes: Uint8Array) => {
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
  };
  return { write, close: () => closeSync(fd) };
}

export const capture: Command = new Command('capture')
  .description('record frames that pass the director, as pcap or pcapng')
  .argument('[filter...]', 'which connections; default: all frames')
  .option('-w, --write <file>', 'where to; - is standard output', '-')
  .addOption(
    new Option('--format <format>', 'of the file; pcapng says also the device and the direction')
      .choices(['pcap', 'pcapng'])
      .default('pcapng'),
  )
  .addOption(bound('--packets <number>', 'end after so many frames (default: 10000)'))
  .addOption(bound('--bytes <number>', 'end after so many bytes (default: 64 MiB)'))
  .addOption(bound('--seconds <number>', 'end after so long (default: 60)'))
  .addOption(bound('--snap-length <bytes>', 'keep so much of each frame (default: all)'))
  .addOption(socketOption())
  .addHelpText('after', HELP)
  .action(async (words: string[], { socket, write: path, format, ...bounds }: Options) => {
    const complain = (message: string, status: number) => {
      process.stderr.write(`${message}\n`);
      process.exitCode = status;
    };
    let filter: ReturnType<typeof parseCaptureFilter>;
    try {
      filter = parseCaptureFilter(words);
    } catch (error) {
      if (error instanceof FilterError) return complain(error.message, STATUS_USAGE);
      throw error;
    }
    if (path === '-' && process.stdout.isTTY) {
      return complain('That is nothing for a terminal: -w FILE, or | tcpdump -nr -', STATUS_USAGE);
    }
    const ended = new AbortController();
    const file = new CaptureFile(format);
    let output: ReturnType<typeof openOutput> | null = null;
    let packets = 0;
    let lost = 0;
    const take = ({ frames, lost: so }: CaptureNews) => {
      if (output === null) {
        output = openOutput(path);
        output.write(file.header());
        process.stderr.write('capturing; Ctrl-C ends it\n');
      }
      const records = frames.map((frame) => ({ ...frame, bytes: Buffer.from(frame.bytes, 'base64') }));
      if (records.length > 0) output.write(file.frames(records));
      packets += records.length;
      lost = so;
    };
    const takeOrEnd = (data: unknown) => {
      try {
        if (!ended.signal.aborted) take(data as CaptureNews);
      } catch (error) {
        complain(`${path}: ${(error as Error).message}`, STATUS_OUTPUT);
        ended.abort();
      }
    };
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ended.abort());
    process.stdout.on('error', () => ended.abort());
    const parameters = { ...filter, ...bounds };
    const request = { verb: 'capture', parameters };
    const answer = (await askDirector(socket, request, takeOrEnd, ended.signal)) as CaptureAnswer | undefined;
    (output as ReturnType<typeof openOutput> | null)?.close();
    const why = answer?.ended === undefined ? '' : `, the ${answer.ended} asked for`;
    if (output !== null) process.stderr.write(`${packets} frames captured${why}; ${lost} lost\n`);
  });
