/** Plots of a run, by Vega-Lite: for each benchmark and figure the medians as bars with their range, as SVG and PNG. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Resvg } from '@resvg/resvg-js';
import { parse, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import type { Row } from './bench.ts';

const WIDTH = 480;
const BAR_HEIGHT = 16;
/** Twice as many pixels as the SVG has units, for sharp letters. */
const PNG_SCALE = 2;

/** Writes `PREFIXBENCH-FIGURE.svg` and `.png` for each figure of the rows into the folder. Returns the SVG files' names. */
export async function writePlots(rows: readonly Row[], folder: string, prefix = ''): Promise<string[]> {
  mkdirSync(folder, { recursive: true });
  const written: string[] = [];
  for (const [figure, group] of groups(rows)) {
    const name = prefix + figure;
    const svg = await new View(parse(compile(specification(group)).spec), { renderer: 'none' }).toSVG();
    writeFileSync(join(folder, `${name}.svg`), svg);
    const png = new Resvg(svg, { fitTo: { mode: 'zoom', value: PNG_SCALE }, background: 'white' }).render().asPng();
    writeFileSync(join(folder, `${name}.png`), png);
    written.push(`${name}.svg`);
  }
  return written;
}

function groups(rows: readonly Row[]): Map<string, Row[]> {
  const found = new Map<string, Row[]>();
  for (const row of rows) {
    const name = `${row.bench}-${row.figure}`.toLowerCase().replace(/[^a-z0-9]+/g, '-');
    found.set(name, [...(found.get(name) ?? []), row]);
  }
  return found;
}

function specification(rows: readonly Row[]): TopLevelSpec {
  const { bench, figure, unit, better } = rows[0];
  const cases = [...new Set(rows.map((row) => row.case))];
  const subjects = [...new Set(rows.map((row) => row.subject))];
  const y = { field: 'case', type: 'nominal', sort: cases, title: null, axis: { labelLimit: 320 } } as const;
  const yOffset = { field: 'subject', type: 'nominal', sort: subjects } as const;
  return {
    background: 'white',
    title: `${bench}: ${figure}, ${unit} (${better} is better; median, min to max)`,
    data: { values: rows.map(({ ratios, bar, ...plain }) => plain) },
    width: WIDTH,
    height: { step: BAR_HEIGHT },
    encoding: { y, yOffset },
    layer: [
      {
        mark: { type: 'bar' },
        encoding: {
          x: { field: 'median', type: 'quantitative', title: unit },
          color: { field: 'subject', type: 'nominal', sort: subjects, title: null },
        },
      },
      {
        mark: { type: 'rule' },
        encoding: { x: { field: 'min', type: 'quantitative' }, x2: { field: 'max' } },
      },
    ],
  };
}
