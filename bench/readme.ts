/**
 * `npm run bench:readme -- FILE...`: puts runs that `npm run bench -- ... --json FILE` wrote into the README, between its
 * two benchmark marks, and draws their plots to `docs/bench`.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writePlots } from './plots.ts';
import { ROOT } from './programs.ts';
import { type Report, readReport } from './report.ts';
import { comparisons, markdownTable, summaryLine } from './table.ts';

const README = join(ROOT, 'README.md');
const BEGIN = '<!-- benchmarks -->';
const END = '<!-- /benchmarks -->';
const PLOTS = 'docs/bench';

/** What stands between the marks. */
function section(report: Report, plots: readonly string[]): string {
  const { date, machine, kernel, node, command, commit, seconds, rows } = report;
  const { worse, better } = comparisons(rows);
  const benches = [...new Set(rows.map((row) => row.bench))];
  return [
    `\`${command}\`, ${date.slice(0, 10)}, ${Math.ceil(seconds / 60)} minutes, on ${machine}, ${kernel}, Node ${node},`,
    `commit ${commit}. ${summaryLine(rows)}. Figures move with the machine; ratios within a round count.`,
    '',
    ...list('Worse than what it is compared with', worse),
    ...list('As good or better', better),
    ...benches.flatMap((bench) => [
      `### ${bench}`,
      '',
      ...plots
        .filter((file) => file.startsWith(`${bench}-`))
        .map((file) => `![${file.slice(0, -'.svg'.length)}](${PLOTS}/${file})`),
      '',
      folded(`All figures of ${bench}`, markdownTable(rows.filter((row) => row.bench === bench))),
      '',
    ]),
  ].join('\n');
}

function list(heading: string, sentences: readonly string[]): string[] {
  if (sentences.length === 0) return [`**${heading}:** nothing.`, ''];
  return [`**${heading}:**`, '', ...sentences.map((sentence) => `- ${sentence}`), ''];
}

function folded(summary: string, body: string): string {
  return `<details><summary>${summary}</summary>\n\n${body}\n\n</details>`;
}

const paths = process.argv.slice(2);
if (paths.length === 0) {
  console.error('npm run bench:readme -- FILE..., where each FILE was written by npm run bench -- NAME --json FILE');
  process.exit(2);
}
const reports = paths.map(readReport);
const text = readFileSync(README, 'utf8');
const begin = text.indexOf(BEGIN);
const end = text.indexOf(END);
if (begin < 0 || end < begin) throw new Error(`README.md has no ${BEGIN} ... ${END}`);
rmSync(join(ROOT, PLOTS), { recursive: true, force: true });
const plots = await writePlots(
  reports.flatMap(({ rows }) => rows),
  join(ROOT, PLOTS),
);
const sections = reports.map((report) => section(report, plots)).join('\n');
writeFileSync(README, `${text.slice(0, begin + BEGIN.length)}\n${sections}${text.slice(end)}`);
