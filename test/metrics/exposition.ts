/** The text format of Prometheus, read strictly: whatever `promtool check metrics` minds is an error. */

/** One line of a family. */
export interface ReadSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface ReadFamily {
  readonly help: string;
  readonly type: string;
  readonly samples: readonly ReadSample[];
}

const NAME = /^[a-z][a-z0-9_]*$/;
const SAMPLE = /^([a-z_0-9]+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/gy;
/** What a unit that is no base unit would end with. */
const FOREIGN_UNIT = /_(milliseconds|ms|minutes|hours|kilobytes|bits|percent|kb|mb)(_|$)/;

function labelsOf(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  let end = 0;
  for (const match of text.matchAll(LABEL)) {
    const [whole, name, value] = match as unknown as [string, string, string];
    if (name in labels) throw new Error(`label ${name} twice: ${text}`);
    labels[name] = value.replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c));
    end = match.index + whole.length;
  }
  if (end !== text.length) throw new Error(`no labels: ${text}`);
  return labels;
}

function suffixesOf(type: string): readonly string[] {
  if (type === 'summary') return ['_sum', '_count'];
  return type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
}

function checkHistogram(name: string, samples: readonly ReadSample[]): void {
  const buckets = samples.filter((one) => one.name === `${name}_bucket`);
  const bounds = buckets.map(({ labels }) => Number(labels.le!.replace('+Inf', 'Infinity')));
  if (bounds.at(-1) !== Infinity) throw new Error(`${name} has no last bucket`);
  buckets.forEach(({ value }, i) => {
    if (i > 0 && (bounds[i]! <= bounds[i - 1]! || value < buckets[i - 1]!.value)) {
      throw new Error(`${name}: the buckets are not cumulative`);
    }
  });
  const count = samples.find((one) => one.name === `${name}_count`);
  if (count?.value !== buckets.at(-1)!.value) throw new Error(`${name}: the count is not the last bucket`);
  if (!samples.some((one) => one.name === `${name}_sum`)) throw new Error(`${name} has no sum`);
}

/** Reads an exposition. @throws Error for anything that Prometheus or promtool would mind */
export function readExposition(text: string): Map<string, ReadFamily> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const families = new Map<string, ReadFamily & { samples: ReadSample[] }>();
  const seen = new Set<string>();
  let help: readonly [name: string, help: string] | null = null;
  let current = '';
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [, kind, name, rest] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (kind === 'HELP') {
      help = [name!, rest!];
      continue;
    }
    if (kind === 'TYPE') {
      if (help?.[0] !== name) throw new Error(`no HELP before: ${line}`);
      if (families.has(name!)) throw new Error(`${name} comes twice`);
      checkName(name!, rest!);
      families.set(name!, { help: help![1], type: rest!, samples: [] });
      current = name!;
      continue;
    }
    const [, sample, labels = '', value] = SAMPLE.exec(line) ?? [];
    const family = families.get(current);
    if (sample === undefined || family === undefined) throw new Error(`neither a sample nor a comment: ${line}`);
    if (!suffixesOf(family.type).some((suffix) => sample === `${current}${suffix}`)) {
      throw new Error(`${sample} is among the samples of ${current}`);
    }
    const number = Number(value);
    if (!Number.isFinite(number) || (family.type !== 'gauge' && number < 0)) throw new Error(`not a value: ${line}`);
    const series = line.slice(0, line.lastIndexOf(' '));
    if (seen.has(series)) throw new Error(`twice: ${series}`);
    seen.add(series);
    family.samples.push({ name: sample, labels: labelsOf(labels), value: number });
  }
  for (const [name, { type, samples }] of families) if (type === 'histogram') checkHistogram(name, samples);
  return families;
}

function checkName(name: string, type: string): void {
  if (!NAME.test(name)) throw new Error(`not a name: ${name}`);
  if (!['counter', 'gauge', 'histogram', 'summary'].includes(type)) throw new Error(`not a type: ${type}`);
  if (name.endsWith('_total') !== (type === 'counter')) throw new Error(`_total is for counters, and for all: ${name}`);
  if (/_(count|sum|bucket|info_total)$/.test(name)) throw new Error(`a reserved ending: ${name}`);
  if (FOREIGN_UNIT.test(name)) throw new Error(`not a base unit: ${name}`);
}
