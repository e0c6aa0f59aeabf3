/** Prints a scenario for people, and writes it as a recording. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Scenario, Step } from '../conformance/scenario.ts';
import { RECORDED_AS } from './duel.ts';
import { HOST } from './lab-host.ts';

/** What the answers come from. */
export const ORACLE = 'Linux 6.1 IPVS 1.2.1, ipvsadm 1.31';

/** A scenario as a recording: what Linux answered. */
export function recording(name: string, about: string, steps: readonly Step[]): Scenario {
  return { name, about, oracle: ORACLE, ...RECORDED_AS, host: HOST, steps };
}

/** Writes a recording to a directory; returns the file. */
export function writeRecording(directory: string, scenario: Scenario): string {
  mkdirSync(directory, { recursive: true });
  const file = join(directory, `${scenario.name}.json`);
  writeFileSync(file, `${JSON.stringify(scenario, null, 1)}\n`);
  return file;
}

/** One step as text: what went in, and what Linux made of it. */
export function stepText(step: Step): string {
  if ('exec' in step) return [`$ ${step.exec}   -> ${step.status}`, ...indented(step.out)].join('\n');
  if ('tx' in step) {
    const answers = step.rx.map(({ dev, note }) => `    < ${dev} ${note}`);
    return [`> ${step.tx.dev} ${step.tx.note}`, ...answers].join('\n');
  }
  if ('sysctl' in step) return `${step.sysctl} = ${step.value}`;
  if ('mark' in step) {
    const { proto, dst, dport, value } = step.mark;
    return `mark ${value} for ${proto} to ${dst} port ${dport}`;
  }
  return `... ${step.sleep} s`;
}

function indented(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => `    ${line}`);
}
