/**
 * Holds a director's answers against what Linux IPVS did. Forgiven are the order of connection entries and of unsorted
 * lists, two seconds in an expiry, the phase of the rate estimator, where a reassembled datagram is cut again, and the
 * bytes that a recording marks as free.
 */
import { joinFragments } from './fragments.ts';
import type { ExecStep, FrameStep, RecordedFrame, Scenario, Step } from './scenario.ts';

const EXPIRY_TOLERANCE_S = 2;
const RATE_TOLERANCE = 6;
const RATE_TOLERANCE_SHARE = 0.8;

export interface Difference {
  readonly step: number;
  readonly text: string;
}

/** All steps that differ. */
export function compare(wanted: Scenario, got: Scenario): Difference[] {
  return wanted.steps.flatMap((step, i) => {
    const text = compareStep(step, got.steps[i]);
    return text === null ? [] : [{ step: i, text }];
  });
}

/** How many steps of a scenario are compared. */
export function comparedSteps(scenario: Scenario): number {
  return scenario.steps.filter((step) => 'tx' in step || 'exec' in step).length;
}

/** What differs in one step, or null. */
export function compareStep(wanted: Step, got: Step | undefined): string | null {
  if ('tx' in wanted) return got !== undefined && 'rx' in got ? compareFrames(wanted, got) : 'no answer';
  if ('exec' in wanted) return got !== undefined && 'exec' in got ? compareOutput(wanted, got) : 'no answer';
  return null;
}

function compareFrames({ rx: wanted }: FrameStep, { rx: got }: FrameStep): string | null {
  const text = compareLists(wanted, got);
  return text === null ? null : compareLists(joinFragments(wanted), joinFragments(got)) && text;
}

function compareLists(wanted: readonly RecordedFrame[], got: readonly RecordedFrame[]): string | null {
  const notes = (frames: readonly RecordedFrame[]) =>
    frames.map(({ dev, note }) => `${dev} ${note}`).join(' | ') || 'nothing';
  if (wanted.length !== got.length) return `wanted ${notes(wanted)}, got ${notes(got)}`;
  const byDevice = (frames: readonly RecordedFrame[]) => [...frames].sort((a, b) => a.dev.localeCompare(b.dev));
  const sorted = byDevice(got);
  for (const [i, frame] of byDevice(wanted).entries()) {
    const text = compareFrame(frame, sorted[i]);
    if (text !== null) return `${text}: wanted ${frame.note}, got ${sorted[i].note}`;
  }
  return null;
}

function compareFrame(wanted: RecordedFrame, got: RecordedFrame): string | null {
  if (wanted.dev !== got.dev) return `sent on ${got.dev}, not ${wanted.dev}`;
  const a = Buffer.from(wanted.frame, 'hex');
  const b = Buffer.from(got.frame, 'hex');
  if (a.length !== b.length) return `${b.length} bytes, not ${a.length}`;
  const isFree = (at: number) => (wanted.free ?? []).some(([from, to]) => at >= from && at < to);
  const different = Array.from(a.keys()).filter((at) => a[at] !== b[at] && !isFree(at));
  if (different.length > 0) return `differs at bytes ${different.slice(0, 12).join(', ')}`;
  return hasRightHeaderChecksum(b) ? null : 'wrong IPv4 header checksum';
}

function hasRightHeaderChecksum(frame: Buffer): boolean {
  if (frame.readUInt16BE(12) !== 0x0800) return true;
  let sum = 0;
  for (let at = 14; at < 14 + (frame[14] & 15) * 4; at += 2) sum += frame.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum === 0xffff;
}

function lines(text: string): string[] {
  return text
    .replace(/^\n+|\n+$/g, '')
    .split('\n')
    .map((line) => line.trimEnd());
}

function compareOutput(wanted: ExecStep, got: ExecStep): string | null {
  if (wanted.status !== got.status) {
    return `\`${wanted.exec}\` exits ${got.status}, not ${wanted.status}: wanted '${wanted.out.trim()}', got '${got.out.trim()}'`;
  }
  const a = lines(wanted.out);
  const b = lines(got.out);
  let text: string | null;
  if (wanted.out.includes('IPVS connection entries')) text = compareConnections(a, b);
  else if (wanted.exec.includes('--rate')) text = compareRates(a, b);
  else if (wanted.exec.includes('--nosort')) text = compareLines(a.sort(), b.sort());
  else text = compareLines(a, b);
  return text === null ? null : `\`${wanted.exec}\`: ${text}`;
}

function compareLines(wanted: readonly string[], got: readonly string[]): string | null {
  for (let i = 0; i < Math.max(wanted.length, got.length); i++) {
    if (wanted[i] !== got[i]) return `line ${i + 1}: wanted '${wanted[i] ?? ''}', got '${got[i] ?? ''}'`;
  }
  return null;
}

function compareConnections(wanted: readonly string[], got: readonly string[]): string | null {
  const parse = (line: string) => {
    const match = /^(\S+) (\d\d):(\d\d)(\s+.*)$/.exec(line);
    if (match === null) return { key: line, expires: 0 };
    return { key: `${match[1]}${match[4]}`, expires: Number(match[2]) * 60 + Number(match[3]) };
  };
  const sorted = (list: readonly string[]) =>
    list.map(parse).sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0) || a.expires - b.expires);
  const a = sorted(wanted);
  const b = sorted(got);
  const text = compareLines(
    a.map(({ key }) => key),
    b.map(({ key }) => key),
  );
  if (text !== null) return text;
  const late = a.findIndex(({ expires }, i) => Math.abs(expires - b[i].expires) > EXPIRY_TOLERANCE_S);
  return late < 0 ? null : `${a[late].key}: expires in ${b[late].expires} s, not ${a[late].expires} s`;
}

function compareRates(wanted: readonly string[], got: readonly string[]): string | null {
  const words = (line: string) => line.replace(/(?<=\s)\d+(?=\s|$)/g, '#').replace(/\s+/g, ' ');
  const numbers = (line: string) => Array.from(line.matchAll(/(?<=\s)\d+(?=\s|$)/g), ([n]) => Number(n));
  const text = compareLines(wanted.map(words), got.map(words));
  if (text !== null) return text;
  for (const [i, line] of wanted.entries()) {
    const rates = numbers(got[i]);
    const off = numbers(line).findIndex(
      (n, k) => Math.abs(n - rates[k]) > Math.max(RATE_TOLERANCE, RATE_TOLERANCE_SHARE * n),
    );
    if (off >= 0) return `rate ${rates[off]}, wanted about ${numbers(line)[off]}: ${got[i]}`;
  }
  return null;
}
