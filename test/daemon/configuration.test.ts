/** The configuration file: what it accepts, how it complains, and that what is published about it is true. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ConfigurationError, loadConfiguration } from '../../src/daemon/file.ts';
import { reference } from '../../src/daemon/reference.ts';
import { emptyConfiguration, SCHEMA } from '../../src/daemon/schema.ts';
import { sysctlNames } from '../../src/sysctl.ts';

const ROOT = new URL('../../../', import.meta.url);

const BASE = `
devices:
  - { type: tap, name: wire0 }
interfaces:
  - { device: wire0, addresses: [192.0.2.1/24, 2001:db8::1/64] }
`;

function write(t: ExecutionContext, text: string, name = 'tapvs.yaml'): string {
  const folder = mkdtempSync(join(tmpdir(), 'tapvs-configuration-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

function load(t: ExecutionContext, text: string): ReturnType<typeof loadConfiguration>['configuration'] {
  return loadConfiguration(write(t, text)).configuration;
}

function complaints(t: ExecutionContext, text: string): readonly string[] {
  const path = write(t, text);
  const error = t.throws(() => loadConfiguration(path), { instanceOf: ConfigurationError });
  t.false(error!.message.includes(path), 'a complaint names the file, not where it is');
  return error!.problems;
}

test('the published schema and reference are those of the code', (t) => {
  t.deepEqual(JSON.parse(readFileSync(new URL('config.schema.json', ROOT), 'utf8')), SCHEMA);
  t.is(readFileSync(new URL('CONFIGURATION.md', ROOT), 'utf8'), reference());
});

test('everything that an editor may complete is described', (t) => {
  const walk = (schema: Record<string, unknown>, path: string) => {
    for (const [name, property] of Object.entries((schema.properties ?? {}) as Record<string, never>)) {
      if (property === false) continue;
      t.is(typeof (property as { description?: unknown }).description, 'string', `${path}.${name}`);
      walk(property, `${path}.${name}`);
      const { items } = property as { items?: Record<string, unknown> };
      const kinds = (items?.oneOf ?? []) as Record<string, unknown>[];
      for (const each of [items ?? {}, ...kinds]) walk(each, `${path}.${name}[]`);
    }
  };
  walk(SCHEMA as Record<string, unknown>, '');
});

test('a short file gets every default', (t) => {
  const configuration = load(t, BASE);
  t.like(configuration, {
    director: { forwarding: false, claimVips: true, maxConnections: 262_144, icmpErrorsPerSecond: 1000 },
    timeouts: { tcp: 900, tcpfin: 120, udp: 300 },
    control: { socket: '/run/tapvs/control.sock', mode: '0600' },
    log: { level: 'info' },
    stop: { drainSeconds: 10 },
    services: [],
  });
  t.deepEqual(Object.keys(configuration.tunables), sysctlNames());
  const nothingOpen = { devices: [], interfaces: [], control: { ...configuration.control, socket: '' } };
  t.deepEqual({ ...configuration, ...nothingOpen }, emptyConfiguration());
});

test('each kind of device has its own options', (t) => {
  const { devices } = load(
    t,
    `
devices: [{ type: tap, name: wire0, offload: true }, { type: packet, name: eth1, io: af_xdp }]
interfaces: [{ device: wire0 }, { device: eth1 }]
`,
  );
  t.deepEqual(devices, [
    { type: 'tap', name: 'wire0', up: true, offload: true, io: 'auto' },
    { type: 'packet', name: 'eth1', io: 'af_xdp', promiscuous: false },
  ]);
  t.deepEqual(
    complaints(
      t,
      'devices: [{ type: packet, name: a, mtu: 9000 }, { type: wifi, name: b }]\ninterfaces: [{ device: a }]',
    ),
    [
      'tapvs.yaml:1:36: devices[0].mtu: is no option here',
      'tapvs.yaml:1:51: devices[1].type: is of no kind that there is',
    ],
  );
});

test('JSON is read like YAML', (t) => {
  const text = JSON.stringify({ devices: [{ type: 'tap', name: 'wire0' }], interfaces: [{ device: 'wire0' }] });
  t.is(load(t, text).devices[0].name, 'wire0');
});

test('an option of each kind arrives', (t) => {
  const { services, marks, sync } = load(
    t,
    `${BASE}
marks:
  - { destination: 192.0.2.128/25, protocol: tcp, destinationPort: [8000, 8999], mark: 1 }
services:
  - { fwmark: 1, family: 6, scheduler: sh, schedulerFlags: [sh-port], persistent: 60, netmask: 64 }
  - protocol: udp
    address: 2001:db8::53
    port: 53
    onePacket: true
    servers:
      - { address: 192.0.2.13, method: tunnel, tunnel: { type: gue, port: 6080, checksum: csum }, weight: 0 }
      - { address: 2001:db8::14, port: 5353, method: masq, upperThreshold: 10, lowerThreshold: 5 }
sync:
  - { role: master, syncId: 7 }
`.replace('192.0.2.13', '2001:db8::13'),
  );
  t.is(marks.length, 1);
  t.is(services.length, 2);
  t.like(services[1].servers[0], { method: 'tunnel', tunnel: { type: 'gue', port: 6080, checksum: 'csum' } });
  t.is(sync[0].mcastPort, 8848);
});

test('health is declared with its service; what is wrong with it is told at its place', (t) => {
  const file = (health: string, check = '{ type: tcp, port: 8081 }') => `${BASE}
services:
  - protocol: tcp
    address: 192.0.2.100
    port: 80
    health: ${health}
    servers:
      - { address: 192.0.2.11 }
      - { address: 192.0.2.12, check: ${check} }
`;
  const { services } = load(
    t,
    file('{ check: { type: http, path: /health }, load: { from: { port: 5555 } } }', 'null'),
  );
  t.like(services[0].health, { interval: 5, timeout: 2, rise: 2, fall: 3, quorum: 1, onFailure: 'quiesce' });
  t.is(services[0].servers[1].check, null);
  t.deepEqual(complaints(t, file('{ check: { type: icmp }, interval: 0 }')), [
    'tapvs.yaml:11:24: services[0].health.check.type: must be one of tcp, http, https, dns, udp, command',
    'tapvs.yaml:11:38: services[0].health.interval: must be >= 0.1',
  ]);
  t.regex(
    complaints(t, file('{ check: { type: tcp, path: / } }'))[0]!,
    /^tapvs.yaml:11:35: services\[0\].health.check.path: /,
  );
  t.regex(
    complaints(t, file('{}', '{ type: udp }'))[0]!,
    /^tapvs.yaml:\d+:\d+: services\[0\].servers\[1\].check.send: /,
  );
  t.regex(
    complaints(t, file('{ sorryServer: { address: 192.0.2.11 } }'))[0]!,
    /^tapvs.yaml:11:15: services\[0\].health.sorryServer: /,
  );
});

test('complaints say where, what, and all of it', (t) => {
  const text = `${BASE}
services:
  - protocol: tcp
    address: 192.0.2.100
    port: 65536
    scheduler: fastest
    servers:
      - { adress: 192.0.2.11 }
tunables: { expire_nodest_con: 1 }
`;
  t.deepEqual(complaints(t, text).toSorted(), [
    'tapvs.yaml:10:5: services[0].port: must be <= 65535',
    'tapvs.yaml:11:5: services[0].scheduler: must be one of rr, wrr, lc, wlc, sed, nq, sh, dh, lblc, lblcr, fo, ovf, mh, twos, none',
    'tapvs.yaml:13:11: services[0].servers[0].adress: is no option here',
    "tapvs.yaml:13:9: services[0].servers[0]: must have required property 'address'",
    'tapvs.yaml:14:13: tunables.expire_nodest_con: is no option here',
  ]);
});

test('what only a director can tell is told at its line, too', (t) => {
  const text = `${BASE}
services:
  - { protocol: tcp, address: 192.0.2.100, port: 0 }
  - protocol: tcp
    address: 192.0.2.101
    port: 80
    servers:
      - { address: 192.0.2.11, lowerThreshold: 7 }
      - { address: 192.0.2.999 }
      - { address: 224.0.0.1 }
sync:
  - { role: backup, mcastInterface: eth9 }
`;
  t.deepEqual(complaints(t, text), [
    'tapvs.yaml:8:44: services[0].port: 0 is not a port: a service on all ports (0) must be persistent',
    'tapvs.yaml:13:32: services[1].servers[0].lowerThreshold: 7 is not at most upperThreshold (0)',
    "tapvs.yaml:14:11: services[1].servers[1].address: '192.0.2.999' is not an IPv4 or IPv6 address",
    "tapvs.yaml:15:11: services[1].servers[2].address: '224.0.0.1' is not the address of a host",
    "tapvs.yaml:17:21: sync[0].mcastInterface: 'eth9' is not the name of an interface",
  ]);
});

test('entries must fit each other', (t) => {
  const device = 'devices: [{ type: tap, name: a }, { type: tap, name: a }, { type: tap, name: b }]\n';
  t.deepEqual(complaints(t, `${device}interfaces: [{ device: a }, { device: c }]\n`), [
    'tapvs.yaml:1:48: devices[1].name: must be unique',
    'tapvs.yaml:1:72: devices[2].name: must be used by one of the interfaces',
    'tapvs.yaml:2:31: interfaces[1].device: must be the name of one of the devices',
  ]);
  const twice = `${BASE}
services:
  - { protocol: tcp, address: 2001:db8:0::64, port: 80 }
  - protocol: tcp
    address: 2001:db8::64
    port: 80
    servers:
      - { address: 2001:db8::11 }
      - { address: 2001:db8:0:0::11, port: 8080 }
  - { fwmark: 3, protocol: tcp }
`;
  t.deepEqual(complaints(t, twice), ['tapvs.yaml:15:18: services[2].protocol: must not be given here']);
  t.deepEqual(complaints(t, twice.replace(/.*fwmark.*/, '')), [
    'tapvs.yaml:9:5: services[1]: is there already',
    'tapvs.yaml:14:9: services[1].servers[1]: is there already',
  ]);
});

