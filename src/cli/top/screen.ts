/** What `tapvs top` shows: lines of text from two looks at a director. */
import { FORWARD_NAMES } from '../../conntrack/forward-method.ts';
import type { StatusAnswer } from '../../control/verbs/status.ts';
import type { ServiceHealthEntry } from '../../health/config.ts';
import type { DestinationEntry, ServiceEntry } from '../../services/config.ts';
import { destinationName, keyOf, serviceName } from '../../services/naming.ts';
import type { StatsSnapshot } from '../../services/stats.ts';
import { VERDICT_NAMES, VERDICT_TEXTS } from '../../verdicts.ts';

/** How a line stands out. */
export type Style = 'title' | 'service' | 'ill' | 'plain';

/** A line of the screen, no longer than it is wide. */
export interface Line {
  readonly text: string;
  readonly style: Style;
}

/** What changes more than once a minute must be at the same place every time: columns, right-aligned. */
const COLUMNS = [
  ['method', 7],
  ['weight', 7],
  ['active', 7],
  ['inact', 7],
  ['conn/s', 7],
  ['in b/s', 7],
  ['out b/s', 8],
  ['health', 7],
] as const;
const COLUMNS_WIDTH = COLUMNS.reduce((so, [, width]) => so + width, 0);
/** The narrowest that there is a layout for. */
export const MIN_WIDTH = 80;

/** `999`, `1.2k`, `12k`, `1.2M`: at most five characters. */
export function short(value: number): string {
  if (value < 1000) return String(Math.round(value));
  let scaled = value;
  for (const unit of 'kMGTP') {
    scaled /= 1000;
    if (scaled < 9.95) return `${scaled.toFixed(1)}${unit}`;
    if (scaled < 999.5) return `${Math.round(scaled)}${unit}`;
  }
  return 'huge';
}

/** Text of exactly that width; what is cut is cut in the middle, since names differ at their ends. */
function sized(text: string, width: number): string {
  if (text.length <= width) return text.padEnd(width);
  const end = Math.floor((width - 1) / 2);
  return `${text.slice(0, width - 1 - end)}~${text.slice(text.length - end)}`;
}

function row(name: string, cells: readonly string[], width: number): string {
  return sized(name, width - COLUMNS_WIDTH) + cells.map((cell, i) => cell.padStart(COLUMNS[i][1])).join('');
}

/** Rates between two looks; before the second there are none. */
class Rates {
  readonly #seconds: number;
  readonly #before: ReadonlyMap<string, StatsSnapshot>;

  constructor(now: StatusAnswer, before: StatusAnswer | null) {
    this.#seconds = before === null ? 0 : (now.timeMs - before.timeMs) / 1000;
    this.#before = new Map(before === null ? [] : counted(before));
  }

