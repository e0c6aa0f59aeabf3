/** One name of the exposition, whose values the director has counted already: nothing is counted a second time. */
import type { Metric, MetricObjectWithValues, MetricValueWithName, Registry } from 'prom-client';

/** A value under its labels. */
export interface Sample {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  /** What comes behind the family's name: the parts of a histogram or summary. */
  readonly suffix?: '_bucket' | '_sum' | '_count';
}

/** What is exposed under one name, and where it comes from. */
export interface Family<Source> {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary';
  samples(source: Source): Sample[];
}

/** prom-client's own kinds of metrics are told of events one by one; this one looks when it is asked. */
class Looked<Source> {
  /** Changed by a registry that speaks OpenMetrics. */
  name: string;
  readonly help: string;
  readonly type: string;
  readonly aggregator = 'sum';
  readonly #family: Family<Source>;
  readonly #look: () => Source;

  constructor(family: Family<Source>, look: () => Source) {
    this.name = family.name;
    this.help = family.help;
    this.type = family.type;
    this.#family = family;
    this.#look = look;
  }

  async get(): Promise<MetricObjectWithValues<MetricValueWithName<string>>> {
    const { name, help, type, aggregator } = this;
    const values = this.#family.samples(this.#look()).map(({ labels, value, suffix = '' }) => ({
      labels,
      value,
      ...(suffix !== '' && { metricName: `${name}${suffix}` }),
    }));
    return { name, help, type, aggregator, values } as unknown as MetricObjectWithValues<MetricValueWithName<string>>;
  }

  /** For `registry.resetMetrics()`: what a director has counted stays. */
  reset(): void {}
}

/**
 * Registers families that are read from one source.
 * @param look gives the source; asked once for all families of an exposition.
 */
export function register<Source>(registry: Registry, families: readonly Family<Source>[], look: () => Source): void {
  let seen: { readonly source: Source } | null = null;
  // A registry asks all of its metrics in one turn.
  const lookOnce = () => {
    if (seen === null) {
      seen = { source: look() };
      setImmediate(() => {
        seen = null;
      });
    }
    return seen.source;
  };
  for (const family of families) {
    registry.registerMetric(new Looked(family, lookOnce) as unknown as Metric);
  }
}
