/** Metrics for Prometheus, for users who run a director of their own: needs a registry of prom-client's. */
export { type Measured, metricsOf } from './director.ts';
export { MetricsListener } from './listener.ts';
