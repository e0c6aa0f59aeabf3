/** The lab in memory: told to its end in every mode, and used as a network to send more through a director. */
import test from 'ava';
import { runMemoryLab } from '../../examples/lab/memory.ts';
import { MemoryNetwork } from '../../examples/lab/memory-network.ts';
import {
  checkOutcome,
  LAB_MODES,
  LabFailure,
  type LabMode,
  type Listing,
  type Outcome,
  storyOf,
} from '../../examples/lab/story.ts';
import { ManualClock } from '../../src/clock.ts';
import { impair, type MemorySocket } from '../../src/testing/index.ts';
import { bytes, closed, exchange, play } from '../testing/network.ts';

for (const mode of LAB_MODES) {
  test(`the ${mode} lab alternates and shows it`, async (t) => {
    const lines: string[] = [];
    await runMemoryLab(mode, (line) => void lines.push(line));
    const pages = lines.filter((line) => line.endsWith(' page')).map((line) => line.slice(0, 5));
    t.deepEqual(pages, Array(10).fill(['node2', 'node1']).flat());
    const { commands, finalState } = storyOf(mode);
    for (const command of commands) t.true(lines.includes(`director# ipvsadm ${command}`));
    t.is(lines.filter((line) => line.includes(finalState)).length, 20);
  });
}

const WIRES = {
  'good wires': undefined,
  'wires that lose, double and reorder': impair({ seed: 3, loss: 0.02, duplication: 0.02, reordering: 0.1 }),
};

for (const mode of LAB_MODES) {
  for (const [name, impairment] of Object.entries(WIRES)) {
    test(`${mode}: half a megabyte each way through the director over ${name}`, async (t) => {
      const clock = new ManualClock();
      const story = storyOf(mode);
      const network = new MemoryNetwork(story, impairment === undefined ? { clock } : { clock, impairment });
      for (const command of story.commands) t.is(network.director.ipvsadm(command).status, 0);
      for (const server of story.servers) {
        network.server(server).listen(server.httpPort, (socket) => void socket.pipe(socket), { allowHalfOpen: true });
      }
      const { hostname } = new URL(story.requests[0]!.url);
      const data = bytes(1 << 19, 1);
      const talk = (): Promise<Buffer> => {
        const socket: MemorySocket = network.client.connect(hostname, 80, { allowHalfOpen: true });
        return exchange(socket, data);
      };
      const [first, second] = await play(clock, Promise.all([talk(), talk()]));
      t.true(first.equals(data));
      t.true(second.equals(data));
      for (const server of story.servers) t.is(network.server(server).dropped.badChecksum, 0);
      t.is(network.client.dropped.badChecksum, 0);
      network.close();
    });
  }
}

for (const mode of LAB_MODES) {
  test(`${mode}: a service without servers refuses`, async (t) => {
    const clock = new ManualClock();
    const story = storyOf(mode);
    const network = new MemoryNetwork(story, { clock });
    t.is(network.director.ipvsadm(story.commands[0]!).status, 0);
    const { hostname } = new URL(story.requests[0]!.url);
    t.is((await play(clock, closed(network.client.connect(hostname, 80))))?.code, 'ECONNREFUSED');
    network.close();
  });
}

/** The outcome that a story wants, as ipvsadm prints it. */
function goodOutcome(mode: LabMode): { outcome: Outcome; answers: string[][]; listings: Record<Listing, string> } {
  const story = storyOf(mode);
  const answers = story.requests.map(() => Array.from({ length: 10 }, (_, i) => (i % 2 === 0 ? 'node2' : 'node1')));
  const lines: Record<Listing, string[]> = { '-Ln': [], '-Lnc': [], '-Ln --stats': [], '-Ln --rate': [] };
  for (const { servicePort } of story.requests) {
    const service = `${story.vip}:${servicePort}`;
    lines['-Ln'].push(`TCP  ${service} rr`);
    lines['-Ln --stats'].push(`TCP  ${service} 10 50 ${story.answersPassDirector ? 50 : 0} 2660 0`);
    for (const { address } of story.servers) {
      lines['-Ln'].push(`  -> ${address.replace('/24', '')}:${servicePort} Route 1 0 5`);
    }
    for (let i = 0; i < 10; i++) {
      lines['-Lnc'].push(`TCP 01:57 ${story.finalState} 192.168.20.17:${40000 + i} ${service} 192.168.50.22:80`);
    }
  }
  const listings = Object.fromEntries(
    Object.entries(lines).map(([listing, rows]) => [listing, rows.join('\n')]),
  ) as Record<Listing, string>;
  return { outcome: { answers, listings }, answers, listings };
}

for (const mode of LAB_MODES) {
  test(`what is not as the ${mode} story says is a failure`, (t) => {
    const story = storyOf(mode);
    t.notThrows(() => checkOutcome(story, goodOutcome(mode).outcome));
    const fails = (message: RegExp, change: (good: ReturnType<typeof goodOutcome>) => void): void => {
      const good = goodOutcome(mode);
      change(good);
      t.throws(() => checkOutcome(story, good.outcome), { instanceOf: LabFailure, message });
    };
    const replace = (listing: Listing, from: string | RegExp, to: string) => (good: ReturnType<typeof goodOutcome>) => {
      good.listings[listing] = good.listings[listing].replace(from, to);
    };
    fails(/the answers must be 'node2 node1/, ({ answers }) => answers[0]!.reverse());
    fails(/the answers must be/, ({ answers }) => answers[1]!.pop());
    fails(/4 real servers, it shows 3/, replace('-Ln', /.*->.*\n?/, ''));
    fails(/0 active and 5 inactive connections, not 0 and 4/, replace('-Ln', /5$/, '4'));
    fails(/20 entries, it shows 19/, replace('-Lnc', /.*\n/, ''));
    fails(/not ESTABLISHED/, replace('-Lnc', story.finalState, 'ESTABLISHED'));
    fails(/the client 192.168.20.17 as the source/, replace('-Lnc', '192.168.20.17', '192.168.20.50'));
    fails(/2 services, it shows 1/, replace('-Ln --stats', /TCP/, 'UDP'));
    fails(/10 connections for .*, not 9/, replace('-Ln --stats', ' 10 ', ' 9 '));
    fails(
      /OutPkts/,
      replace('-Ln --stats', story.answersPassDirector ? '50 50' : '50 0', story.answersPassDirector ? '50 0' : '50 1'),
    );
  });
}
