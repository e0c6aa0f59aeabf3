/** Every frame of the recordings is explained before it is sent: what is foretold must come, and nothing may have changed. */
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { Director } from '../../src/index.ts';
import { printFrame } from '../../src/packet/print.ts';
import { VERDICT_NAMES, type VerdictName } from '../../src/verdicts.ts';
import { Player } from '../conformance/play.ts';
import { type FrameStep, loadScenarios, type Scenario } from '../conformance/scenario.ts';

const SCENARIOS = loadScenarios(fileURLToPath(new URL('../../../test/golden', import.meta.url)));

/** What a director shows of itself. */
function state(director: Director): unknown {
  return [director.services(), director.connections(), director.counters(), director.statistics(), director.rates()];
}

function verdictBetween(
  before: Record<VerdictName, number>,
  after: Record<VerdictName, number>,
): VerdictName | undefined {
  return VERDICT_NAMES.find((name) => after[name] !== before[name]);
}

function line(frame: Uint8Array): string {
  // The identification of datagrams that are sent in pieces counts on.
  return printFrame(new DataView(frame.buffer, frame.byteOffset, frame.length), 0, frame.length).replace(
    /fragment \d+/,
    'fragment',
  );
}

/** Neither ARP nor neighbour discovery, which recordings leave out, nor a message to backups, which goes when it is full. */
function isPacket(text: string): boolean {
  return !text.includes(' ARP ') && !text.includes(':8848 ') && !/ICMPv6 (?:neighbour|router)/.test(text);
}

/** Explains the frame, sends it, and says how the two differ. */
function compareStep(player: Player, step: FrameStep): string | null {
  const { director } = player;
  const before = state(director);
  const verdicts = director.counters().verdicts;
  const explained = director.explain(Buffer.from(step.tx.frame, 'hex'), { interface: step.tx.dev });
  if (JSON.stringify(state(director)) !== JSON.stringify(before)) return 'the explanation has changed something';
  const { sent } = player;
  const rx = (player.answer(step) as FrameStep).rx.slice(sent);
  const verdict = verdictBetween(verdicts, director.counters().verdicts);
  // The firewall of the recording's host may have dropped it. Fragments that wait are not looked at; chance may drop a packet when the defences are up.
  if (verdict === undefined || verdict === 'OVERLOAD' || explained.verdict === 'FRAGMENT' || !explained.certain)
    return null;
  if (explained.verdict !== verdict) return `${verdict}, but explained as ${explained.verdict}\n${explained.text}`;
  const foretold = explained.sent.map((one) => `${one.device} ${line(one.frame)}`).filter(isPacket);
  const came = rx.map(({ dev, frame }) => `${dev} ${line(Buffer.from(frame, 'hex'))}`).filter(isPacket);
  return foretold.join('\n') === came.join('\n') ? null : `sent\n${came.join('\n')}\nbut explained\n${explained.text}`;
}

function differences(scenario: Scenario): string[] {
  const player = new Player(scenario.host, { checksumOffload: false });
  const found: string[] = [];
  try {
    for (const [i, step] of scenario.steps.entries()) {
      const difference = 'tx' in step ? compareStep(player, step) : null;
      if (!('tx' in step)) player.answer(step);
      if (difference !== null) found.push(`step ${i}: ${difference}`);
    }
  } finally {
    player.close();
  }
  return found;
}

for (const scenario of SCENARIOS) {
  test(scenario.name, (t) => {
    t.deepEqual(differences(scenario).slice(0, 3), []);
  });
}