test('what is no YAML, or too much of it, is refused', (t) => {
  t.regex(complaints(t, `${BASE}services: [`)[0], /^tapvs\.yaml:6:12: /);
  t.regex(complaints(t, 'devices: []\ndevices: []\n')[0], /^tapvs\.yaml:2:1: .*unique/);
  t.deepEqual(complaints(t, '').toSorted(), [
    "tapvs.yaml:1:1: must have required property 'devices'",
    "tapvs.yaml:1:1: must have required property 'interfaces'",
  ]);
  t.deepEqual(complaints(t, '7\n'), ['tapvs.yaml:1:1: must be object']);
  const laughs = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
  for (let i = 1; i < 12; i++) laughs.push(`a${i}: &a${i} [${Array(10).fill(`*a${i - 1}`)}]`);
  t.regex(complaints(t, laughs.join('\n'))[0], /^tapvs\.yaml: .*alias/);
  t.deepEqual(complaints(t, `# ${'x'.repeat(2 ** 24)}`), ['tapvs.yaml: larger than 16777216 bytes']);
  const missing = t.throws(() => loadConfiguration(join(tmpdir(), 'tapvs-none', 'tapvs.yaml')));
  t.is(missing?.message, 'tapvs.yaml: cannot be read: ENOENT');
});

