/** The lab's command line: `npm run lab -- [dr|nat|tun] [--memory]`. */
import { parseArgs } from 'node:util';
import { DirectorError } from '../../src/index.ts';
import { removeLeftoverDirectories, removeLeftoverNamespaces } from './namespaces.ts';
import {
  checkRequirements,
  isInsideUserNamespace,
  isRoot,
  makeRoomForNames,
  runInUserNamespace,
} from './privileges.ts';
import { CommandFailure } from './processes.ts';
import { LAB_MODES, LabFailure, type LabMode, storyOf } from './story.ts';
import { Unavailable } from './unavailable.ts';

const USAGE = `Usage: npm run lab -- [dr|nat|tun] [options]

Lays a small network, starts a director in the middle, sends real requests through it and shows what became of them.

  dr   direct routing: the servers answer the client themselves (default)
  nat  masquerading: both directions pass the director, ports are mapped
  tun  IPIP tunnels: the servers stand in another subnet

  --memory      no namespaces, no TAP, no privileges: everything inside this process, on any operating system
  --pcap=FILE   records what the director receives and sends, for tcpdump -r; not with --memory
  --threads=N   the director works in N worker threads, with as many queues of each TAP; not with --memory or --pcap
  --help        this text`;

const print = (line: string): void => console.log(line);

class UsageError extends Error {}

async function main(): Promise<number> {
  const { values, positionals } = parse();
  if (values.help === true) {
    print(USAGE);
    return 0;
  }
  const mode = modeOf(positionals);
  if (values.memory === true) {
    if (values.pcap !== undefined) throw new UsageError('--pcap: there is nothing to record with --memory');
    if (values.threads !== undefined) throw new UsageError('--threads: with --memory everything is in one');
    const { runMemoryLab } = await import('./memory.ts');
    await runMemoryLab(mode, print);
    return 0;
  }
  return runInNamespaces(mode, values.pcap, threadsOf(values.threads, values.pcap));
}

function parse() {
  try {
    return parseArgs({
      options: {
        memory: { type: 'boolean' },
        pcap: { type: 'string' },
        threads: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
      allowPositionals: true,
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function modeOf([mode = 'dr', ...rest]: readonly string[]): LabMode {
  const known = LAB_MODES.find((name) => name === mode);
  if (known === undefined || rest.length > 0)
    throw new UsageError(`'${[mode, ...rest].join(' ')}' is not dr, nat or tun`);
  return known;
}

function threadsOf(text: string = '0', pcap: string | undefined): number {
  if (!/^\d+$/.test(text)) throw new UsageError(`--threads: '${text}' is not a number`);
  if (text !== '0' && pcap !== undefined) throw new UsageError('--threads: what is recorded must be in one');
  return Number(text);
}

async function runInNamespaces(mode: LabMode, pcap: string | undefined, threads: number): Promise<number> {
  const story = storyOf(mode);
  if (isInsideUserNamespace()) {
    makeRoomForNames();
  } else {
    checkRequirements(story);
    removeLeftoverDirectories();
    if (!isRoot()) return runInUserNamespace();
    removeLeftoverNamespaces();
  }
  const { runLab } = await import('./run.ts');
  await runLab(story, print, { pcap, threads });
  return 0;
}

function report(error: unknown): number {
  if (error instanceof UsageError) {
    console.error(`lab: ${error.message}\n\n${USAGE}`);
    return 2;
  }
  // The terminal's Ctrl-C reaches the commands as well as the lab.
  if (error instanceof CommandFailure && error.signal === 'SIGINT') return 130;
  if (error instanceof Unavailable) {
    console.error(`lab: ${error.message}; 'npm run lab -- --memory' needs nothing of the system`);
    return 1;
  }
  if (error instanceof LabFailure || error instanceof CommandFailure || error instanceof DirectorError) {
    console.error(`lab: ${error.message}`);
    return 1;
  }
  throw error;
}

// The reader has gone (`npm run lab | head`): nothing to tell any more.
process.stdout.once('error', () => process.exit(1));
process.exitCode = await main().catch(report);
