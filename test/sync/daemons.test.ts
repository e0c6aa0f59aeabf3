/** Starting, stopping and listing the daemons, and the tunables of theirs. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import {
  type DaemonOptions,
  Director,
  DirectorError,
  ManualClock,
  MemoryDevice,
  UdpTransport,
} from '../../src/index.ts';
import { Lab, MACS, tcp } from '../core/lab.ts';

const CORPUS: { readonly steps: readonly { exec: string; status: number; out: string }[] } = JSON.parse(
  readFileSync(new URL('../../../test/ipvsadm/corpus/daemons.json', import.meta.url), 'utf8'),
);

test('ipvsadm starts, lists and stops daemons with the answers of the real one', (t) => {
  const interfaces = ['eth0', 'eth1'].map((name) => ({
    device: new MemoryDevice({ name, mac: MACS[name]! }),
    addresses: ['10.0.0.1/24', '2001:db8::1/64'],
  }));
  const director = new Director({ interfaces, clock: new ManualClock(), claimVips: false }).start();
  for (const { exec, status, out } of CORPUS.steps) {
    t.deepEqual(director.ipvsadm(exec), { status, out }, exec);
  }
  director.stop();
});

const WRONG: readonly (readonly [option: string, options: unknown])[] = [
  ['options', null],
  ['options', 'master'],
  ['role', {}],
  ['role', { role: 'slave' }],
  ['mcastInterface', { role: 'master', mcastInterface: 'eth9' }],
  ['syncId', { role: 'master', syncId: 256 }],
  ['syncId', { role: 'master', syncId: '1' }],
  ['syncMaxlen', { role: 'master', syncMaxlen: 65536 }],
  ['mcastGroup', { role: 'master', mcastGroup: '10.0.0.1' }],
  ['mcastGroup', { role: 'master', mcastGroup: 'fe80::1' }],
  ['mcastGroup', { role: 'master', mcastGroup: 7 }],
  ['mcastPort', { role: 'master', mcastPort: 0 }],
  ['mcastTtl', { role: 'master', mcastTtl: 256 }],
  ['mcastInterface', { role: 'master', mcastGroup: 'ff02::51' }],
];

for (const [option, options] of WRONG) {
  test(`Refused: ${JSON.stringify(options)}`, (t) => {
    const { director } = new Lab();
    const error = t.throws(() => director.startDaemon(options as DaemonOptions), { instanceOf: DirectorError });
    t.is(error!.code, 'ERR_INVALID_OPTION');
    t.is(error!.option, option);
    t.deepEqual(director.daemons(), []);
  });
}

test('One of each may run', (t) => {
  const { director } = new Lab();
  t.throws(() => director.stopDaemon('master'), { code: 'ERR_NO_DAEMON' });
  director.startDaemon({ role: 'master' });
  t.throws(() => director.startDaemon({ role: 'master' }), { code: 'ERR_DAEMON_RUNNING' });
  director.startDaemon({ role: 'backup', mcastInterface: 'eth1', syncId: 3, syncMaxlen: 10 });
  t.deepEqual(
    director
      .daemons()
      .map(({ role, mcastInterface, syncId, syncMaxlen }) => [role, mcastInterface, syncId, syncMaxlen]),
    [
      ['master', 'eth0', 0, 1472],
      ['backup', 'eth1', 3, 1024],
    ],
  );
  director.stopDaemon('master');
  t.throws(() => director.stopDaemon('master'), { code: 'ERR_NO_DAEMON' });
  t.throws(() => director.stopDaemon('neither' as 'master'), { code: 'ERR_INVALID_OPTION' });
  t.is(director.daemons().length, 1);
  director.stop();
  t.deepEqual(director.daemons(), []);
  t.throws(() => director.startDaemon({ role: 'master' }), { code: 'ERR_CLOSED' });
});

test('Servers of another family than their service and sync daemons exclude each other', (t) => {
  const { director } = new Lab();
  director.addService(tcp());
  const mixed = { address: '2001:db8::1' };
  director.startDaemon({ role: 'backup' });
  t.throws(() => director.addDestination(tcp(), mixed, { method: 'tunnel' }), { code: 'ERR_INVALID_OPTION' });
  director.stopDaemon('backup');
  director.addDestination(tcp(), mixed, { method: 'tunnel' });
  t.throws(() => director.startDaemon({ role: 'backup' }), { code: 'ERR_INVALID_OPTION' });
});

test('The ports must all exist', (t) => {
  const { director } = new Lab();
  director.sysctl.set('sync_ports', 4);
  t.throws(() => director.startDaemon({ role: 'master', mcastPort: 65533 }), { code: 'ERR_INVALID_OPTION' });
  director.startDaemon({ role: 'master', mcastPort: 65532 });
  t.is(director.daemons().length, 1);
});

test('sync_threshold is two numbers', (t) => {
  const { sysctl } = new Lab().director;
  t.is(sysctl.text('sync_threshold'), '3 50');
  sysctl.set('net.ipv4.vs.sync_threshold', '5 20');
  t.is(sysctl.text('sync_threshold'), '5 20');
  t.is(sysctl.get('sync_threshold'), 5);
  sysctl.set('sync_threshold', 7);
  t.is(sysctl.text('sync_threshold'), '7 20');
  sysctl.set('sync_threshold', '9 0');
  for (const wrong of ['7 7', '8 2', '-1 5', '1 2 3', '', 'x', '1 y', 1.5, '1.5', -1]) {
    t.throws(() => sysctl.set('sync_threshold', wrong), { code: 'ERR_INVALID_OPTION' });
  }
  t.is(sysctl.text('sync_threshold'), '9 0');
  t.false(sysctl.names().includes('sync_period' as 'sync_threshold'));
  t.throws(() => sysctl.get('sync_period'), { code: 'ERR_INVALID_OPTION' });
});

test('The other tunables of sync are held to their bounds', (t) => {
  const { sysctl } = new Lab().director;
  for (const [name, wrong, right] of [
    ['sync_ports', [0, 3, 65, 128], [1, 2, 64]],
    ['sync_retries', [-1, 4], [0, 3]],
    ['sync_version', [2], [0, 1]],
    ['sync_persist_mode', [2], [0, 1]],
    ['sync_qlen_max', [-1, 0.5], [0, 100000]],
    ['sync_refresh_period', [-1, 1e9], [0, 60]],
    ['sync_sock_size', [-1], [0, 65536]],
    ['backup_only', [2], [0, 1]],
  ] as const) {
    for (const value of wrong)
      t.throws(() => sysctl.set(name, value), { code: 'ERR_INVALID_OPTION' }, `${name} ${value}`);
    for (const value of right) {
      sysctl.set(name, value);
      t.is(sysctl.get(name), value);
      t.is(sysctl.text(name), String(value));
    }
  }
});

test('The options of a UDP transport are checked', (t) => {
  for (const [option, options] of [
    ['name', { name: '' }],
    ['name', { name: 'sixteen-letters-' }],
    ['mtu', { mtu: 10 }],
    ['remote', { remote: 'localhost' }],
    ['local', { local: '1.2.3' }],
    ['interface', { interface: 'eth0' }],
  ] as const) {
    const error = t.throws(() => new UdpTransport(options), { instanceOf: DirectorError });
    t.is(error!.option, option);
  }
});
