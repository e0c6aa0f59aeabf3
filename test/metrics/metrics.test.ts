/** The metrics of a director: read by a strict reader, and compared with what its listings say. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { Registry } from 'prom-client';
import { type Director, MemoryDevice, Director as NewDirector, VERDICT_NAMES } from '../../src/index.ts';
import { metricsOf } from '../../src/metrics/index.ts';
import { processMetrics } from '../../src/metrics/process.ts';
import { Lab, rs, tcp, udp } from '../core/lab.ts';
import { type ReadFamily, readExposition } from './exposition.ts';

/** A director with services of every kind, and connections in several states. */
function busyLab(threads: number): Lab {
  const lab = new Lab({ threads, maxConnections: 1000 }, true);
  const { director } = lab;
  director.addService(tcp(), { scheduler: 'rr', persistent: 300 });
  for (const n of [11, 12])
    director.addDestination(tcp(), { address: rs(n), port: 8080 }, { method: 'masq', weight: n });
  director.addService(udp(), { scheduler: 'sh' });
  director.addDestination(udp(), { address: rs(13) }, { upperThreshold: 1 });
  director.addService({ fwmark: 7 }, {});
  director.addService({ fwmark: 7, family: 6 }, {});
  director.addService({ protocol: 'tcp', address: '2001:db8::100', port: 443 }, {});
  director.addDestination({ protocol: 'tcp', address: '2001:db8::100', port: 443 }, { address: '2001:db8::b' });
  for (let n = 1; n <= 20; n++) {
    const from = `192.0.2.${n}`;
    lab.client('S', { from });
    if (n % 2 === 0) lab.client('', { from }, { flags: 'A' });
    lab.datagram({ from });
  }
  lab.client('S', { toPort: 81 });
  lab.sleep(2.5);
  return lab;
}