test('what does not go with several threads is refused', (t) => {
  t.deepEqual(complaints(t, `${BASE}\ndirector: { threads: 2 }\nsync:\n  - { role: master }\n`), [
    "tapvs.yaml:9:7: sync[0].role: 'master' is not possible in several threads: a daemon speaks for one thread",
  ]);
  t.is(load(t, `${BASE}\ndirector: { threads: 2 }\nservices: [{ fwmark: 1 }]\n`).director.threads, 2);
  const attached = (threads: number, io: string) =>
    `director: { threads: ${threads} }\ndevices: [{ type: packet, name: a, io: ${io} }]\ninterfaces: [{ device: a }]`;
  t.deepEqual(complaints(t, attached(2, 'af_xdp')), [
    "tapvs.yaml:2:36: devices[0].io: 'af_xdp' is not possible in several threads: it has one queue",
  ]);
  t.is(load(t, attached(1, 'af_xdp')).director.threads, 1);
  t.is(load(t, attached(2, 'af_packet')).director.threads, 2);
});

test('users must exist', (t) => {
  t.deepEqual(
    complaints(t, `${BASE}\nprivileges: { user: nobody-of-that-name }\ncontrol: { user: nobody, group: x-y-z }`),
    [
      "tapvs.yaml:7:15: privileges.user: 'nobody-of-that-name' is not a user of this system",
      "tapvs.yaml:8:26: control.group: 'x-y-z' is not a group of this system",
    ],
  );
  t.deepEqual(complaints(t, `${BASE}\ncontrol: { mode: 0600 }`), ['tapvs.yaml:7:12: control.mode: must be string']);
});
