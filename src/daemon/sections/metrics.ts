/** `metrics`: where Prometheus finds the director's metrics. */
import { isDeepStrictEqual } from 'node:util';
import { Registry } from 'prom-client';
import { metricsOf } from '../../metrics/director.ts';
import { MetricsListener } from '../../metrics/listener.ts';
import { processMetrics } from '../../metrics/process.ts';
import type { MetricsConfiguration } from '../configuration.ts';
import { integer, object, text } from '../schema-parts.ts';
import type { Change, Running, Section } from '../section.ts';

export const metrics: Section<'metrics'> = {
  name: 'metrics',
  schema: object(
    'Metrics for Prometheus, by HTTP, at `/metrics`. Whoever reaches them may read them.',
    {
      address: text("The machine's address to listen on. Default: for programs on the machine alone.", {
        default: '127.0.0.1',
        minLength: 1,
        maxLength: 64,
      }),
      port: integer('The TCP port. 0: no metrics.', 0, 65535, { default: 0 }),
    },
    [],
    { default: {} },
  ),
  plan(before, after): Change[] {
    if (isDeepStrictEqual(before, after)) return [];
    return [{ path: ['metrics'], apply: (running) => reopen(running, after) }];
  },
};

async function reopen({ director, logger, opened }: Running, { address, port }: MetricsConfiguration): Promise<void> {
  await opened.get('metrics')?.();
  opened.delete('metrics');
  if (port === 0) return;
  const registry = new Registry();
  metricsOf(director, registry);
  processMetrics(registry);
  const listener = await MetricsListener.listen(registry, address, port, (error) =>
    logger.error({ mistake: String(error) }, 'metrics failed by a mistake of their own'),
  );
  opened.set('metrics', () => listener.close());
  logger.info({ address, port }, 'metrics open');
}