  /** Per second; null where it is not known yet. Counters that were zeroed begin anew. */
  of(name: string, stats: StatsSnapshot, field: keyof StatsSnapshot): number | null {
    const before = this.#before.get(name);
    if (before === undefined || this.#seconds <= 0) return null;
    return Math.max(0, stats[field] - before[field]) / this.#seconds;
  }

  text(name: string, stats: StatsSnapshot, field: keyof StatsSnapshot): string {
    const rate = this.of(name, stats, field);
    if (rate === null) return '-';
    return short(field === 'inBytes' || field === 'outBytes' ? 8 * rate : rate);
  }
}

function* counted({ services, statistics }: StatusAnswer): Generator<[string, StatsSnapshot]> {
  yield ['', statistics];
  for (const service of services) {
    const name = serviceName(keyOf(service));
    yield [name, service.stats];
    for (const one of service.destinations) yield [`${name} ${destinationName(one)}`, one.stats];
  }
}

function droppedOf({ counters }: StatusAnswer): Map<string, number> {
  const dropped = VERDICT_NAMES.filter((name) => VERDICT_TEXTS[name].startsWith('dropped'));
  return new Map<string, number>(dropped.map((name) => [name, counters.verdicts[name]]));
}

/** The lines that stay on top. */
function head(now: StatusAnswer, before: StatusAnswer | null, rates: Rates, title: string, width: number): Line[] {
  const { services, statistics, tables } = now;
  const servers = services.reduce((so, { destinations }) => so + destinations.length, 0);
  const rate = (field: keyof StatsSnapshot) => rates.text('', statistics, field);
  const fill = tables
    .map(({ family, entries, capacity }) => `IPv${family} ${short(entries)} of ${short(capacity)}`)
    .join(', ');
  const traffic =
    `${rate('conns')} conn/s   in ${rate('inPkts')} pkt/s ${rate('inBytes')} bit/s   ` +
    `out ${rate('outPkts')} pkt/s ${rate('outBytes')} bit/s`;
  const lines = [
    `${`tapvs  ${services.length} services, ${servers} servers`.padEnd(width - title.length)}${title}`,
    traffic,
    `table ${fill}   dropped ${drops(now, before)}`,
  ];
  const columns = row(
    'service, servers',
    COLUMNS.map(([name]) => name),
    width,
  );
  return [
    ...lines.map((text): Line => ({ text: text.slice(0, width), style: 'plain' })),
    { text: columns, style: 'title' },
  ];
}

/** Frames dropped per second, and the reason of most. */
function drops(now: StatusAnswer, before: StatusAnswer | null): string {
  if (before === null) return '-';
  const seconds = (now.timeMs - before.timeMs) / 1000;
  const earlier = droppedOf(before);
  const grown = Array.from(droppedOf(now), ([name, count]) => [name, count - earlier.get(name)!] as const);
  const total = grown.reduce((so, [, count]) => so + count, 0);
  const [most] = grown.sort(([, a], [, b]) => b - a);
  return `${short(total / seconds)}/s${total > 0 ? ` (${most[0]})` : ''}`;
}

/**
 * The screen's lines.
 * @param before the look before this one; null for the first.
 * @param title what stands at the right of the first line.
 * @param width columns, at least {@link MIN_WIDTH}.
 */
export function layOut(
  now: StatusAnswer,
  before: StatusAnswer | null,
  title: string,
  width: number,
): {
  readonly head: Line[];
  readonly body: Line[];
} {
  const rates = new Rates(now, before);
  const health = new Map(now.health.map((entry) => [serviceName(entry.service), entry]));
  const body = now.services.flatMap((service) => {
    const name = serviceName(keyOf(service));
    return linesOf(service, name, rates, health.get(name), width);
  });
  const none: Line[] = [{ text: 'There are no services.', style: 'plain' }];
  return { head: head(now, before, rates, title, width), body: body.length === 0 ? none : body };
}

function linesOf(
  service: ServiceEntry,
  name: string,
  rates: Rates,
  health: ServiceHealthEntry | undefined,
  width: number,
): Line[] {
  const { destinations, stats, scheduler } = service;
  const total = (count: (one: DestinationEntry) => number) =>
    short(destinations.reduce((so, one) => so + count(one), 0));
  const lines: Line[] = [
    {
      text: row(
        name,
        [
          scheduler.slice(0, 6),
          '',
          total((one) => one.activeConns),
          total((one) => one.inactConns),
          rates.text(name, stats, 'conns'),
          rates.text(name, stats, 'inBytes'),
          rates.text(name, stats, 'outBytes'),
          health?.state ?? '',
        ],
        width,
      ),
      style: health !== undefined && health.state !== 'served' ? 'ill' : 'service',
    },
  ];
  for (const one of destinations) {
    const server = destinationName(one);
    const key = `${name} ${server}`;
    const known = health?.servers.find(({ address, port }) => address === one.address && port === one.port);
    const state = one.overloaded ? 'full' : (known?.state.replace('unchecked', 'new') ?? '');
    const cells = [
      FORWARD_NAMES[one.method].slice(0, 6),
      short(one.weight),
      short(one.activeConns),
      short(one.inactConns),
      rates.text(key, one.stats, 'conns'),
      rates.text(key, one.stats, 'inBytes'),
      rates.text(key, one.stats, 'outBytes'),
      state,
    ];
    const isIll = one.weight === 0 || one.overloaded || known?.state === 'down' || known?.state === 'ejected';
    lines.push({ text: row(`  ${server}`, cells, width), style: isIll ? 'ill' : 'plain' });
  }
  // Servers that were taken out of the table for not being well.
  for (const one of health?.servers ?? []) {
    if (one.weight !== null) continue;
    const cells = ['', '-', '', '', '', '', '', one.state];
    lines.push({ text: row(`  ${destinationName(one)}`, cells, width), style: 'ill' });
  }
  return lines;
}