/** Watches the first service for some seconds: one of its servers is well, one is not. */
async function watch({ director, clock }: Lab): Promise<void> {
  director.watch(tcp(), {
    check: ({ address }) => {
      if (address === rs(12)) throw new Error('not well');
    },
    interval: 0.5,
    fall: 1,
    rise: 1,
    load: { from: () => 0.25 },
  });
  for (let i = 0; i < 20; i++) {
    clock.advance(250);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function expose(director: Director): Promise<Map<string, ReadFamily>> {
  const registry = new Registry();
  metricsOf(director, registry);
  processMetrics(registry);
  return readExposition(await registry.metrics());
}

function sampleOf(
  families: ReadonlyMap<string, ReadFamily>,
  name: string,
  labels: Record<string, string> = {},
): number {
  const all = (families.get(name) ?? families.get(name.replace(/_(sum|count)$/, '')))?.samples ?? [];
  const found = all.filter(
    (one) => one.name === name && Object.entries(labels).every(([label, value]) => one.labels[label] === value),
  );
  if (found.length !== 1) throw new Error(`${found.length} series ${name} ${JSON.stringify(labels)}`);
  return found[0]!.value;
}

for (const threads of [0, 2]) {
  test(`what is exposed is what is listed, with ${threads} threads`, async (t) => {
    const { director } = busyLab(threads);
    t.teardown(() => director.stop());
    const families = await expose(director);
    const fields = [
      ['connections', 'conns', 'cps'],
      ['incoming_packets', 'inPkts', 'inPps'],
      ['outgoing_packets', 'outPkts', 'outPps'],
      ['incoming_bytes', 'inBytes', 'inBps'],
      ['outgoing_bytes', 'outBytes', 'outBps'],
    ] as const;
    for (const [name, counted, rated] of fields) {
      t.is(sampleOf(families, `tapvs_${name}_total`), director.statistics()[counted]);
      t.is(sampleOf(families, `tapvs_${name}_per_second`), director.rates()[rated]);
    }
    t.true(director.rates().inPps > 0);

    const names = ['tcp 10.0.0.100:80', 'udp 10.0.0.100:53', 'fwmark 7', 'fwmark 7 IPv6', 'tcp [2001:db8::100]:443'];
    t.deepEqual(
      families
        .get('tapvs_service_info')!
        .samples.map(({ labels }) => labels.service)
        .sort(),
      names.sort(),
    );
    for (const service of director.services()) {
      const mark = `fwmark ${service.fwmark}${service.family === 6 ? ' IPv6' : ''}`;
      const at = (address: string, port: number) =>
        service.family === 6 ? `[${address}]:${port}` : `${address}:${port}`;
      const label = service.fwmark !== 0 ? mark : `${service.protocol} ${at(service.address, service.port)}`;
      t.is(sampleOf(families, 'tapvs_service_destinations', { service: label }), service.destinations.length);
      for (const [name, counted, rated] of fields) {
        t.is(sampleOf(families, `tapvs_service_${name}_total`, { service: label }), service.stats[counted]);
        t.is(sampleOf(families, `tapvs_service_${name}_per_second`, { service: label }), service.rates[rated]);
      }
      for (const one of service.destinations) {
        const labels = { service: label, destination: at(one.address, one.port) };
        for (const [name, counted, rated] of fields) {
          t.is(sampleOf(families, `tapvs_destination_${name}_total`, labels), one.stats[counted]);
          t.is(sampleOf(families, `tapvs_destination_${name}_per_second`, labels), one.rates[rated]);
        }
        t.is(sampleOf(families, 'tapvs_destination_weight', labels), one.weight);
        t.is(sampleOf(families, 'tapvs_destination_active_connections', labels), one.activeConns);
        t.is(sampleOf(families, 'tapvs_destination_inactive_connections', labels), one.inactConns);
        t.is(sampleOf(families, 'tapvs_destination_persistent_connections', labels), one.persistConns);
        t.is(sampleOf(families, 'tapvs_destination_overloaded', labels), Number(one.overloaded));
      }
    }
    t.is(sampleOf(families, 'tapvs_destination_overloaded', { destination: '10.0.0.13:53' }), 1);

    const { received, sent, verdicts } = director.counters();
    for (const verdict of VERDICT_NAMES) {
      t.is(sampleOf(families, 'tapvs_received_frames_total', { verdict }), verdicts[verdict]);
    }
    t.is(
      sampleOf(families, 'tapvs_received_frames_total', { verdict: 'NO_SERVER', fate: 'dropped' }),
      verdicts.NO_SERVER,
    );
    t.is(sampleOf(families, 'tapvs_sent_frames_total'), sent);
    t.is(sampleOf(families, 'tapvs_burst_frames_sum'), received);

    const connections = director.connections();
    t.is(sampleOf(families, 'tapvs_table_entries', { family: 'ipv4' }), connections.length);
    t.is(sampleOf(families, 'tapvs_table_entries', { family: 'ipv6' }), 0);
    t.is(sampleOf(families, 'tapvs_table_capacity_entries', { family: 'ipv4' }), 1000);
    const listed: Record<string, number> = {};
    for (const { protocol, state, flags } of connections) {
      const kind = (flags & 0x1000) !== 0 ? 'template' : 'connection';
      const key = `${protocol === 6 ? 'tcp' : 'udp'} ${state} ${kind}`;
      listed[key] = (listed[key] ?? 0) + 1;
    }
    const exposed = families
      .get('tapvs_state_connections')!
      .samples.map(({ labels, value }) => [`${labels.protocol} ${labels.state} ${labels.kind}`, value]);
    t.deepEqual(Object.fromEntries(exposed), listed);
    t.true(Object.keys(listed).length >= 3, JSON.stringify(listed));
    t.true(sampleOf(families, 'tapvs_loop_lag_seconds_count') >= 50);
    t.is(sampleOf(families, 'tapvs_loop_lag_seconds_sum'), 0);
  });
}

test('a director that was stopped, in threads or not, still says what it counted', async (t) => {
  for (const threads of [0, 1]) {
    const { director } = busyLab(threads);
    const before = await expose(director);
    director.stop();
    const after = await expose(director);
    for (const name of ['tapvs_connections_total', 'tapvs_sent_frames_total', 'tapvs_burst_frames_count']) {
      t.is(sampleOf(after, name), sampleOf(before, name), `${name}, ${threads} threads`);
    }
  }
});

test('all of one exposition comes from one look', async (t) => {
  const { director } = busyLab(0);
  let looks = 0;
  const watched = {
    services: () => {
      looks++;
      return director.services();
    },
    statistics: () => director.statistics(),
    rates: () => director.rates(),
    counters: () => director.counters(),
    workload: () => director.workload(),
    health: () => director.health(),
  };
  const registry = new Registry();
  metricsOf(watched, registry);
  t.is(looks, 0);
  await registry.metrics();
  t.is(looks, 1);
  await new Promise((resolve) => setImmediate(resolve));
  await registry.metrics();
  t.is(looks, 2);
  registry.resetMetrics();
  t.throws(() => metricsOf(director, registry), { message: /already been registered/ });
});

test('a registry of OpenMetrics is served by its rules', async (t) => {
  const { director } = busyLab(0);
  const registry = new Registry<'application/openmetrics-text; version=1.0.0; charset=utf-8'>();
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  metricsOf(director, registry as unknown as Registry);
  for (const round of [1, 2]) {
    const text = await registry.metrics();
    t.true(text.endsWith('# EOF\n'), `round ${round}`);
    t.regex(text, /^# TYPE tapvs_connections counter$/m);
    t.regex(text, /^tapvs_connections_total \d+$/m);
    t.notRegex(text, /_total_total/);
    const types = Array.from(text.matchAll(/^# TYPE (\S+) (\S+)$/gm), ([, name]) => name);
    t.is(new Set(types).size, types.length);
    t.regex(text, /^tapvs_burst_frames_bucket\{le="1"\} \d+$/m);
  }
});

test('the health of servers is exposed as it is listed', async (t) => {
  const lab = busyLab(0);
  const { director } = lab;
  t.teardown(() => director.stop());
  await watch(lab);
  const families = await expose(director);
  const [watched] = director.health();
  const service = 'tcp 10.0.0.100:80';
  t.is(sampleOf(families, 'tapvs_health_service_state', { service, state: watched!.state }), 1);
  t.is(sampleOf(families, 'tapvs_health_used_destinations', { service }), 1);
  t.is(sampleOf(families, 'tapvs_health_quorum_destinations', { service }), 1);
  t.deepEqual(watched!.servers.map(({ state }) => state).sort(), ['down', 'up']);
  for (const { address, port, state, configuredWeight, load, checks } of watched!.servers) {
    const labels = { service, destination: `${address}:${port}` };
    for (const one of ['unchecked', 'up', 'down', 'ejected']) {
      t.is(sampleOf(families, 'tapvs_health_state', { ...labels, state: one }), Number(one === state));
    }
    t.is(sampleOf(families, 'tapvs_health_configured_weight', labels), configuredWeight);
    t.is(sampleOf(families, 'tapvs_health_load_ratio', labels), load!);
    t.is(sampleOf(families, 'tapvs_health_check_duration_seconds', labels), checks.lastSeconds!);
    t.is(sampleOf(families, 'tapvs_health_checks_total', { ...labels, result: 'succeeded' }), checks.succeeded);
    t.is(sampleOf(families, 'tapvs_health_checks_total', { ...labels, result: 'failed' }), checks.failed);
    t.true(checks.succeeded + checks.failed > 3);
    const { handshakes } = director.service(tcp()).destinations.find((one) => one.address === address)!;
    for (const event of ['started', 'completed', 'expired'] as const) {
      t.is(sampleOf(families, 'tapvs_destination_handshakes_total', { ...labels, event }), handshakes[event]);
    }
    t.is(sampleOf(families, 'tapvs_destination_handshake_seconds_count', labels), handshakes.timed);
  }
});

test('names that need it are escaped', async (t) => {
  const device = new MemoryDevice({ name: 'eth0' });
  const director = new NewDirector({
    interfaces: [{ device, addresses: ['192.0.2.1/24'] }],
    schedulers: [{ name: 'a"b\\c', create: () => ({ schedule: () => null }) }],
  });
  director.addService(tcp(), { scheduler: 'a"b\\c' });
  const families = await expose(director);
  t.is(families.get('tapvs_service_info')!.samples[0]!.labels.scheduler, 'a"b\\c');
});

// ---- Grafana ---------------------------------------------------------------------------------------------------------

interface Panel {
  readonly title: string;
  readonly type: string;
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

interface Variable {
  readonly name: string;
  readonly definition?: string;
}

/** Labels that Prometheus adds. */
const SCRAPED = ['job', 'instance'];

/** The metrics of a query, with all the labels that it names of them. */
function namesIn(expr: string): { metrics: string[]; labels: string[] } {
  const metrics = expr.match(/\b(?:tapvs|process)_[a-z_]+/g) ?? [];
  const selectors = Array.from(expr.matchAll(/\{([^}]*)\}/g), ([, inside]) => inside!);
  const matched = selectors.flatMap((inside) => Array.from(inside.matchAll(/([a-z_]+)=~?"/g), ([, name]) => name!));
  const grouped = Array.from(expr.matchAll(/\bby \(([^)]*)\)/g), ([, inside]) => inside!.split(/,\s*/)).flat();
  return { metrics, labels: [...matched, ...grouped] };
}

test('the Grafana dashboard asks for metrics and labels that there are', async (t) => {
  const lab = busyLab(2);
  const { director } = lab;
  t.teardown(() => director.stop());
  await watch(lab);
  const families = await expose(director);
  const labelsOf = new Map<string, Set<string>>();
  const values = new Map<string, Set<string>>();
  for (const { samples } of families.values()) {
    for (const { name, labels } of samples) {
      const known = labelsOf.get(name) ?? new Set(SCRAPED);
      for (const [label, value] of Object.entries(labels)) {
        known.add(label);
        const key = `${name} ${label}`;
        values.set(key, (values.get(key) ?? new Set()).add(value));
      }
      labelsOf.set(name, known);
    }
  }
  for (const name of ['tapvs_hand_on_lost_frames_total', 'tapvs_lost_frames_total']) t.true(labelsOf.has(name));
  const text = readFileSync(new URL('../../../grafana/dashboard.json', import.meta.url), 'utf8');
  const { panels, templating } = JSON.parse(text) as {
    panels: readonly Panel[];
    templating: { list: readonly Variable[] };
  };
  const variables = [...templating.list.map(({ name }) => name), '__rate_interval'];
  const queries = panels.flatMap(({ targets = [], title }) => targets.map((target) => ({ ...target, title })));
  t.true(queries.length >= 20);
  for (const { expr, legendFormat, title } of queries) {
    const { metrics, labels } = namesIn(expr);
    t.true(metrics.length > 0, title);
    const legends = Array.from(legendFormat.matchAll(/\{\{(\w+)\}\}/g), ([, name]) => name!);
    for (const metric of metrics) {
      t.true(labelsOf.has(metric), `${title}: there is no ${metric}`);
      for (const label of [...labels, ...legends]) {
        t.true(labelsOf.get(metric)!.has(label), `${title}: ${metric} has no label ${label}`);
      }
      for (const [, label, wanted] of expr.matchAll(/([a-z]+)=~?"([^"$]+)"/g)) {
        for (const value of wanted!.split('|')) {
          t.true(values.get(`${metric} ${label}`)!.has(value), `${title}: ${label} is never ${value}`);
        }
      }
    }
    for (const [, name] of expr.matchAll(/\$(\w+)/g)) t.true(variables.includes(name!), `${title}: $${name}`);
    t.is(expr.match(/\(/g)?.length ?? 0, expr.match(/\)/g)?.length ?? 0, title);
    // A counter alone says nothing; only of counters there are rates.
    for (const [, name] of expr.matchAll(/rate\((\w+)/g)) t.regex(name!, /_(total|bucket|sum|count)$/);
  }
  for (const { definition = '' } of templating.list) {
    const [, metric, label] = /^label_values\((\w+)(?:\{.*\})?, (\w+)\)$/.exec(definition) ?? [];
    if (definition === '') continue;
    t.true(labelsOf.get(metric!)?.has(label!), definition);
  }
});
