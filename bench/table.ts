/** Rows as people read them: lines of a terminal, and tables of the README. */
import type { Bar, Ratio, Row, Spread } from './bench.ts';

const NAME_WIDTH = 58;
const NUMBER_WIDTH = 11;

/** Four significant digits, but all of the integer part: 0.9876, 12.35, 281500. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return '-';
  const integerDigits = Math.max(1, Math.floor(Math.log10(Math.abs(value) || 1)) + 1);
  return value.toFixed(Math.max(0, 4 - integerDigits));
}

export function formatBar(bar: Bar): string {
  return 'atLeast' in bar ? `>= ${bar.atLeast}` : `<= ${bar.atMost}`;
}

/** The heading of {@link rowLines}. */
export function headingLine(): string {
  return line('', ['min', 'median', 'max'], '');
}

/** A row, and below it a line for each ratio. */
export function rowLines(row: Row): string[] {
  const name = `${row.case}, ${row.subject}: ${row.figure}`;
  return [
    line(name, numbers(row), `${row.unit}${verdict(row)}`),
    ...row.ratios.map((ratio) => line(`    to ${ratio.to}`, numbers(ratio), `times${verdict(ratio)}`)),
  ];
}

function line(name: string, columns: readonly string[], rest: string): string {
  const cells = columns.map((text) => text.padStart(NUMBER_WIDTH)).join('');
  return `${name.padEnd(NAME_WIDTH)}${cells} ${rest}`.trimEnd();
}

function numbers({ min, median, max }: Spread): string[] {
  return [min, median, max].map(formatNumber);
}

function verdict({ bar, meets }: Pick<Ratio, 'bar' | 'meets'>): string {
  return bar === undefined ? '' : `   ${formatBar(bar)}: ${meets === true ? 'met' : 'NOT MET'}`;
}

/** How many bars there were, and how many were met. */
export function summaryLine(rows: readonly Row[]): string {
  const bars = rows.flatMap((row) => [row, ...row.ratios]).filter(({ bar }) => bar !== undefined);
  const met = bars.filter((one) => one.meets === true).length;
  return `${rows.length} figures; ${bars.length} bars, ${met} met, ${bars.length - met} not met`;
}

/** A Markdown table of the rows: one line for each figure, and each ratio in it by its median (min - max). */
export function markdownTable(rows: readonly Row[]): string {
  const lines = rows.map((row) => {
    const cells = [row.case, row.subject, `${row.figure}, ${row.unit}`, brief(row) + barCell(row)];
    return `| ${[...cells, row.ratios.map(ratioCell).join('<br>')].join(' | ')} |`;
  });
  return [
    '| what | who | figure | median (min - max) | ratios in the same round |',
    '|---|---|---|---|---|',
    ...lines,
  ].join('\n');
}

function brief({ min, median, max }: Spread): string {
  return `${formatNumber(median)} (${formatNumber(min)} - ${formatNumber(max)})`;
}

function ratioCell(ratio: Ratio): string {
  return `${brief(ratio)} of ${ratio.to}${barCell(ratio)}`;
}

function barCell({ bar, meets }: Pick<Ratio, 'bar' | 'meets'>): string {
  return bar === undefined ? '' : `; bar ${formatBar(bar)}: ${meets === true ? 'met' : '**not met**'}`;
}

/** What a figure of ours is to those of others: one sentence for each that is worse in anything, and each that is not. */
export function comparisons(rows: readonly Row[]): {
  readonly worse: readonly string[];
  readonly better: readonly string[];
} {
  const worse = new Map<string, string[]>();
  const better = new Map<string, string[]>();
  for (const row of rows) {
    const figure = `${row.subject}: ${row.figure}`;
    for (const { to, median } of row.ratios) {
      if (!Number.isFinite(median)) continue;
      const isGood = row.better === 'more' ? median >= 1 : median <= 1;
      const found = isGood ? better : worse;
      found.set(figure, [...(found.get(figure) ?? []), `${formatNumber(median)} times ${to} (${row.case})`]);
    }
  }
  return { worse: sentences(worse), better: sentences(better) };
}

function sentences(found: ReadonlyMap<string, readonly string[]>): string[] {
  return Array.from(found, ([figure, cases]) => `${figure}: ${cases.join('; ')}`);
}
