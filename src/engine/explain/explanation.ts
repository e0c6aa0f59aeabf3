/** What `explain` gives: the way of one packet in steps, as data and as text for people. */
import type { VerdictName } from '../../verdicts.ts';

/** A packet to explain. */
export interface ExplainOptions {
  /** The interface that it comes in on. Default: the one that the way back to its sender leads to, else the first. */
  readonly interface?: string;
}

/** One step of a packet's way. */
export interface ExplanationStep {
  /** What the step is about, in a word: `hook`, `service`, `scheduler` ... */
  readonly topic: string;
  /** What was found and what follows from it. */
  readonly text: string;
  /** Lines that go with it: the servers that a scheduler compared, a frame. */
  readonly details: readonly string[];
}

/** A frame that the director would send. */
export interface ExplanationFrame {
  /** The device's name. */
  readonly device: string;
  /** The frame, from its first byte of Ethernet header on. */
  readonly frame: Uint8Array;
  /** The same as a line of text. */
  readonly line: string;
}

/** What would happen to a packet, and why. */
export interface Explanation {
  /** The frame that would come in, and the interface's name. */
  readonly frame: Uint8Array;
  readonly interface: string;
  readonly steps: readonly ExplanationStep[];
  /** What would become of it: a key of `VERDICT_TEXTS`. */
  readonly verdict: VerdictName;
  /** What would be sent: the packet, rewritten, or an answer, or a question for a MAC address. */
  readonly sent: readonly ExplanationFrame[];
  /**
   * Whether it would be just so. False where chance decides (`twos`), or a scheduler of your own that cannot be asked
   * without effect: the server is then an example.
   */
  readonly certain: boolean;
  /** All of it as text, in lines of at most about 120 columns. */
  readonly text: string;
}

const TOPIC_WIDTH = 11;

/** Steps as they are written down. */
export class Story {
  readonly steps: ExplanationStep[] = [];

  tell(topic: string, text: string, details: readonly string[] = []): void {
    this.steps.push({ topic, text, details });
  }
}

/** A story's lines. */
export function layOut(heading: string, steps: readonly ExplanationStep[]): string {
  const lines = [heading, ''];
  for (const { topic, text, details } of steps) {
    lines.push(`  ${topic.padEnd(TOPIC_WIDTH)} ${text}`);
    for (const detail of details) lines.push(`  ${''.padEnd(TOPIC_WIDTH)}   ${detail}`);
  }
  return `${lines.join('\n')}\n`;
}
