/**
 * `npm run bench:readme -- FILE...`: puts what runs have shown that `npm run bench -- ... --json FILE` wrote into the README,
 * between its two benchmark marks, and all of their figures, with plots, into `docs/bench`.
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
const FOLDER = 'docs/bench';
const FIGURES = join(FOLDER, 'README.md');

/** When, where and how a run was. */
function circumstances({ date, machine, kernel, node, command, commit, seconds, rows }: Report): string {
  const when = `${date.slice(0, 10)}, ${Math.ceil(seconds / 60)} minutes`;
  return `\`${command}\`, ${when}, on ${machine}, ${kernel}, Node ${node}, commit ${commit}. ${summaryLine(rows)}.`;
}

/** What a run has shown, worse and better. */
function summary(report: Report): string {
  const { worse, better } = comparisons(report.rows);
  const lists = [...list('Worse than what it is compared with', worse), ...list('As good or better', better)];
  return [circumstances(report), '', ...lists].join('\n');
}

/** All figures of a run, and plots of them. */
async function figures(report: Report, prefix: string): Promise<string> {
  const plots = await writePlots(report.rows, join(ROOT, FOLDER), prefix);
  const images = plots.map((file) => `![${file.slice(0, -'.svg'.length)}](${file})`);
  return [
    '## `' + report.command + '`',
    '',
    circumstances(report),
    '',
    ...images,
    '',
    markdownTable(report.rows),
    '',
  ].join('\n');
}

function list(heading: string, sentences: readonly string[]): string[] {
  if (sentences.length === 0) return [`**${heading}:** nothing.`, ''];
  return [`**${heading}:**`, '', ...sentences.map((sentence) => `- ${sentence}`), ''];
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
rmSync(join(ROOT, FOLDER), { recursive: true, force: true });
const pages: string[] = [];
for (const report of reports) pages.push(await figures(report, reports.length === 1 ? '' : `${pages.length + 1}-`));
const intro =
  'Medians, in parentheses the least and the most. Figures move with the machine; ratios within a round count.';
writeFileSync(join(ROOT, FIGURES), `# Benchmarks: all figures\n\n${intro}\n\n${pages.join('\n')}`);
const link = `All figures, and plots of them: [${FIGURES}](${FIGURES}).\n`;
const section = [...reports.map(summary), link].join('\n');
writeFileSync(README, `${text.slice(0, begin + BEGIN.length)}\n${section}${text.slice(end)}`);
